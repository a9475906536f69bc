"""Which model is fooled by the adversarial texts that were made against another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from robusteval.errors import UserError, first_line
from robusteval.plots.base import NotMeasured, Plot, needs, panels
from robusteval.plots.style import Picture, grid, heading, look, names, stamp

if TYPE_CHECKING:
    from robusteval.results.experiment import Experiment

_PAIR = ("source", "target", "right_before", "transfer_rate")
_BY = ("model", "task", "recipe", "scenario")
_TOLD = "in brackets: texts, of all seeds, on which the reader was right before; own texts fool a model by construction"


def data(experiment: Experiment) -> pd.DataFrame:
    """The averages over seeds that `robusteval transfer` wrote, as `evaluation.transfer.over_seeds` gives them."""
    path = experiment.path / "report" / "transfer.csv"
    if not path.is_file():
        raise NotMeasured(
            f"transfer-matrix: no texts were tried on other models; robusteval transfer {experiment.path} does it, "
            "where models were kept and attacked"
        )
    texts, numbers = (*_BY, *_PAIR[:2]), ("transfer_rate", "transfer_rate_std")
    try:
        # a method may be called NA
        frame = pd.read_csv(
            path, dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values={name: [""] for name in numbers}
        )
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a table ({first_line(error)})") from None
    needs(frame, (*_BY, *_PAIR), "transfer-matrix")
    return frame


def transfer_matrix(frame: pd.DataFrame) -> Picture:
    """Of the texts that fooled a source, the share that fools a target which was right before; source in rows.

    A panel per model, task, recipe and scenario. frame: source, target, transfer_rate (0 to 1, NaN of nothing),
    right_before (its denominator, summed over seeds). A model's own texts, on the diagonal, fool it by construction.
    """
    needs(frame, _PAIR, "transfer-matrix")
    parts = panels(frame, [column for column in _BY if column in frame])
    order = [*frame.attrs.get("methods", ()), *frame["source"], *frame["target"]]
    there = [name for name in dict.fromkeys(order) if name in {*frame["source"], *frame["target"]}]
    size = 1.6 + 0.62 * len(there)
    with look():
        figure, axes = grid(len(parts), width=max(3.6, size + 0.6), height=max(2.9, size))
        shown: Any = None
        for axis, (title, lines) in zip(axes, parts, strict=True):
            shown = _panel(axis, lines, there)
            axis.set(title=heading(title), xlabel="read by", ylabel="made against")
        bar = figure.colorbar(shown, ax=axes, shrink=0.8, label="success rate of transfer, %")
        bar.outline.set_visible(False)
        stamp(figure, _TOLD)
    return figure


def _panel(axis: Axes, lines: pd.DataFrame, methods: list[str]) -> Any:
    cells: dict[Any, Any] = {(row["source"], row["target"]): row for row in lines.to_dict("records")}
    rates = np.full((len(methods), len(methods)), math.nan)
    for y, source in enumerate(methods):
        for x, target in enumerate(methods):
            cell = cells.get((source, target))
            if cell is None or math.isnan(cell["transfer_rate"]):
                axis.text(x, y, "–", ha="center", va="center", color="#4d4d4d", fontsize=8)
                continue
            if source != target:
                rates[y, x] = 100 * cell["transfer_rate"]
            colour = "white" if source != target and cell["transfer_rate"] > 0.55 else "#1a1a1a"
            text = f"{100 * cell['transfer_rate']:.0f}\n({int(cell['right_before'])})"
            axis.text(x, y, text, ha="center", va="center", color=colour, fontsize=7, gid=f"{source} → {target}")
    axis.set_facecolor("#ececec")
    shown = axis.imshow(rates, cmap="Blues", vmin=0, vmax=100)
    texts = names(methods)
    # names of several lines would cover each other at a slant
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    if any("\n" in text for text in texts.values()):
        turned = {"rotation": 90}
    axis.set_xticks(range(len(methods)), [texts[each] for each in methods], **turned)
    axis.set_yticks(range(len(methods)), [texts[each] for each in methods])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    return shown


PLOT = Plot(data, transfer_matrix)
