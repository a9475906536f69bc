"""Suite `generalisation`: the fine-tuned encoder, frozen, under a new linear classifier for another task.

Bi-Drop (EMNLP Findings 2023), section 4.6 and Figure 3, after Aghajanyan et al. (2021).
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.evaluation.last_layer import FloatArray, features
from robusteval.results.metrics import score
from robusteval.results.rows import Note
from robusteval.settings.checks import check_choice, check_distinct, check_range
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks import TASKS
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.load import TaskData, load_other, resolve


def fit_linear(x: FloatArray, y: npt.NDArray[np.generic], C: float, max_iter: int) -> Pipeline:
    """A linear classifier of standardised features [n, d], solved to convergence; ridge regression for scores y [n]."""
    scores = np.issubdtype(y.dtype, np.floating)
    linear = Ridge(alpha=1 / C) if scores else LogisticRegression(C=C, max_iter=max_iter)
    fitted: Pipeline = Pipeline([("scale", StandardScaler()), ("linear", linear)])
    with warnings.catch_warnings():
        # whoever reads the measurement is told by its note
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fitted.fit(x, y)


def linear_logits(fitted: Pipeline, x: FloatArray) -> npt.NDArray[np.float32]:
    """Logits [n, K] of `fit_linear`, or scores [n, 1]; K is the number of classes it was fitted on."""
    if isinstance(fitted["linear"], Ridge):
        return np.asarray(fitted.predict(x), np.float32)[:, None]
    logits = np.asarray(fitted.decision_function(x), np.float32)
    # of two classes scikit-learn gives only the second one's
    return np.stack([np.zeros_like(logits), logits], axis=1) if logits.ndim == 1 else logits


@dataclass(frozen=True)
class GeneralisationSettings:
    """Defaults: the paper's three tasks.

    tasks: registered tasks, joined by "|"; the task of the training itself is a control.
    train_limit: training rows of each target, drawn once for all models; None for all of them.
    C: inverse of the L2 penalty on the classifier (1/C for scores); max_iter: most iterations of its solver.
    """

    tasks: str = "cola|mrpc|rte"
    train_limit: int | None = 10_000
    C: float = 1.0
    max_iter: int = 1000

    def __post_init__(self) -> None:
        check_distinct("generalisation:tasks", self.names)
        for name in self.names:
            check_choice("generalisation:tasks", name, tuple(TASKS.names()))
        if self.train_limit is not None:
            check_range("generalisation:train_limit", self.train_limit, 2, math.inf)
        check_range("generalisation:C", self.C, 0, math.inf, open_low=True)
        check_range("generalisation:max_iter", self.max_iter, 1, math.inf)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.tasks.split("|"))


class Generalisation(Suite[GeneralisationSettings]):
    """One measurement per target task: its own metrics, on its dev split."""

    reads = ()
    Settings = GeneralisationSettings
    acts_inside = True

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        for name in self.settings.names:
            self._target(name, data)
        return []

    def facts(self, data: TaskData) -> dict[str, str]:
        targets = (self._target(name, data) for name in self.settings.names)
        return {f"{self.name} {task.name}": f"{train.fingerprint}-{dev.fingerprint}" for task, train, dev in targets}

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        targets = (self._target(name, data) for name in self.settings.names)
        return ", ".join(f"{task.name} {len(dev)} (classifier of {len(train)})" for task, train, dev in targets)

    def run(self, subject: Subject) -> Iterator[Measurement]:
        for name in self.settings.names:
            began = time.perf_counter()
            task, train, dev = self._target(name, subject.data)
            x, tested = (features(subject.predictor, subject.encode(each)) for each in (train, dev))
            if not (np.isfinite(x).all() and np.isfinite(tested).all()):
                metrics = dict.fromkeys(task.metrics, math.nan)
                seconds, notes = time.perf_counter() - began, (Note("features are not finite"),)
                yield Measurement(self.name, name, task.dev, metrics, len(dev), seconds, notes)
                continue
            fitted = fit_linear(x, train.labels, self.settings.C, self.settings.max_iter)
            logits = linear_logits(fitted, tested)
            if task.regression == subject.data.task.regression:
                # a file of predictions holds classes or scores, not both
                subject.keep(self.name, name, 0, dev, logits)
            metrics = score(task.metrics, dev.labels, logits, regression=task.regression)
            note = f"linear classifier of {len(train)} training rows"
            if not task.regression and fitted["linear"].n_iter_.max() >= self.settings.max_iter:
                note += f", not converged in {self.settings.max_iter} iterations"
            yield Measurement(self.name, name, task.dev, metrics, len(dev), time.perf_counter() - began, (Note(note),))

    def _target(self, name: str, data: TaskData) -> tuple[Task, Examples, Examples]:
        """A task with its training and dev rows; UserError where they are not there or lack a class."""
        # split names belong to the task they were given for
        task = resolve(name, data.config) if name == data.task.name else TASKS[name]
        train = load_other(task, task.train, self.settings.train_limit, data)
        dev = load_other(task, task.dev, data.config.eval_limit, data)
        found = len(np.unique(train.labels))
        if not task.regression and found < task.num_labels:
            raise UserError(
                f"generalisation:tasks: {len(train)} training rows of {name!r} hold {found} of its {task.num_labels} "
                "classes; give a larger train_limit"
            )
        return task, train, dev
