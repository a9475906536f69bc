"""Which methods the experiment tells apart: each declared test's methods by their means, and the groups of those that
share a letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.dots import seeds_of
from robusteval.plots.means import HOLLOW, PLACE, TEST, dot, measure, named, over_seeds
from robusteval.plots.style import Picture, grid, heading, look, looks, methods_of, names, stamp
from robusteval.report.cells import Cell
from robusteval.report.experiment import finished_table
from robusteval.report.statistics import CONFIDENCE, fewest_pairs

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment


def data(experiment: Experiment) -> pd.DataFrame:
    """The lines of the declared family, seed by seed, as picture `suites` has them, with the letters of each method.

    letters: "ab"; "" of a method without a value. needed: how many seeds could tell any two apart.
    """
    table = finished_table(experiment)
    family, many = table.family, len(table.methods)
    if many < 2:
        raise NotMeasured("groups: there is one method, and nothing to tell apart; --methods vanilla,match brings more")
    needed = fewest_pairs(len(family.lines) * many * (many - 1) // 2)
    lines = [
        # where no two are apart, all are of one group
        {**each, "needed": needed, "letters": family.group(line, each["method"]) or _alone(line.cells[each["method"]])}
        for line in family.lines
        for each in seeds_of(line)
    ]
    if not lines:
        raise NotMeasured("groups: no test of the declared family was measured; --suites clean brings one")
    return pd.DataFrame(lines)


def _alone(cell: Cell) -> str:
    return "a" if cell.summary.n else ""


def groups(frame: pd.DataFrame) -> Picture:
    """The methods of each test, the best on top, and a bar for each letter from its first to its last method.

    Methods on one bar, which have a dot there, were not told apart (sign-flip tests of all pairs over seeds, Holm). A
    panel per model, task, scenario and test. frame: as `data` gives it.
    """
    needs(
        frame, ("method", "seed", "suite", "suite_value", "metric", "value", "scale", "direction", "letters"), "groups"
    )
    by = [column for column in PLACE if column in frame]
    parts = panels(frame, [*by, *TEST])
    most_lines = max(text.count("\n") + 1 for text in names(frame["method"]).values())
    row = max(0.24, 0.14 * most_lines)
    with look():
        figure, axes = grid(len(parts), width=4.4, height=1.2 + row * frame["method"].nunique(), most=2)
        hollow, most = False, 0
        for axis, (_, lines) in zip(axes, parts, strict=True):
            means = _panel(axis, lines, frame)
            hollow, most = hollow or bool(means["constant"].any()), max(most, int(means["n"].max()))
            where = [str(lines[name].iloc[0]) for name in by if frame[name].nunique() > 1]
            axis.set(title=heading(", ".join([*where, named(lines).iloc[0]])), xlabel=measure(lines.iloc[0]))
        needed = int(frame["needed"].max()) if "needed" in frame else 0
        told = [f"methods on one bar were not told apart by {most} seed{'s' if most != 1 else ''}"]
        told[0] += f" (telling any two of all apart takes {needed})" if most < needed else ""
        told += [f"lines: {CONFIDENCE:.0%} interval of the mean"] if most > 2 else []
        stamp(figure, "; ".join([*told, *([HOLLOW] if hollow else [])]))
    return figure


def _panel(axis: Axes, lines: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    means, style = over_seeds(lines, ["method"]), looks(frame)
    higher = lines["direction"].iloc[0] != "lower"
    order = [*means.sort_values("mean", ascending=not higher, na_position="last", kind="stable")["method"]]
    order += [method for method in methods_of(frame) if method not in order]
    letters = lines.drop_duplicates("method").set_index("method")["letters"].to_dict()
    for place, method in enumerate(order):
        own, each = means[means["method"] == method], style[method]
        if not len(own) or not own["n"].iloc[0]:
            continue
        row, hollow = own.iloc[0], bool(own["constant"].iloc[0])
        axis.plot([row["mean"]], [place], linestyle="none", gid=f"mean {method}", zorder=3, **dot(each, hollow=hollow))
        if row["n"] > 2:
            axis.plot([row["low"], row["high"]], [place, place], color=each.colour, linewidth=1.1)
    told = sorted({letter for text in letters.values() for letter in _letters(text)}, key=_rank)
    for column, letter in enumerate(told):
        rows = [place for place, method in enumerate(order) if letter in _letters(letters.get(method, ""))]
        # to the right of the axes, in their height
        x, across = 1.05 + 0.07 * column, axis.get_yaxis_transform()
        axis.plot([x, x], [rows[0] - 0.25, rows[-1] + 0.25], transform=across, color="#4d4d4d", linewidth=1.4,
                  clip_on=False, solid_capstyle="round")  # fmt: skip
        axis.plot([x] * len(rows), rows, transform=across, color="#1a1a1a", marker="o", markersize=4.5,
                  linestyle="none", clip_on=False, gid=f"group {letter}")  # fmt: skip
        axis.text(x, -0.72, letter, transform=across, ha="center", va="center", fontsize=8)
    axis.xaxis.set_major_locator(MaxNLocator(6))
    texts = names(order)
    axis.set_yticks(range(len(order)), [texts[method] for method in order])
    axis.set_ylim(len(order) - 0.5, -0.5)
    return means


def _letters(text: str) -> list[str]:
    """The letters of a method; each may have a number behind it."""
    found: list[str] = []
    for sign in text:
        if sign.isdigit() and found:
            found[-1] += sign
        else:
            found.append(sign)
    return found


def _rank(letter: str) -> tuple[int, str]:
    return int(letter[1:] or 0), letter


PLOT = Plot(data, groups)
