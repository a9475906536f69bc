"""Minority class: one class keeps a share of its rows (MATCH-TUNING, Table 5; Bi-Drop, Table 5, right)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from robusteval.errors import UserError
from robusteval.scenarios.base import Prepared, Scenario, check_classes_left, check_classification, class_index
from robusteval.settings.checks import check_range
from robusteval.tasks.base import Task


@dataclass(frozen=True)
class MinoritySettings:
    """Exactly one of `keep` and `reduce` is given.

    label: the class, by name or by index; by default the one with the integer label 1, as in both papers: the class
        named "1" where there is one, else the class of index 1.
    keep: share of its rows that stays (MATCH-TUNING: "reduce to" 0.3, 0.4, 0.5).
    reduce: share of its rows that goes (Bi-Drop: "reduce by" 0.7, 0.6, 0.5, the same data).
    """

    label: Any = ""
    keep: float | None = None
    reduce: float | None = None

    def __post_init__(self) -> None:
        if (self.keep is None) == (self.reduce is None):
            what = "not given" if self.keep is None else f"{self.keep:g} is given beside reduce"
            raise UserError(f"minority:keep: {what}; valid: either keep=0.3 or reduce=0.7, which mean the same")
        if self.keep is not None:
            check_range("minority:keep", self.keep, 0, 1)
        if self.reduce is not None:
            check_range("minority:reduce", self.reduce, 0, 1)

    @property
    def share(self) -> float:
        """The share that stays; reduce=0.7 is keep=0.3 to the last bit."""
        return self.keep if self.keep is not None else round(1 - (self.reduce or 0.0), 12)


class Minority(Scenario[MinoritySettings]):
    """Exactly round(keep * n) of the n rows of one class stay; those of a smaller share are among those of a larger."""

    Settings = MinoritySettings

    @property
    def value(self) -> float:
        """The share that stays, however it was given."""
        return self.settings.share

    @property
    def suites(self) -> tuple[str, ...]:
        return ("classes",)

    def prepare(self, given: Prepared, task: Task, seed: int) -> Prepared:
        check_classification(self.name, task)
        wanted, share = self.settings.label, self.settings.share
        index = class_index(1 if wanted == "" else wanted, task, "minority:label")
        labels = given.examples.labels
        rows = np.flatnonzero(labels == index)
        if not len(rows):
            raise UserError(f"minority:label: {task.labels[index]!r} has no training rows; valid: a class that occurs")
        count = round(share * len(rows))
        removed = self.generator(seed).permutation(rows)[count:]
        left = np.delete(np.arange(len(labels)), removed)
        check_classes_left(f"minority:keep: {share:g}", labels, labels[left], task, "a larger share")
        counts = {"removed": len(removed), f"kept {task.labels[index]}": count}
        return Prepared(given.examples.take(left), counts)
