"""Train with several methods and seeds, test each, and draw one table."""

from __future__ import annotations

from typing import Annotated

from robusteval.cli.asked import Asked, Base, Methods, Scenarios, Seeds, from_options
from robusteval.cli.options import Given, option, takes
from robusteval.cli.output import AsJson, EveryRow, Shown
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.work import WorkConfig


@takes("model", "methods", "seeds", "attack_parallel", "no_cache")
def train_and_attack(
    *,
    base: Base,
    methods: Methods = "vanilla,match,tdt,pats,bidrop",
    seeds: Seeds = "2",
    scenario: Scenarios = "none",
    work: WorkConfig,
    dry_run: Annotated[bool, option("--dry-run", help="Check everything, print the plan, do nothing.")] = False,
    every: EveryRow = False,
    as_json: AsJson = False,
    given: Given,
) -> None:
    """Train with each method and seed, test on clean, perturbed and attacked text, print one table.

    A training setting that is not given is what the method's paper uses, else the default that is shown.
    """
    from robusteval.cli.experiment import carry_out

    spec = ExperimentSpec.read(from_options(base, given, methods, seeds, scenario))
    carry_out(Asked(spec), work, given, Shown(as_json, every), dry_run=dry_run)
