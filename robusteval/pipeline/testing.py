"""A model through its suites, with everything kept: numbers as rows, predictions, and tables of a suite's own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.results.predictions import Predictions, predictions_file
from robusteval.results.rows import Note, Row
from robusteval.results.store import EVALUATION, RunFolder
from robusteval.runtime.environment import measured_with
from robusteval.settings.codec import to_dict


def run_suite(suite: Suite[Any], subject: Subject, folder: RunFolder) -> list[Measurement]:
    """What the suite measured; predictions and tables lie in `folder` when this returns, the rows are the caller's.

    Whoever records the subject's predictions goes on doing so.
    """
    told = subject.record
    path = folder.path / "predictions" / f"{suite.name}.parquet"
    with predictions_file(path, regression=subject.data.task.regression) as keep:

        def record(name: str, value: str, number: int, each: Predictions) -> None:
            keep(name, value, number, each)
            if told is not None:
                told(name, value, number, each)

        subject.record = record
        try:
            measurements = list(suite.measure(subject))
        finally:
            subject.record = told
    frames = [item.frame for item in measurements if item.frame is not None]
    if frames:
        folder.write_frame(suite.name, frames)
    return measurements


def measurement_rows(item: Measurement, row: Callable[..., Row], *notes: Note) -> list[Row]:
    """A row per metric. row: a `Row` that knows already whose run it is; notes: to say beside the measurement's."""
    return [
        row(
            suite=item.suite, suite_value=item.value, split=item.split, metric=metric, value=value, n=item.n,
            seconds=round(item.seconds, 3), notes=(*item.notes, *notes), spread=item.spread.get(metric, ()),
            aspect=item.aspect, sets=item.sets, summary=item.summary, in_domain=item.in_domain,
            collapsed=item.collapsed,
        )
        for metric, value in item.metrics.items()
    ]  # fmt: skip


def checkpoint_rows(items: Iterable[Measurement], task: str, name: str, model: str) -> list[Row]:
    """The measurements of a finished checkpoint as rows, so that the same table shows them.

    name: what the table calls it; model: as the user gave it.
    """
    row = functools.partial(
        Row, run=name, model=model, task=task, method=name, scenario="none", scenario_value=None, seed=0
    )
    return [each for item in items for each in measurement_rows(item, row)]


def run_tests(
    suites: Mapping[str, Suite[Any]],
    subject: Subject,
    name: str,
    model: str,
    folder: RunFolder,
    about: Mapping[str, Any],
) -> list[Measurement]:
    """A finished checkpoint through all its suites; `folder` then holds what a run's does, in place of what it held.

    name, model: as in `checkpoint_rows`; about: what evaluation.json says beside rows, settings and machine.
    """
    data, predictor = subject.data, subject.predictor
    measurements = []
    settings = to_dict(subject.config)
    with folder.lock():
        folder.forget_tests()
        record = {
            **about,
            "task": data.task.name,
            "labels": list(data.task.labels),
            "data": {"dev": data.dev.source, "fingerprint": data.fingerprint},
            "evaluation": {field: settings[field] for field in ("suites", "rates", "sets", "columns", "mask_token")},
            "max_length": predictor.max_length,
            **measured_with(predictor.device),
        }
        folder.write_record(EVALUATION, record)
        for text, suite in suites.items():
            found = run_suite(suite, subject, folder)
            rows = checkpoint_rows(found, data.task.name, name, model)
            folder.finish_stage(text, rows, folder.suite_files(suite.name), suite.metrics)
            measurements += found
        if measurements:
            folder.finish(keep_model=True)
    return measurements
