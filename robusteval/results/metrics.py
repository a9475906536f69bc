"""Metrics: what a number is called, how it is shown and what it speaks of, and the functions of the papers' metrics."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from robusteval.errors import unknown_name
from robusteval.results.finite import check_finite

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.floating[Any]]

Direction = Literal["higher", "lower", "neither"]
Role = Literal["main", "beside", "detail"]
Aspect = Literal["quality", "robustness", "calibration", "analysis", "cost", "size"]


@dataclass(frozen=True)
class Metric:
    """What a number is. Of a metric that nobody declared only its name is known, and the defaults hold.

    name: as rows bear it; shown: in words, else the name; unit: of the number as it is shown, "" for a pure number.
    scale: what it is shown times, 100 for shares and correlations, as the papers do; digits: decimals, None for three
    significant digits. direction: which numbers are better, or neither.
    aspect: what it speaks of, unless its suite says otherwise. "quality": text like that of the training;
    "robustness": perturbed, shifted and attacked text; "calibration": probabilities; "analysis": weights, gradients,
    the order of tokens; "cost": time, memory, steps; "size": counts of rows.
    role: whether models are compared by it ("main"), it stands in the table beside ("beside"), or is found in table.csv
    and the rows only ("detail").
    function: gold and predicted classes or scores [n] -> the number, where it is one of those alone.
    """

    name: str
    shown: str = ""
    unit: str = ""
    digits: int | None = None
    scale: int = 1
    direction: Direction = "neither"
    aspect: Aspect = "analysis"
    role: Role = "main"
    function: Callable[[Array, Array], float] | None = None

    def __post_init__(self) -> None:
        for field, choices in (("direction", Direction), ("aspect", Aspect), ("role", Role)):
            if getattr(self, field) not in get_args(choices):
                raise ValueError(f"metric {self.name!r}: {field} is none of {', '.join(get_args(choices))}")
        if not self.shown:
            object.__setattr__(self, "shown", self.name)

    def record(self) -> dict[str, Any]:
        """All that is declared but the function, as plain values."""
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name != "function"}

    def text(self, value: float) -> str:
        """A value as tables show it, without the unit; "n/a" for NaN."""
        if math.isnan(value):
            return "n/a"
        return f"{self.scale * value:.3g}" if self.digits is None else f"{self.scale * value:.{self.digits}f}"


def predictions(logits: npt.NDArray[np.float32], *, regression: bool) -> Array:
    """Predicted class indices, or the predicted scores of a regression model [n]; NotFinite where there are none."""
    check_finite(logits)
    return logits[:, 0] if regression else logits.argmax(axis=1)


def accuracy(gold: Array, predicted: Array) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(gold, predicted))


def f1(gold: Array, predicted: Array) -> float:
    """F1 of class 1 in a two-class task, as GLUE reports it."""
    from sklearn.metrics import f1_score

    return float(f1_score(gold, predicted, zero_division=0))


def macro_f1(gold: Array, predicted: Array) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(gold, predicted, average="macro", zero_division=0))


def mcc(gold: Array, predicted: Array) -> float:
    """Matthews correlation; 0 where one class is predicted throughout."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(gold, predicted))


def pearson(gold: Array, predicted: Array) -> float:
    """Pearson correlation; NaN where one side is constant."""
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(stats.pearsonr(gold, predicted).statistic)


def spearman(gold: Array, predicted: Array) -> float:
    """Spearman rank correlation; NaN where one side is constant."""
    from scipy import stats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(stats.spearmanr(gold, predicted).statistic)


def reliability(gold: Array, probabilities: Floats, bins: int) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Rows, mean confidence and accuracy of each of `bins` equal confidence bins (low, high]; NaN where empty [bins].

    gold: class indices [n]; probabilities: [n, K]. The confidence is the predicted class's probability.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == gold
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = [np.bincount(place, weights=each, minlength=bins) / counts for each in (confidence, right)]
    return counts, means[0], means[1]


def ece(gold: Array, probabilities: Floats, bins: int) -> float:
    """Expected calibration error: mean of |accuracy - confidence| over bins, weighted by rows (Guo et al., 2017)."""
    counts, confidence, right = reliability(gold, probabilities, bins)
    filled = counts > 0
    return float(np.average(np.abs(right - confidence)[filled], weights=counts[filled]))


def brier(gold: Array, probabilities: Floats) -> float:
    """Brier's score of all classes, 0 to 2: the mean of sum_k (p_k - [k is gold])^2; of one class alone it is half."""
    onehot = gold[:, None] == np.arange(probabilities.shape[1])
    return float(np.square(probabilities - onehot).sum(axis=1).mean())


# Shares and correlations are shown times 100, as the papers do.
_SHARE: dict[str, Any] = {"unit": "%", "scale": 100, "digits": 2}
_SCORE: dict[str, Any] = {"scale": 100, "digits": 2, "direction": "higher", "aspect": "quality"}

METRICS: dict[str, Metric] = {
    each.name: each
    for each in (
        # of a task
        Metric("accuracy", "accuracy", function=accuracy, **{**_SCORE, "unit": "%"}),
        Metric("f1", "F1", function=f1, **_SCORE),
        Metric("macro_f1", "macro F1", function=macro_f1, **_SCORE),
        Metric("mcc", "Matthews correlation", function=mcc, **_SCORE),
        Metric("pearson", "Pearson correlation", function=pearson, **_SCORE),
        Metric("spearman", "Spearman correlation", function=spearman, **_SCORE),
        Metric("score", "mean score", **_SCORE),
        # of random sets of perturbed text
        Metric("flip_rate", "flip rate", direction="lower", aspect="robustness", role="detail", **_SHARE),
        Metric("worst_case_accuracy", "worst-case accuracy", direction="higher", aspect="robustness", role="detail",
               **_SHARE),
        # of probabilities
        Metric("ece", "expected calibration error", direction="lower", aspect="calibration", **_SHARE),
        Metric("brier", "Brier score", scale=100, digits=2, direction="lower", aspect="calibration"),
        Metric("nll", "negative log-likelihood", unit="nats", direction="lower", aspect="calibration"),
        # of an attack; a success rate has another denominator for every model
        Metric("attacked_clean_accuracy", "accuracy before", direction="higher", aspect="quality", role="beside",
               **_SHARE),
        Metric("accuracy_under_attack", "accuracy under attack", direction="higher", aspect="robustness", **_SHARE),
        Metric("attack_success_rate", "attack success rate", direction="lower", aspect="robustness", role="beside",
               **_SHARE),
        Metric("mean_queries", "queries per attack", "", 1, direction="higher", aspect="robustness", role="beside"),
        Metric("mean_words_changed_percent", "words changed", "%", 1, direction="higher", aspect="robustness",
               role="beside"),
        Metric("mean_similarity", "similarity", digits=3, aspect="robustness", role="beside"),
        Metric("errors", "errors", "", 0, direction="lower", aspect="robustness", role="detail"),
        # of weights and gradients
        Metric("loss", "loss", "nats", direction="lower"),
        Metric("sharpness", "sharpness", "nats", direction="lower"),
        Metric("top_eigenvalue", "top Hessian eigenvalue", direction="lower"),
        Metric("insensitive", "insensitive parameters", **_SHARE),
        Metric("mean", "mean sensitivity"),
        Metric("std", "deviation of the sensitivity"),
        Metric("gini", "Gini coefficient of the sensitivity"),
        # of representations
        Metric("silhouette", "silhouette of the classes", direction="higher"),
        # of training
        Metric("steps", "steps", "", 1, aspect="cost"),
        Metric("seconds", "training time", "s", direction="lower", aspect="cost", role="beside"),
        Metric("seconds_per_step", "time per step", "s", direction="lower", aspect="cost"),
        Metric("peak_memory_mb", "peak memory", "MiB", 1, direction="lower", aspect="cost"),
        Metric("rows", "rows", "", 1, aspect="size"),
    )
}  # fmt: skip


def metric(name: str, declared: Mapping[str, Metric] = MappingProxyType({})) -> Metric:
    """The metric of that name, of this program or `declared` by a suite; else one of which nothing is said."""
    return METRICS.get(name) or declared.get(name) or Metric(name)


def score(names: Sequence[str], gold: Array, logits: npt.NDArray[np.float32], *, regression: bool) -> dict[str, float]:
    """Every named metric of one set of predictions; UserError for one that is no function of those alone."""
    predicted = predictions(logits, regression=regression)
    functions = {name: each.function for name, each in METRICS.items() if each.function is not None}
    for name in names:
        if name not in functions:
            raise unknown_name("metrics", name, functions)
    return {name: functions[name](gold, predicted) for name in names}
