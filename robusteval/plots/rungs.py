"""Scores along the values of one setting, a/b/c, of a method or a scenario (Bi-Drop, Figure 5: the dropout rate)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.axes import Axes

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.means import HOLLOW, PLACE, TEST, compared, handle, measure, named, over_seeds, points, seeds_told
from robusteval.plots.style import GREY, Picture, grid, heading, legend, look, looks, methods_of, names, stamp
from robusteval.settings.grammar import cut, cut_once

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

_BRINGS = (
    "ladder: no setting has several values; a/b/c for a value brings them, as in --methods bidrop:dropout=0.05/0.1, "
    "--learning-rate 1e-5/2e-5 or --scenario label-noise:rate=0.1/0.2"
)


@dataclass(frozen=True)
class Rung:
    """One value of a setting. label: the whole text; rest: the text without the setting, which all its values share."""

    label: str
    rest: str
    setting: str
    value: str


def rungs(labels: Iterable[str]) -> list[Rung]:
    """Every setting that has several values among texts like "bidrop:dropout=0.1" that are alike but for it.

    >>> [(each.rest, each.setting, each.value) for each in rungs(["tdt", "match:temperature=1", "match:temperature=2"])]
    [('match', 'temperature', '1'), ('match', 'temperature', '2')]
    """
    found: dict[tuple[str, int, str], list[Rung]] = {}
    for label in dict.fromkeys(labels):
        parts = cut(label, "+")
        for at, part in enumerate(parts):
            head, *pairs = cut(part, ":")
            for place, pair in enumerate(pairs):
                key, equals, value = cut_once(pair, "=")
                if equals:
                    rest = "+".join(
                        [*parts[:at], ":".join([head, *pairs[:place], *pairs[place + 1 :]]), *parts[at + 1 :]]
                    )
                    setting = key if len(parts) == 1 else f"{head}:{key}"
                    found.setdefault((rest, at, setting), []).append(Rung(label, rest, setting, value))
    return [each for own in found.values() if len({rung.value for rung in own}) > 1 for each in own]


def data(experiment: Experiment) -> pd.DataFrame:
    """Scores and robustness of the methods and scenarios that are rungs of a ladder, and of the baseline.

    As `Experiment.rows`.
    """
    rows = compared(experiment.rows(), ("quality", "robustness"))
    methods, scenarios = (
        {each.label for each in rungs(rows[name] if len(rows) else ())} for name in ("method", "scenario")
    )
    if not methods | scenarios:
        raise NotMeasured(_BRINGS)
    return rows[rows["method"].isin([*methods, experiment.spec.first]) | rows["scenario"].isin(list(scenarios))]


def ladder(frame: pd.DataFrame) -> Picture:
    """The mean over seeds along the values of a setting, one panel per model, task, scenario, test and setting.

    A curve for each method, or for each rest of its settings; where the setting is a scenario's, for each method. The
    baseline, where it has no such setting, is a dashed line across. frame: lines of `rows_frame`. Source: Bi-Drop,
    Figure 5.
    """
    needs(frame, ("method", "seed", "suite", "suite_value", "metric", "value", "scale"), "ladder")
    laddered = pd.concat([_along(frame, "method"), _along(frame, "scenario")], ignore_index=True)
    if laddered.empty:
        raise NotMeasured(_BRINGS)
    laddered.attrs = {"methods": tuple(dict.fromkeys(laddered["curve"]))}
    curves = laddered.assign(method=laddered["curve"])
    base = str(frame.attrs.get("baseline", ""))
    crossing = frame[frame["method"].eq(base)] if base not in set(laddered["curve"]) else frame.iloc[:0]
    by = [column for column in (*PLACE, *TEST) if column in frame]
    parts = panels(curves.sort_values("setting", kind="stable"), ["setting", *by])
    methods = methods_of(curves)
    known = pd.DataFrame({"method": [*([base] if len(crossing) else []), *methods]})
    style, drawn, crossed = looks(known), [], False
    with look():
        figure, axes = grid(len(parts))
        for axis, (_, lines) in zip(axes, parts, strict=True):
            place = lines[[name for name in by if name != "scenario" or name == lines["of"].iloc[0]]].drop_duplicates()
            drawn.append(_panel(axis, lines, style))
            level = crossing.merge(place, on=list(place))
            if lines["of"].iloc[0] == "method" and len(level):
                mean = over_seeds(level, by)["mean"].mean()
                axis.axhline(mean, color=GREY, linestyle=(0, (4, 3)), linewidth=1, zorder=1, gid=base)
                crossed = True
            told = [str(lines[name].iloc[0]) for name in PLACE if name in lines and curves[name].nunique() > 1]
            axis.set(title=heading(", ".join([*told, named(lines).iloc[0]])), ylabel=measure(lines.iloc[0]))
        handles: list[Any] = [handle(style[each], style[each].line) for each in methods]
        texts = list(methods)
        if crossed:
            from matplotlib.lines import Line2D

            handles, texts = [*handles, Line2D([], [], color=GREY, linestyle=(0, (4, 3)))], [*texts, base]
        legend(figure, handles, texts)
        means = pd.concat(drawn)
        stamp(figure, "; ".join([seeds_told(means), *([HOLLOW] if means["constant"].any() else [])]))
    return figure


def _along(frame: pd.DataFrame, of: str) -> pd.DataFrame:
    """The lines of a frame that are on a ladder, with `curve`, `setting`, `rung` and `of`; once for each ladder."""
    found = pd.DataFrame([vars(each) for each in rungs(frame[of].astype(str) if of in frame else ())])
    if found.empty:
        return frame.iloc[:0].assign(curve="", setting="", rung="", of=of)
    told = frame.merge(found.rename(columns={"label": of, "value": "rung"}), on=of)
    if of == "method":
        return told.assign(curve=told["rest"], of=of)
    return told.assign(curve=told["method"], setting=told["rest"] + " " + told["setting"], scenario=told["rest"], of=of)


def _panel(axis: Axes, lines: pd.DataFrame, style: Any) -> pd.DataFrame:
    values = list(dict.fromkeys(lines["rung"]))
    numbers = {value: _number(value) for value in values}
    numeric = not any(map(math.isnan, numbers.values()))
    at = numbers if numeric else {value: float(place) for place, value in enumerate(values)}
    found = []
    for method in methods_of(lines):
        own = lines[lines["method"] == method]
        means = over_seeds(own.assign(x=own["rung"].map(at)), ["x"]).sort_values("x")
        points(axis, means["x"], means, style[method], line=style[method].line, gid=method)
        found.append(means)
    if numeric and min(at.values()) > 0 and max(at.values()) > 10 * min(at.values()):
        axis.set_xscale("log")
        axis.minorticks_off()
    axis.set_xticks(list(at.values()), list(names(at).values()))
    axis.set_xlabel(heading(lines["setting"].iloc[0]))
    return pd.concat(found)


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan


PLOT = Plot(data, ladder)
