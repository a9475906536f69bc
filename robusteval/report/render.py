"""A report as Markdown, LaTeX, HTML, and on the terminal; and its files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from jinja2 import Environment
from rich.console import Console

from robusteval.report.grid import print_grid, print_sentence
from robusteval.report.in_words import in_words
from robusteval.report.records import csv, record
from robusteval.report.sheets import Report, Sheet, report
from robusteval.report.table import Table
from robusteval.report.transcripts import visible
from robusteval.runtime.terminal import RAISED
from robusteval.storage.files import as_json, write_atomic

# Endings of the files of a report.
FORMATS = ("md", "csv", "tex", "html", "json")

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "–": "--", "Δ": r"$\Delta$",
    "<": "$<$", ">": "$>$", "[": "{[}", "*": "$^{*}$", "·": r"$\cdot$",
    **{raised: f"$^{{{plain}}}$" for plain, raised in RAISED.items()},
}  # fmt: skip


def markdown(held: Report) -> str:
    """Every sheet as a table, then the notes."""
    parts = []
    for sheet in held.sheets:
        rows = (sheet.header, tuple("---" for _ in sheet.header), *sheet.rows)
        parts += [f"## {sheet.title}"] if sheet.title else []
        parts.append("\n".join("| " + " | ".join(_in_table(cell) for cell in row) + " |" for row in rows))
        parts += [f"{text}." for text in sheet.under]
    return "\n\n".join([*parts, *(f"Note: {note}." for note in held.notes)]) + "\n"


def _in_table(cell: str) -> str:
    return " ".join(cell.replace("|", "\\|").split("\n"))


def latex(held: Report) -> str:
    """Every sheet as a booktabs table: the first sentence under it is its caption, the others stand below it.

    The notes are comments at the end.
    """
    tables = [_latex_table(sheet, held.title) for sheet in held.sheets]
    notes = [f"% Note: {_in_table(note)}." for note in held.notes]
    return "\n".join([r"% needs \usepackage{booktabs}", *tables, *notes, ""])


def _latex_table(sheet: Sheet, title: str) -> str:
    caption, *below = [f"{text}." for text in ([f"{title}: {sheet.title}"] if sheet.title else []) + list(sheet.under)]
    rows = [" & ".join(map(_escape, row)) + r" \\" for row in (sheet.header, *sheet.rows)]
    columns = "l" * sheet.words + "c" * (len(sheet.header) - sheet.words)
    told = [r"\par\smallskip\footnotesize", *map(_escape, below)] if below else []
    return "\n".join(
        [
            r"\begin{table}", r"\centering", rf"\caption{{{_escape(caption)}}}", rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule", r"\end{tabular}", *told, r"\end{table}", "",
        ]
    )  # fmt: skip


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def html(held: Report) -> str:
    """One self-contained page; no scripts, nothing from elsewhere, all text escaped."""
    shown = [
        {"title": visible(sheet.title), "header": map(visible, sheet.header), "words": sheet.words,
         "rows": [list(map(visible, row)) for row in sheet.rows], "under": map(visible, sheet.under)}
        for sheet in held.sheets
    ]  # fmt: skip
    return _PAGE.render(title=visible(held.title), sheets=shown, notes=list(map(visible, held.notes)))


def print_report(held: Report, console: Console) -> None:
    """Each sheet, what stands under it, and the notes."""
    for sheet in held.sheets:
        print_grid(console, sheet.header, sheet.rows, title=sheet.title or held.title, words=sheet.words)
        for text in sheet.under:
            print_sentence(console, f"{text}.")
        console.print()
    for note in held.notes:
        print_sentence(console, f"Note: {note}.")


def print_table(table: Table, console: Console, *, every: bool = False) -> None:
    """every: also what it cost, and counts of rows; the files have all."""
    print_report(report(table, every=every), console)
    for sentence in in_words(table):
        print_sentence(console, sentence)


def texts(held: Report, numbers: str, values: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Ending and content of every file of a report; numbers: the CSV; values: what the JSON holds."""
    yield "md", markdown(held)
    yield "csv", numbers
    yield "tex", latex(held)
    yield "html", html(held)
    yield "json", as_json(values)


def write_table(table: Table, folder: Path, formats: Collection[str] = FORMATS) -> list[Path]:
    """table.md, .csv, .tex, .html and .json in `folder`, or those of the formats that are asked for."""
    return write_texts(texts(report(table), csv(table), record(table)), folder / "table", formats)


def write_texts(files: Iterator[tuple[str, str]], place: Path, formats: Collection[str]) -> list[Path]:
    """Write the files of the asked formats to `place` with their endings, and say where they are."""
    written = []
    for ending, text in files:
        if ending in formats:
            written.append(place.with_name(f"{place.name}.{ending}"))
            write_atomic(written[-1], text)
    return written


_PAGE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="robusteval">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --page: #fff; --ink: #1b1b1f; --faint: #66666e; --line: #d9d9e0; --head: #f4f4f7; }
@media (prefers-color-scheme: dark) {
  :root { --page: #17171a; --ink: #e6e6ea; --faint: #a0a0aa; --line: #3a3a42; --head: #212126; }
}
body { background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; margin: 2rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { color: var(--faint); margin: .4rem 0; max-width: 60rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
thead th { background: var(--head); }
.word { text-align: left; font-weight: inherit; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% for sheet in sheets %}
{% if sheet.title %}
<h2>{{ sheet.title }}</h2>
{% endif %}
<div class="wide"><table>
<thead><tr>
{%- for name in sheet.header %}<th scope="col"{% if loop.index <= sheet.words %} class="word"{% endif %}>{{ name }}</th>
{%- endfor %}</tr></thead>
<tbody>
{% for row in sheet.rows %}
<tr>
{%- for cell in row %}<td{% if loop.index <= sheet.words %} class="word"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>
{% for text in sheet.under %}
<p>{{ text }}.</p>
{% endfor %}
{% endfor %}
{% for note in notes %}
<p>Note: {{ note }}.</p>
{% endfor %}
</body>
</html>
""")
