"""Train with several methods and seeds, test each, and draw one table."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from robusteval.cli.options import DATA, MODEL, Given, option, takes, without
from robusteval.errors import UserError
from robusteval.registry import result_name
from robusteval.runtime import stopping
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import Screen, loading
from robusteval.settings.grammar import listed, number, pieces
from robusteval.settings.runs import RunSpec
from robusteval.settings.work import WorkConfig

MOST_SEEDS = 1000


@takes("model", "methods", "seeds", "attack_parallel", "no_cache")
def train_and_attack(
    *,
    base: Annotated[RunSpec, without("seed")],
    methods: Annotated[
        str, option("--methods", help="Comma separated: match:temperature=2, match+r3f, FILE.py:NAME.", panel=MODEL)
    ] = "vanilla,match,tdt,pats,bidrop",
    seeds: Annotated[str, option("--seeds", help="How many, or which (0,1,7).", panel=MODEL)] = "2",
    scenario: Annotated[
        str, option("--scenario", help="Done to the training set: none,label-noise:rate=0.05/0.1.", panel=DATA)
    ] = "none",
    work: WorkConfig,
    dry_run: Annotated[bool, option("--dry-run", help="Check everything, print the plan, do nothing.")] = False,
    given: Given,
) -> None:
    """Train with each method and seed, test on clean, perturbed and attacked text, print one table.

    A training setting that is not given is what the method's paper uses, else the default that is shown.
    """
    from robusteval.cli.precheck import check_training, check_work, named_task, with_suites

    check_work(work)
    own = base.data.train_file is not None or base.data.dev_file is not None
    base = dataclasses.replace(base, task=named_task(base.task, given, own=own))
    base = dataclasses.replace(base, evaluation=with_suites(base.evaluation, base.task, given, own=own))
    columns, scenarios, chosen = pieces(methods), pieces(scenario), parse_seeds(seeds)
    rows = check_training(base, columns, scenarios, work.out if "out" in given else None)
    with loading("torch and transformers", quiet=work.quiet):
        quiet_libraries()
        from robusteval.cli.session import run_session, show_plan
        from robusteval.experiments.plan import make_plan, make_spec
        from robusteval.settings.codec import content_hash, to_dict
    spec = make_spec(base, columns, chosen, given.settings(base.train), scenarios)
    if "out" not in given:
        work = dataclasses.replace(work, out=work.out / f"{result_name(base.task)}-{content_hash(to_dict(spec))[:8]}")
    console = Screen()
    plan = make_plan(spec, work, () if "suites" in given else base.evaluation.suites, rows)
    show_plan(plan, work, console)
    if not dry_run:
        stopping.continues()
        raise typer.Exit(run_session(plan, work, console))


def parse_seeds(text: str) -> tuple[int, ...]:
    """ "3" means seeds 0, 1, 2; "4,7" means just these."""
    try:
        numbers = tuple(int(number(part)) for part in listed(text))
    except ValueError:
        raise UserError(f"seeds: {text!r} is neither a count nor a comma-separated list") from None
    if not numbers or min(numbers) < 0 or (len(numbers) == 1 and "," not in text and numbers[0] < 1):
        raise UserError(f"seeds: {text!r} names no seed; give a count of at least 1, or numbers from 0")
    count = len(numbers) if "," in text else numbers[0]
    if count > MOST_SEEDS:
        raise UserError(f"seeds: {count} are more than the {MOST_SEEDS} that one experiment may have")
    return numbers if "," in text else tuple(range(numbers[0]))
