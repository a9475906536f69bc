"""Whether a recipe can run here: the state of all that it needs, before the first query.

Nothing is ever downloaded: a missing resource is reported with the command that fetches it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from robusteval.attacks.imports.textattack import SUPPLY, textattack_found
from robusteval.attacks.recipes.registry import ATTACKS, needs, recipe_entry
from robusteval.attacks.resources.declared import RESOURCES
from robusteval.attacks.resources.offline import load_textattack, offline
from robusteval.errors import UserError, describe_error
from robusteval.registry import CustomEntry


@dataclass(frozen=True)
class ResourceStatus:
    """One declared resource: is it there, where was it looked for, what supplies it if not, which files it has."""

    name: str
    present: bool
    looked: str
    supply: str
    paths: tuple[Path, ...] = ()


def check_recipe(name: str, resources_dir: Path | None = None) -> list[ResourceStatus]:
    """The state of every declared resource of recipe `name`; an empty list where it needs nothing.

    A recipe that cannot run whatever is supplied has one more entry, called "recipe", that says why. One of the
    user's own whose resources are there is built once, and its last entry says whether that worked. Where textattack
    is not installed, that is the only entry.
    """
    entry = recipe_entry(name)
    if not textattack_found():
        return [ResourceStatus("textattack", False, "Python packages: no textattack", SUPPLY)]
    if isinstance(entry, CustomEntry):
        # With the folder at hand, before the recipe's own code imports it.
        load_textattack(resources_dir)
    states = []
    for need in needs(name):
        resource = RESOURCES[need]
        found = resource.check(resources_dir)
        states.append(ResourceStatus(need, found.present, found.looked, resource.supply, found.paths))
    blocked = dict(entry.facts).get("blocked")
    if blocked:
        states.append(ResourceStatus("recipe", False, f"recipe {name}", f"nothing: {blocked}"))
    if isinstance(entry, CustomEntry) and all(state.present for state in states):
        try:
            _try_out(name, resources_dir)
        except UserError as error:
            states.append(ResourceStatus("a recipe that builds", False, entry.target, f"a correction: {error}"))
        else:
            looked = f"{entry.target}, called {entry.name} in results"
            states.append(ResourceStatus("a recipe that builds", True, looked, "nothing"))
    return states


def require(name: str, resources_dir: Path | None = None) -> list[ResourceStatus]:
    """The state of every declared resource of recipe `name`; UserError naming all that are missing.

    textattack is imported, so that one that cannot be is found before anything else is done.
    """
    states = check_recipe(name, resources_dir)
    missing = [state for state in states if not state.present]
    if missing:
        lines = [f"  {one.name}: looked for {one.looked}\n    supply: {one.supply}" for one in missing]
        raise UserError(f"attack recipe {name!r}: missing resources\n" + "\n".join(lines))
    load_textattack(resources_dir)
    return states


def _try_out(name: str, resources_dir: Path | None) -> None:
    """Load and build the recipe `name` once, asking no model; UserError where that fails."""
    # Only here, as they import torch.
    from robusteval.attacks.queries.wrapper import PredictWrapper
    from robusteval.attacks.recipes.building import build_attack, twin
    from robusteval.runtime.generators import preserved

    load_textattack(resources_dir)
    with preserved(), offline(resources_dir):
        attack = build_attack(name, PredictWrapper(), ("text",), ("text",))
        try:
            twin(attack, PredictWrapper())
        except (Exception, SystemExit) as error:
            raise UserError(
                f"{ATTACKS.kind} {name!r}: a subclass of textattack.Attack must take Attack's own arguments "
                f"({describe_error(error)})"
            ) from error
