"""Rows for tables, by hand."""

from __future__ import annotations

from typing import Any

from robusteval.results.rows import Row


def row(method: str, seed: int, suite: str, metric: str, value: float, *, n: int = 100, **fields: Any) -> Row:
    """A row of sst2 without a scenario, unless `fields` say otherwise."""
    value_of = {"mask": "0.1", "attack": "deepwordbug"}.get(suite, "")
    told: dict[str, Any] = {
        "run": "r", "task": "sst2", "scenario": "none", "scenario_value": None, "suite_value": value_of,
        "split": "validation", "seconds": 1.0, "aspect": "robustness" if suite in ("mask", "ood") else None, **fields,
    }  # fmt: skip
    return Row(method=method, seed=seed, suite=suite, metric=metric, value=value, n=n, **told)
