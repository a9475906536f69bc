"""A table as Markdown, CSV, LaTeX, and on the terminal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from robusteval.report.table import Cell, Table, cell_text, count_text, line_name, verdict
from robusteval.storage.files import write_atomic

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "−": "$-$", "–": "--", "Δ": r"$\Delta$",
}  # fmt: skip


def _header(table: Table) -> list[str]:
    first = ["scenario"] if _in_scenarios(table) else []
    return [*first, "test", "metric", "n", *(f"{m} (Δ)" if i else m for i, m in enumerate(table.methods))]


def _in_scenarios(table: Table) -> bool:
    return table.scenarios not in ((), ("none",))


def _body(table: Table) -> list[list[str]]:
    return [
        [*([line.scenario] if _in_scenarios(table) else []), line_name(line), line.metric.name, count_text(line)]
        + [cell_text(line.cells[method], line.metric) for method in table.methods]
        for line in table.lines
        if line.metric.role != "detail"
    ]


def markdown(table: Table) -> str:
    """A Markdown table with caption, verdict and notes."""
    header = _header(table)
    rows = [header, ["---"] * len(header), *_body(table)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    parts = [
        "\n".join(lines),
        table.caption + ".",
        *verdict(table),
        *(f"Note: {note}." for note in table.notes),
    ]
    return "\n\n".join(parts) + "\n"


def csv(table: Table) -> str:
    """One line per test and method, raw numbers.

    sets, set_std, set_min, set_max: the spread over random sets, of all seeds together, where a test has some.
    """
    records = [
        {
            "task": table.task, "scenario": line.scenario, "suite": line.suite, "suite_value": line.value,
            "split": line.split, "metric": line.metric.name, "method": method, "mean": cell.mean, "std": cell.std,
            "delta": cell.delta, "drop": cell.drop, "seeds": len(cell.values), **_over_sets(cell),
            "n_min": line.n[0], "n_max": line.n[1], "note": cell.note,
        }
        for line in table.lines
        for method, cell in line.cells.items()
    ]  # fmt: skip
    return str(pd.DataFrame(records).astype({"sets": "Int64"}).to_csv(index=False))


def _over_sets(cell: Cell) -> dict[str, float | None]:
    """Number, sample standard deviation and ends of a cell's values on random sets; nothing where it has none."""
    values = cell.spread
    return {
        "sets": len(values) or None,
        "set_std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "set_min": min(values, default=None),
        "set_max": max(values, default=None),
    }


def latex(table: Table) -> str:
    """A booktabs table."""
    header = _header(table)
    rows = [" & ".join(_escape(cell) for cell in row) + r" \\" for row in _body(table)]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escape(table.caption)}.}}",
            rf"\begin{{tabular}}{{{'l' if _in_scenarios(table) else ''}llr{'c' * len(table.methods)}}}",
            r"\toprule",
            " & ".join(_escape(cell) for cell in header) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)


def write_table(table: Table, folder: Path) -> None:
    """table.md, table.csv and table.tex in `folder`."""
    write_atomic(folder / "table.md", markdown(table))
    write_atomic(folder / "table.csv", csv(table))
    write_atomic(folder / "table.tex", latex(table))


def print_table(table: Table, console: Console) -> None:
    """The table as wide as it needs to be, then caption, verdict and notes."""
    grid = RichTable(box=box.SIMPLE_HEAD, title=f"{table.task}", pad_edge=False)
    texts = 3 if _in_scenarios(table) else 2
    for index, name in enumerate(_header(table)):
        grid.add_column(escape(name), justify="right" if index >= texts else "left", no_wrap=True)
    for row in _body(table):
        grid.add_row(*(escape(cell) for cell in row))
    # a cell cut short says less than a line that the terminal wraps
    shown, console.width = console.width, 10_000
    console.width = max(shown, console.measure(grid).maximum)
    console.print(grid, crop=False)
    console.width = shown
    for text in (table.caption + ".", *verdict(table), *(f"Note: {note}." for note in table.notes)):
        console.print(escape(text), soft_wrap=True)
