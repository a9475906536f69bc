"""Calibration metrics against a naive loop, scikit-learn and numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import softmax
from sklearn import metrics as sk

from robusteval.results.metrics import brier, ece, reliability


def case(classes: int, seed: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, classes, 300), softmax(generator.normal(0, 2, (300, classes)), axis=1)


def naive_ece(gold: Any, probabilities: Any, bins: int) -> float:
    total = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [i for i, row in enumerate(probabilities) if low < max(row) <= high]
        if inside:
            confidence = sum(max(probabilities[i]) for i in inside) / len(inside)
            accuracy = sum(int(np.argmax(probabilities[i]) == gold[i]) for i in inside) / len(inside)
            total += len(inside) / len(gold) * abs(accuracy - confidence)
    return total


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("bins", [1, 10, 15])
def test_ece_equals_a_naive_loop(classes: int, bins: int) -> None:
    gold, probabilities = case(classes, seed=classes + bins)
    assert ece(gold, probabilities, bins) == pytest.approx(naive_ece(gold, probabilities, bins))


def test_ece_by_hand() -> None:
    gold = np.asarray([0, 0, 1, 1])
    probabilities = np.asarray([[0.9, 0.1], [0.9, 0.1], [0.7, 0.3], [0.3, 0.7]])
    # (0.6, 0.8]: two rows, one right, |0.5 - 0.7|; (0.8, 1]: two rows, both right, |1 - 0.9|
    assert ece(gold, probabilities, 5) == pytest.approx(0.5 * 0.2 + 0.5 * 0.1)
    counts, confidence, accuracy = reliability(gold, probabilities, 5)
    assert counts.tolist() == [0, 0, 0, 2, 2]
    np.testing.assert_allclose(confidence[3:], [0.7, 0.9])
    np.testing.assert_allclose(accuracy[3:], [0.5, 1.0])
    assert np.isnan(accuracy[:3]).all()


def test_a_bin_holds_its_upper_edge() -> None:
    probabilities = np.asarray([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]])
    assert reliability(np.zeros(3, int), probabilities, 4)[0].tolist() == [0, 1, 1, 1]


@pytest.mark.parametrize("seed", range(3))
def test_brier_equals_scikit_learn(seed: int) -> None:
    gold, probabilities = case(2, seed)
    assert brier(gold, probabilities) == pytest.approx(2 * sk.brier_score_loss(gold, probabilities[:, 1]))


def test_brier_by_hand() -> None:
    probabilities = np.asarray([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    assert brier(np.asarray([0, 2]), probabilities) == pytest.approx((0.3**2 + 0.2**2 + 0.1**2) / 2)
    assert brier(np.asarray([1]), probabilities[1:]) == 2
