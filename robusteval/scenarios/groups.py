"""Atypical groups: class x negation in the second text (Sagawa et al., ICLR 2020; MATCH-TUNING, Table 6)."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError
from robusteval.scenarios.base import Prepared, Scenario
from robusteval.tasks.base import Examples, Task

WORDS = "nobody|no|never|nothing"
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def negation_groups(
    examples: Examples, task: Task, words: Sequence[str]
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """The group of each row [n], and the names of the 2 K groups: 2 * class + (second text has one of the words).

    As in the released code, punctuation is deleted before the text is lower-cased and cut at white space: "No." has
    the word "no", "no-one" and "cannot" do not.
    """
    wanted = set(words)
    negated = [not wanted.isdisjoint(text.translate(_NO_PUNCTUATION).lower().split()) for text in examples.texts[1]]
    names = tuple(f"{label}/{kind}" for label in task.labels for kind in ("no negation", "negation"))
    return 2 * examples.labels.astype(np.int64) + np.asarray(negated, np.int64), names


def parse_words(text: str, field: str) -> tuple[str, ...]:
    """The words in "nobody|no", in lower case; UserError for one that no text could hold."""
    words = tuple(word.strip().lower() for word in text.split("|"))
    for word in words:
        if word.translate(_NO_PUNCTUATION).split() != [word]:
            raise UserError(
                f"{field}: {word!r} in {text!r} is not one word; valid: words with | between them, as {WORDS!r}"
            )
    return words


def check_pairs(field: str, name: str, task: Task) -> None:
    """Raise UserError unless the task classifies pairs of texts; field, name: what asked for groups."""
    if task.regression or len(task.text_columns) != 2:
        raise UserError(
            f"{field}: {name!r} looks for negation in the second text of a pair, and {task.name!r} "
            f"{'has scores' if task.regression else 'has one text'}; valid: a task that classifies pairs"
        )


@dataclass(frozen=True)
class GroupsSettings:
    """words: the negations, with | between them. balance: draw every group equally often (released code)."""

    words: str = WORDS
    balance: bool = False

    def __post_init__(self) -> None:
        parse_words(self.words, "groups:words")


class Groups(Scenario[GroupsSettings]):
    """Names each row's group, for the method `groupdro`; no row is changed.

    With `balance` an epoch is n draws with replacement, a row's weight being 1 / size of its group.
    """

    Settings = GroupsSettings

    @property
    def suites(self) -> tuple[str, ...]:
        words = self.settings.words
        return ("groups" if words == WORDS else f"groups:words={words}",)

    def prepare(self, given: Prepared, task: Task, seed: int) -> Prepared:
        check_pairs("scenario", self.name, task)
        groups, names = negation_groups(given.examples, task, parse_words(self.settings.words, "groups:words"))
        sizes = np.bincount(groups, minlength=len(names))
        weights = 1 / sizes[groups] if self.settings.balance else None
        counts = {name: int(size) for name, size in zip(names, sizes, strict=True)}
        return Prepared(given.examples, counts, groups, names, weights)
