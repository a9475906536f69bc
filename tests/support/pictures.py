"""What a picture shows, read back from its artists."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]


def points(axis: Axes, gid: str = "") -> dict[str, Floats]:
    """The points [n, 2] of each scatter whose gid starts so, by gid; those without points are left out."""
    found = {}
    for each in axis.collections:
        if isinstance(each, PathCollection) and str(each.get_gid() or "").startswith(gid):
            offsets = np.asarray(each.get_offsets(), float)
            if len(offsets):
                found[str(each.get_gid())] = offsets
    return found


def lines(axis: Axes) -> dict[str, Floats]:
    """The places [n, 2] of each line, by its gid, else its label."""
    return {str(line.get_gid() or line.get_label()): np.asarray(line.get_xydata()) for line in axis.lines}


def bars(axis: Axes) -> list[tuple[float, float, float, float]]:
    """Left, width, bottom and height of each bar."""
    return [(bar.get_x(), bar.get_width(), bar.get_y(), bar.get_height()) for bar in _rectangles(axis)]


def _rectangles(axis: Axes) -> list[Any]:
    from matplotlib.patches import Rectangle

    return [patch for patch in axis.patches if isinstance(patch, Rectangle)]


def texts(figure: Figure) -> set[str]:
    """Every text of a picture that is seen, lines joined."""
    from matplotlib.text import Text

    found = {each.get_text() for each in figure.findobj(Text)}
    return {text.replace("\n", " ").replace("\u200b", "").replace(r"\$", "$") for text in found if text.strip()}
