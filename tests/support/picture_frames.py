"""Rows for pictures: a value for every method, test and seed, no two alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from robusteval.results.frames import rows_frame
from robusteval.results.rows import Row
from support.table_rows import row

METHODS = ("vanilla", "match", "tdt", "pats", "bidrop", "rdrop")
ODD = (
    "<b>x</b>",
    "a|b",
    "_hidden",
    "$x$ and $y",
    "m" * 200,
    "m" * 199 + "n",
    "中文方法",
    "child-d",
    "own1",
    "own2",
    "own3",
)
"""With "vanilla" twelve methods."""


def value_of(method: int, test: int, seed: int) -> float:
    """The raw value that `rows_of` gives; it is not linear in the seed, so that means and deviations tell."""
    return 0.9 - 0.07 * test - 0.013 * method + 0.002 * seed**2


def rows_of(methods: Sequence[str], tests: Sequence[Mapping[str, Any]], seeds: int = 3, **fields: Any) -> list[Row]:
    """Rows of each method, test (suite, metric, and other fields of a row) and seed."""
    return [
        row(method, seed, value=value_of(m, t, seed), run=f"{method} {seed}", **{**fields, **test})
        for m, method in enumerate(methods)
        for t, test in enumerate(tests)
        for seed in range(seeds)
    ]  # fmt: skip


def frame_of(methods: Sequence[str], tests: Sequence[Mapping[str, Any]], seeds: int = 3, **fields: Any) -> pd.DataFrame:
    return rows_frame(rows_of(methods, tests, seeds, **fields))


def accuracy(suite: str, value: str = "", **fields: Any) -> dict[str, Any]:
    return {"suite": suite, "metric": "accuracy", "suite_value": value, **fields}


DROPS = [accuracy("clean")] + [
    accuracy("ordered-drop", f"{order} {way} {rate}", aspect="analysis")
    for order in ("confidence", "gradient")
    for way in ("descending", "ascending")
    for rate in ("0.1", "0.2")
]
