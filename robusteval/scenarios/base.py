"""What a scenario is: something done to the training set, by seed, before any model sees it."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError, unknown_name
from robusteval.registry import is_file
from robusteval.runtime.seeds import numpy_generator
from robusteval.scenarios import SCENARIOS
from robusteval.settings.checks import check_distinct
from robusteval.settings.codec import settings as make_settings
from robusteval.settings.grammar import QUOTING, missing_name
from robusteval.settings.runs import ScenarioConfig
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.labels import label_name

S = TypeVar("S")


@dataclass(frozen=True)
class Prepared:
    """A training set after its scenario.

    counts: exactly what was done, in rows ("flipped": 183). groups: the group of each row [n], with their names.
    weights: how often each row is drawn relative to the others [n]; None trains on every row once an epoch.
    """

    examples: Examples
    counts: dict[str, int] = field(default_factory=dict)
    groups: npt.NDArray[np.int64] | None = None
    group_names: tuple[str, ...] = ()
    weights: npt.NDArray[np.float64] | None = None


class Scenario(ABC, Generic[S]):
    """One way to make training harder. `Settings` is a frozen dataclass of what a user may set."""

    Settings: ClassVar[type[Any]]

    def __init__(self, name: str, settings: S) -> None:
        self.name, self.settings = name, settings

    @property
    def value(self) -> float | None:
        """The strength that a curve is drawn over; None where there is none."""
        return None

    @property
    def suites(self) -> tuple[str, ...]:
        """Suites, as a user would write them, for what this scenario is about; its whole experiment measures them."""
        return ()

    def generator(self, seed: int) -> np.random.Generator:
        """The only source of chance of this scenario in the run `seed`."""
        return numpy_generator(seed, "scenario", self.name)

    @abstractmethod
    def prepare(self, given: Prepared, task: Task, seed: int) -> Prepared:
        """The training set of one run; `given` may already have passed through another scenario.

        Draws from `self.generator(seed)` alone. Raises UserError where it cannot be done.
        """


def build_scenarios(config: ScenarioConfig) -> list[Scenario[Any]]:
    """The scenarios of one plan entry, in order; UserError for an unknown name or setting, or a name given twice."""
    # a second label-noise would draw the same rows again and could turn a wrong class back into the right one
    check_distinct("scenario", [name for name, _ in config.parts])
    built = []
    for name, values in config.parts:
        try:
            entry = SCENARIOS.entry(name)
        except UserError as error:
            raise error if is_file(name) else UserError(f"{error} ({QUOTING})") from None
        kind = entry.load()
        built.append(kind(entry.name, make_settings(kind.Settings, values, entry.name)))
    return built


def prepare(scenarios: Sequence[Scenario[Any]], examples: Examples, task: Task, seed: int) -> Prepared:
    """Apply scenarios in turn; counts of all of them are kept.

    Raises UserError for a scenario after one that makes groups or weights: those describe the rows that are trained on.
    """
    prepared = Prepared(examples)
    for scenario in scenarios:
        if prepared.groups is not None or prepared.weights is not None:
            raise UserError(
                f"scenario: {scenario.name!r} would change rows that are already grouped; valid: groups last"
            )
        after = scenario.prepare(prepared, task, seed)
        prepared = dataclasses.replace(after, counts={**prepared.counts, **after.counts})
    return prepared


def check_classification(name: str, task: Task) -> None:
    """Raise UserError where the task has scores instead of classes; name: the scenario."""
    if task.regression:
        raise UserError(
            f"scenario: {name!r} works on classes, and {task.name!r} has scores; valid: a classification task"
        )


def class_index(value: object, task: Task, field: str) -> int:
    """The class that `value` names, or whose index it is; a name wins over an index. UserError for neither."""
    if value is None:
        raise UserError(f"{field}: null names no class; a class of that name stands in double quotes")
    text = label_name(value)
    if text in task.labels:
        return task.labels.index(text)
    if text.isdecimal() and int(text) < task.num_labels:
        return int(text)
    cut_off = missing_name(text, task.labels)
    raise UserError(f"{field}: {text!r} is no class; {cut_off}") if cut_off else unknown_name(field, value, task.labels)


def count_classes(what: str, labels: npt.NDArray[np.generic], task: Task) -> dict[str, int]:
    """Rows in all and of each class of the task, as counts are reported: "drawn", "drawn entailment"."""
    sizes = np.bincount(labels.astype(np.int64), minlength=task.num_labels)
    return {what: len(labels)} | {f"{what} {name}": int(size) for name, size in zip(task.labels, sizes, strict=True)}


def check_classes_left(
    given: str, before: npt.NDArray[np.generic], after: npt.NDArray[np.generic], task: Task, valid: str
) -> None:
    """Raise UserError where a class had training rows and has none any more; given: the setting and its value."""
    gone = np.setdiff1d(before, after)
    if len(gone):
        name = task.labels[int(gone[0])]
        raise UserError(f"{given} would leave no training row of the class {name!r}; valid: {valid}")
