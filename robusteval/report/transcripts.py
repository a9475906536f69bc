"""Transcripts of an attack: each text with the words that were changed, and all of them on the terminal."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from rich.console import Console
from rich.text import Text

from robusteval.results.attack_lines import Outcome
from robusteval.results.attack_summary import AttackSummary
from robusteval.settings.checks import check_choice, check_range

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
    if old == new:
        return [Piece("same", old)] if old else []
    from rapidfuzz.distance import Levenshtein

    before, after = _WORD.findall(old), _WORD.findall(new)
    pieces: list[Piece] = []
    for step in Levenshtein.opcodes(before, after):
        deleted = "".join(before[step.src_start : step.src_end])
        inserted = "".join(after[step.dest_start : step.dest_end])
        if step.tag == "equal":
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
    if text.isprintable():  # as nearly every text is
        return text
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
    facts = ["1 query" if line["queries"] == 1 else f"{line['queries']} queries"]
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
