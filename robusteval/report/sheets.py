"""What a report shows: grids of text with what stands under them; every format draws these."""

from __future__ import annotations

import math
from dataclasses import dataclass

from robusteval.report.cells import Line, cell_text, interval_text, signed, spread_text, superscript
from robusteval.report.comparisons import Family, p_text, verdict
from robusteval.report.costs import COST_COLUMNS, cost_cells, total
from robusteval.report.table import Table
from robusteval.runtime.progress import duration

Row = tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """A grid of text. words: how many columns at the left hold words; under: sentences below it."""

    title: str
    header: Row
    rows: tuple[Row, ...]
    words: int
    under: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Sheets one below the other, then notes."""

    title: str
    sheets: tuple[Sheet, ...]
    notes: tuple[str, ...] = ()


def report(table: Table, *, every: bool = True) -> Report:
    """The table with its comparisons, tasks side by side where there are several, and what it cost.

    every: without it, there is nothing of what it cost, and no count of rows.
    """
    if not table.lines:
        return Report("no result", (), table.notes)
    sheets = (_main(table, every=every), *_side_by_side(table), *_comparisons(table.family))
    return Report(table.title, (*sheets, *(cost_sheets(table) if every else ())), table.notes)


def _which(table: Table, *names: str) -> list[str]:
    """Those of model, task and scenario of which the table has several."""
    several = {"model": table.models, "task": table.tasks, "scenario": table.scenarios}
    return [name for name in names if several[name] not in ((), ("none",)) and (
        len(several[name]) > 1 or name == "scenario"
    )]  # fmt: skip


def _main(table: Table, *, every: bool) -> Sheet:
    """A row for each of `main_lines`."""
    places = _which(table, "model", "task", "scenario")
    family = table.family
    header = (*places, "test", "metric", "n", *(m if m == table.baseline else f"{m} (Δ)" for m in table.methods))
    rows = [
        (
            *(getattr(line, place) for place in places), line.test, line.metric.name, line.count,
            *(_cell(line, method, family) for method in table.methods),
        )
        for line in main_lines(table, every=every)
    ]  # fmt: skip
    return Sheet("", header, tuple(rows), len(places) + 2, (table.caption, *verdict(family, table.lines)))


def main_lines(table: Table, *, every: bool = True) -> list[Line]:
    """The tests of the first sheet: all, but for what stands in table.csv only and what training cost; every: counts
    of rows too."""
    left_out = ("cost",) if every else ("cost", "size")
    return [line for line in table.lines if line.metric.role != "detail" and line.aspect not in left_out]


def _cell(line: Line, method: str, family: Family) -> str:
    group = family.group(line, method)
    return cell_text(line.cells[method], line.metric, star=family.clear(line, method), group=group)


def _comparisons(family: Family) -> list[Sheet]:
    """The declared comparisons with their intervals; none where there is nothing to pair."""
    if family.pairs < 2:
        return []
    lines = family.lines
    several = [name for name in ("model", "task", "scenario") if len({getattr(line, name) for line in lines}) > 1]
    collapsed = any(claim.sound is not None for claim in family.claims)
    header = ("method", *several, "test", "seeds", f"Δ to {family.baseline}", "95 % interval", "p", "p (Holm)", "g")
    rows = []
    for claim in family.claims:
        line, found = claim.line, claim.comparison
        metric, interval = line.metric, found.interval
        mean = "–" if not interval.n else signed(interval.mean, metric) + ("*" if claim.clear else "")
        row = (claim.method, *(getattr(line, name) for name in several), line.name, str(interval.n), mean)
        row += (interval_text(interval, metric), p_text(found.p), p_text(found.adjusted))
        row += ("–" if math.isnan(found.effect) else f"{found.effect:.2f}".replace("-", "−"),)
        if collapsed:
            sound = claim.sound
            row += ("" if sound is None or not sound.n else f"{signed(sound.mean, metric)} ({sound.n} seeds)",)
        rows.append(row)
    under = (
        "Interval: Student's t over paired seeds; p: exact two-sided sign-flip test; p (Holm): adjusted in the family "
        f"of {len(rows)}; g: Hedges' g of paired differences, corrected for few seeds; *: p (Holm) at most 0.05",
    )
    header += ("Δ without collapsed",) if collapsed else ()
    return [Sheet("Comparisons", header, tuple(rows), 2 + len(several), under)]


def _side_by_side(table: Table) -> list[Sheet]:
    """Tasks side by side with their average, a row per method, on the tests of the family."""
    sheets = []
    for average in (line for line in table.family.lines if line.over):
        parts = [line for line in table.lines if line.compared and _beside(line, average)]
        first = {line.task: line for line in reversed(parts)}
        lines = [first[task] for task in (*average.over, average.task)]
        where = [average.model] if len(table.models) > 1 else []
        where += [average.scenario] if average.scenario != "none" else []
        header = ("method", *(f"{line.task} {line.metric.name}" for line in lines[:-1]), average.task)
        rows = tuple((method, *(_short(line, method, table.family) for line in lines)) for method in table.methods)
        under = ("Average: of the tasks, seed by seed, over the seeds that have every task",)
        sheets.append(Sheet(", ".join([f"Tasks side by side: {average.test}", *where]), header, rows, 1, under))
    return sheets


def _beside(line: Line, average: Line) -> bool:
    names = ("model", "scenario", "suite", "value")
    return all(getattr(line, name) == getattr(average, name) for name in names)


def _short(line: Line, method: str, family: Family) -> str:
    """The cell without its difference."""
    cell = line.cells[method]
    found = cell.summary
    if not found.n:
        return cell_text(cell, line.metric)
    star = "*" if family.clear(line, method) else ""
    text = spread_text(found, line.metric) + superscript(family.group(line, method)) + star
    return text if cell.whole else f"{text} [{found.n}/{cell.asked}]"


def cost_sheets(table: Table) -> list[Sheet]:
    """What training and tests took; none where nothing was trained."""
    if not table.costs:
        return []
    places = _which(table, "model", "task")
    rows = [(cost.method, *(getattr(cost, place) for place in places), *cost_cells(cost)) for cost in table.costs]
    runs, seconds = total(table.costs)
    under = (f"Means over runs; all {runs} runs together took {duration(seconds)} of training and testing",)
    return [Sheet("Cost", ("method", *places, *COST_COLUMNS), tuple(rows), 1 + len(places), under)]
