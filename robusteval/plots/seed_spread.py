"""Violins over seeds: how much a score depends on the seed (Bi-Drop, Figure 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.means import PLACE, compared, measure, named
from robusteval.plots.style import Picture, stamp
from robusteval.plots.violins import FEWEST, violins

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment


def data(experiment: Experiment) -> pd.DataFrame:
    """The scores on the task's own dev rows, as `Experiment.rows`."""
    found = compared(experiment.rows(), ("quality",))
    if found.empty:
        raise NotMeasured("violin-seeds: no score on dev rows was measured; --suites clean brings it")
    return found


def violin_seeds(frame: pd.DataFrame) -> Picture:
    """One violin per test and method, one panel per model, task, scenario and metric; each point is a seed.

    frame: lines of `rows_frame`. Source: Bi-Drop, Figure 4.
    """
    needs(frame, ("method", "seed", "suite", "suite_value", "metric", "value", "scale"), "violin-seeds")
    parts = []
    for title, lines in panels(frame, [column for column in (*PLACE, "metric") if column in frame]):
        values = lines["value"].astype(float) * lines["scale"]
        tests = named(lines)
        drawn = pd.DataFrame({"x": tests, "method": lines["method"], "y": values})
        label = measure(lines.iloc[0])
        only = tests.iloc[0] if tests.nunique() == 1 else ""
        parts.append((title, drawn.assign(x="") if only else drawn, only, label))
    figure = violins(parts, frame)
    most = frame.groupby(["method", *(column for column in (*PLACE, "metric") if column in frame)])["seed"].nunique()
    shape = f"the shape is drawn from {FEWEST} seeds on" if most.max() < FEWEST else ""
    stamp(figure, "; ".join(filter(None, ("each point is a seed, the line their mean", shape))))
    return figure


PLOT = Plot(data, violin_seeds)
