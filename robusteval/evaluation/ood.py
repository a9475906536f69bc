"""Other text than the training text: out-of-domain sets, transfers to other tasks' rows, and AdvGLUE."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.config import EvalConfig, check_choice
from robusteval.errors import UserError, unknown_name
from robusteval.evaluation.base import Measurement, NoSettings, Subject, Suite
from robusteval.tasks import TASKS
from robusteval.tasks.base import Examples, Task, Transfer
from robusteval.tasks.load import TaskData, left_out, load_transfer
from robusteval.tasks.sources import RowsMissing

AVERAGE = "average"


def class_map(task: Task, target: Task, labels: Mapping[str, str]) -> npt.NDArray[np.int64]:
    """Index of the target's class that each class of the task stands for [K], by name.

    labels: class of the task -> class of the target; empty where both have the same names.
    Raises UserError, naming both label sets, unless every class on either side has its counterpart.
    """
    named = labels or {name: name for name in task.labels}
    whole = set(named) == set(task.labels) and set(named.values()) == set(target.labels)
    if task.regression or target.regression or not whole:
        own, other = (", ".join(each.labels) or "a score" for each in (task, target))
        raise UserError(
            f"suites: the predictions of {task.name!r} ({own}) cannot be mapped by name to {target.name!r} ({other})"
        )
    return np.asarray([target.labels.index(named[name]) for name in task.labels], np.int64)


def relabel(
    logits: npt.NDArray[np.float32], classes: npt.NDArray[np.int64], merge: Literal["argmax", "sum"] = "argmax"
) -> npt.NDArray[np.float32]:
    """Logits [n, K] of one label set as logits [n, J] of another; `classes` as from `class_map`.

    Where several classes become one, "argmax" keeps the largest of their logits, so that the new prediction is the
    old one renamed, as TDT maps it (Appendix C); "sum" adds their probabilities instead.

    >>> relabel(np.log(np.asarray([[0.4, 0.3, 0.3]], np.float32)), np.asarray([1, 0, 0])).argmax()
    np.int64(1)
    >>> relabel(np.log(np.asarray([[0.4, 0.3, 0.3]], np.float32)), np.asarray([1, 0, 0]), "sum").argmax()
    np.int64(0)
    """
    join = np.maximum if merge == "argmax" else np.logaddexp
    columns = [join.reduce(logits[:, classes == index], axis=1) for index in range(int(classes.max()) + 1)]
    return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class OutOfDomainSettings:
    """only: the sets to test on, "snli|sick"; all that the task declares where it is empty.

    splits: other splits than the declared ones, "mnli_mismatched=validation_mismatched_1k|snli=test".
    merge: what several classes that become one are joined by, see `relabel`.
    """

    only: str = ""
    splits: str = ""
    merge: Literal["argmax", "sum"] = "argmax"

    def __post_init__(self) -> None:
        check_choice("suites: ood:merge", self.merge, ("argmax", "sum"))
        for pair in filter(None, self.splits.split("|")):
            name, _, split = pair.partition("=")
            if not name or not split:
                raise UserError(f"suites: {pair!r} in ood:splits is not set=split")

    @property
    def named(self) -> dict[str, str]:
        """Set -> the split given by hand."""
        return dict(pair.split("=", 1) for pair in self.splits.split("|") if pair)


class OutOfDomain(Suite[OutOfDomainSettings]):
    """The task's out-of-domain split, and every transfer: one measurement each, with the metrics of its own task.

    "average" is the mean accuracy over the out-of-domain sets that have the task's own classes (Bi-Drop, Table 4:
    the in-domain set is left out, and QQP is no column of it); it is given where there are several and none is
    missing. A run's name does not depend on the rows of transfers, so each measurement bears them in its `frame`:
    set, split, rows, fingerprint and origin.
    """

    Settings = OutOfDomainSettings

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        notices: list[str] = []
        gone = []
        for transfer in self._chosen(data.task):
            target = TASKS[transfer.task]
            class_map(data.task, target, transfer.labels)
            try:
                notices += left_out(target, load_transfer(transfer, data, f"ood:splits={target.name}="))
            except RowsMissing as error:
                if target.name in self.settings.named:
                    raise
                notices.append(f"no {self.name} {target.name}: {error}")
                gone.append(target.name)
        averaged = _averaged(data.task)
        lacking = [name for name in averaged if name in gone]
        if lacking:
            notices.append(f"no {self.name} average: it is over {', '.join(averaged)}, without {', '.join(lacking)}")
        return notices

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        counts = [] if data.ood is None else [f"{data.task.out_of_domain} {len(data.ood)}"]
        for transfer in self._chosen(data.task):
            with suppress(RowsMissing):
                counts.append(f"{transfer.task} {len(load_transfer(transfer, data))}")
        return ", ".join(counts) or "no rows"

    def run(self, subject: Subject) -> Iterator[Measurement]:
        data = subject.data
        if data.ood is not None and data.task.out_of_domain is not None:
            logits = subject.predictor.encoded(subject.encode(data.ood))
            yield subject.measure(self.name, "", data.task.out_of_domain, data.ood, logits)
        measured = {}
        for transfer in self._chosen(data.task):
            try:
                examples = load_transfer(transfer, data)
            except RowsMissing:  # `check` has said so
                continue
            measured[transfer.task] = self._measure(transfer, examples, subject)
            yield measured[transfer.task]
        averaged = [measured[name] for name in _averaged(data.task) if name in measured]
        if len(averaged) == len(_averaged(data.task)) > 1:
            accuracy = float(np.mean([item.metrics["accuracy"] for item in averaged]))
            note = f"mean of the {len(averaged)} out-of-domain sets with the task's own classes"
            yield _average(self.name, {"accuracy": accuracy}, averaged, note)

    def _chosen(self, task: Task) -> list[Transfer]:
        """The transfers that were asked for, with the splits that were."""
        known = [transfer.task for transfer in task.transfers]
        only, named = [name for name in self.settings.only.split("|") if name], self.settings.named
        for field, names in (("only", only), ("splits", list(named))):
            for name in names:
                if name not in known:
                    if not known:
                        raise UserError(f"suites: ood:{field} names {name!r}, but {task.name!r} has no transfers")
                    raise unknown_name(f"suites: ood:{field}", name, known)
        return [
            dataclasses.replace(transfer, split=named.get(transfer.task, transfer.split))
            for transfer in task.transfers
            if not only or transfer.task in only
        ]

    def _measure(self, transfer: Transfer, examples: Examples, subject: Subject) -> Measurement:
        data, target = subject.data, TASKS[transfer.task]
        classes = class_map(data.task, target, transfer.labels)
        began = time.perf_counter()
        known = examples.fingerprint == data.dev.fingerprint
        own = subject.clean if known else subject.predictor.encoded(subject.encode(examples))
        split = transfer.split or target.dev
        note = f"{target.name} is in domain" if transfer.in_domain else ""
        logits = relabel(own, classes, self.settings.merge)
        measured = subject.measure(self.name, target.name, split, examples, logits, target, note)
        source = {"set": target.name, "split": split, "rows": len(examples), "fingerprint": examples.fingerprint}
        return dataclasses.replace(
            measured,
            seconds=time.perf_counter() - began,
            frame=pd.DataFrame([{**source, "origin": examples.source.get("origin", "")}]),
        )


def _averaged(task: Task) -> list[str]:
    """The sets that the average is over."""
    return [transfer.task for transfer in task.transfers if not transfer.in_domain and not transfer.labels]


def _average(suite: str, metrics: dict[str, float], items: list[Measurement], note: str) -> Measurement:
    return Measurement(suite, AVERAGE, "", metrics, sum(item.n for item in items), 0.0, note)


class AdvGlue(Suite[NoSettings]):
    """Each AdvGLUE set that was found; nothing for a task without one.

    "average" has the one metric `score`: the mean over the task's sets of the mean over each set's metrics. This is
    how MATCH-Tuning's Table 2 counts a task once: MNLI as the mean of matched and mismatched, QQP as the mean of
    accuracy and F1 (vanilla: (47.57 + (34.99 + 30.00) / 2 + 41.73 + 46.40 + (38.45 + 27.59) / 2) / 5 = 40.24). It
    is given where there is more than one number and no set is missing.
    """

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        for name in data.adversarial:
            if TASKS[name].labels != data.task.labels:
                raise UserError(f"suites: {name!r} has other labels than {data.task.name!r}")
        return []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return ", ".join(f"{name} {len(rows)}" for name, rows in data.adversarial.items()) or "no rows"

    def run(self, subject: Subject) -> Iterator[Measurement]:
        measured = []
        for name, examples in subject.data.adversarial.items():
            logits = subject.predictor.encoded(subject.encode(examples))
            measured.append(subject.measure(self.name, name, TASKS[name].dev, examples, logits, TASKS[name]))
            yield measured[-1]
        numbers = sum(len(item.metrics) for item in measured)
        if numbers > 1 and len(measured) == len(subject.data.task.adversarial):
            score = float(np.mean([np.mean(list(item.metrics.values())) for item in measured]))
            what = f"the {len(measured)} sets" if len(measured) > 1 else " and ".join(measured[0].metrics)
            yield _average(self.name, {"score": score}, measured, f"mean of {what}")
