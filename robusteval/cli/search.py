"""One sitting with a search: its runs, counted apart, and what it chose."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

from robusteval.cli.session import reporter
from robusteval.experiments.engine import run_jobs
from robusteval.experiments.plan import Plan, start
from robusteval.experiments.search import find, planned
from robusteval.results.search import keep_choices, sentences
from robusteval.settings.work import WorkConfig


def run_search(plan: Plan, work: WorkConfig, console: Console, *, dry_run: bool) -> Plan | None:
    """The plan with the values that its search chooses; where it is not done, None, and the reason is printed.

    dry_run: nothing is run, so that there is a choice only where a search is finished.
    """
    most = planned(plan)
    at_most = "at most " if plan.spec.search is not None and plan.spec.search.trials else ""
    before: set[str] = set()

    def do(trial: Plan, place: WorkConfig) -> dict[str, str] | None:
        before.update(trial.finished)
        if dry_run or len(trial.finished) == len(trial.jobs):
            return {} if len(trial.finished) == len(trial.jobs) else None
        start(trial, place)
        failed = run_jobs(trial.jobs, place, reporter(trial, place.out, console), trial.data)
        for job, message in failed:
            console.print(f"[red]failed:[/] {escape(f'search: {job.title}: {message}')}", soft_wrap=True)
        return {job.name: message for job, message in failed}

    if not dry_run:
        console.print(f"search: {at_most}{most} runs come first", markup=False, soft_wrap=True)
    found = find(plan, work, do)
    if dry_run:
        told = f"search: {at_most}{most} runs, {len(before)} finished before; then come, with what it chooses:"
        console.print(told, markup=False, soft_wrap=True)
    if found is None:
        return None
    then, choices = found
    if not dry_run:
        keep_choices(work.out, plan.spec, choices)
    for sentence in sentences(choices, plan.spec):
        console.print(f"search: {sentence}", markup=False, soft_wrap=True)
    return then
