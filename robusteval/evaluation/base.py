"""What a test suite is, what it sees and what it gives: a checkpoint on one side, measured numbers on the other."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.models.encoding import Encoded, encode
from robusteval.perturbations.base import Source
from robusteval.results.metrics import METRICS, Aspect, Metric, predictions, score
from robusteval.results.predictions import Predictions, Record
from robusteval.results.rows import Note
from robusteval.settings.codec import settings as make_settings
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.load import TaskData

S = TypeVar("S")


@dataclass(frozen=True)
class Measurement:
    """One setting of one suite: its metrics over n rows.

    spread: the values of a metric on every set, where several random `sets` make one measurement and `metrics`
    holds their mean. frame: a table of its own (a histogram, a curve), kept beside the rows.
    summary: it sums up others of its suite. in_domain: its rows are text like that of the training. collapsed: the
    class that is predicted throughout. aspect: what it speaks of, None where its suite or its metrics say so.
    """

    suite: str
    value: str
    split: str
    metrics: dict[str, float]
    n: int
    seconds: float
    notes: tuple[Note, ...] = ()
    spread: dict[str, tuple[float, ...]] = field(default_factory=dict)
    frame: pd.DataFrame | None = None
    sets: int = 1
    summary: bool = False
    in_domain: bool = False
    collapsed: str | None = None
    aspect: Aspect | None = None


@dataclass
class Subject:
    """What a suite sees: the model behind a predictor, the task's rows, and the evaluation settings.

    folder: the checkpoint's folder, where it has one; analysis files of the training lie there.
    start: opens the model as it was before training, where that is known.
    record: called with suite, value, number of the set and its predictions, as soon as they are there.
    """

    predictor: Predictor
    data: TaskData
    config: EvalConfig
    folder: Path | None = None
    record: Record | None = None
    start: Callable[[], Any] | None = None
    _dev: Encoded | None = None
    _clean: npt.NDArray[np.float32] | None = None

    @property
    def dev(self) -> Encoded:
        """The dev split, tokenised once."""
        if self._dev is None:
            self._dev = self.encode(self.data.dev)
        return self._dev

    @property
    def source(self) -> Source:
        """The dev split as perturbations see it."""
        return Source.of(
            self.predictor.tokenizer, self.data.dev, self.data.task, max_length=self.predictor.max_length,
            columns=self.config.columns, mask_token=self.config.mask_token, encoded=self.dev,
        )  # fmt: skip

    @property
    def clean(self) -> npt.NDArray[np.float32]:
        """Logits on the unchanged dev split, computed once [n, K]."""
        if self._clean is None:
            self._clean = self.predictor.encoded(self.dev, "dev rows", self.data.dev.ids)
        return self._clean

    def predict(self, examples: Examples, name: str) -> npt.NDArray[np.float32]:
        """Logits on other rows [n, K]; name: of their set, for errors."""
        return self.predictor.encoded(self.encode(examples), f"{name} rows", examples.ids)

    def encode(self, examples: Examples) -> Encoded:
        return encode(self.predictor.tokenizer, examples.texts, examples.labels, max_length=self.predictor.max_length)

    def keep(self, suite: str, value: str, number: int, examples: Examples, logits: npt.NDArray[np.float32]) -> None:
        """Hand one set's predictions to whoever records them."""
        if self.record is not None:
            self.record(suite, value, number, Predictions(examples.ids, examples.labels, logits))

    def measure(
        self,
        suite: str,
        value: str,
        split: str,
        examples: Examples,
        logits: npt.NDArray[np.float32],
        task: Task | None = None,
    ) -> Measurement:
        """Score one set of predictions with the metrics of the task they belong to."""
        task = task or self.data.task
        began = time.perf_counter()
        self.keep(suite, value, 0, examples, logits)
        metrics = score(task.metrics, examples.labels, logits, regression=task.regression)
        seconds = time.perf_counter() - began
        return Measurement(suite, value, split, metrics, len(examples), seconds, _undefined(metrics))

    def measure_sets(self, suite: str, value: str, sets: Iterable[Encoded]) -> Measurement:
        """Predict random versions of the dev split, each of which is dropped once it is scored.

        Beside the mean of the task's metrics over the sets, a classifier's rows tell `flip_rate`, the share of
        predictions that differ from the clean ones, and `worst_case_accuracy`, the share of rows that are right
        in every set.
        """
        task, dev = self.data.task, self.data.dev
        before = predictions(self.clean, regression=task.regression)
        always_right = np.ones(len(dev), bool)
        values: dict[str, list[float]] = {}
        began = time.perf_counter()
        for number, logits in enumerate(self.predictor.stream(sets, f"{suite} {value} rows", dev.ids)):
            self.keep(suite, value, number, dev, logits)
            scores = score(task.metrics, dev.labels, logits, regression=task.regression)
            if not task.regression:
                predicted = predictions(logits, regression=False)
                scores["flip_rate"] = float(np.mean(predicted != before))
                always_right &= predicted == dev.labels
            for name, each in scores.items():
                values.setdefault(name, []).append(each)
        metrics = {name: float(np.mean(each)) for name, each in values.items()}
        count = len(next(iter(values.values())))
        if not task.regression:
            metrics["worst_case_accuracy"] = float(always_right.mean())
        return Measurement(
            suite, value, task.dev, metrics, len(dev), time.perf_counter() - began,
            notes=_undefined(metrics), spread={name: tuple(each) for name, each in values.items()} if count > 1 else {},
            sets=count,
        )  # fmt: skip


def _undefined(metrics: dict[str, float]) -> tuple[Note, ...]:
    """What to say of metrics that are no number: correlations with something constant."""
    names = [name for name, value in metrics.items() if math.isnan(value)]
    return (
        (Note(f"{' and '.join(names)} not defined: all predictions, or all gold scores, are equal"),) if names else ()
    )


@dataclass(frozen=True)
class NoSettings:
    """For a suite without settings of its own."""


def random_sets(config: EvalConfig) -> str:
    """The rates and the number of sets, in words."""
    rates = ", ".join(f"{rate:g}" for rate in config.rates)
    return f"at {rates}, {config.sets} set{'' if config.sets == 1 else 's'} each"


class Suite(ABC, Generic[S]):
    """A test of one model: `check` before anything is trained, `run` on the trained model.

    One file or class per suite; `Settings` is a frozen dataclass whose fields a user may give after the name
    ("flatness:directions=5"). `acts_inside`: it needs to know the model's architecture.
    `reads`: the settings of `EvalConfig` that its numbers depend on.
    `aspect`: what all its numbers speak of, None where each metric says so. `metrics`: what there is to say of metrics
    of its own; any other that this program does not know is shown with three digits, and no model is compared by it.
    """

    Settings: ClassVar[type[Any]] = NoSettings
    acts_inside: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("rates", "sets", "columns", "mask_token")
    aspect: ClassVar[Aspect | None] = None
    metrics: ClassVar[tuple[Metric, ...]] = ()

    def __init_subclass__(cls) -> None:
        taken = [metric.name for metric in cls.metrics if metric.name in METRICS]
        if taken:
            raise ValueError(
                f"suite {cls.__name__}: {taken[0]!r} is a metric of this program; give its own another name"
            )

    def __init__(self, name: str, settings: S) -> None:
        self.name, self.settings = name, settings

    @classmethod
    def configure(cls, name: str, values: dict[str, Any]) -> Suite[S]:
        """The suite with the given settings; UserError for an unknown or impossible one."""
        return cls(name, make_settings(cls.Settings, values, f"suites: {name}"))

    def check_method(self, label: str, kept: Sequence[str]) -> None:
        """Raise UserError where the method called `label` does not keep (`Method.keeps`) a module that is needed."""

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        """Raise UserError where this suite cannot run on the task or model; returns what the user should know.

        A suite that would find no rows at all cannot run (RowsMissing); some of its sets may be missing, with a
        notice.
        `data` may come without training rows (a finished checkpoint is evaluated).
        """
        return []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        """What `run` will go through, for the plan: sets with their row counts, rates; called after `check`."""
        return ""

    def facts(self, data: TaskData) -> dict[str, str]:
        """What `run` depends on beside settings and the training and dev rows; called after `check`.

        Fingerprints of other rows, or of weights that the suite loads itself, by name: where one is another than it was
        when a run was tested, that run stays as it is and another is done beside it.
        """
        return {}

    def trial(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> Source:
        """One dev row as perturbations see it, to meet what is missing; UserError where no rates are given."""
        if not config.rates:
            raise UserError(f"rates: none given, and the suite {self.name!r} needs at least one")
        return Source.of(
            tokenizer, data.dev.take([0]), data.task, max_length=128, columns=config.columns,
            mask_token=config.mask_token,
        )  # fmt: skip

    def measure(self, subject: Subject) -> Iterator[Measurement]:
        """`run`, where each measurement says what it speaks of."""
        for item in self.run(subject):
            if not isinstance(item, Measurement) or item.suite != self.name:
                raise UserError(f"suite {self.name!r}: its run must yield Measurements that bear its name")
            yield item if item.aspect is not None else replace(item, aspect=self.aspect)

    @abstractmethod
    def run(self, subject: Subject) -> Iterator[Measurement]:
        """Measure; every measurement bears `self.name` as its suite."""
