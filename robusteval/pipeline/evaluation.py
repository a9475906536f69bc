"""Testing a classifier: what can run, and the suites, with everything kept as rows, predictions and tables."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.evaluation.suites import build_suites, check_suites, with_own
from robusteval.models.encoding import encode, truncation_notices
from robusteval.models.hashes import tokenizer_sha256
from robusteval.models.saving import kept_modules
from robusteval.pipeline.notices import Notify, tell
from robusteval.pipeline.opening import Classifier
from robusteval.results.frames import rows_frame
from robusteval.results.metrics import Metric
from robusteval.results.predictions import Predictions, Record, predictions_file
from robusteval.results.rows import Note, Row
from robusteval.results.showing import as_html, overview
from robusteval.results.store import EVALUATION, RunFolder
from robusteval.runtime.environment import measured_with
from robusteval.settings.codec import to_dict
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.labels import distribution
from robusteval.tasks.load import TaskData, unmet_limits


@dataclass(frozen=True)
class Evaluation:
    """Measurements in suite order; `scores` maps (suite, value, metric) to the number.

    notices: what one should know to read them; name: of the checkpoint, as its rows bear it; model: as it was given;
    declared: what suites of the user's own say of their metrics.
    """

    task: Task
    measurements: tuple[Measurement, ...]
    notices: tuple[str, ...] = ()
    name: str = ""
    model: str = ""
    declared: Mapping[str, Metric] = field(default_factory=dict)

    @property
    def scores(self) -> dict[tuple[str, str, str], float]:
        return {(m.suite, m.value, name): value for m in self.measurements for name, value in m.metrics.items()}

    def to_frame(self) -> pd.DataFrame:
        """One line per measured number, with the columns of `Experiment.rows`; method is the checkpoint's name."""
        rows = checkpoint_rows(self.measurements, self.task.name, self.name, self.model)
        return rows_frame(rows, self.declared)

    def _repr_html_(self) -> str:
        return as_html(overview(self.to_frame(), self.declared), "; ".join(self.notices))


def evaluate_classifier(
    classifier: Classifier,
    rows: TaskData,
    config: EvalConfig,
    *,
    model: str,
    by_default: bool = False,
    folder: RunFolder | None = None,
    record: Record | None = None,
    notify: Notify | None = None,
) -> Evaluation:
    """A finished classifier through the suites of `config`.

    model: as the user gave it. by_default: nobody named the suites; one of other text whose rows are nowhere is then
    left out with a notice.
    folder: for rows, predictions and tables of the suites' own, in place of what it held.
    UserError where no suite measures anything.
    """
    config = dataclasses.replace(config, suites=with_own(config.suites, rows.config))
    loaded, name = classifier.loaded, Path(model).name or model
    subject = Subject(classifier.predictor, rows, config, loaded.folder, record)
    suites, notices = _check(subject, classifier, name, by_default=by_default)
    tell(notices, notify)
    if notify is not None:
        notify(f"dev: {distribution(rows.dev, rows.task)}")
    _ = subject.clean  # a model without finite logits is refused before anything is written
    if folder is None:
        measurements = [item for suite in suites.values() for item in suite.measure(subject)]
    else:
        tokens = tokenizer_sha256(loaded.tokenizer)
        about = {"checkpoint": {**loaded.source, "sha256": loaded.sha256}, "tokenizer": tokens, "notices": notices}
        measurements = run_suites(suites, subject, name, model, folder, about)
    if not measurements:
        said = "".join(f"; {notice}" for notice in notices)
        raise UserError(f"suites: {', '.join(suites)} measured nothing on {rows.task.name!r}{said}")
    declared = {metric.name: metric for suite in suites.values() for metric in suite.metrics}
    return Evaluation(rows.task, tuple(measurements), tuple(notices), name, model, declared)


def _check(
    subject: Subject, classifier: Classifier, name: str, *, by_default: bool
) -> tuple[dict[str, Suite[Any]], list[str]]:
    """The suites that can run, and what the user should know before they do; UserError where one cannot."""
    rows, suites, loaded = subject.data, build_suites(subject.config.suites), classifier.loaded
    notices = [*classifier.notices, *rows.notices, *unmet_limits(rows)]
    kept = kept_modules(loaded.folder)
    for suite in suites.values():
        suite.check_method(name, kept)
    suites, told = check_suites(
        suites, rows, loaded.tokenizer, subject.config, loaded.model.config.model_type,
        optional=suites if by_default else (),
    )  # fmt: skip
    length = subject.predictor.max_length
    notices += [*told, *truncation_notices(subject.dev.truncated, len(rows.dev), "dev", length)]
    own = {f"test {called}": test.examples for called, test in rows.tests.items()}
    return suites, notices + cut_texts(loaded.tokenizer, own, length)


def cut_texts(tokenizer: Any, sets: Mapping[str, Examples], max_length: int) -> list[str]:
    """A notice for each set of rows, by what it is called, some of which the model does not see whole."""
    notices = []
    for called, rows in sets.items():
        cut = encode(tokenizer, rows.texts, max_length=max_length).truncated
        notices += truncation_notices(cut, len(rows), called, max_length)
    return notices


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


def run_suites(
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
            "data": {"dev": data.dev.source, "fingerprint": data.whole_fingerprint},
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
