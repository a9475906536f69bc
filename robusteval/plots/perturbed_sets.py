"""Violins over random perturbed sets: how much a number depends on which tokens were hit (TDT, Figure 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.style import Picture
from robusteval.plots.violins import violins

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment


def data(experiment: Experiment) -> pd.DataFrame:
    """The rows of text in several random versions, as `Experiment.rows`, main metrics only."""
    rows = experiment.rows()
    if len(rows):
        # a spread over directions around the weights is none over sets
        rows = rows[rows["sets"].gt(1) & rows["role"].eq("main") & rows["spread"].map(len).gt(1)]
    if rows.empty:
        raise NotMeasured(
            "violin: no test with several random sets was measured; --suites mask (or replace, delete, swap, typos) "
            "with --sets 5 brings them"
        )
    return rows


def violin(frame: pd.DataFrame) -> Picture:
    """One violin per rate and method, one panel per model, task, scenario, suite and metric.

    frame: lines of `rows_frame` with `spread`, the value on each set (in the metric's unit before `scale`); the sets of
    all seeds of a method are in one violin, and each is a point in it. Source: TDT, Figure 5.
    """
    needs(frame, ("method", "suite", "suite_value", "metric", "spread", "scale"), "violin")
    by = [column for column in ("model", "task", "scenario", "suite", "metric") if column in frame]
    parts = []
    for title, lines in panels(frame, by):
        sets = lines.explode("spread")
        values = sets["spread"].astype(float) * sets["scale"]
        drawn = pd.DataFrame({"x": sets["suite_value"].astype(str), "method": sets["method"], "y": values})
        first = lines.iloc[0]
        label = f"{first.get('shown', first['metric'])} {first.get('unit', '')}".strip()
        parts.append((title, drawn, f"{first['suite']}, rate" if lines["suite"].nunique() == 1 else "rate", label))
    return violins(parts, frame)


PLOT = Plot(data, violin)
