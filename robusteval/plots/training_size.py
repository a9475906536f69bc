"""Score and spread of the sensitivity against the number of training rows (PATS, Figure 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.means import HOLLOW, TEST, compared, handle, measure, named, over_seeds, points, seeds_told
from robusteval.plots.style import Picture, grid, heading, legend, look, looks, methods_of, stamp

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

_BRINGS = (
    "train-size: all models were trained on as many rows; --scenario none,low-resource:examples=250/500/1000 brings "
    "smaller sets"
)
_SCENARIO = "low-resource:examples="


def data(experiment: Experiment) -> pd.DataFrame:
    """Scores on the dev rows, and the deviation of the sensitivity, without a scenario and with fewer rows.

    As `Experiment.rows`, with train_rows: how many rows the run was trained on.
    """
    rows = experiment.rows()
    if not len(rows):
        raise NotMeasured(_BRINGS)
    sizes = rows[rows["suite"].eq("train")].drop_duplicates("run").set_index("run")["n"]
    rows = rows[rows["scenario"].eq("none") | rows["scenario"].str.fullmatch(rf"{_SCENARIO}\d+")]
    spread = rows["suite"].eq("sensitivity") & rows["suite_value"].eq("mean") & rows["metric"].eq("std")
    found = pd.concat([compared(rows, ("quality",)), rows[spread]])
    found = found.assign(train_rows=found["run"].map(sizes)).dropna(subset="train_rows")
    if found["train_rows"].nunique() < 2:
        raise NotMeasured(_BRINGS)
    return found


def train_size(frame: pd.DataFrame) -> Picture:
    """A curve per method over the number of training rows; a panel per model, task, test and metric.

    The deviation of the sensitivity, where it was measured, has a panel of its own, on a logarithmic axis. frame: lines
    of `rows_frame` with train_rows. Source: PATS, Figure 3.
    """
    needs(frame, ("method", "seed", "suite", "suite_value", "metric", "value", "scale", "train_rows"), "train-size")
    by = [column for column in ("model", "task") if column in frame]
    parts = [
        (title, lines) for title, place in panels(frame, by) for _, lines in panels(place, [*TEST])
    ]  # a task's panels stand together
    methods, style, drawn = methods_of(frame), looks(frame), []
    with look():
        each = len(parts) // max(1, len(panels(frame, by)))
        figure, axes = grid(len(parts), most=each if 1 < each <= 4 else 3)
        for axis, (title, lines) in zip(axes, parts, strict=True):
            for method in methods_of(lines):
                means = over_seeds(lines[lines["method"] == method], ["train_rows"]).sort_values("train_rows")
                points(axis, means["train_rows"], means, style[method], line=style[method].line, gid=method)
                drawn.append(means)
            sensitivity = lines["suite"].iloc[0] == "sensitivity"
            _axes(axis, sorted(lines["train_rows"].unique()), sensitivity and bool(lines["value"].gt(0).all()))
            test = "sensitivity" if sensitivity else named(lines).iloc[0]
            axis.set(title=heading(f"{title}, {test}" if title else test), ylabel=measure(lines.iloc[0]))
        legend(figure, [handle(style[each], style[each].line) for each in methods], methods)
        means = pd.concat(drawn)
        stamp(figure, "; ".join([seeds_told(means), *([HOLLOW] if means["constant"].any() else [])]))
    return figure


def _axes(axis: Axes, sizes: list[float], logarithmic: bool) -> None:
    if sizes[-1] > 4 * sizes[0]:
        axis.set_xscale("log")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.minorticks_off()
    axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axis.set_xlabel("training rows")
    if logarithmic:
        axis.set_yscale("log")


PLOT = Plot(data, train_size)
