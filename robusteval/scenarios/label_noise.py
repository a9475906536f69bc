"""Label noise: a share of the training rows gets a wrong class (MATCH-TUNING, Table 3; Bi-Drop, Table 5, left)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError
from robusteval.scenarios.base import (
    Prepared,
    Scenario,
    check_classes_left,
    check_classification,
    class_index,
    count_classes,
)
from robusteval.settings.checks import check_range
from robusteval.settings.grammar import cut, name
from robusteval.tasks.base import Task, fingerprint

IntArray = npt.NDArray[np.int64]


def flip(
    labels: IntArray, count: int, odds: npt.NDArray[np.float64], generator: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Labels of which `count` are wrong [n], and the rows that were flipped [count].

    odds: weight of each wrong class (column) given the true one (row), 0 on the diagonal [K, K]; a class whose
    row is all zero keeps its labels, and the others have at least `count` rows. Every row has the same chance.
    The same generator flips the rows of a smaller count among those of a larger one, to the same classes.
    """
    order = generator.permutation(len(labels))
    chance = generator.random(len(labels))
    rows = order[(odds.sum(axis=1) > 0)[labels[order]]][:count]
    cumulative = odds.cumsum(axis=1)[labels[rows]]
    wrong = labels.copy()
    # the first class whose cumulative share exceeds the drawn number
    wrong[rows] = (cumulative / cumulative[:, -1:] <= chance[rows, None]).sum(axis=1)
    return wrong, rows


def confusion_odds(text: str, task: Task) -> npt.NDArray[np.float64]:
    """The matrix [K, K] that "true>wrong=weight|..." describes; UserError for anything else or an unknown class."""
    field = "label-noise:confusion"
    odds = np.zeros((task.num_labels, task.num_labels))
    for entry in cut(text, "|"):
        pair, _, weight = entry.rpartition("=")
        names = cut(pair, ">")
        if len(names) != 2:
            raise UserError(f"{field}: {entry!r} cannot be read; valid: true>wrong=weight, with | between entries")
        true, wrong = (class_index(name(each), task, field) for each in names)
        if true == wrong:
            raise UserError(f"{field}: {entry!r} leaves the class as it is; valid: two different classes")
        if odds[true, wrong]:
            raise UserError(f"{field}: {pair!r} is given twice; valid: one weight for each pair of classes")
        odds[true, wrong] = _weight(weight, entry, field)
    return odds


def _weight(text: str, entry: str, field: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise UserError(f"{field}: the weight in {entry!r} is {text!r}; valid: a number > 0")
    return weight


@dataclass(frozen=True)
class LabelNoiseSettings:
    """What to flip, and to what.

    rate: share of all training rows that get a wrong class; the papers take 0.05, 0.1 and 0.15.
    confusion: "true>wrong=weight|..." with class names, quoted where they hold a sign, and relative weights; only the
    true classes named here are
    flipped. Without it the wrong class is any of the others, all alike.
    """

    rate: float = 0.1
    confusion: str = ""

    def __post_init__(self) -> None:
        check_range("label-noise:rate", self.rate, 0, 1)


class LabelNoise(Scenario[LabelNoiseSettings]):
    """Exactly round(rate * n) rows get a wrong class; rows of a smaller rate are among those of a larger one."""

    Settings = LabelNoiseSettings

    @property
    def value(self) -> float:
        return self.settings.rate

    def prepare(self, given: Prepared, task: Task, seed: int) -> Prepared:
        check_classification(self.name, task)
        examples, rate, confusion = given.examples, self.settings.rate, self.settings.confusion
        labels = examples.labels.astype(np.int64)
        odds = confusion_odds(confusion, task) if confusion else 1 - np.eye(task.num_labels)
        count, able = round(rate * len(labels)), int((odds.sum(axis=1) > 0)[labels].sum())
        if count > able:
            raise UserError(
                f"label-noise:rate: {rate:g} asks for {count} wrong classes, and 'confusion' flips classes of "
                f"{able} training rows only; valid: at most {able / len(labels):g}"
            )
        wrong, rows = flip(labels, count, odds, self.generator(seed))
        check_classes_left(f"label-noise:rate: {rate:g}", labels, wrong, task, "a smaller rate")
        noisy = dataclasses.replace(examples, labels=wrong, fingerprint=fingerprint(examples.texts, wrong))
        return Prepared(noisy, count_classes("flipped", labels[rows], task))
