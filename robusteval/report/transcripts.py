"""Transcripts of an attack: each text with the words that were changed, on the terminal or as one HTML page."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from jinja2 import Environment
from rich.console import Console
from rich.text import Text

from robusteval.errors import UserError
from robusteval.results.attack_lines import Outcome
from robusteval.results.attack_summary import AttackSummary, summarise
from robusteval.settings.checks import check_choice, check_range
from robusteval.storage.files import check_place

OUTCOMES: tuple[str, ...] = get_args(Outcome)
_OUTCOME_STYLE = {"succeeded": "red", "failed": "green", "skipped": "yellow", "error": "magenta"}
# How a piece looks: on a coloured terminal, and around it where there are no colours.
_PIECE_STYLE = {"same": "", "deleted": "red strike", "inserted": "green"}
_PIECE_MARKS = {"same": ("", ""), "deleted": ("[-", "-]"), "inserted": ("{+", "+}")}

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*|\s+|[^\w\s]")
# Joiners are part of how words are written, in emoji and several scripts; newlines and tabs are layout.
_HARMLESS = {"\n", "\t", "\u200c", "\u200d"}


class Piece(NamedTuple):
    """Consecutive characters of the original (same, deleted) or of the perturbed text (same, inserted)."""

    kind: Literal["same", "deleted", "inserted"]
    text: str


def word_differences(old: str, new: str) -> list[Piece]:
    """The pieces that make `old` (without the inserted ones) and `new` (without the deleted ones).

    >>> [tuple(piece) for piece in word_differences("a good film", "a god film")]
    [('same', 'a '), ('deleted', 'good'), ('inserted', 'god'), ('same', ' film')]
    """
    before, after = _WORD.findall(old), _WORD.findall(new)
    pieces: list[Piece] = []
    # white space alone anchors nothing: it stands between any two words
    matcher = difflib.SequenceMatcher(str.isspace, before, after, autojunk=False)
    for operation, first, last, start, stop in matcher.get_opcodes():
        deleted, inserted = "".join(before[first:last]), "".join(after[start:stop])
        if operation == "equal":
            pieces.append(Piece("same", deleted))
            continue
        if deleted:
            pieces.append(Piece("deleted", deleted))
        if inserted:
            pieces.append(Piece("inserted", inserted))
    return pieces


def visible(text: str) -> str:
    """`text` with control characters, and marks that reorder or hide text, written out as <U+202E>.

    They would move a terminal's cursor, or make a page show another order than the one the model read.
    """
    return "".join(
        f"<U+{ord(character):04X}>"
        if unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in _HARMLESS
        else character
        for character in text
    )


class Transcript(NamedTuple):
    """One result line, ready to be shown.

    before, after: predicted label and its probability, "" where an error came first.
    columns: name and pieces of every text column. facts: queries, changed words, similarity, remarks.
    """

    id: str
    outcome: str
    gold: str
    before: str
    after: str
    columns: list[tuple[str, list[Piece]]]
    facts: str


def transcripts(
    lines: Iterable[Mapping[str, Any]], outcome: str | None = None, limit: int | None = None
) -> list[Transcript]:
    """The first `limit` of the result lines that have the given outcome; None is no restriction.

    UserError for an unknown outcome or a limit below 1.
    """
    return [_transcript(line) for line in chosen(lines, outcome, limit)]


def chosen(
    lines: Iterable[Mapping[str, Any]], outcome: str | None = None, limit: int | None = None
) -> list[Mapping[str, Any]]:
    """The lines that `transcripts` shows."""
    if outcome is not None:
        check_choice("outcome", outcome, OUTCOMES)
    if limit is not None:
        check_range("limit", limit, 1, float("inf"))
    return [line for line in lines if outcome in (None, line["outcome"])][:limit]


def _transcript(line: Mapping[str, Any]) -> Transcript:
    originals: Sequence[str] = line["original"]
    # an attack that ended in an error has no second text to compare with
    perturbed: Sequence[str] = line["perturbed"] or originals
    columns = [
        (visible(name), [Piece(kind, visible(text)) for kind, text in word_differences(old, new)])
        for name, old, new in zip(line["text_columns"], originals, perturbed, strict=True)
    ]
    facts = [f"{line['queries']} queries"]
    if line["words_changed"] is not None:
        facts.append(f"{line['words_changed']} of {line['words']} words changed")
    if line.get("similarity") is not None:
        facts.append(f"similarity {line['similarity']:.2f}")
    if line["message"]:
        facts.append(line["message"])
    return Transcript(
        visible(str(line["id"])),
        line["outcome"],
        visible(line["gold"]),
        _prediction(line["predicted_before"], line["scores_before"]),
        _prediction(line["predicted_after"], line["scores_after"]),
        columns,
        visible("; ".join(facts)),
    )


def _prediction(label: str | None, scores: Sequence[float] | None) -> str:
    return "" if label is None or scores is None else f"{visible(label)} {max(scores):.3f}"


def print_transcripts(shown: Sequence[Transcript], console: Console) -> None:
    """The transcripts one below the other; nothing in a text is taken for mark-up or for an emoji's name.

    Where the console has no colours, [-deleted-] and {+inserted+} words are marked so.
    """
    for one in shown:
        change = f"{one.before} → {one.after}; " if one.before else ""
        head = [(one.id, "bold"), (f"  {one.outcome}", _OUTCOME_STYLE[one.outcome])]
        console.print(Text.assemble(*head, f"  gold {one.gold}; {change}{one.facts}"), soft_wrap=True)
        for name, pieces in one.columns:
            marked = [_marked(piece, coloured=bool(console.color_system)) for piece in pieces]
            console.print(Text.assemble((f"  {name}: ", "dim"), *marked), soft_wrap=True)
        console.print()


def _marked(piece: Piece, *, coloured: bool) -> tuple[str, str]:
    """Text and style of a piece."""
    start, end = ("", "") if coloured else _PIECE_MARKS[piece.kind]
    return f"{start}{piece.text}{end}", _PIECE_STYLE[piece.kind]


def summary_text(summary: AttackSummary) -> str:
    """Counts and the success rate with its denominator, in one sentence."""
    rate = f"{100 * summary.attack_success_rate:.1f} %" if summary.attacked else "–"
    return (
        f"{summary.examples} examples; attack success rate {rate} of {summary.attacked} attacked; "
        f"skipped {summary.skipped}, errors {summary.errors}"
    )


def html_page(
    lines: Sequence[Mapping[str, Any]], title: str, outcome: str | None = None, limit: int | None = None
) -> str:
    """One self-contained page of the transcripts of `lines`; no scripts, nothing from elsewhere, all text escaped."""
    shown = transcripts(lines, outcome, limit)
    counts = {name: sum(one.outcome == name for one in shown) for name in OUTCOMES}
    return _PAGE.render(
        title=visible(title),
        summary=summary_text(summarise(lines)),
        shown=shown,
        counts={name: count for name, count in counts.items() if count},
    )


def check_page(path: Path) -> None:
    """Raise UserError where a page cannot be written to `path`, or would take the place of anything but such a page."""
    check_place(path, folder=False, field="html")
    if path.is_file():
        with open(path, "rb") as handle:
            head = handle.read(len(_HEAD))
        if head != _HEAD.encode():
            raise UserError(f"html: {str(path)!r} holds something else, which would be lost; name another file")


_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="robusteval">
"""

_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    _HEAD
    + """\
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --page: #fff; --ink: #1b1b1f; --faint: #66666e; --line: #d9d9e0;
  --old: #b3261e; --old-back: #fbe4e2; --new: #14672b; --new-back: #dcf3e1; }
@media (prefers-color-scheme: dark) {
  :root { --page: #17171a; --ink: #e6e6ea; --faint: #a0a0aa; --line: #3a3a42;
    --old: #ffb4ab; --old-back: #4a1f1c; --new: #9be0ac; --new-back: #163b21; }
}
body { background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; }
p, dt, .facts { color: var(--faint); margin: .3rem 0; }
label { margin: 0 1rem 0 .2rem; }
article { border-top: 1px solid var(--line); padding: .8rem 0; }
h2 { font-size: 1rem; margin: 0; display: inline; }
.outcome { border: 1px solid currentColor; border-radius: .6rem; padding: 0 .5rem; font-size: .85rem; }
dl { margin: .4rem 0; }
dt { font-size: .85rem; margin: .3rem 0 0; }
dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
bdi { overflow-wrap: anywhere; }
del { color: var(--old); background: var(--old-back); }
ins { color: var(--new); background: var(--new-back); text-decoration: none; }
del + ins { margin-left: .2em; }
{% for name in counts %}
#only-{{ name }}:checked ~ main article:not(.{{ name }}) { display: none; }
{% endfor %}
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ summary }}</p>
<input type="radio" name="only" id="only-all" checked><label for="only-all">all {{ shown | length }}</label>
{% for name, count in counts.items() %}
<input type="radio" name="only" id="only-{{ name }}"><label for="only-{{ name }}">{{ name }} {{ count }}</label>
{% endfor %}
<main>
{% for one in shown %}
<article class="{{ one.outcome }}">
<h2><bdi>{{ one.id }}</bdi></h2> <span class="outcome">{{ one.outcome }}</span>
<div class="facts">gold <bdi>{{ one.gold }}</bdi>
{%- if one.before %}; <bdi>{{ one.before }}</bdi> → <bdi>{{ one.after }}</bdi>{% endif %}; {{ one.facts }}</div>
<dl>
{% for name, pieces in one.columns %}
<dt><bdi>{{ name }}</bdi></dt>
<dd>{% for piece in pieces %}
{%- if piece.kind == "deleted" %}<del>{{ piece.text }}</del>
{%- elif piece.kind == "inserted" %}<ins>{{ piece.text }}</ins>
{%- else %}{{ piece.text }}{% endif %}
{%- endfor %}</dd>
{% endfor %}
</dl>
</article>
{% endfor %}
</main>
</body>
</html>
"""
)
