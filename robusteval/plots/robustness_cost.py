"""Robustness against what training costs: whether a method is worth its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.means import HOLLOW, PLACE, TEST, compared, dot, handle, measure, named, over_seeds, seeds_told
from robusteval.plots.style import Look, Picture, grid, heading, legend, look, looks, methods_of, stamp

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

_COST = "seconds_per_step"


def data(experiment: Experiment) -> pd.DataFrame:
    """The robustness rows by which models are compared, as `Experiment.rows`, with seconds_per_step of their runs."""
    rows = experiment.rows()
    found = compared(rows, ("robustness",))
    if found.empty:
        raise NotMeasured("cost: no robustness was measured; --suites mask or --attacks deepwordbug brings it")
    steps = rows[rows["metric"].eq(_COST)].drop_duplicates("run").set_index("run")["value"]
    found = found.assign(**{_COST: found["run"].map(steps)}).dropna(subset=_COST)
    if found.empty:
        raise NotMeasured("cost: nothing was trained; train-and-attack measures what a step takes")
    return found


def cost(frame: pd.DataFrame) -> Picture:
    """A point per method: seconds of a training step, and a robustness number; a panel per place and test.

    frame: lines of `rows_frame` with seconds_per_step of the run, as it was measured: on a busy machine it is larger.
    """
    needs(frame, ("method", "seed", "suite", "suite_value", "metric", "value", "scale", _COST), "cost")
    by = [column for column in PLACE if column in frame]
    parts, told = panels(frame, [*by, *TEST]), panels(frame, by)
    methods, style, drawn = methods_of(frame), looks(frame), []
    with look():
        figure, axes = grid(len(parts))
        for axis, (_, lines) in zip(axes, parts, strict=True):
            for method in methods_of(lines):
                drawn.append(_point(axis, lines[lines["method"] == method], style[method], method))
            where = [str(lines[name].iloc[0]) for name in by if len(told) > 1 and frame[name].nunique() > 1]
            title = heading(", ".join([*where, named(lines).iloc[0]]))
            axis.set(title=title, xlabel="training step, s", ylabel=measure(lines.iloc[0]))
            axis.set_xlim(left=0)
        legend(figure, [handle(style[each]) for each in methods], methods)
        means = pd.concat(drawn)
        note = [HOLLOW] if means["constant"].any() else []
        stamp(figure, "; ".join([f"{seeds_told(means)}, on both axes", *note]))
    return figure


def _point(axis: Axes, own: pd.DataFrame, each: Look, method: str) -> pd.DataFrame:
    means = over_seeds(own.assign(one=""), ["one"])
    seconds = over_seeds(own.assign(one="", value=own[_COST], scale=1), ["one"])
    hollow = bool(means["constant"].iloc[0])
    axis.errorbar(
        seconds["mean"], means["mean"], xerr=seconds["std"], yerr=means["std"], fmt="none", ecolor=each.colour,
        elinewidth=0.9, capsize=2, alpha=0.7,
    )  # fmt: skip
    axis.plot(seconds["mean"], means["mean"], linestyle="none", gid=method, **dot(each, hollow=hollow))
    return means


PLOT = Plot(data, cost)
