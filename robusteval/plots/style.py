"""One look for all pictures: colours that colour-blind readers can tell apart, a method's own, and legible names."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

# Okabe and Ito, "Color Universal Design", 2008
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = PALETTE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#767676"

# what most tables compare has its colour by name, all else the next that is free
_OWN = {"vanilla": BLACK, "tdt": VERMILION, "match": BLUE, "pats": GREEN, "bidrop": ORANGE, "rdrop": PURPLE}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))
_HATCHES = ("", "///", "...", "xxx")

# fonts with Chinese, Japanese and Korean glyphs, in the order in which they are looked for
_CJK = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei",
    "Arial Unicode MS",
)  # fmt: skip

# most that a name may take: characters in a line, lines
_WIDTH, _LINES_OF_A_NAME = 24, 3
# characters in a line of a panel's title
_PANEL = 44


class Picture(Figure):
    """A figure that notebooks show without pyplot, and that every format is written from in the same look."""

    def _repr_png_(self) -> bytes:
        with look():
            held = io.BytesIO()
            self.savefig(held, format="png")
        return held.getvalue()


@dataclass(frozen=True)
class Look:
    """How one method is drawn. In grey, marker, line and hatch tell apart what colours do not."""

    colour: str
    marker: str
    line: Any
    hatch: str


@contextmanager
def look() -> Iterator[None]:
    """Within, figures are made and written in the one style."""
    settings: dict[Any, Any] = {
        "font.family": ["DejaVu Sans", *_cjk_fonts()], "font.size": 9, "axes.titlesize": 9, "axes.labelsize": 9,
        "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 8, "legend.frameon": False,
        "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
        "grid.color": "#d9d9d9", "grid.linewidth": 0.6, "axes.edgecolor": "#4d4d4d", "lines.linewidth": 1.6,
        "lines.markersize": 5, "figure.dpi": 100, "savefig.dpi": 200, "figure.facecolor": "white",
        "savefig.facecolor": "white", "svg.fonttype": "none", "svg.hashsalt": "robusteval", "pdf.fonttype": 42,
        "hatch.linewidth": 0.5, "figure.constrained_layout.use": True,
    }  # fmt: skip
    with mpl.rc_context(settings):
        yield


@cache
def _cjk_fonts() -> tuple[str, ...]:
    from matplotlib.font_manager import get_font_names

    installed = set(get_font_names())
    return tuple(name for name in _CJK if name in installed)


def methods_of(frame: pd.DataFrame) -> list[str]:
    """The methods of a frame, in the order of its experiment where its attrs tell that, else as they appear."""
    there = list(dict.fromkeys(map(str, frame["method"])))
    order = [method for method in frame.attrs.get("methods", ()) if method in there]
    return order + [method for method in there if method not in order]


def looks(frame: pd.DataFrame) -> dict[str, Look]:
    """How each method of a frame is drawn: the same in every picture of an experiment."""
    every = list(dict.fromkeys(chain(frame.attrs.get("methods", ()), methods_of(frame))))
    taken: dict[str, str] = {}
    for method in every:
        own = _OWN.get(method.partition(":")[0])
        if own is not None and own not in taken.values():
            taken[method] = own
    free = [colour for colour in PALETTE if colour not in taken.values()]
    others = [method for method in every if method not in taken]
    taken |= {method: (free + list(PALETTE) * len(others))[place] for place, method in enumerate(others)}
    found, used = dict[str, Look](), dict[str, int]()
    for method in every:
        again = used.get(taken[method], 0)
        used[taken[method]] = again + 1
        place = PALETTE.index(taken[method])
        marker = _MARKERS[(place + again) % len(_MARKERS)]
        line = _LINES[(place + again) % len(_LINES)]
        found[method] = Look(taken[method], marker, line, _HATCHES[again % len(_HATCHES)])
    return found


def plain(text: object) -> str:
    """A text that matplotlib shows as it is: "$" begins no formula, and a leading "_" does not hide it in a legend."""
    shown = " ".join(str(text).split()).replace("$", r"\$")
    return f"\u200b{shown}" if shown.startswith("_") else shown


def names(values: Iterable[object]) -> dict[str, str]:
    """How names are shown: in lines of 24 characters, cut in the middle beyond three lines, and no two alike."""
    found: dict[str, str] = {}
    for value in map(str, values):
        if value in found:
            continue
        text, most = " ".join(value.split()), _WIDTH * _LINES_OF_A_NAME
        if len(text) > most:
            text = f"{text[: most // 2 - 1]}…{text[len(text) - most // 2 + 1 :]}"
            alike = sum(shown.replace("\n", "") == "".join(text.split()) for shown in found.values())
            text += f" ({alike + 1})" if alike else ""
        found[value] = "\n".join(plain(line) for line in textwrap.wrap(text, _WIDTH, break_on_hyphens=False)) or " "
    return found


def heading(text: object) -> str:
    """A panel's title: in lines that fit it, cut in the middle beyond three of them."""
    shown, most = plain(text), 3 * _PANEL
    if len(shown) > most:
        shown = f"{shown[: most // 2 - 1]}…{shown[len(shown) - most // 2 + 1 :]}"
    return "\n".join(textwrap.wrap(shown, _PANEL, break_on_hyphens=False))


def grid(count: int, *, width: float = 3.6, height: float = 2.9, most: int = 3) -> tuple[Picture, list[Axes]]:
    """A picture with `count` axes of this size in inches, at most `most` in a row; made inside `look`."""
    columns = min(count, most)
    rows = -(-count // columns)
    figure = Picture(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for rest in axes[count:]:
        rest.remove()
    return figure, axes[:count]


def legend(figure: Figure, handles: Sequence[Any], methods: Sequence[str]) -> None:
    """One legend below all axes of a picture, which becomes as much higher; as many methods in a row as its width
    allows."""
    texts = list(names(methods).values())
    size = FontProperties(size=8)
    widest = max(TextPath((0, 0), line, prop=size).get_extents().width for text in texts for line in text.split("\n"))
    columns = min(len(texts), max(1, int(figure.get_figwidth() / (widest / 72 + 0.62))))
    rows = -(-len(texts) // columns)
    lines = [text.count("\n") + 1 for text in texts]
    # matplotlib fills column by column
    highest = max(sum(lines[start : start + rows]) for start in range(0, len(lines), rows))
    figure.set_figheight(figure.get_figheight() + 0.15 * highest + 0.06 * rows)
    figure.legend(handles, texts, loc="outside lower center", ncols=columns)


def stamp(figure: Figure, text: str) -> None:
    """Small print above a picture, which becomes as much higher, below what stands there already: what a reader must
    know of all of it."""
    if text:
        width = int(17 * figure.get_figwidth())
        lines = textwrap.wrap(plain(text), width)
        told = [figure.get_suptitle(), *lines]
        figure.set_figheight(figure.get_figheight() + 0.12 * len(lines))
        figure.suptitle("\n".join(filter(None, told)), fontsize=7, color=GREY, x=0.01, ha="left")
