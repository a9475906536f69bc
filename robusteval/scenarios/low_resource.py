"""Few training rows (Bi-Drop, Table 6; TDT, Table 4), and the curve over their number (PATS, Figure 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError
from robusteval.scenarios.base import Prepared, Scenario, check_classes_left, count_classes
from robusteval.settings.checks import check_range
from robusteval.tasks.base import Task


def stratified(order: npt.NDArray[np.int64], labels: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """The rows of `order` [n], rearranged so that every beginning of it has the class shares of the whole.

    One row of each class comes first. Then row j of a class of m rows has its turn at (j + 1/2) / m, which is
    Sainte-Laguë's rule: unlike largest remainders, its seats are never taken back as their number grows.
    """
    turn = np.empty(len(order))
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        turn[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
        turn[rows[0]] = 0
    return order[np.argsort(turn[order], kind="stable")]


@dataclass(frozen=True)
class LowResourceSettings:
    """examples: number of rows; stratify: keep the class shares, with at least one row of each class."""

    examples: int = 1000
    stratify: bool = False

    def __post_init__(self) -> None:
        check_range("low-resource:examples", self.examples, 1, float("inf"))


class LowResource(Scenario[LowResourceSettings]):
    """`examples` rows drawn by seed, in their original order; a smaller number is among a larger one of that seed."""

    Settings = LowResourceSettings

    @property
    def value(self) -> float:
        return float(self.settings.examples)

    def prepare(self, given: Prepared, task: Task, seed: int) -> Prepared:
        count, labels = self.settings.examples, given.examples.labels
        if count > len(labels):
            raise UserError(f"low-resource:examples: {count} of {len(labels)} training rows; valid: 1 to {len(labels)}")
        order = self.generator(seed).permutation(len(labels))
        if self.settings.stratify:
            if task.regression:
                raise UserError(
                    f"low-resource:stratify: True keeps class shares, and {task.name!r} has scores; valid: False"
                )
            order = stratified(order, labels)
        rows = np.sort(order[:count])
        if task.regression:
            return Prepared(given.examples.take(rows), {"drawn": count})
        advice = "more examples" if self.settings.stratify else "more examples, or stratify=true"
        check_classes_left(f"low-resource:examples: {count}", labels, labels[rows], task, advice)
        return Prepared(given.examples.take(rows), count_classes("drawn", labels[rows], task))
