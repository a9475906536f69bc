"""Histograms of the confidence of tokens before and after training with TDT (its Figure 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.patches import Patch

from robusteval.plots.base import NotMeasured, Plot, needs, panels_of_methods
from robusteval.plots.style import BLACK, Picture, grid, heading, legend, look, looks

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

BINS = 40


def data(experiment: Experiment) -> pd.DataFrame:
    """The lines of suite `representations` that have the confidence of tokens."""
    found = experiment.analysis("representations")
    if len(found):
        found = found[found["token_confidence"].notna()]
    if found.empty:
        raise NotMeasured(
            "confidence: no confidence of tokens was kept; --methods tdt (or tdt-hard) with --suites representations "
            "brings it"
        )
    return found


def confidence(frame: pd.DataFrame) -> Picture:
    """The confidence of the tokens of dev rows, a panel per model, task, scenario and method; all seeds together.

    frame: lines with token_confidence and token_confidence_before, lists of numbers from 0 to 1, the latter None where
    it is not known. Bins are the same in all panels. Source: TDT, Figure 4.
    """
    needs(frame, ("method", "token_confidence", "token_confidence_before"), "confidence")
    parts, style = panels_of_methods(frame), looks(frame)
    columns = ("token_confidence", "token_confidence_before")
    every = np.concatenate([_values(frame[column]) for column in columns])
    if not len(every):
        raise NotMeasured("confidence: no token has a finite confidence")
    # a bin of nothing at either end, so that histograms end on the axis
    margin = max((every.max() - every.min()) / (BINS - 2), 1e-4)
    edges = np.linspace(every.min() - margin, every.max() + margin, BINS + 1)
    with look():
        figure, axes = grid(len(parts))
        for axis, (title, lines) in zip(axes, parts, strict=True):
            own = style[str(lines["method"].iloc[0])]
            after, before = (_values(lines[column]) for column in columns)
            for values, gid in ((after, "after"), (before, "before")):
                if not len(values):
                    continue
                shares = 100 * np.histogram(values, edges)[0] / len(values)
                if gid == "after":
                    drawn = axis.stairs(shares, edges, fill=True, color=own.colour, alpha=0.55)
                else:
                    drawn = axis.stairs(shares, edges, color=BLACK, linewidth=1.2, linestyle=(0, (4, 1.5)))
                drawn.set_gid(gid)
            axis.set(title=heading(title), xlabel=f"confidence of {len(after)} tokens", ylabel="tokens, %")
            if not len(before):
                axis.text(0.02, 0.97, "before: not known", transform=axis.transAxes, va="top", fontsize=8)
        methods = list(dict.fromkeys(map(str, frame["method"])))
        handles = [Patch(facecolor="none", edgecolor=BLACK, linestyle="--")]
        handles += [Patch(facecolor=style[method].colour, alpha=0.55) for method in methods]
        legend(figure, handles, ["before training", *(f"after: {method}" for method in methods)])
    return figure


def _values(column: pd.Series) -> npt.NDArray[np.float64]:
    """All the finite numbers of a column of lists, some of which are None."""
    lists = [np.asarray(each, float) for each in column if each is not None and np.ndim(each)]
    values = np.concatenate([np.empty(0), *lists])
    finite: npt.NDArray[np.float64] = values[np.isfinite(values)]
    return finite


PLOT = Plot(data, confidence)
