"""Suites: what a trained model is tested on. Each gives measurements; the run writes them as rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from robusteval.config import EvalConfig
from robusteval.encoding import Encoded, encode
from robusteval.errors import UserError
from robusteval.evaluation.metrics import predictions, score
from robusteval.evaluation.predict import Predictor
from robusteval.perturbations import PERTURBATIONS
from robusteval.registry import Registry
from robusteval.seeds import derive
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.load import TaskData


@dataclass(frozen=True)
class Predictions:
    """Enough to recompute any metric: row ids, gold labels and logits [n, K] of one evaluated set."""

    ids: tuple[str, ...]
    gold: npt.NDArray[np.generic]
    logits: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Measurement:
    """One setting of one suite: its metrics over n rows, and the predictions of each of its sets."""

    suite: str
    value: str
    split: str
    metrics: dict[str, float]
    n: int
    seconds: float
    note: str = ""
    sets: list[Predictions] = field(default_factory=list)


@dataclass
class Subject:
    """What a suite sees: the model behind a predictor, the task's rows, and the evaluation settings."""

    predictor: Predictor
    data: TaskData
    config: EvalConfig
    _dev: Encoded | None = None

    @property
    def dev(self) -> Encoded:
        """The dev split, tokenised once."""
        if self._dev is None:
            self._dev = self.encode(self.data.dev)
        return self._dev

    def encode(self, examples: Examples) -> Encoded:
        return encode(self.predictor.tokenizer, examples.texts, examples.labels, max_length=self.predictor.max_length)

    def measure(
        self,
        suite: str,
        value: str,
        split: str,
        examples: Examples,
        sets: list[Encoded],
        task: Task | None = None,
    ) -> Measurement:
        """Predict each of the sets (versions of the same rows) and average every metric over them."""
        task = task or self.data.task
        began = time.perf_counter()
        logits = [self.predictor.encoded(encoded) for encoded in sets]
        scores = [score(task.metrics, examples.labels, each, regression=task.regression) for each in logits]
        note = collapse_note(task, logits) if suite == "clean" else ""
        if len(sets) > 1:
            note = f"mean of {len(sets)} sets"
        return Measurement(
            suite=suite,
            value=value,
            split=split,
            metrics={name: float(np.mean([each[name] for each in scores])) for name in task.metrics},
            n=len(examples),
            seconds=time.perf_counter() - began,
            note=note,
            sets=[Predictions(examples.ids, examples.labels, each) for each in logits],
        )


def collapse_note(task: Task, logits: list[npt.NDArray[np.float32]]) -> str:
    """A note that names the class where a classifier predicts nothing else."""
    if task.regression:
        return ""
    found = np.unique(np.concatenate([predictions(each, regression=False) for each in logits]))
    return f"collapsed to {task.labels[int(found[0])]!r}" if len(found) == 1 else ""


Suite = Callable[[Subject], Iterator[Measurement]]

SUITES: Registry[Suite] = Registry("suite")
for _name, _summary in (
    ("clean", "the dev split as it is"),
    ("mask", "dev with tokens masked, per rate"),
    ("replace", "dev with tokens replaced by others of the same input, per rate"),
    ("ood", "the task's out-of-domain split"),
    ("advglue", "the AdvGLUE dev sets made from the task"),
):
    SUITES.add(_name, f"robusteval.evaluation.suites:{_name}", _summary)


def clean(subject: Subject) -> Iterator[Measurement]:
    """The dev split, unchanged."""
    data = subject.data
    yield subject.measure("clean", "", data.task.dev, data.dev, [subject.dev])


def _perturbed(subject: Subject, kind: str) -> Iterator[Measurement]:
    """One measurement per rate: `sets` random versions of the dev split, the same for every model."""
    data, config = subject.data, subject.config
    perturb = PERTURBATIONS[kind]
    mask_id = subject.predictor.tokenizer.mask_token_id
    for rate in config.rates:
        seeds = [derive(0, "perturbation", kind, f"{rate:g}", number) for number in range(config.sets)]
        sets = [perturb(subject.dev, rate, np.random.default_rng(seed), mask_id) for seed in seeds]
        yield subject.measure(kind, f"{rate:g}", data.task.dev, data.dev, sets)


def mask(subject: Subject) -> Iterator[Measurement]:
    """Tokens masked (TDT, Figure 5)."""
    return _perturbed(subject, "mask")


def replace(subject: Subject) -> Iterator[Measurement]:
    """Tokens replaced by others of the same input (TDT, Figure 5)."""
    return _perturbed(subject, "replace")


def ood(subject: Subject) -> Iterator[Measurement]:
    """The out-of-domain split; nothing for a task without one."""
    data = subject.data
    if data.ood is not None and data.task.out_of_domain is not None:
        yield subject.measure("ood", "", data.task.out_of_domain, data.ood, [subject.encode(data.ood)])


def advglue(subject: Subject) -> Iterator[Measurement]:
    """Each AdvGLUE set that was found; nothing for a task without one."""
    from robusteval.tasks import TASKS

    for name, examples in subject.data.adversarial.items():
        task = TASKS[name]
        if task.labels != subject.data.task.labels:
            raise UserError(f"suites: {name!r} has other labels than {subject.data.task.name!r}")
        encoded = subject.encode(examples)
        yield subject.measure("advglue", name, task.dev, examples, [encoded], task)
