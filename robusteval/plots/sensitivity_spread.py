"""Histograms of the sensitivity of parameters, per method on a logarithmic axis (PATS, Figure 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.style import Look, Picture, grid, heading, legend, look, looks, methods_of

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

Floats = npt.NDArray[np.float64]

# bins of the suite's grid are put together to about so many per decade
PER_DECADE = 8
# the axis shows what lies between these shares of the parameters
_SHOWN = (0.001, 0.999)


def data(experiment: Experiment) -> pd.DataFrame:
    """The lines of suite `sensitivity` for all layers together and the plain mean over batches."""
    found = experiment.analysis("sensitivity")
    if found.empty:
        raise NotMeasured("sensitivity: the sensitivity of parameters was not measured; --suites sensitivity brings it")
    return found[(found["layer"] == "all") & (found["statistic"] == "mean")]


def sensitivity(frame: pd.DataFrame) -> Picture:
    """The share of parameters per decade of |theta dL/dtheta|, a panel per model, task and scenario.

    frame: lines of one layer and statistic with bin, low, high and count. A bold line is the mean of a method's seeds,
    a thin one a seed. The axis leaves out the outermost 0.1 % of all parameters at either end. Source: PATS, Figure 2.
    """
    needs(frame, ("method", "bin", "low", "high", "count"), "sensitivity")
    by = [column for column in ("model", "task", "scenario") if column in frame]
    parts, methods, style = panels(frame, by), methods_of(frame), looks(frame)
    with look():
        figure, axes = grid(len(parts), width=4.2)
        for axis, (title, lines) in zip(axes, parts, strict=True):
            _panel(axis, lines, methods, style)
            axis.set(title=heading(title), xscale="log", xlabel="sensitivity |θ ∂L/∂θ|")
            axis.set_ylabel("parameters per decade, %")
        handles = [Line2D([], [], color=style[each].colour, linestyle=style[each].line) for each in methods]
        legend(figure, handles, methods)
    return figure


def densities(lines: pd.DataFrame) -> tuple[Floats, Floats, float]:
    """Edges, share of the parameters per decade between them, and the share outside of the grid, of one run."""
    lines = lines.sort_values("bin")
    total = float(lines["count"].sum())
    inner = lines[(lines["low"] > 0) & np.isfinite(lines["high"])]
    edges = np.append(inner["low"].to_numpy(float), inner["high"].to_numpy(float)[-1:])
    counts = inner["count"].to_numpy(float)
    decades = np.log10(edges[-1] / edges[0])
    step = max(1, round(len(counts) / decades / PER_DECADE))
    starts = np.arange(0, len(counts), step)
    kept = edges[np.append(starts, len(counts))]
    share = np.add.reduceat(counts, starts) / total / np.diff(np.log10(kept))
    return kept, share, 1 - float(counts.sum()) / total


def _panel(axis: Axes, lines: pd.DataFrame, methods: list[str], style: dict[str, Look]) -> None:
    outside, shown = dict[str, float](), list[float]()
    for method in methods:
        own = lines[lines["method"] == method]
        runs = [each for _, each in own.groupby("run" if "run" in own else "method", sort=False)]
        if not runs:
            continue
        found = [densities(run) for run in runs]
        # runs of one experiment have one grid
        edges, mean = found[0][0], np.mean([share for _, share, _ in found], axis=0)
        if len(runs) > 1:
            for _, share, _ in found:
                axis.stairs(100 * share, edges, color=style[method].colour, linewidth=0.6, alpha=0.4)
        drawn = axis.stairs(100 * mean, edges, color=style[method].colour, linestyle=style[method].line, linewidth=1.5)
        drawn.set_gid(f"mean {method}")
        outside[method] = float(np.mean([rest for _, _, rest in found]))
        below = np.cumsum(mean * np.diff(np.log10(edges)))
        reach = np.searchsorted(below, np.asarray(_SHOWN) * below[-1])
        shown += [edges[reach[0]], edges[min(reach[1] + 1, len(edges) - 1)]]
    if shown:
        axis.set_xlim(min(shown), max(shown))
    largest = max(outside.values(), default=0)
    if largest > 0.001:
        axis.text(0.02, 0.97, f"up to {largest:.1%} outside of the grid, zeros with them", transform=axis.transAxes,
                  va="top", fontsize=7)  # fmt: skip


PLOT = Plot(data, sensitivity)
