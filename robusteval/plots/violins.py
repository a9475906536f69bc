"""Violins side by side with every value as a point; what seaborn is given, so that what is drawn is what was given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from robusteval.plots.means import handle
from robusteval.plots.style import Picture, grid, heading, legend, look, looks, methods_of, plain

# a violin of fewer values says nothing that its points do not say
FEWEST = 4

# of a point in points^2, where few are to be seen and where many would cover each other
SIZES = (16, 7)

Part = tuple[str, pd.DataFrame, str, str]


def violins(parts: Sequence[Part], frame: pd.DataFrame) -> Picture:
    """A panel per part: its title, its values (columns x, method, y), the name of the x axis and of the y axis.

    frame: what all parts are of, which decides the methods' looks. The places on the x axis are in order of appearance;
    values that are not finite are left out, and an empty place stays empty.
    """
    methods, style = methods_of(frame), looks(frame)
    with look():
        figure, axes = grid(len(parts), width=max(3.6, 0.5 * len(methods) + 2.4))
        for axis, (title, values, x, y) in zip(axes, parts, strict=True):
            _panel(axis, values.assign(method=values["method"].astype(str)), methods, frame)
            axis.set(title=heading(title), xlabel=plain(x), ylabel=plain(y))
        handles = [
            (Patch(facecolor=style[each].colour, hatch=style[each].hatch, alpha=0.6), handle(style[each]))
            for each in methods
        ]
        legend(figure, handles, methods)
    return figure


def _panel(axis: Axes, values: pd.DataFrame, methods: Sequence[str], frame: pd.DataFrame) -> None:
    import seaborn as sns

    style = looks(frame)
    places = list(dict.fromkeys(values["x"]))
    # plain strings: a Categorical hue is drawn under wrong names by seaborn 0.13.2 with pandas 3.0
    finite = values[np.isfinite(values["y"].to_numpy(float))].astype({"x": object, "method": object})
    counts = finite.groupby(["x", "method"])["y"].agg(["size", "nunique"])
    dense = finite.set_index(["x", "method"]).index.map(lambda key: counts.loc[key].min() >= FEWEST)
    wide = finite[np.asarray(dense, bool)]
    palette = {method: style[method].colour for method in methods}
    if len(wide):
        # dodge: without it a panel with one violin has it across the places of all methods
        sns.violinplot(
            wide, x="x", y="y", hue="method", order=places, hue_order=methods, palette=palette, saturation=1, cut=0,
            inner=None, linewidth=0.8, density_norm="width", legend=False, alpha=0.45, dodge=True, ax=axis,
        )  # fmt: skip
    width = 0.8 / len(methods)
    for place, x in enumerate(places):
        for number, method in enumerate(methods):
            own = finite[(finite["x"] == x) & (finite["method"] == method)]["y"].to_numpy(float)
            centre = place + width * (number - (len(methods) - 1) / 2)
            spots = axis.scatter(
                np.full(len(own), centre), own, s=SIZES[len(own) > 20], color=style[method].colour,
                marker=style[method].marker, linewidths=0.3, edgecolors=style[method].colour, zorder=3,
            )  # fmt: skip
            spots.set_gid(f"values {place} {number}")
            if len(own):
                axis.hlines(own.mean(), centre - width / 3, centre + width / 3, colors="#1a1a1a", linewidth=1, zorder=4)
    axis.set_xticks(range(len(places)), [plain(x) for x in places])
    axis.set_xlim(-0.6, len(places) - 0.4)
