"""Accuracy against the share of dropped tokens, the highest scored first and the lowest first (TDT, Figure 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.means import PLACE, handle, measure, over_seeds, points, seeds_told
from robusteval.plots.style import GREY, Picture, grid, heading, legend, look, looks, methods_of, stamp

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

SUITE = "ordered-drop"
LINES: dict[str, Any] = {"descending": "-", "ascending": ":", "": "--"}
# directions in words
WORDS = {"descending": "highest score first", "ascending": "lowest score first", "": "drawn by lot"}
_BRINGS = "drop-curve: no tokens were dropped in order; --suites ordered-drop --rates 0.1,0.2,0.3 brings it"


def data(experiment: Experiment) -> pd.DataFrame:
    """The rows of ordered-drop, and those of clean text, which is a share of 0; as `Experiment.rows`."""
    rows = experiment.rows()
    main = rows[rows["role"].eq("main") & ~rows["summary"].astype(bool)] if len(rows) else rows
    tests = main[main["suite"].eq(SUITE)] if len(main) else main
    if tests.empty:
        raise NotMeasured(_BRINGS)
    return main[main["suite"].eq(SUITE) | (main["suite"].eq("clean") & main["metric"].isin(tests["metric"]))]


def drop_curve(frame: pd.DataFrame) -> Picture:
    """Two curves per method, solid where the highest scores are dropped first and dotted where the lowest are.

    One panel per model, task, scenario, metric and order of the tokens. frame: lines of `rows_frame` of the suite
    ordered-drop, whose values are like "confidence descending 0.2", and of the suite clean, where the curves begin.
    Source: TDT, Figure 6.
    """
    needs(frame, ("method", "seed", "suite", "suite_value", "metric", "value", "scale"), "drop-curve")
    told = frame[frame["suite"].eq(SUITE)]
    if told.empty:
        raise NotMeasured(_BRINGS)
    words = told["suite_value"].astype(str).str.split(" ")
    told = told.assign(order=words.str[0], way=words.map(lambda each: each[1] if len(each) > 2 else ""),
                       rate=words.str[-1].astype(float))  # fmt: skip
    clean = frame[frame["suite"].eq("clean")]
    by = [column for column in (*PLACE, "metric") if column in frame]
    parts = [(title, lines) for title, lines in panels(told, [*by, "order"])]
    methods, style, drawn = methods_of(told), looks(frame), []
    with look():
        figure, axes = grid(len(parts))
        for axis, (title, lines) in zip(axes, parts, strict=True):
            begin = clean.merge(lines[by].drop_duplicates(), on=by) if by else clean
            drawn += [_panel(axis, lines, begin, frame)]
            order = lines["order"].iloc[0]
            axis.set(title=heading(title or order), xlabel="share of tokens dropped", ylabel=measure(lines.iloc[0]))
        ways = [way for way in LINES if told["way"].eq(way).any()]
        handles = [*(handle(style[each]) for each in methods),
                   *(Line2D([], [], color=GREY, linestyle=LINES[way]) for way in ways)]  # fmt: skip
        legend(figure, handles, [*methods, *(WORDS[way] for way in ways)])
        stamp(figure, f"{seeds_told(pd.concat(drawn))}; the panel's name is what scores the tokens")
    return figure


def _panel(axis: Axes, lines: pd.DataFrame, clean: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    style, found = looks(frame), []
    for method in methods_of(lines):
        for way, own in lines[lines["method"] == method].groupby("way", sort=False):
            start = clean[clean["method"] == method].assign(rate=0.0)
            means = over_seeds(pd.concat([start, own]), ["rate"]).sort_values("rate")
            points(axis, means["rate"], means, style[method], line=LINES[str(way)], gid=f"{method} {way}".strip())
            found.append(means)
    axis.set_xlim(left=-0.02)
    return pd.concat(found)


PLOT = Plot(data, drop_curve)
