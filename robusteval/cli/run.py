"""Do what a spec describes, or show what it would come to."""

from __future__ import annotations

from typing import Annotated

import typer

from robusteval.cli.asked import Base, Methods, Scenarios, Seeds, from_name, from_options
from robusteval.cli.options import MODEL, Given, option, takes
from robusteval.cli.output import AsJson, EveryRow, Shown
from robusteval.settings.work import WorkConfig

_SPEC = typer.Argument(help="A YAML file that describes an experiment, a recipe (robusteval list recipes), or demo.")
Spec = Annotated[str, _SPEC]
Scale = Annotated[str, option("--scale", help="Of a recipe: full, the paper's, or small.", panel=MODEL)]


@takes("model", "methods", "seeds", "attack_parallel", "no_cache")
def run(
    *,
    spec: Spec,
    base: Base,
    methods: Methods = "",
    seeds: Seeds = "",
    scenario: Scenarios = "",
    scale: Scale = "full",
    work: WorkConfig,
    dry_run: Annotated[bool, option("--dry-run", help="Check everything, print the plan, do nothing.")] = False,
    every: EveryRow = False,
    as_json: AsJson = False,
    given: Given,
) -> None:
    """Do the runs of a spec that are not finished, and print the table. Options take the place of what it says."""
    from robusteval.cli.experiment import carry_out

    asked = from_name(spec, scale, from_options(base, given, methods, seeds, scenario))
    carry_out(asked, work, given, Shown(as_json, every), dry_run=dry_run)


@takes("model", "methods", "seeds", "attack_parallel", "no_cache")
def plan(
    *,
    spec: Spec,
    base: Base,
    methods: Methods = "",
    seeds: Seeds = "",
    scenario: Scenarios = "",
    scale: Scale = "full",
    work: WorkConfig,
    as_json: AsJson = False,
    given: Given,
) -> None:
    """Check a spec, and show its runs, what they share, their rows, and the time and disk that they need."""
    from robusteval.cli.experiment import carry_out

    asked = from_name(spec, scale, from_options(base, given, methods, seeds, scenario))
    carry_out(asked, work, given, Shown(as_json), dry_run=True)
