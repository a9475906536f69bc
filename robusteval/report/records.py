"""The table as raw numbers: CSV with a line per test and method, JSON with every seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from robusteval.report.cells import Cell, Line
from robusteval.report.comparisons import Claim
from robusteval.report.statistics import Interval, Summary
from robusteval.report.table import Table


def csv(table: Table) -> str:
    """One line per test and method, raw numbers.

    sound_*: without the runs that collapsed. delta_*: difference to the baseline and its 95 % interval; p, p_holm,
    effect: of the declared comparisons. sets, set_*: the spread over random sets, of all seeds together.
    """
    records = [
        {
            "model": line.model, "task": line.task, "scenario": line.scenario, "suite": line.suite,
            "suite_value": line.value, "split": line.split, "metric": line.metric.name, "method": method,
            **_summary(cell.summary), "seeds": cell.summary.n, "asked": cell.asked, "collapsed": len(cell.collapsed),
            "sound_mean": cell.sound.mean, "sound_std": cell.sound.std,
            **_delta(cell.delta), "drop": cell.drop, **_tested(table.family.claim(line, method)),
            "group": table.family.group(line, method), **_over_sets(cell),
            "n_min": line.n[0], "n_max": line.n[1], "in_domain": cell.in_domain,
        }
        for line in table.lines
        for method, cell in line.cells.items()
    ]  # fmt: skip
    return str(pd.DataFrame(records).astype({"sets": "Int64"}).to_csv(index=False)) if records else ""


def _summary(found: Summary) -> dict[str, float]:
    return {"mean": found.mean, "std": found.std, "min": found.low, "max": found.high}


def _delta(found: Interval | None) -> dict[str, float | None]:
    ends = (None, None, None) if found is None else (found.mean, found.low, found.high)
    return dict(zip(("delta", "delta_low", "delta_high"), ends, strict=True))


def _tested(claim: Claim | None) -> dict[str, float | None]:
    if claim is None:
        return {"p": None, "p_holm": None, "effect": None}
    found = claim.comparison
    return {"p": found.p, "p_holm": found.adjusted, "effect": found.effect}


def _over_sets(cell: Cell) -> dict[str, float | None]:
    """Number, sample standard deviation and ends of a cell's values on random sets; nothing where it has none."""
    values = cell.spread
    return {
        "sets": len(values) or None,
        "set_std": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "set_min": min(values, default=None),
        "set_max": max(values, default=None),
    }


def record(table: Table) -> dict[str, Any]:
    """All of the table as plain values: every seed of every cell, the declared comparisons, costs and notes."""
    return {
        "title": table.title, "methods": table.methods, "baseline": table.baseline, "seeds": table.seeds,
        "lines": [_line(line, table) for line in table.lines],
        "comparisons": [_claim(claim) for claim in table.family.claims],
        "costs": [{**vars(cost), "run": cost.run} for cost in table.costs],
        "notes": table.notes,
    }  # fmt: skip


def _line(line: Line, table: Table) -> dict[str, Any]:
    metric = {name: value for name, value in line.metric.record().items() if name in ("name", "unit", "direction")}
    return {
        **_where(line), "metric": metric, "aspect": line.aspect, "summary": line.summary, "n": line.n,
        "cells": {method: _cell(cell, table.family.group(line, method)) for method, cell in line.cells.items()},
    }  # fmt: skip


def _cell(cell: Cell, group: str) -> dict[str, Any]:
    return {
        "values": {str(seed): value for seed, value in cell.values.items()}, "asked": cell.asked,
        **_summary(cell.summary), "collapsed": sorted(cell.collapsed), "without_collapsed": _summary(cell.sound),
        "delta": None if cell.delta is None else dict(vars(cell.delta)), "drop": cell.drop, "group": group,
        "spread": cell.spread, "in_domain": cell.in_domain,
    }  # fmt: skip


def _where(line: Line) -> dict[str, str]:
    names = ("model", "task", "scenario", "suite", "value", "split")
    return {name: getattr(line, name) for name in names}


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        **_where(claim.line), "metric": claim.line.metric.name, "method": claim.method, "clear": claim.clear,
        "delta": dict(vars(claim.comparison.interval)),
        "without_collapsed": None if claim.sound is None else dict(vars(claim.sound)),
        "p": claim.comparison.p, "p_holm": claim.comparison.adjusted, "effect": claim.comparison.effect,
    }  # fmt: skip
