"""Bars of how a frozen, fine-tuned encoder serves other tasks (Bi-Drop, Figure 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.means import PLACE, dot, handle, over_seeds, seeds_told
from robusteval.plots.style import Picture, grid, heading, legend, look, looks, methods_of, names, plain, stamp

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

SUITE = "generalisation"
_BRINGS = "task-transfer: no other task was tried; --suites generalisation:tasks=mrpc|rte brings it"


def data(experiment: Experiment) -> pd.DataFrame:
    """The main metrics of suite generalisation, as `Experiment.rows`."""
    rows = experiment.rows()
    found = rows[rows["suite"].eq(SUITE) & rows["role"].eq("main")] if len(rows) else rows
    if found.empty:
        raise NotMeasured(_BRINGS)
    return found


def task_transfer(frame: pd.DataFrame) -> Picture:
    """A bar per method for each other task and metric, from 0 on; a panel per model, training task and scenario.

    frame: lines of `rows_frame` of suite generalisation, whose `suite_value` is the other task. Source: Bi-Drop,
    Figure 3.
    """
    needs(frame, ("method", "seed", "suite_value", "metric", "value", "scale"), "task-transfer")
    frame = frame[frame["suite"].eq(SUITE)] if "suite" in frame else frame
    if frame.empty:
        raise NotMeasured(_BRINGS)
    parts = panels(frame, [column for column in PLACE if column in frame])
    methods, style, drawn = methods_of(frame), looks(frame), []
    groups = max(len(lines.groupby(["suite_value", "metric"])) for _, lines in parts)
    with look():
        figure, axes = grid(len(parts), width=max(3.6, 1.2 + groups * (0.3 + 0.13 * len(methods))))
        for axis, (title, lines) in zip(axes, parts, strict=True):
            drawn.append(_panel(axis, lines, methods, frame))
            trained = f"trained on {lines['task'].iloc[0]}" if "task" in lines and lines["task"].nunique() == 1 else ""
            axis.set(title=heading(f"trained on {title}" if title and trained else trained or title))
        handles = [
            (Patch(facecolor=style[each].colour, hatch=style[each].hatch, alpha=0.6), handle(style[each]))
            for each in methods
        ]
        legend(figure, handles, methods)
        stamp(figure, f"frozen encoder, new linear classifier; {seeds_told(pd.concat(drawn))}")
    return figure


def _panel(axis: Axes, lines: pd.DataFrame, methods: list[str], frame: pd.DataFrame) -> pd.DataFrame:
    style = looks(frame)
    means = over_seeds(lines, ["suite_value", "metric", "method"])
    places = list(dict.fromkeys(zip(lines["suite_value"].astype(str), lines["metric"], strict=True)))
    shown = lines.set_index("metric")["shown"].to_dict() if "shown" in lines else {}
    width = 0.8 / len(methods)
    for number, method in enumerate(methods):
        own = means[means["method"] == method].set_index(["suite_value", "metric"]).reindex(places)
        x = np.arange(len(places)) + width * (number - (len(methods) - 1) / 2)
        each = style[method]
        axis.bar(x, own["mean"], width * 0.92, color=each.colour, hatch=each.hatch, alpha=0.6, gid=method)
        axis.errorbar(x, own["mean"], yerr=own["std"], fmt="none", ecolor="#1a1a1a", elinewidth=0.9, capsize=2)
        axis.plot(x, own["mean"], linestyle="none", **dot(each) | {"markersize": 4})
    texts = [f"{names([task])[task]}\n{plain(shown.get(metric, metric))}" for task, metric in places]
    axis.set_xticks(range(len(places)), texts)
    axis.grid(visible=False, axis="x")
    axis.axhline(0, color="#4d4d4d", linewidth=0.8)
    units = set(lines["unit"]) if "unit" in lines else {""}
    axis.set_ylabel("score, × 100" if lines["scale"].eq(100).all() else ", ".join(filter(None, ("score", *units))))
    return means


PLOT = Plot(data, task_transfer)
