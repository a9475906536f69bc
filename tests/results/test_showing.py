"""What a notebook shows of results: frames, and tables whose texts are escaped."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from robusteval.results.frames import rows_frame
from robusteval.results.rows import Row
from robusteval.results.showing import as_html, overview

ROW = Row("r", "sst2", "vanilla", "none", None, 0, "mask", "0.1", "dev", "accuracy", 0.9, 10, 1.0, model="m")


def rows(*changes: dict[str, Any]) -> Any:
    return rows_frame([dataclasses.replace(ROW, **each) for each in changes])


def test_seeds_are_means_with_their_deviation() -> None:
    frame = overview(rows({}, {"seed": 1, "value": 0.8}, {"method": "match", "value": 0.5}))
    # by hand: the mean of 90 and 80 is 85, their sample deviation 10 / sqrt 2
    assert frame.to_dict("records") == [
        {"test": "mask 0.1", "metric": "accuracy", "vanilla": "85.00 ± 7.07", "match": "50.00"}
    ]


def test_what_differs_has_a_column_and_what_is_missing_is_empty() -> None:
    frame = overview(rows({}, {"task": "rte", "method": "match", "value": float("nan")}))
    assert list(frame.columns) == ["task", "test", "metric", "vanilla", "match"]
    assert frame["task"].tolist() == ["sst2", "rte"]
    assert frame[["vanilla", "match"]].values.tolist() == [["90.00", ""], ["", "n/a"]]


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "a & b", "c|d_e$"])
def test_texts_are_escaped(name: str) -> None:
    page = as_html(overview(rows({"method": name, "task": name})), name)
    assert "<img" not in page and " & " not in page
    assert ("&lt;img" in page) == name.startswith("<")


def test_nothing_measured_is_an_empty_table() -> None:
    assert overview(rows_frame([])).empty
    assert overview(rows({"metric": "steps", "suite": "train"})).empty
    assert "<table" in as_html(overview(rows_frame([])))
