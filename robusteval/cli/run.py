"""Do what a spec describes, or show what it would come to."""

from __future__ import annotations

from typing import Annotated

import typer

from robusteval.cli.asked import METHODS, SCENARIO, SEEDS, from_name, from_options
from robusteval.cli.options import DATA, MODEL, Given, option, takes, without
from robusteval.cli.output import AsJson, EveryRow, Shown
from robusteval.settings.runs import RunSpec
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig

SPEC = typer.Argument(help="A YAML file that describes an experiment, or a recipe (robusteval list recipes).")
SCALE = option("--scale", help="Of a recipe: full, the paper's, or small.", panel=MODEL)


@takes("model", "methods", "seeds", "attack_parallel", "no_cache")
def run(
    *,
    spec: Annotated[str, SPEC],
    base: Annotated[RunSpec, without("seed", laddered=TrainConfig)],
    methods: Annotated[str, option("--methods", help=METHODS, panel=MODEL)] = "",
    seeds: Annotated[str, option("--seeds", help=SEEDS, panel=MODEL)] = "",
    scenario: Annotated[str, option("--scenario", help=SCENARIO, panel=DATA)] = "",
    scale: Annotated[str, SCALE] = "full",
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
    spec: Annotated[str, SPEC],
    base: Annotated[RunSpec, without("seed", laddered=TrainConfig)],
    methods: Annotated[str, option("--methods", help=METHODS, panel=MODEL)] = "",
    seeds: Annotated[str, option("--seeds", help=SEEDS, panel=MODEL)] = "",
    scenario: Annotated[str, option("--scenario", help=SCENARIO, panel=DATA)] = "",
    scale: Annotated[str, SCALE] = "full",
    work: WorkConfig,
    as_json: AsJson = False,
    given: Given,
) -> None:
    """Check a spec, and show its runs, what they share, their rows, and the time and disk that they need."""
    from robusteval.cli.experiment import carry_out

    asked = from_name(spec, scale, from_options(base, given, methods, seeds, scenario))
    carry_out(asked, work, given, Shown(as_json), dry_run=True)
