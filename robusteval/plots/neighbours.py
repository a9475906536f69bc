"""Representations in two dimensions by t-SNE (van der Maaten and Hinton, 2008), as TDT's Figure 3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from robusteval.plots.base import NotMeasured, Plot, needs, panels_of_methods
from robusteval.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    Picture,
    grid,
    heading,
    legend,
    look,
)

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

Floats = npt.NDArray[np.float64]

# of classes: neighbours differ in lightness, so that they do in grey
_COLOURS = (BLUE, ORANGE, BLACK, SKY, VERMILION, GREEN, PURPLE)
_SHAPES = ("o", "s", "^", "D", "v", "P", "X")
_STROKES = ("+", "x", "1", "2", "3", "4", "|")
REST = "other classes"
VERSIONS = {"original": "original", "positive": "positive variant", "negative": "negative variant"}


def data(experiment: Experiment) -> pd.DataFrame:
    """The lines of suite `representations`, as `Experiment.analysis`."""
    found = experiment.analysis("representations")
    if found.empty:
        raise NotMeasured("tsne: no representations were kept; --suites representations brings them")
    return found


def tsne(frame: pd.DataFrame, perplexity: float = 30, seed: int = 0) -> Picture:
    """The representations of dev rows, a panel per model, task, scenario and method, of the first seed of each.

    frame: lines with gold, vector, and perhaps version: an original has a filled marker, TDT's positive variant a
    hollow one, its negative variant strokes; colour and shape tell the gold class, or the third of a score.
    perplexity: of t-SNE, at most a third of the points. seed: of its generator; it starts from principal components.
    Source: TDT, Figure 3.
    """
    needs(frame, ("method", "gold", "vector"), "tsne")
    frame = (frame if "version" in frame else frame.assign(version="original")).reset_index(drop=True)
    parts = panels_of_methods(frame)
    shown, found = _classes(frame["gold"])
    with look():
        figure, axes = grid(len(parts), width=3.3, height=3.3)
        for axis, (title, lines) in zip(axes, parts, strict=True):
            if "seed" in lines:
                first = lines["seed"].iloc[0]
                lines = lines[lines["seed"] == first]
                title = f"{title}, seed {first}" if frame["seed"].nunique() > 1 else title
            classes = shown.loc[lines.index]
            axis.set(title=heading(title), xticks=[], yticks=[])
            axis.spines[:].set_visible(True)
            _panel(axis, lines.assign(gold=classes), perplexity, seed, found)
        there = [version for version in VERSIONS if version in set(frame["version"])]
        handles, texts = _key(found, there if len(there) > 1 else [])
        legend(figure, handles, texts)
    return figure


def embedded(vectors: Floats, perplexity: float, seed: int) -> Floats:
    """Vectors [n, d] in two dimensions [n, 2], by t-SNE from their principal components."""
    from sklearn.manifold import TSNE

    made = TSNE(perplexity=perplexity, init="pca", random_state=seed, learning_rate="auto")
    return np.asarray(made.fit_transform(vectors), float)


def _panel(axis: Axes, lines: pd.DataFrame, perplexity: float, seed: int, classes: Sequence[str]) -> None:
    vectors = np.stack([np.asarray(each, float) for each in lines["vector"]])
    finite = np.isfinite(vectors).all(axis=1)
    lines, vectors = lines[finite], vectors[finite]
    count = len(vectors)
    if count < 4 or (vectors == vectors[0]).all():
        why = f"{count} finite representations are too few" if count < 4 else f"all {count} representations are equal"
        axis.text(0.5, 0.5, why, ha="center", va="center", transform=axis.transAxes, color=GREY)
        return
    # a neighbourhood of more than a third of the points would be the whole
    taken = min(perplexity, (count - 1) / 3)
    places = embedded(vectors, taken, seed)
    axis.set_xlabel(f"t-SNE of {count} points, perplexity {taken:.3g}")
    size = 14 if count < 600 else 7
    for version in VERSIONS:
        for name in dict.fromkeys(lines["gold"]):
            own = ((lines["version"] == version) & (lines["gold"] == name)).to_numpy()
            if own.any():
                spots = axis.scatter(places[own, 0], places[own, 1], s=size, **_marker(version, name, classes))
                spots.set_gid(f"{version} {name}")


def _marker(version: str, name: str, classes: Sequence[str]) -> dict[str, Any]:
    place = -1 if name == REST else list(classes).index(name)
    colour = GREY if place < 0 else _COLOURS[place]
    if version == "negative":
        # over the others, so in a darker shade
        dark = tuple(0.6 * part for part in to_rgb(colour))
        return {"marker": "_" if place < 0 else _STROKES[place], "color": dark, "linewidths": 0.8}
    shape = "*" if place < 0 else _SHAPES[place]
    face = colour if version == "original" else "none"
    return {"marker": shape, "facecolors": face, "edgecolors": colour, "linewidths": 0.6, "alpha": 0.7}


def _classes(gold: pd.Series) -> tuple[pd.Series, list[str]]:
    """The class that each line is shown with, and all of them: the most frequent by name, scores by third."""
    if pd.api.types.is_float_dtype(gold.infer_objects()):
        cut = pd.qcut(gold.astype(float), 3, duplicates="drop")
        shown = cut.map(lambda each: f"{max(each.left, gold.min()):.3g} to {each.right:.3g}").astype(str)
        return shown, [str(name) for name in dict.fromkeys(shown.iloc[np.argsort(gold.to_numpy(float))])]
    texts = gold.astype(str)
    names = sorted(set(texts))
    if len(names) > len(_COLOURS):
        names = sorted(texts.value_counts().index[: len(_COLOURS) - 1])
        texts = texts.where(texts.isin(names), REST)
        names.append(REST)
    return texts, names


def _key(classes: Sequence[str], versions: Sequence[str]) -> tuple[list[Line2D], list[str]]:
    """What classes look like, and what versions do."""
    handles, texts = list[Line2D](), list[str]()
    for version, name in [("original", name) for name in classes] + [(version, classes[0]) for version in versions]:
        look = _marker(version, name, classes)
        is_version = len(handles) >= len(classes)
        colour = GREY if is_version else look.get("edgecolors", look.get("color"))
        hollow = look.get("facecolors") == "none"
        handles.append(
            Line2D([], [], linestyle="", marker=look["marker"], color=colour, markeredgecolor=colour,
                   markerfacecolor="none" if hollow else colour)
        )  # fmt: skip
        texts.append(VERSIONS[version] if is_version else name if name == REST else f"gold: {name}")
    return handles, texts


PLOT = Plot(data, tsne)
