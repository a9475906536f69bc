"""Where the mass of MATCH-TUNING's matching matrix lies over training: self, same, other labels (its Figure 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from robusteval.plots.base import NotMeasured, Plot, needs, panels_of_methods
from robusteval.plots.style import BLACK, BLUE, VERMILION, Picture, grid, heading, legend, look

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

SHOWN: dict[str, tuple[str, str, Any]] = {
    "mass_self": ("self", BLACK, "-"),
    "mass_same": ("others of the same label", BLUE, (0, (5, 2))),
    "mass_other": ("other labels", VERMILION, (0, (1, 1.2))),
}
# a bold line is a mean over so many neighbouring steps: this share of all of them
_WINDOW = 0.05


def data(experiment: Experiment) -> pd.DataFrame:
    """The steps of `Experiment.training` whose matching matrix was logged."""
    steps = experiment.training()
    there = [name for name in SHOWN if name in steps]
    found = steps.dropna(subset=there) if len(there) == len(SHOWN) else steps.iloc[:0]
    if found.empty:
        raise NotMeasured("matching: no method mixed examples of a batch; --methods match brings it")
    return found


def matching(frame: pd.DataFrame) -> Picture:
    """Mean mass of a row of the matching matrix, a panel per model, task, scenario and method.

    frame: lines with step, mass_self, mass_same (others of the same label) and mass_other. A thin line is a seed, a
    bold one the mean of all seeds over neighbouring steps. Source: MATCH-TUNING, Figure 3.
    """
    needs(frame, ("method", "step", *SHOWN), "matching")
    parts = panels_of_methods(frame)
    with look():
        figure, axes = grid(len(parts))
        for axis, (title, lines) in zip(axes, parts, strict=True):
            width = _panel(axis, lines)
            told = f" (bold: mean over {width} steps)" if width > 1 else ""
            axis.set(title=heading(title), xlabel=f"training step{told}", ylabel="mass of the matrix")
            axis.set_ylim(bottom=min(0, axis.get_ylim()[0]))
        handles = [Line2D([], [], color=colour, linestyle=line) for _, colour, line in SHOWN.values()]
        legend(figure, handles, [text for text, _, _ in SHOWN.values()])
    return figure


def _panel(axis: Axes, lines: pd.DataFrame) -> int:
    """Draw the three masses; the number of steps that a bold line is a mean over."""
    steps = np.sort(lines["step"].unique())
    width = max(1, round(_WINDOW * len(steps)))
    runs = [run.sort_values("step") for _, run in lines.groupby("run" if "run" in lines else "method", sort=False)]
    for name, (_, colour, line) in SHOWN.items():
        for run in runs:
            axis.plot(run["step"], run[name], color=colour, linewidth=0.6, alpha=0.35, gid=f"{name} seed")
        mean = lines.groupby("step")[name].mean().rolling(width, center=True, min_periods=1).mean()
        axis.plot(mean.index, mean, color=colour, linestyle=line, linewidth=1.8, gid=name)
    return width


PLOT = Plot(data, matching)
