"""Accuracy on parts of the dev split: on each class, and on each atypical group. Both read the clean predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, NoSettings, Subject, Suite
from robusteval.results.metrics import accuracy, predictions
from robusteval.results.rows import Note
from robusteval.scenarios.groups import WORDS, check_pairs, negation_groups, parse_words
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.load import TaskData

# A plan names the size of each part up to this number of them.
MANY = 20


def parts(subject: Subject, suite: str, members: Any, names: tuple[str, ...]) -> list[Measurement]:
    """The accuracy on each part of dev that has rows; members: the part of each row [n]."""
    gold, found = subject.data.dev.labels, predictions(subject.clean, regression=False)
    measured = []
    for index, name in enumerate(names):
        rows = members == index
        if rows.any():
            score = {"accuracy": accuracy(gold[rows], found[rows])}
            measured.append(Measurement(suite, name, subject.data.task.dev, score, int(rows.sum()), 0.0))
    return measured


def sizes(members: Any, names: tuple[str, ...]) -> str:
    """The rows of each part in words, or of the smallest and the largest of many; members: as in `parts`."""
    counts = np.bincount(np.asarray(members, np.int64), minlength=len(names))
    if len(names) > MANY:
        return f"{len(names)} parts of {counts.min()} to {counts.max()} rows"
    return ", ".join(f"{name} {count}" for name, count in zip(names, counts.tolist(), strict=True))


class Classes(Suite[NoSettings]):
    """One measurement per class that occurs in dev: the accuracy on its rows, which is the recall of the class."""

    reads = ()

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        if data.task.regression:
            raise UserError(f"suites: {self.name!r} needs classes, and {data.task.name!r} has scores")
        return []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return sizes(data.dev.labels, data.task.labels)

    def run(self, subject: Subject) -> Iterator[Measurement]:
        yield from parts(subject, self.name, subject.data.dev.labels, subject.data.task.labels)


@dataclass(frozen=True)
class GroupsSettings:
    """words: the negations, with | between them."""

    words: str = WORDS

    def __post_init__(self) -> None:
        parse_words(self.words, "suites: groups:words")


class Groups(Suite[GroupsSettings]):
    """The accuracy on each group of class x negation, over all rows ("average") and on the "worst" group."""

    reads = ()
    Settings = GroupsSettings

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        check_pairs("suites", self.name, data.task)
        members, names = self._members(data)
        empty = [name for index, name in enumerate(names) if index not in members]
        return [f"{self.name}: no dev row is in the group {', '.join(empty)}"] if empty else []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return sizes(*self._members(data))

    def run(self, subject: Subject) -> Iterator[Measurement]:
        members, names = self._members(subject.data)
        groups = parts(subject, self.name, members, names)
        yield from groups
        (average,) = parts(subject, self.name, np.zeros_like(members), ("average",))
        yield dataclasses.replace(average, summary=True)
        worst = min(groups, key=lambda group: group.metrics["accuracy"])
        note = Note(f"the worst group is {worst.value}")
        yield dataclasses.replace(worst, value="worst", notes=(note,), summary=True)

    def _members(self, data: TaskData) -> Any:
        return negation_groups(data.dev, data.task, parse_words(self.settings.words, "suites: groups:words"))
