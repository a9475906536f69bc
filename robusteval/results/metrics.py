"""Metrics of the papers, from scikit-learn and scipy, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics as sk

from robusteval.results.finite import check_finite

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.floating[Any]]
Metric = Callable[[Array, Array], float]


def predictions(logits: npt.NDArray[np.float32], *, regression: bool) -> Array:
    """Predicted class indices, or the predicted scores of a regression model [n]; NotFinite where there are none."""
    check_finite(logits)
    return logits[:, 0] if regression else logits.argmax(axis=1)


def accuracy(gold: Array, predicted: Array) -> float:
    return float(sk.accuracy_score(gold, predicted))


def f1(gold: Array, predicted: Array) -> float:
    """F1 of class 1 in a two-class task, as GLUE reports it."""
    return float(sk.f1_score(gold, predicted, zero_division=0))


def macro_f1(gold: Array, predicted: Array) -> float:
    return float(sk.f1_score(gold, predicted, average="macro", zero_division=0))


def mcc(gold: Array, predicted: Array) -> float:
    """Matthews correlation; 0 where one class is predicted throughout."""
    return float(sk.matthews_corrcoef(gold, predicted))


def pearson(gold: Array, predicted: Array) -> float:
    """Pearson correlation; NaN where one side is constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        return float(stats.pearsonr(gold, predicted).statistic)


def spearman(gold: Array, predicted: Array) -> float:
    """Spearman rank correlation; NaN where one side is constant."""
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


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "f1": f1,
    "macro_f1": macro_f1,
    "mcc": mcc,
    "pearson": pearson,
    "spearman": spearman,
}


def score(names: Sequence[str], gold: Array, logits: npt.NDArray[np.float32], *, regression: bool) -> dict[str, float]:
    """Every named metric of one set of predictions."""
    predicted = predictions(logits, regression=regression)
    return {name: METRICS[name](gold, predicted) for name in names}
