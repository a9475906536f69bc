"""Means over seeds as pictures show them, against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robusteval.plots.means import compared, over_seeds, seeds_told
from robusteval.results.frames import rows_frame
from support.picture_frames import accuracy, frame_of, value_of
from support.table_rows import row


def test_means_are_those_of_scipy() -> None:
    frame = frame_of(("vanilla", "match"), [accuracy("clean"), accuracy("mask", "0.2")], seeds=4)
    means = over_seeds(frame, ["method", "suite"]).set_index(["method", "suite"])
    for m, method in enumerate(("vanilla", "match")):
        for t, suite in enumerate(("clean", "mask")):
            values = [100 * value_of(m, t, seed) for seed in range(4)]
            found = means.loc[(method, suite)]
            low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
            expected = [np.mean(values), np.std(values, ddof=1), low, high, 4]
            assert found[["mean", "std", "low", "high", "n"]].tolist() == pytest.approx(expected)


def test_what_is_no_number_is_left_out() -> None:
    values = (0.5, math.nan, 0.7)
    frame = rows_frame([row("a", seed, "clean", "accuracy", value) for seed, value in enumerate(values)])
    means = over_seeds(frame, ["method"])
    assert (means["n"][0], means["mean"][0]) == (2, pytest.approx(60))
    assert seeds_told(means) == "mean ± standard deviation over 2 seeds"
    none = over_seeds(frame[1:2], ["method"])
    assert none["n"][0] == 0 and math.isnan(none["mean"][0]) and seeds_told(none) == "one seed, no spread"
    mixed = over_seeds(pd.concat([frame, frame[:1].assign(method="b")]), ["method"])
    assert seeds_told(mixed) == "mean ± standard deviation over 1 to 2 seeds"


def test_only_what_models_are_compared_by() -> None:
    rows = [
        row("a", 0, "clean", "accuracy", 0.9, run="a 0", collapsed="positive"),
        row("a", 0, "mask", "accuracy", 0.8, run="a 0"), row("a", 0, "mask", "flip_rate", 0.2, run="a 0"),
        row("a", 0, "mask", "accuracy", 0.8, run="a 0", summary=True, suite_value="all"),
        row("a", 0, "train", "seconds", 3, run="a 0"), row("a", 1, "clean", "accuracy", 0.7, run="a 1"),
    ]  # fmt: skip
    found = compared(rows_frame(rows), ("quality", "robustness"))
    assert list(zip(found["suite"], found["seed"], found["constant"], strict=True)) == [
        ("clean", 0, True), ("mask", 0, True), ("clean", 1, False),
    ]  # fmt: skip
