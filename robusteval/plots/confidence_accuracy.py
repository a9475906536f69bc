"""Reliability diagrams: how often predictions of a confidence are right, and how many there are (Guo et al., 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.style import GREY, Look, Picture, heading, legend, look, looks, methods_of

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

# a bin of fewer rows says little, and its marker is hollow
FEW = 10


def data(experiment: Experiment) -> pd.DataFrame:
    """The bins of suite `calibration`."""
    found = experiment.analysis("calibration")
    if found.empty:
        raise NotMeasured("reliability: confidence was not set against accuracy; --suites calibration does that")
    return found


def pooled(lines: pd.DataFrame) -> pd.DataFrame:
    """The bins of several runs as those of all their rows together: low, high, count, confidence, accuracy."""
    weighted = lines.assign(
        confidence=(lines["confidence"] * lines["count"]).fillna(0),
        accuracy=(lines["accuracy"] * lines["count"]).fillna(0),
    )
    found = weighted.groupby(["low", "high"], as_index=False)[["count", "confidence", "accuracy"]].sum()
    for name in ("confidence", "accuracy"):
        found[name] = found[name] / found["count"].where(found["count"] > 0)
    return found


def reliability(frame: pd.DataFrame) -> Picture:
    """Accuracy against confidence above, the share of rows below; a panel per model, task and scenario.

    frame: lines with low, high, count, confidence and accuracy (NaN in empty bins). The rows of all seeds of a method
    are taken together; on the dotted diagonal confidence is right. Source: Guo et al., ICML 2017.
    """
    needs(frame, ("method", "low", "high", "count", "confidence", "accuracy"), "reliability")
    by = [column for column in ("model", "task", "scenario") if column in frame]
    parts, methods, style = panels(frame, by), methods_of(frame), looks(frame)
    columns = min(3, len(parts))
    rows = -(-len(parts) // columns)
    with look():
        figure = Picture(figsize=(4.2 * columns, 4.0 * rows), layout="constrained")
        cells = figure.add_gridspec(2 * rows, columns, height_ratios=[3, 1] * rows)
        for place, (title, lines) in enumerate(parts):
            row, column = divmod(place, columns)
            above = figure.add_subplot(cells[2 * row, column])
            below = figure.add_subplot(cells[2 * row + 1, column], sharex=above)
            _panel(above, below, lines, methods, style)
            above.set(title=heading(title), ylabel="accuracy, %")
            above.tick_params(labelbottom=False)
            below.set(xlabel="confidence, %", ylabel="rows, %")
        handles = [Line2D([], [], color=style[each].colour, linestyle=style[each].line, marker=style[each].marker)
                   for each in methods]  # fmt: skip
        hollow = Line2D([], [], linestyle="", marker="o", color=GREY, markerfacecolor="white")
        legend(figure, [*handles, hollow], [*methods, f"fewer than {FEW} rows"])
    return figure


def _panel(above: Axes, below: Axes, lines: pd.DataFrame, methods: list[str], style: dict[str, Look]) -> None:
    above.plot([0, 100], [0, 100], color=GREY, linestyle=":", linewidth=1, gid="right")
    ends = list[float]()
    for method in methods:
        bins = pooled(lines[lines["method"] == method])
        held = bins[bins["count"] > 0]
        if held.empty:
            continue
        own = style[method]
        x, y = 100 * held["confidence"], 100 * held["accuracy"]
        above.plot(x, y, color=own.colour, linestyle=own.line, linewidth=1.2, gid=method)
        faces = [own.colour if count >= FEW else "white" for count in held["count"]]
        above.scatter(
            x, y, s=26, marker=own.marker, facecolors=faces, edgecolors=own.colour, zorder=3, gid=f"bins {method}"
        )
        edges = np.append(bins["low"], bins["high"].iloc[-1:])
        shares = bins["count"].to_numpy(float) / bins["count"].sum()
        below.stairs(100 * shares, 100 * edges, color=own.colour, linestyle=own.line, linewidth=1.2).set_gid(method)
        ends += [100 * float(held["low"].min()), 100 * float(held["high"].max())]
    if ends:
        above.set_xlim(min(ends) - 1, max(ends) + 1)
    above.set_ylim(-3, 103)


PLOT = Plot(data, reliability)
