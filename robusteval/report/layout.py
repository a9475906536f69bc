"""An experiment's numbers laid out like a paper's table, the published ones beside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from robusteval.experiments.recipes import RecipeTable
from robusteval.report.cells import Cell, Line
from robusteval.report.sheets import Sheet
from robusteval.report.statistics import Summary
from robusteval.report.table import Table
from robusteval.results.metrics import Metric

# Lines by model, task, scenario, suite, value and metric.
_Lines = dict[tuple[str, ...], Line]
# How a number is shown where it is the average of several metrics.
_SHOWN = Metric("average", scale=100, digits=2)


@dataclass(frozen=True)
class Entry:
    """One cell of the paper's table.

    found: our numbers by statistic, as they are shown (shares times 100), NaN where one is missing; published: the
    paper's. n, asked: seeds that have a value, and those that were to have one.
    """

    statistic: str
    metric: Metric
    found: Mapping[str, float] = field(default_factory=dict)
    n: int = 0
    asked: int = 0
    published: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Our numbers, how many seeds they are of where that is not all, and in brackets the paper's."""
        ours = _several(self.found, self.metric) if self.n else f"0/{self.asked}" if self.asked else "–"
        if 0 < self.n < self.asked:
            ours += f" [{self.n}/{self.asked}]"
        return f"{ours} ({_several(self.published, self.metric)})" if self.published else ours


def _several(numbers: Mapping[str, float], metric: Metric) -> str:
    """Like "60.60 ± 0.50, max 61.20"; a lone number is not named."""
    parts = []
    for name, number in numbers.items():
        if name == "std" and "mean" in numbers:
            continue
        text = _text(number, metric)
        if name == "mean" and not math.isnan(numbers.get("std", math.nan)):
            text += f" ± {_text(numbers['std'], metric)}"
        parts.append(text if name == "mean" or len(numbers) == 1 else f"{name} {text}")
    return ", ".join(parts)


def _text(number: float, metric: Metric) -> str:
    return metric.text(number / metric.scale)


def entries(table: Table, paper: RecipeTable) -> dict[tuple[str, str], Entry]:
    """Every cell of the paper's table, by row and column."""
    lines: _Lines = {}
    for line in table.lines:
        lines.setdefault((line.model, line.task, line.scenario, line.suite, line.value, line.metric.name), line)
    found = {}
    for row in paper.rows:
        for column in paper.columns:
            published = paper.number(row, column)
            statistic = str(paper.cell(row, column).statistic)
            ours = _found(lines, table.models, paper, (row, column), list(dict.fromkeys([statistic, *published])))
            found[row, column] = replace(ours, statistic=statistic, published=published)
    return found


def _found(
    lines: _Lines, models: Sequence[str], paper: RecipeTable, cell: tuple[str, str], statistics: Sequence[str]
) -> Entry:
    """Our numbers in a cell. An average is the mean over its columns, as the papers form it, each of the statistic.

    models: those of the experiment, the first of which that has the cell's test stands in one that names no model.
    """
    row, column = cell
    if paper.columns[column].average:
        names = paper.columns[column].average
        return _average([_found(lines, models, paper, (row, name), statistics) for name in names], statistics)
    at = paper.cell(row, column)
    place = tuple(str(each) for each in (at.task, at.scenario, at.suite, at.value, at.metric))
    own = (lines.get((model, *place)) for model in (models if at.model is None else (at.model,)))
    line = next((each for each in own if each is not None and at.method in each.cells), None)
    if line is None:
        return Entry(statistics[0], _SHOWN)
    ours = line.cells[str(at.method)]
    summary = ours.sound if at.sound else ours.summary
    told = dict.fromkeys([*statistics, *(["std"] if "mean" in statistics else [])])
    found = {name: line.metric.scale * _number(ours, summary, name) for name in told}
    return Entry(statistics[0], line.metric, found, summary.n, ours.asked)


def _number(cell: Cell, summary: Summary, statistic: str) -> float:
    if statistic == "drop":
        return math.nan if cell.drop is None else -cell.drop
    return {"mean": summary.mean, "std": summary.std, "min": summary.low, "max": summary.high}[statistic]


def _average(parts: Sequence[Entry], statistics: Sequence[str]) -> Entry:
    """The mean over cells of each statistic; of nothing where one is missing."""
    found = {name: _mean([part.found.get(name, math.nan) for part in parts]) for name in statistics}
    n, asked = min(part.n for part in parts), max(part.asked for part in parts)
    asked = asked if all(part.asked for part in parts) else 0
    shown = {(part.metric.scale, part.metric.digits) for part in parts}
    metric = parts[0].metric if len(shown) == 1 else _SHOWN
    return Entry(statistics[0], metric, found, 0 if math.isnan(found[statistics[0]]) else n, asked)


def _mean(numbers: Sequence[float]) -> float:
    return math.fsum(numbers) / len(numbers)


def paper_sheet(table: Table, paper: RecipeTable) -> Sheet:
    """The experiment in the paper's rows and columns."""
    found = entries(table, paper)
    rows = tuple((row, *(found[row, column].text for column in paper.columns)) for row in paper.rows)
    return Sheet(paper.caption, ("", *paper.columns), rows, 1)


def paper_records(table: Table, papers: Sequence[RecipeTable]) -> list[dict[str, Any]]:
    """Every cell of every table as plain values."""
    return [
        {
            "table": paper.caption, "row": row, "column": column, "statistic": entry.statistic,
            "value": entry.found.get(entry.statistic, math.nan), "std": entry.found.get("std", math.nan),
            "seeds": entry.n, "asked": entry.asked,
            "published": entry.published.get(entry.statistic, math.nan),
            "published_std": entry.published.get("std", math.nan) if entry.statistic != "std" else math.nan,
        }
        for paper in papers
        for (row, column), entry in entries(table, paper).items()
    ]  # fmt: skip


def paper_csv(records: Sequence[Mapping[str, Any]]) -> str:
    return str(pd.DataFrame(records).to_csv(index=False))
