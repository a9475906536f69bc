"""Numbers over seeds, as pictures show them: which are compared, their means and spread, and what an axis says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from robusteval.plots.style import Look
from robusteval.report.statistics import paired_interval, summarise

# the columns that say where a number was measured, but for the test
PLACE = ("model", "task", "scenario")
TEST = ("suite", "suite_value", "metric")


def compared(rows: pd.DataFrame, aspects: Sequence[str]) -> pd.DataFrame:
    """The rows of these aspects by which models are compared (as `report.cells.Line.compared` has it).

    Adds `constant`: whether the row's run predicts one class throughout, by any of its rows.
    """
    if not len(rows):
        return rows.assign(constant=False)
    constant = rows["run"].isin(rows.loc[rows["collapsed"].notna(), "run"])
    kept = rows["role"].eq("main") & rows["direction"].ne("neither") & ~rows["summary"].astype(bool)
    return rows.assign(constant=constant)[kept & rows["aspect"].isin(list(aspects))]


def over_seeds(lines: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, sample standard deviation and 95 % t interval (low, high) of each group, in shown units.

    lines: `value` and `scale` of each seed; NaN is no value. n: how many values; constant: whether a run predicts one
    class throughout. The columns of `by` come first.
    """
    found, lines = [], lines.reset_index(drop=True)
    shown = lines["value"].astype(float) * lines["scale"]
    constant = lines["constant"] if "constant" in lines else pd.Series(False, lines.index)
    for key, group in lines.groupby(list(by), sort=False, dropna=False):
        values = shown[group.index].to_numpy()
        told, interval = summarise(values.tolist()), paired_interval(values)
        found.append(
            (*key, told.mean, told.std, interval.low, interval.high, told.n, bool(constant[group.index].any()))
        )
    return pd.DataFrame(found, columns=[*by, "mean", "std", "low", "high", "n", "constant"])


def measure(line: pd.Series[Any]) -> str:
    """What a row's number is: "accuracy, %"."""
    return ", ".join(filter(None, (str(line.get("shown", line["metric"])), str(line.get("unit", "")))))


def named(lines: pd.DataFrame) -> pd.Series[str]:
    """Suite and value of each line: "mask 0.2"."""
    return (lines["suite"].astype(str) + " " + lines["suite_value"].astype(str)).str.strip()


def seeds_told(means: pd.DataFrame, spread: str = "± standard deviation") -> str:
    """What points and bars are, for the small print: "mean ± standard deviation over 3 seeds"."""
    counts = means.loc[means["n"] > 0, "n"]
    if not len(counts) or counts.max() < 2:
        return "one seed, no spread"
    least, most = int(counts.min()), int(counts.max())
    return f"mean {spread} over {most if least == most else f'{least} to {most}'} seeds"


def dot(look: Look, *, hollow: bool = False) -> dict[str, Any]:
    """How the marker of a method is drawn."""
    return {
        "color": look.colour, "marker": look.marker, "markersize": 5.5, "markeredgecolor": look.colour,
        "markeredgewidth": 1.1 if hollow else 0.3, "markerfacecolor": "white" if hollow else look.colour,
    }  # fmt: skip


HOLLOW = "hollow: a run behind it predicts one class throughout"


def points(axis: Axes, x: Any, means: pd.DataFrame, look: Look, *, line: Any = "none", gid: str = "") -> None:
    """Means with their standard deviations as bars, joined by `line`; hollow where a run predicts one class."""
    axis.errorbar(
        x, means["mean"], yerr=means["std"], fmt="none", ecolor=look.colour, elinewidth=0.9, capsize=2, alpha=0.7,
        zorder=2,
    )  # fmt: skip
    axis.plot(x, means["mean"], color=look.colour, linestyle=line, marker="none", gid=f"{gid} line", zorder=3)
    for hollow, own in means.assign(x=list(x)).groupby("constant", sort=False):
        axis.plot(
            own["x"], own["mean"], linestyle="none", zorder=4,
            gid=f"{gid} hollow" if hollow else gid, **dot(look, hollow=bool(hollow)),
        )  # fmt: skip


def handle(look: Look, line: Any = "none") -> Line2D:
    """How a method stands in a legend."""
    return Line2D([], [], linestyle=line, **dot(look))
