"""What a command line asks of an experiment: a written spec, from options alone or from a file that options change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robusteval.cli.options import Given
from robusteval.errors import UserError
from robusteval.settings.grammar import listed, pieces
from robusteval.settings.runs import RunSpec
from robusteval.settings.spec import GROUPS, ExperimentSpec, merged
from robusteval.storage.reading import read_yaml

METHODS = "Comma separated: match:temperature=2, match:temperature=1/2/4, match+r3f, FILE.py:NAME."
SEEDS = "How many, or which (0,1,7)."
SCENARIO = "Done to the training set: none,label-noise:rate=0.05/0.1."


def from_options(base: RunSpec, given: Given, methods: str, seeds: str, scenario: str) -> dict[str, Any]:
    """The written spec of the options that were given; what is empty was not."""
    held: dict[str, Any] = {group: given.settings(getattr(base, group)) for group in GROUPS}
    told = {"models": _names(base.model, "model" in given), "tasks": _names(base.task, "task" in given)}
    told |= {"methods": list(pieces(methods)), "scenarios": list(pieces(scenario))}
    held |= {axis: names for axis, names in told.items() if names}
    if seeds:
        held["seeds"] = seeds
    return {name: value for name, value in held.items() if value}


def _names(text: str, given: bool) -> list[str]:
    """The names of a list; a folder whose own name holds a comma is one."""
    return [] if not given else [text] if Path(text).exists() else list(listed(text))


def from_file(path: str, changes: Mapping[str, Any]) -> ExperimentSpec:
    """The spec in a file, with what the options change; UserError where there is none, or it describes none."""
    place = Path(path)
    held = read_yaml(place)
    if held is None:
        raise UserError(f"spec: there is no file {path!r}")
    try:
        return ExperimentSpec.read(merged(held, changes))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
