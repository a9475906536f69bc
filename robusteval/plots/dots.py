"""All tests of an experiment at a glance: each method's mean, and its difference to the baseline, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.means import HOLLOW, PLACE, dot, handle, named, over_seeds
from robusteval.plots.style import GREY, Look, Picture, heading, legend, look, looks, methods_of, names, plain, stamp
from robusteval.report.cells import Line
from robusteval.report.experiment import finished_table
from robusteval.report.statistics import CONFIDENCE, paired, paired_interval

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

_ASPECTS = ("quality", "robustness", "calibration")


def data(experiment: Experiment) -> pd.DataFrame:
    """One line per seed of every test of the table by which models are compared, averages over tasks among them.

    Columns: model, task, scenario, suite, suite_value, split, metric, shown, unit, scale, direction, method, seed,
    value, and constant: whether the run predicts one class throughout.
    """
    lines = [line for line in finished_table(experiment).lines if line.compared and line.aspect in _ASPECTS]
    found = pd.DataFrame([each for line in lines for each in seeds_of(line)])
    if found.empty:
        raise NotMeasured("suites: no test that compares models was measured; --suites clean,mask brings some")
    return found


def seeds_of(line: Line) -> list[dict[str, Any]]:
    """A line of the table, seed by seed, as `data` gives it."""
    metric = line.metric
    told = {"model": line.model, "task": line.task, "scenario": line.scenario, "suite": line.suite,
            "suite_value": line.value, "split": line.split, "metric": metric.name, "shown": metric.shown,
            "unit": metric.unit, "scale": metric.scale, "direction": metric.direction}  # fmt: skip
    return [
        {**told, "method": method, "seed": seed, "value": value, "constant": seed in cell.collapsed}
        for method, cell in line.cells.items()
        for seed, value in cell.values.items()
    ]


@dataclass(frozen=True)
class _Block:
    """Tests that share an axis. title: of the place; label: of the axis; tests: their lines, by name."""

    title: str
    label: str
    tests: dict[str, pd.DataFrame]


def suites(frame: pd.DataFrame) -> Picture:
    """Left each method's mean of each test with its 95 % interval over seeds, right its difference to the baseline.

    The differences are paired by seed, so that they may be clear where the intervals on the left overlap. A block per
    model, task, scenario and kind of number. frame: as `data` gives it; the baseline is the first method unless its
    attrs name one. An interval that leaves its axis is wider than that.
    """
    needs(frame, ("method", "seed", "suite", "suite_value", "metric", "value", "scale", "direction"), "suites")
    methods, style = methods_of(frame), looks(frame)
    base = str(frame.attrs.get("baseline", methods[0]))
    base = base if base in methods else methods[0]
    blocks = _blocks(frame)
    heights = [0.75 + len(block.tests) * (0.1 + 0.12 * len(methods)) for block in blocks]
    columns = 2 if len(methods) > 1 else 1
    with look():
        figure = Picture(figsize=(4.6 * columns, sum(heights) + 0.4), layout="constrained")
        grid = figure.subplots(len(blocks), columns, squeeze=False, sharey="row", height_ratios=heights)
        most, hollow = 0, False
        for axes, block in zip(grid, blocks, strict=True):
            for place, lines in enumerate(block.tests.values()):
                means = over_seeds(lines, ["method"])
                most, hollow = max(most, int(means["n"].max())), hollow or bool(means["constant"].any())
                for number, method in enumerate(methods):
                    own = means[means["method"] == method]
                    at = place + _offset(number, len(methods))
                    if len(own):
                        row = own.iloc[0]
                        _dot(axes[0], at, (row["mean"], row["low"], row["high"]), style[method], bool(row["constant"]),
                             f"mean {place} {method}")  # fmt: skip
                    if columns > 1 and method != base:
                        found = _difference(lines, method, base)
                        _dot(axes[1], at, found, style[method], bool(len(own) and own["constant"].iloc[0]),
                             f"difference {place} {method}")  # fmt: skip
            _finish(axes, block, base)
        legend(figure, [handle(style[each]) for each in methods], methods)
        bars = (
            f"bars: {CONFIDENCE:.0%} interval over at most {most} seeds, cut off at the axis"
            if most > 1
            else "one seed, no intervals"
        )
        stamp(figure, "; ".join([bars, *([HOLLOW] if hollow else [])]))
    return figure


def _blocks(frame: pd.DataFrame) -> list[_Block]:
    found = []
    for title, lines in panels(frame, [column for column in PLACE if column in frame]):
        kinds = lines["metric"].where(lines["scale"] != 100, "")
        for (_, direction, scale), own in lines.groupby([kinds, "direction", "scale"], sort=False):
            shown = own["shown"].astype(str) if "shown" in own else own["metric"].astype(str)
            one = shown.nunique() == 1
            texts = named(own) if one else named(own) + "\n" + shown
            unit = str(own["unit"].iloc[0]) if "unit" in own and own["unit"].nunique() == 1 else ""
            label = ", ".join(
                filter(None, (shown.iloc[0] if one else "score", unit or ("× 100" if scale == 100 else "")))
            )
            tests = {str(text): part for text, part in own.groupby(texts, sort=False)}
            found.append(_Block(title, f"{label} ({direction} is better)", tests))
    return found


def _offset(number: int, count: int) -> float:
    return 0.76 * (number - (count - 1) / 2) / max(count, 2)


def _difference(lines: pd.DataFrame, method: str, base: str) -> tuple[float, float, float]:
    """Mean difference and its interval, in shown units, as the table has it."""
    values, others = (
        dict(zip(own["seed"], own["value"].astype(float) * own["scale"], strict=True))
        for own in (lines[lines["method"] == each] for each in (method, base))
    )
    found = paired_interval(list(paired(values, others).values()))
    return found.mean, found.low, found.high


def _dot(axis: Axes, at: float, found: Sequence[float], each: Look, hollow: bool, gid: str) -> None:
    mean, low, high = found
    if math.isnan(mean):
        return
    if not math.isnan(low):
        axis.plot([low, high], [at, at], color=each.colour, linewidth=1.1, gid=f"interval of {gid}", scalex=False)
    axis.plot([mean], [at], linestyle="none", gid=gid, **dot(each, hollow=hollow))


def _finish(axes: Sequence[Axes], block: _Block, base: str) -> None:
    texts = [
        names([line])[line] if "\n" not in line else "\n".join(map(plain, line.split("\n"))) for line in block.tests
    ]
    axes[0].set_yticks(range(len(texts)), texts)
    axes[0].set_ylim(len(texts) - 0.5, -0.5)
    axes[0].set(title=heading(block.title), xlabel=block.label)
    if len(axes) > 1:
        axes[1].axvline(0, color=GREY, linewidth=1)
        axes[1].set_xlabel(heading(f"difference to {base}, paired by seed"))
        axes[1].tick_params(labelleft=False)
    for axis in axes:
        axis.grid(visible=False, axis="y")
        for place in range(0, len(texts), 2):
            axis.axhspan(place - 0.5, place + 0.5, color="#f4f4f4", zorder=0)
        _room(axis, differences=axis is not axes[0])


def _room(axis: Axes, *, differences: bool) -> None:
    """Room for the intervals, but for those that would leave none for the means."""
    ends: list[float] = []
    means = [0.0] if differences else []
    for line in axis.lines:
        gid = str(line.get_gid() or "")
        if gid:
            (ends if gid.startswith("interval") else means).extend(np.asarray(line.get_xdata(), float).tolist())
    if not means:
        return
    low, high = min(means), max(means)
    spare = max(1.5 * (high - low), 1e-9 + 0.02 * max(abs(low), abs(high)))
    low, high = max(min([low, *ends]), low - spare), min(max([high, *ends]), high + spare)
    margin = 0.05 * (high - low) or 0.5
    axis.set_xlim(low - margin, high + margin)


PLOT = Plot(data, suites)
