"""Suite `sensitivity`: how the sensitivity |theta dL/dtheta| is spread over a model's parameters.

PATS (EMNLP 2022), Eq. 1 and 2, Figures 2 and 3.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from robusteval.components.parameters import block_parameters
from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.evaluation.gradients import batches, differentiable
from robusteval.methods.base import task_loss
from robusteval.models.architectures import submodules
from robusteval.results.rows import Note
from robusteval.settings.checks import check_choice, check_range
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.load import TaskData, sample

METRICS = ("insensitive", "mean", "std", "gini")
# Entries that are binned at once: bounds the temporary memory.
PIECE = 1 << 20


def average_sensitivity(
    parameters: Sequence[nn.Parameter], losses: Iterable[Tensor], beta: float
) -> dict[str, list[Tensor]]:
    """Sensitivity |theta dL/dtheta| of every entry, averaged over losses; tensors of the parameters' shapes.

    "mean" weighs every loss alike; "ema" is Eq. 2, whose weights (1 - beta) beta^age are divided by their sum
    1 - beta^t, so that a start at zero does not shrink it. `.grad` is neither read nor written.
    """
    averages = {name: [torch.zeros_like(parameter) for parameter in parameters] for name in ("mean", "ema")}
    for step, loss in enumerate(losses, start=1):
        gradients = torch.autograd.grad(loss, list(parameters), allow_unused=True, materialize_grads=True)
        weights = {"mean": 1 / step, "ema": (1 - beta) / (1 - beta**step)}
        with torch.no_grad():
            for index, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
                sensitivity = (parameter * gradient).abs_()
                for name, weight in weights.items():
                    averages[name][index].lerp_(sensitivity, weight)
    return averages


@dataclass(frozen=True)
class Distribution:
    """Non-negative numbers, binned: the first bin holds those under the grid, the last those above it.

    counts, sums: how many numbers each bin holds and what they add up to [bins + 2]; squares: sum of all squares.
    small: how many are below the threshold. Two distributions on one grid add up.
    """

    counts: npt.NDArray[np.int64]
    sums: npt.NDArray[np.float64]
    squares: float
    small: int

    @classmethod
    def of(cls, values: Tensor, edges: Tensor, threshold: float) -> Distribution:
        """The numbers of one tensor; edges: ascending, float64, on any device; bins are [low, high)."""
        bins = len(edges) + 1
        return reduce(add, (cls._piece(p, edges, bins, threshold) for p in torch.split(values.flatten(), PIECE)))

    @classmethod
    def _piece(cls, piece: Tensor, edges: Tensor, bins: int, threshold: float) -> Distribution:
        # Apple's GPU has no float64
        piece = (piece.cpu() if piece.device.type == "mps" else piece).double()
        place = torch.bucketize(piece, edges.to(piece.device), right=True)
        counts, sums = torch.bincount(place, minlength=bins), torch.bincount(place, piece, minlength=bins)
        small = int((piece < threshold).sum())
        return cls(counts.cpu().numpy(), sums.cpu().numpy(), float(piece.square().sum()), small)

    def __add__(self, other: Distribution) -> Distribution:
        return Distribution(
            self.counts + other.counts, self.sums + other.sums, self.squares + other.squares, self.small + other.small
        )

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    def metrics(self) -> dict[str, float]:
        """Share below the threshold, mean, standard deviation and Gini coefficient."""
        mean = float(self.sums.sum() / self.n)
        deviation = math.sqrt(max(self.squares / self.n - mean**2, 0))
        return dict(zip(METRICS, (self.small / self.n, mean, deviation, gini(self.counts, self.sums)), strict=True))


def gini(counts: npt.NDArray[np.int64], sums: npt.NDArray[np.float64]) -> float:
    """Gini coefficient of binned numbers: 0 where all are equal, towards 1 where few hold everything.

    counts, sums: per bin, in ascending order. The points of the Lorenz curve at the bins' edges are exact and joined
    by straight lines, so the result is never too large. Numbers inside a bin whose edges have the ratio r have a
    Gini coefficient of at most g = (sqrt(r) - 1) / (sqrt(r) + 1); the result is too small by at most g times
    the sum over bins of (share of the numbers) (share of the total). NaN where all numbers are 0.
    """
    total = sums.sum()
    if total == 0:
        return math.nan
    lorenz = np.concatenate([[0.0], np.cumsum(sums) / total])
    return float(1 - np.sum(counts / counts.sum() * (lorenz[1:] + lorenz[:-1])))


def chosen_parameters(model: Any, which: str) -> list[nn.Parameter]:
    """The parameters that PATS acts on ("blocks": encoder blocks without LayerNorm), or "all"."""
    return [p for _, p in block_parameters(model, norms=False)] if which == "blocks" else list(model.parameters())


def layers_of(model: Any, parameters: Sequence[nn.Parameter]) -> list[str]:
    """The encoder block that each parameter is in, "0" the lowest; "embeddings" or "rest" outside of them."""
    parts = submodules(model)
    places = {"embeddings": parts.embeddings, **{str(index): layer for index, layer in enumerate(parts.layers)}}
    place = {id(parameter): name for name, module in places.items() for parameter in module.parameters()}
    return [place.get(id(parameter), "rest") for parameter in parameters]


def distributions(
    tensors: Sequence[Tensor], layers: Sequence[str], edges: npt.NDArray[np.float64], threshold: float
) -> dict[str, Distribution]:
    """The numbers of all tensors, and of those of each layer; edges: of the grid, ascending."""
    grid, found = torch.from_numpy(edges), dict[str, Distribution]()
    for tensor, layer in zip(tensors, layers, strict=True):
        each = Distribution.of(tensor, grid, threshold)
        found[layer] = found[layer] + each if layer in found else each
    return {"all": reduce(add, found.values()), **found}


def table(each: Distribution, edges: npt.NDArray[np.float64], layer: str, statistic: str) -> pd.DataFrame:
    """One row per bin with its count, and the metrics of the whole distribution beside each."""
    bins = np.arange(len(each.counts))
    low, high = np.concatenate([[0.0], edges]), np.concatenate([edges, [np.inf]])
    columns = {"layer": layer, "statistic": statistic, "bin": bins, "low": low, "high": high, "count": each.counts}
    return pd.DataFrame({**columns, **each.metrics()})


@dataclass(frozen=True)
class SensitivitySettings:
    """Defaults: batches and decay of PATS, and the lower end of its Figure 2 for a threshold.

    rows: dev rows, drawn once for all models; None for all of them. batch_size: rows of the loss of one gradient.
    beta: decay of the moving average. parameters: "blocks" (encoder blocks without LayerNorm, as in PATS) or "all".
    threshold: below it a parameter counts as insensitive.
    low, high, bins: the grid, equally wide in log10.
    """

    rows: int | None = None
    batch_size: int = 32
    beta: float = 0.75
    parameters: Literal["blocks", "all"] = "blocks"
    threshold: float = 5e-8
    low: float = 1e-14
    high: float = 1.0
    bins: int = 560

    def __post_init__(self) -> None:
        if self.rows is not None:
            check_range("sensitivity:rows", self.rows, 1, math.inf)
        check_range("sensitivity:batch_size", self.batch_size, 1, math.inf)
        check_range("sensitivity:beta", self.beta, 0, 0.9999)
        check_choice("sensitivity:parameters", self.parameters, ("blocks", "all"))
        check_range("sensitivity:threshold", self.threshold, 0, math.inf)
        check_range("sensitivity:low", self.low, 0, math.inf, open_low=True)
        check_range("sensitivity:high", self.high, self.low, 1e30, open_low=True)
        check_range("sensitivity:bins", self.bins, 1, 100_000)


class Sensitivity(Suite[SensitivitySettings]):
    """One measurement for the plain mean over batches and one for the moving average; evaluation mode, no dropout."""

    reads = ()
    Settings = SensitivitySettings
    acts_inside = True

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return f"{len(sample(data.dev, self.settings.rows))} rows, {self.settings.parameters} parameters"

    def run(self, subject: Subject) -> Iterator[Measurement]:
        settings, predictor, data = self.settings, subject.predictor, subject.data
        began = time.perf_counter()
        encoded = subject.dev if settings.rows is None else subject.encode(sample(data.dev, settings.rows))
        parameters = chosen_parameters(predictor.model, settings.parameters)
        with differentiable(predictor.model, parameters):
            losses = (
                task_loss(predictor.model(**batch.inputs).logits, batch.labels)
                for batch in batches(predictor, encoded, settings.batch_size)
            )
            averages = average_sensitivity(parameters, losses, settings.beta)
        edges = np.geomspace(settings.low, settings.high, settings.bins + 1)
        layers = layers_of(predictor.model, parameters)
        lost = sum(int((~each.isfinite()).sum()) for each in averages["mean"])
        if lost:
            note = Note(f"the gradients of {lost} parameters are not finite")
            for statistic in averages:
                metrics = dict.fromkeys(METRICS, math.nan)
                yield Measurement(
                    self.name, statistic, data.task.dev, metrics, len(encoded), time.perf_counter() - began, (note,)
                )
            return
        for statistic, tensors in averages.items():
            found = distributions(tensors, layers, edges, settings.threshold)
            frame = pd.concat([table(each, edges, layer, statistic) for layer, each in found.items()])
            yield Measurement(
                self.name, statistic, data.task.dev, found["all"].metrics(), len(encoded), time.perf_counter() - began,
                notes=(Note(f"over {found['all'].n} parameters"),), frame=frame,
            )  # fmt: skip
            began = time.perf_counter()
