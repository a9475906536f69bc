"""Other text than the training text: out-of-domain sets, transfers to other tasks' rows, and AdvGLUE."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.errors import UserError, unknown_name
from robusteval.evaluation.base import Measurement, NoSettings, Subject, Suite
from robusteval.results.rows import Note
from robusteval.settings.checks import check_choice
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks import TASKS
from robusteval.tasks.base import Examples, Task, Transfer
from robusteval.tasks.load import TaskData, check_untrained, left_out, load_transfer, overlap
from robusteval.tasks.sources import RowsMissing

AVERAGE = "average"
NOT_LOADED = "its rows are not loaded beside a data set given in memory"
# the tasks that MATCH-Tuning's Table 2 averages over, in the order of its columns
ADVGLUE_TASKS = ("sst2", "mnli", "rte", "qnli", "qqp")


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

    "average" is the mean accuracy over the chosen out-of-domain sets that have the task's own classes (Bi-Drop,
    Table 4: the in-domain set is left out, and QQP is no column of it); it is given where there are several and none
    is missing. The `frame` of a transfer says which rows it had: set, split, rows, fingerprint and origin.
    """

    reads = ()
    Settings = OutOfDomainSettings
    aspect = "robustness"

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        task, notices = data.task, list[str]()
        found, gone = dict[str, Examples](), dict[str, str]()
        if data.ood is not None and task.out_of_domain is not None:
            check_untrained(self.name, task, task.out_of_domain, data, "train on another")
            found[task.out_of_domain] = data.ood
        for transfer in self._chosen(task):
            target, option = TASKS[transfer.task], f"ood:splits={transfer.task}="
            class_map(task, target, transfer.labels)
            check_untrained(
                self.name, target, transfer.split or target.dev, data, f"test on another with {option}SPLIT"
            )
            try:
                found[target.name] = load_transfer(transfer, data, option)
                notices += left_out(target, found[target.name])
            except RowsMissing as error:
                if target.name in self.settings.named:
                    raise
                gone[target.name] = str(error)
                notices.append(f"no {self.name} {target.name}: {error}")
        if not found:
            if not gone and task.out_of_domain is not None:
                gone[task.out_of_domain] = NOT_LOADED
            raise _nothing(self.name, task, gone, "it declares neither an out-of-domain split nor transfers")
        # those of the dev split are counted already
        other = {
            f"{self.name} {name}": rows for name, rows in found.items() if rows.fingerprint != data.dev.fingerprint
        }
        notices += overlap(data.train, other)
        averaged = self._averaged(task)
        lacking = [name for name in averaged if name in gone]
        if lacking and len(averaged) > 1:
            notices.append(f"no {self.name} average: it is over {', '.join(averaged)}, without {', '.join(lacking)}")
        return notices

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        counts = [] if data.ood is None else [f"{data.task.out_of_domain} {len(data.ood)}"]
        return ", ".join([*counts, *(f"{transfer.task} {len(rows)}" for transfer, rows in self._found(data))])

    def facts(self, data: TaskData) -> dict[str, str]:
        own = {} if data.ood is None else {f"{self.name} {data.task.out_of_domain}": data.ood.fingerprint}
        return own | {f"{self.name} {transfer.task}": rows.fingerprint for transfer, rows in self._found(data)}

    def run(self, subject: Subject) -> Iterator[Measurement]:
        data = subject.data
        if data.ood is not None and data.task.out_of_domain is not None:
            logits = subject.predict(data.ood, f"{self.name} {data.task.out_of_domain}")
            yield subject.measure(self.name, "", data.task.out_of_domain, data.ood, logits)
        measured = {}
        for transfer, examples in self._found(data):
            measured[transfer.task] = self._measure(transfer, examples, subject)
            yield measured[transfer.task]
        averaged = self._averaged(data.task)
        if len(averaged) > 1 and set(averaged) <= set(measured):
            items = [measured[name] for name in averaged]
            accuracy = float(np.mean([item.metrics["accuracy"] for item in items]))
            note = f"mean of the out-of-domain sets with the task's own classes ({', '.join(averaged)})"
            yield _average(self.name, {"accuracy": accuracy}, items, note)

    def _found(self, data: TaskData) -> list[tuple[Transfer, Examples]]:
        """The chosen transfers whose rows are there; `check` has told of the others."""
        found = []
        for transfer in self._chosen(data.task):
            with suppress(RowsMissing):
                found.append((transfer, load_transfer(transfer, data)))
        return found

    def _averaged(self, task: Task) -> list[str]:
        """The sets that the average is over."""
        return [each.task for each in self._chosen(task) if not each.in_domain and not each.labels]

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
        own = subject.clean if known else subject.predict(examples, f"{self.name} {target.name}")
        split = transfer.split or target.dev
        logits = relabel(own, classes, self.settings.merge)
        measured = subject.measure(self.name, target.name, split, examples, logits, target)
        source = {"set": target.name, "split": split, "rows": len(examples), "fingerprint": examples.fingerprint}
        return dataclasses.replace(
            measured,
            seconds=time.perf_counter() - began,
            in_domain=transfer.in_domain,
            aspect="quality" if transfer.in_domain else None,
            frame=pd.DataFrame([{**source, "origin": examples.source.get("origin", "")}]),
        )


def _average(suite: str, metrics: dict[str, float], items: list[Measurement], note: str) -> Measurement:
    n = sum(item.n for item in items)
    return Measurement(suite, AVERAGE, "", metrics, n, 0.0, (Note(note, "test"),), summary=True)


def _nothing(suite: str, task: Task, gone: Mapping[str, str], undeclared: str) -> RowsMissing:
    """That a suite has no rows at all; gone: set -> why it is not there, undeclared: why there is no such set."""
    why = "; ".join(f"no {name}: {reason}" for name, reason in gone.items()) or undeclared
    return RowsMissing(f"suites: {suite!r} has nothing to test {task.name!r} on: {why}")


def task_score(metrics: Sequence[Mapping[str, float]]) -> float:
    """What a task counts in MATCH-Tuning's Table 2: the mean over its sets of the mean over each set's metrics.

    >>> task_score([{"accuracy": 0.375}, {"accuracy": 0.25}])
    0.3125
    """
    return float(np.mean([np.mean(list(each.values())) for each in metrics]))


def advglue_average(numbers: Mapping[str, Mapping[str, float]]) -> float:
    """MATCH-Tuning's average over five tasks, each of which counts once (Table 2).

    numbers: AdvGLUE set -> its metrics, from models of all five tasks. MNLI counts as the mean of matched and
    mismatched, QQP as the mean of accuracy and F1 (vanilla: (47.57 + (34.99 + 30.00) / 2 + 41.73 + 46.40 +
    (38.45 + 27.59) / 2) / 5 = 40.24). Other sets and metrics are passed over.
    Raises UserError that names what is missing.
    """
    sets = {task: {name: TASKS[name].metrics for name in TASKS[task].adversarial} for task in ADVGLUE_TASKS}
    missing = [
        f"{name} {metric}"
        for wanted in sets.values()
        for name, metrics in wanted.items()
        for metric in metrics
        if metric not in numbers.get(name, {})
    ]
    if missing:
        raise UserError(f"advglue: the average over {', '.join(sets)} lacks {', '.join(missing)}")
    scores = [
        task_score([{metric: numbers[name][metric] for metric in metrics} for name, metrics in wanted.items()])
        for wanted in sets.values()
    ]
    return float(np.mean(scores))


class AdvGlue(Suite[NoSettings]):
    """Each AdvGLUE set of the task that was found.

    "average" has the one metric `score`, see `task_score`: MNLI is the mean of matched and mismatched, QQP the mean
    of accuracy and F1. It is given where there is more than one number and no set is missing.
    """

    reads = ()
    aspect = "robustness"

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        if not data.adversarial:
            gone = {name: data.missing.get(name, NOT_LOADED) for name in data.task.adversarial}
            raise _nothing(self.name, data.task, gone, "no AdvGLUE set is made from it")
        for name in data.adversarial:
            if TASKS[name].labels != data.task.labels:
                raise UserError(f"suites: {name!r} has other labels than {data.task.name!r}")
        notices = [f"no {self.name} {name}: {reason}" for name, reason in data.missing.items()]
        sets = {f"{self.name} {name}": rows for name, rows in data.adversarial.items()}
        return [*notices, *overlap(data.train, sets)]

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return ", ".join(f"{name} {len(rows)}" for name, rows in data.adversarial.items())

    def facts(self, data: TaskData) -> dict[str, str]:
        return {f"{self.name} {name}": rows.fingerprint for name, rows in data.adversarial.items()}

    def run(self, subject: Subject) -> Iterator[Measurement]:
        measured = []
        for name, examples in subject.data.adversarial.items():
            logits = subject.predict(examples, f"{self.name} {name}")
            measured.append(subject.measure(self.name, name, TASKS[name].dev, examples, logits, TASKS[name]))
            yield measured[-1]
        numbers = sum(len(item.metrics) for item in measured)
        if numbers > 1 and len(measured) == len(subject.data.task.adversarial):
            score = task_score([item.metrics for item in measured])
            what = f"the {len(measured)} sets" if len(measured) > 1 else " and ".join(measured[0].metrics)
            yield _average(self.name, {"score": score}, measured, f"mean of {what}")
