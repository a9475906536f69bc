"""Metrics of the papers, from scikit-learn and scipy, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics as sk

Array = npt.NDArray[np.generic]
Metric = Callable[[Array, Array], float]


def predictions(logits: npt.NDArray[np.float32], *, regression: bool) -> Array:
    """Predicted class indices, or the predicted scores of a regression model [n]."""
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
