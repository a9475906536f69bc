"""Recipes of others: an object in a file of the user's own, or what an installed package offers.

Such an object has `build(model_wrapper)`, as TextAttack's recipes have, or is a function of the wrapper; either
returns a `textattack.Attack`. It may list what it needs: `needs = ("wordnet", "pos tagger")`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from robusteval.attacks.resources.declared import RESOURCES
from robusteval.attacks.resources.offline import load_textattack
from robusteval.errors import unknown_name
from robusteval.registry import CustomEntry


@dataclass(frozen=True)
class CustomRecipe:
    """What was found under an entry. needs: names of `declared.RESOURCES`."""

    entry: CustomEntry
    found: Any
    needs: tuple[str, ...]

    def build(self, model_wrapper: Any) -> Any:
        """The `textattack.Attack`; UserError where something else comes back, or an attack on no classifier."""
        from textattack import Attack
        from textattack.goal_functions import ClassificationGoalFunction

        attack = getattr(self.found, "build", self.found)(model_wrapper)
        if not isinstance(attack, Attack):
            raise self.entry.wrong(f"returned a {type(attack).__name__}, not a textattack.Attack")
        if not isinstance(attack.goal_function, ClassificationGoalFunction):
            raise self.entry.wrong(f"its goal {type(attack.goal_function).__name__} is not one for classifiers")
        return attack


def accepted(entry: CustomEntry) -> CustomRecipe:
    """The recipe of others that an entry names; UserError where it is none."""
    # Its imports of textattack shall have no side effects.
    load_textattack()
    found = entry.found()
    if not callable(getattr(found, "build", found)):
        raise entry.wrong(f"{entry.attribute} is neither a function nor has it build(model_wrapper)")
    return CustomRecipe(entry, found, _needs(entry, found))


def _needs(entry: CustomEntry, found: Any) -> tuple[str, ...]:
    needs = getattr(found, "needs", ())
    if isinstance(needs, str) or not isinstance(needs, Sequence):
        raise entry.wrong(f"its needs {needs!r} are not a tuple of names of resources")
    for need in needs:
        if need not in RESOURCES:
            raise unknown_name(f"{entry.kind} {entry.name!r}: needs", need, RESOURCES)
    return tuple(needs)
