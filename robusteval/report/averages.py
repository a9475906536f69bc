"""The average over tasks, as a line of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from robusteval.report.cells import Cell, Line
from robusteval.report.statistics import paired, paired_interval, summarise
from robusteval.results.metrics import Metric

AVERAGE = "average"


def average_lines(lines: Sequence[Line], baseline: str) -> list[Line]:
    """For every test that several tasks have, the average of their main metrics, seed by seed.

    A task's main metric is the first by which models are compared. Metrics that are not shown on one scale, or of which
    not all are better when higher, have no average.
    """
    main: dict[tuple[str, str, str, str], dict[str, Line]] = {}
    for line in lines:
        if line.compared:
            main.setdefault((line.model, line.scenario, line.suite, line.value), {}).setdefault(line.task, line)
    found: dict[tuple[str, str, str, str], Line] = {}
    for place, parts in main.items():
        metrics = [line.metric for line in parts.values()]
        alike = len({(metric.scale, metric.digits, metric.direction) for metric in metrics}) == 1
        if len(parts) > 1 and alike:
            found[place] = _average(list(parts.values()), metrics, baseline)
    return [_with_drop(line, found.get((place[0], "none", *place[2:]))) for place, line in found.items()]


def _average(parts: Sequence[Line], metrics: Sequence[Metric], baseline: str) -> Line:
    first = parts[0]
    metric = metrics[0]
    if len({each.name for each in metrics}) > 1:
        metric = Metric(AVERAGE, digits=metric.digits, scale=metric.scale, direction=metric.direction)
    base = _values([line.cells[baseline] for line in parts])
    cells = {}
    for method in first.cells:
        each = [line.cells[method] for line in parts]
        values = _values(each)
        delta = paired_interval(list(paired(values, base).values())) if method != baseline else None
        cells[method] = Cell(
            values,
            max(cell.asked for cell in each),
            frozenset().union(*(cell.collapsed for cell in each)) & values.keys(),
            delta if delta is not None and delta.n else None,
        )
    counts = (min(line.n[0] for line in parts), max(line.n[1] for line in parts))
    over = tuple(line.task for line in parts)
    return replace(first, task=AVERAGE, metric=metric, n=counts, cells=cells, over=over)


def _values(cells: Sequence[Cell]) -> dict[int, float]:
    """The mean over the cells of every seed that all of them have."""
    seeds = sorted(set.intersection(*(set(cell.values) for cell in cells)))
    return {seed: math.fsum(cell.values[seed] for cell in cells) / len(cells) for seed in seeds}


def _with_drop(line: Line, plain: Line | None) -> Line:
    """The line with the mean differences to the one without a scenario."""
    if line.scenario == "none" or plain is None:
        return line
    cells = {}
    for method, cell in line.cells.items():
        differences = list(paired(cell.values, plain.cells[method].values).values())
        cells[method] = replace(cell, drop=summarise(differences).mean if differences else None)
    return replace(line, cells=cells)
