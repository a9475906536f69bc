"""The rows that finished models were tested on, found again: their texts, and what each was made from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from robusteval.errors import UserError
from robusteval.perturbations import PERTURBATIONS
from robusteval.results.outcomes import Known, Probe, Side
from robusteval.results.reading import Run
from robusteval.settings.data import DataConfig
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.examples import row_ids
from robusteval.tasks.load import TaskData, load_evaluation, load_task, load_transfer, split_table
from robusteval.tasks.sources import RowsMissing, from_file
from robusteval.tasks.user_tests import read_tests

OTHER_ROWS = ("ood", "advglue", "test")
# suites that read the whole dev split
_ON_DEV = ("clean", *PERTURBATIONS.names())
# so many ways to load the rows of a task are tried
MOST = 2


@dataclass
class Rows:
    """Answers what is known of the rows that the two sides were tested on; nothing where they are not at hand.

    sources: task -> what may load its rows; the first that does is taken. column: of the cluster, of the task's rows
    and of tests of the user's own.
    notes: why rows are not at hand.
    """

    sources: Mapping[str, Sequence[Callable[[], TaskData]]]
    column: str = ""
    notes: list[str] = field(default_factory=list)
    _held: dict[str, tuple[TaskData | None, dict[str, dict[str, str]]]] = field(default_factory=dict)

    def __call__(self, probe: Probe) -> Known:
        data, originals = self._of(probe.task)
        if data is None:
            return Known()
        found, labels = _rows_of(data, probe)
        original = originals.get(probe.value if probe.suite == "test" else "", {})
        if probe.suite in ("ood", "advglue"):
            original = {}
        texts = {} if found is None else dict(zip(found.ids, zip(*found.texts, strict=True), strict=True))
        return Known(texts, labels, original)

    def _of(self, task: str) -> tuple[TaskData | None, dict[str, dict[str, str]]]:
        if task not in self._held:
            data, why = None, ""
            for load in self.sources.get(task, ())[:MOST]:
                try:
                    data = load()
                    break
                except UserError as error:
                    why = why or str(error)
            self.notes += [f"no texts of {task}: {why}"] if data is None and why else []
            if self.column and data is None:
                raise UserError(f"cluster: the rows of {task!r} are not at hand; say where they are, as for evaluate")
            self._held[task] = data, _originals(data, self.column) if data is not None and self.column else {}
        return self._held[task]


def _rows_of(data: TaskData, probe: Probe) -> tuple[Examples | None, tuple[str, ...]]:
    """The rows that a test predicts, and the names of its classes."""
    suite, value, task = probe.suite, probe.value, data.task
    if suite == "test" and value in data.tests:
        return data.tests[value].examples, data.tests[value].task.labels
    if suite == "advglue" and value in data.adversarial:
        return data.adversarial[value], task.labels
    if suite == "ood":
        for transfer in task.transfers if value else ():
            if transfer.task == value:
                with suppress(RowsMissing):
                    return load_transfer(transfer, data), ()
        return (data.ood, task.labels) if not value else (None, ())
    return (data.dev, task.labels) if suite not in OTHER_ROWS else (None, ())


def _originals(data: TaskData, column: str) -> dict[str, dict[str, str]]:
    """Row -> what it was made from, for the task's rows ("") and each test of the user's own that has the column.

    UserError where none has it.
    """
    config, found, seen = data.config, dict[str, dict[str, str]](), list[str]()
    tables = {"": _table(data.task, config)}
    tables |= {
        test.name: from_file(test.file, f"test {test.name}", test.config.dialect)[0] for test in read_tests(config)
    }
    for name, table in tables.items():
        frame = table.frame.reset_index(drop=True)
        seen += [str(each) for each in frame.columns if str(each) not in seen]
        if column in frame:
            found[name] = dict(zip(row_ids(frame), map(str, frame[column]), strict=True))
    if not found:
        raise UserError(f"cluster: there is no column {column!r}; the rows have {', '.join(seen[:20])}")
    return found


def _table(task: Task, config: DataConfig) -> Any:
    if config.dev_file is not None:
        return from_file(config.dev_file, "dev_file", config.dialect)[0]
    return split_table(task, task.dev, config)[0]


def sources(sides: Sequence[Side], given: Mapping[str, Any]) -> dict[str, list[Callable[[], TaskData]]]:
    """What may load the rows of each task that the sides were tested on; an evaluation's only where settings are given.

    given: settings of `DataConfig` that say where the rows are; the others are as a run's spec says.
    """
    found: dict[str, list[Callable[[], TaskData]]] = {}
    for side in sides:
        for run, record in zip(side.runs, side.records, strict=True):
            task, load = str(run.whose["task"]), None
            if run.spec is not None:
                load = functools.partial(load_task, run.spec.task, replace(run.spec.data, **given))
            elif given:
                limit = {"eval_limit": max((row.n for row in run.records if row.suite in _ON_DEV), default=None)}
                config = DataConfig(**{**limit, **given})
                load = functools.partial(load_evaluation, task, config, tuple(record["labels"]))
            if load is not None:
                found.setdefault(task, []).append(functools.partial(_same, load, _fingerprint(run, record)))
    return found


def _fingerprint(run: Run, record: Mapping[str, Any]) -> list[str]:
    """Of each set that a model was tested on, dev first (`TaskData.fingerprint`)."""
    held = record["data"]["fingerprint"] if run.spec is None else run.folder.read_record("config.json")["facts"]["data"]
    return str(held).split("-")[1:]


def _same(load: Callable[[], TaskData], tested: Sequence[str]) -> TaskData:
    """The rows, unless they are not among those that were tested on."""
    data = load()
    if not set(data.fingerprint.split("-")[1:]) <= set(tested):
        raise UserError(f"the rows of {data.task.name!r} are not those that were tested on")
    return data


def notes_on(sides: Sequence[Side]) -> list[str]:
    """What to say of two models that are one, were tested on other rows, or may have read other perturbed text."""
    if any(side.method for side in sides):
        return []
    notes, runs = [], [(side.runs[0], side.records[0]) for side in sides]
    weights = [str(record.get("checkpoint", {}).get("sha256", "")) for _, record in runs]
    if weights[0] and weights[0] == weights[1]:
        notes.append("A and B are the same checkpoint under two names")
    dev = [_fingerprint(run, record)[:1] for run, record in runs]
    if dev[0] != dev[1]:
        notes.append("A and B were not tested on the same rows: those of one id and gold label are taken for the same")
    tokens = [str(record.get("tokenizer", "")) for _, record in runs]
    models = [run.spec.model if run.spec is not None else "" for run, _ in runs]
    perturbed = any(probe.suite in PERTURBATIONS for probe in sides[0].outcomes.keys() & sides[1].outcomes.keys())
    alike = (all(tokens) and tokens[0] == tokens[1]) or (all(models) and models[0] == models[1])
    if perturbed and not alike:
        cut = "A and B cut text into other tokens" if all(tokens) else "A and B may cut text into other tokens"
        notes.append(
            f"{cut}: perturbed rows are drawn alike by seed, rate and row, but what is changed in each may differ"
        )
    return notes
