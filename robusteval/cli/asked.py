"""What a command line asks of an experiment: a written spec, from options alone or from a file that options change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from robusteval.cli.options import DATA, MODEL, Given, option, without
from robusteval.errors import UserError, some, unknown_name
from robusteval.settings.grammar import listed, pieces
from robusteval.settings.runs import RunSpec
from robusteval.settings.spec import ExperimentSpec, changed, matching
from robusteval.settings.train import TrainConfig
from robusteval.settings.written import GROUPS
from robusteval.storage.paths import user_path
from robusteval.storage.reading import parse_yaml, read_yaml

if TYPE_CHECKING:
    from robusteval.experiments.recipes import Recipe

_METHODS = "Comma separated: match:temperature=2, match:temperature=1/2/4, match+r3f, FILE.py:NAME."
_SCENARIO = "Done to the training set: none,label-noise:rate=0.05/0.1."

Base = Annotated[RunSpec, without("seed", laddered=TrainConfig)]
Methods = Annotated[str, option("--methods", help=_METHODS, panel=MODEL)]
Seeds = Annotated[str, option("--seeds", help="How many, or which (0,1,7).", panel=MODEL)]
Scenarios = Annotated[str, option("--scenario", help=_SCENARIO, panel=DATA)]


def from_options(base: RunSpec, given: Given, methods: str, seeds: str, scenario: str) -> dict[str, Any]:
    """The written spec of the options that were given, and of those that have a default which is no spec's."""
    groups = {group: given.settings(getattr(base, group)) for group in GROUPS}
    held: dict[str, Any] = {group: settings for group, settings in groups.items() if settings}
    if "model" in given:
        held["models"] = _names(base.model, "model")
    if "task" in given:
        held["tasks"] = _names(base.task, "task")
    if methods or "methods" in given:
        held["methods"] = list(pieces(methods))
    if scenario or "scenario" in given:
        held["scenarios"] = list(pieces(scenario))
    if seeds or "seeds" in given:
        held["seeds"] = seeds
    return held


def _names(text: str, field: str) -> list[str]:
    """The names of a list; a folder whose own name holds a comma is one."""
    return [text] if "," not in text or user_path(text, field).exists() else list(listed(text))


@dataclass(frozen=True)
class Asked:
    """A spec that a command was given. name: of its folder; recipe: whose it is, None for a file of the user's.

    notices: what the options took away, a sentence each.
    """

    spec: ExperimentSpec
    name: str = ""
    recipe: Recipe | None = None
    notices: tuple[str, ...] = ()


def from_name(text: str, scale: str, changes: Mapping[str, Any]) -> Asked:
    """The spec in a file, one that comes with the package, or a recipe's at a scale, with what the options change.

    UserError where there is none, or it describes none.
    """
    from robusteval.experiments.examples import named_spec, spec_names
    from robusteval.experiments.recipes import load_recipe, recipe_names

    place = user_path(text, "spec")
    written = place.suffix in (".yaml", ".yml") or place.is_file() or (place.exists() and text not in spec_names())
    if scale != "full" and (written or text in spec_names()):
        raise UserError(f"scale: {scale!r} is for recipes; {text!r} is a {'file' if written else 'spec'}")
    if written:
        try:
            held = read_yaml(place)
        except UserError as error:
            raise UserError(f"spec: {error}") from error
        if held is None:
            raise UserError(f"spec: there is no file {text!r}")
        try:
            spec = changed(held, changes)
            return Asked(spec, place.stem, None, left_out(held, spec))
        except UserError as error:
            raise UserError(f"{text}: {error}") from error
    if text in spec_names():
        return Asked(changed(parse_yaml(named_spec(text), f"spec {text}"), changes), text)
    if text not in recipe_names():
        raise unknown_name("spec: neither a file nor a recipe", text, [*spec_names(), *recipe_names()])
    recipe = load_recipe(text)
    small = "" if scale == "full" else f"-{scale}"
    held = recipe.scaled(scale)
    spec = changed(held, changes)
    return Asked(spec, f"{text.replace('/', '-')}{small}", recipe, left_out(held, spec))


def left_out(held: Mapping[str, Any], spec: ExperimentSpec) -> tuple[str, ...]:
    """A sentence on the settings that a written spec gives for models which `spec`, made of it, has no longer."""
    parts = ExperimentSpec.read(held).settings
    gone = [part for part in parts if part.model and not any(matching(name, spec.models) for name in part.model)]
    if not gone:
        return ()
    models = dict.fromkeys(name for part in gone for name in part.model)
    groups = (*GROUPS, "method_settings")
    names = dict.fromkeys(name for part in gone for group in groups for name in getattr(part, group))
    return (
        f"settings for {some(list(models))} ({', '.join(names)}) are left out, because --model replaces these models",
    )
