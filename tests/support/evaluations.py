"""Folders as `evaluate` and runs leave them, made of answers that a test decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robusteval.results.metrics import score
from robusteval.results.outcomes import Side
from robusteval.results.predictions import Predictions, predictions_file
from robusteval.results.reading import Run
from robusteval.results.rows import Row
from robusteval.results.store import EVALUATION, RunFolder

ROBUST = ("mask", "attack")


def logits(classes: Sequence[int], count: int = 2) -> np.ndarray:
    return np.eye(count, dtype=np.float32)[np.asarray(classes)] * 3


def evaluation(
    folder: Path,
    tests: Mapping[tuple[str, str], Sequence[Sequence[Any]]],
    gold: Sequence[Any],
    *,
    labels: Sequence[str] = ("bad", "good"),
    ids: Sequence[str] = (),
    metrics: Sequence[str] = ("accuracy",),
    task: str = "mine",
    collapsed: str | None = None,
    **record: Any,
) -> Side:
    """What `evaluate` leaves of a model with these answers. tests: suite and value -> the answers [sets][rows]."""
    run, names = RunFolder(folder), tuple(ids) or tuple(str(row) for row in range(len(gold)))
    regression = not labels
    about = {"checkpoint": {}, "task": task, "labels": list(labels), "evaluation": {}, "tokenizer": "t"}
    run.write_record(EVALUATION, {**about, "data": {"fingerprint": "-"}, **record})
    truth = np.asarray(gold, np.float32 if regression else np.int64)
    for suite in dict.fromkeys(suite for suite, _ in tests):
        rows = []
        with predictions_file(folder / "predictions" / f"{suite}.parquet", regression=regression) as keep:
            for value, sets in ((value, sets) for (name, value), sets in tests.items() if name == suite):
                given = [
                    np.asarray(each, np.float32)[:, None] if regression else logits(each, len(labels)) for each in sets
                ]
                for number, each in enumerate(given):
                    keep(suite, value, number, Predictions(names, truth, each))
                numbers = [score(metrics, truth, each, regression=regression) for each in given]
                rows += [
                    Row(
                        "m", task, "m", "none", None, 0, suite, value, "dev", metric,
                        float(np.mean([each[metric] for each in numbers])), len(gold), 0.1, sets=len(sets),
                        aspect="robustness" if suite in ROBUST else None, collapsed=collapsed,
                    )
                    for metric in metrics
                ]  # fmt: skip
        run.finish_stage(suite, rows, run.suite_files(suite))
    run.finish(keep_model=True)
    return Side(str(folder), (Run(folder),))
