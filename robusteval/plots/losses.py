"""Training loss of methods over the steps (MATCH-TUNING, Figure 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.means import PLACE
from robusteval.plots.style import Picture, grid, heading, legend, look, looks, methods_of, stamp
from robusteval.results.reading import WHOSE

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

# a curve of more steps than the first is a running mean over a part of them, of more than the second is thinned
SMOOTHED, MOST = 40, 500


def data(experiment: Experiment) -> pd.DataFrame:
    """step and loss (nats) of each training step, with the columns `WHOSE`."""
    found = experiment.training()
    if "loss" not in found or not len(found):
        raise NotMeasured("training-loss: nothing was trained; runs of train-and-attack or run leave their losses")
    return found[[*WHOSE, "step", "loss"]]


def training_loss(frame: pd.DataFrame) -> Picture:
    """A curve per method: the mean over seeds, in a band of a standard deviation; a panel per model, task, scenario.

    frame: method, seed, step, loss (NaN where it was not finite: the curve is broken there). Beyond 40 steps each
    seed's loss is a running mean, whose width the axis names. Methods minimise losses of their own: only their course
    is comparable. Source: MATCH-TUNING, Figure 4.
    """
    needs(frame, ("method", "seed", "step", "loss"), "training-loss")
    parts = panels(frame, [column for column in PLACE if column in frame])
    methods, style = methods_of(frame), looks(frame)
    with look():
        figure, axes = grid(len(parts))
        most = 0
        for axis, (title, lines) in zip(axes, parts, strict=True):
            width = max(1, round((lines["step"].max() + 1) / SMOOTHED))
            most = max(most, _panel(axis, lines, width, frame))
            label = "training loss, nats" + (f"\n(mean of {width} steps)" if width > 1 else "")
            axis.set(title=heading(title), xlabel="step", ylabel=label)
        handles = [Line2D([], [], color=style[each].colour, linestyle=style[each].line) for each in methods]
        legend(figure, handles, methods)
        band = f"mean over {most} seeds, band: ± standard deviation" if most > 1 else "one seed, no band"
        stamp(figure, f"{band}; each method minimises a loss of its own")
    return figure


def _panel(axis: Axes, lines: pd.DataFrame, width: int, frame: pd.DataFrame) -> int:
    """Draws the curves; the most seeds that one of them has."""
    style, most = looks(frame), 0
    for method in methods_of(lines):
        own = lines[lines["method"] == method].pivot_table(index="step", columns="seed", values="loss", dropna=False)
        smooth = own.rolling(width, min_periods=1, center=True).mean().where(own.notna())
        mean, deviation = smooth.mean(axis=1), smooth.std(axis=1)
        kept = np.unique(np.linspace(0, len(mean) - 1, min(len(mean), MOST)).round().astype(int))
        x, y, spread = mean.index.to_numpy()[kept], mean.to_numpy()[kept], deviation.to_numpy()[kept]
        axis.plot(x, y, color=style[method].colour, linestyle=style[method].line, linewidth=1.2, gid=method)
        if np.isfinite(spread).any():
            axis.fill_between(x, y - spread, y + spread, color=style[method].colour, alpha=0.15, linewidth=0)
        most = max(most, own.shape[1])
    return most


PLOT = Plot(data, training_loss)
