"""The loss along random directions around the trained weights (Li et al., 2018): how wide a minimum is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.style import Look, Picture, grid, heading, legend, look, looks, methods_of

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment


def data(experiment: Experiment) -> pd.DataFrame:
    """The points of suite `flatness`."""
    found = experiment.analysis("flatness")
    if found.empty:
        raise NotMeasured("directions: the loss around the weights was not measured; --suites flatness brings it")
    return found


def directions(frame: pd.DataFrame) -> Picture:
    """The loss (nats) against the distance from the weights, a panel per model, task and scenario.

    frame: lines with direction, alpha (in norms of each filter) and loss. A thin line is a direction of a seed, a bold
    one the mean of a method; where a loss is not finite the mean is not drawn. Source: Li et al., NeurIPS 2018.
    """
    needs(frame, ("method", "direction", "alpha", "loss"), "directions")
    by = [column for column in ("model", "task", "scenario") if column in frame]
    parts, methods, style = panels(frame, by), methods_of(frame), looks(frame)
    with look():
        figure, axes = grid(len(parts), width=4.2)
        for axis, (title, lines) in zip(axes, parts, strict=True):
            for method in methods:
                _method(axis, lines[lines["method"] == method], method, style[method])
            axis.set(
                title=heading(title), xlabel="distance from the weights, in norms of each filter", ylabel="loss, nats"
            )
        handles = [Line2D([], [], color=style[each].colour, linestyle=style[each].line, marker=style[each].marker,
                          markersize=4) for each in methods]  # fmt: skip
        legend(figure, handles, methods)
    return figure


def _method(axis: Axes, lines: pd.DataFrame, method: str, own: Look) -> None:
    runs = [column for column in ("run", "direction") if column in lines]
    for _, each in lines.groupby(runs, sort=False):
        axis.plot(each["alpha"], each["loss"], color=own.colour, linewidth=0.5, alpha=0.4, gid=f"one {method}")
    # the mean of those that are finite would be one of the tame directions
    mean = lines.groupby("alpha")["loss"].agg(lambda losses: losses.mean(skipna=False))
    if len(mean):
        axis.plot(mean.index, mean, color=own.colour, linestyle=own.line, marker=own.marker, markersize=4, gid=method)


PLOT = Plot(data, directions)
