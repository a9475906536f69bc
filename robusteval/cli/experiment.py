"""From a spec to its plan, and on to its runs: what the commands that do experiments have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from robusteval.cli.asked import Asked
from robusteval.cli.options import Given
from robusteval.cli.output import Shown, print_json
from robusteval.cli.precheck import check_experiment, check_work
from robusteval.errors import UserError, unknown_name
from robusteval.experiments.recipes import Recipe
from robusteval.registry import result_name
from robusteval.runtime import stopping
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import loading
from robusteval.settings.grammar import part_name
from robusteval.settings.work import WorkConfig

if TYPE_CHECKING:
    from robusteval.experiments.plan import Plan


def carry_out(asked: Asked, work: WorkConfig, given: Given, shown: Shown, *, dry_run: bool) -> None:
    """Check a spec and show its plan; unless it is a dry run, do it, and end with the exit code.

    Where neither --out nor the spec names the folder, it is the same for all that differ in what is run only, not how,
    so that an experiment grows where it lies.
    """
    spec, recipe = asked.spec, asked.recipe
    check_work(work)
    with _needing(recipe):
        rows = check_experiment(spec, work.out if "out" in given else None)
    with loading("torch and transformers", quiet=work.quiet):
        quiet_libraries()
        from robusteval.cli.session import plan_record, run_session, show_plan
        from robusteval.experiments.plan import make_plan
        from robusteval.results.asked import settings_of
    if "out" not in given:
        folder = asked.name or f"{result_name(spec.tasks[0])[:60]}-{settings_of(spec)[:8]}"
        work = dataclasses.replace(work, out=work.out / folder)
    console = shown.screen()
    with _needing(recipe):
        plan = make_plan(spec, work, rows)
    check_primary(plan)
    for told in (recipe.caption, *(f"recipe: {note}" for note in recipe.notes)) if recipe else ():
        console.print(told, markup=False, soft_wrap=True)
    for notice in asked.notices:
        console.print(notice, markup=False, soft_wrap=True)
    if spec.search is not None:
        from robusteval.cli.search import run_search

        if not dry_run:
            stopping.continues()
        found = run_search(plan, work, console, dry_run=dry_run)
        if found is None and not dry_run:
            raise typer.Exit(2)
        plan = found or plan
    if dry_run and shown.as_json:
        print_json(plan_record(plan, work))
        return
    show_plan(plan, work, console)
    if not dry_run:
        stopping.continues()
        raise typer.Exit(run_session(plan, work, console, recipe, shown))


def check_primary(plan: Plan) -> None:
    """Raise UserError where the declared family names a test or a metric that no run will have."""
    from robusteval.evaluation import SUITES
    from robusteval.report.conditions import check_names

    suites = dict.fromkeys(part_name(text) for part in plan.parts for text in part.base.evaluation.suites)
    attacks = [stage.partition("/")[2] for job in plan.jobs for stage in job.tests if stage.startswith("attack/")]
    tests: dict[str, Sequence[str]] = {**dict.fromkeys(suites, ()), "attack": list(dict.fromkeys(attacks)), "train": ()}
    check_names((), plan.spec.primary, tests, closed=all(name in SUITES for name in suites))
    metrics = list(dict.fromkeys(metric for part in plan.parts for metric in part.data.task.metrics))
    for text in plan.spec.primary:
        suite, _, metric = text.partition(" ")
        if suite == "clean" and metric.strip() not in metrics:
            raise unknown_name("primary: clean", metric.strip(), metrics)


@contextmanager
def _needing(recipe: Recipe | None) -> Iterator[None]:
    """What is wrong with a recipe's rows, with what it needs and where that comes from."""
    try:
        yield
    except UserError as error:
        from robusteval.tasks.sources import RowsMissing  # imports pandas

        if recipe is None or not isinstance(error, RowsMissing):
            raise
        raise UserError(f"{error}; {recipe.name} needs {'; '.join(recipe.needs)}") from error
