"""An experiment from its plan to its finished runs, on no console: what a front shows, and what a script reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from robusteval.experiments.engine import Report, run_jobs
from robusteval.experiments.plan import Plan, start
from robusteval.results.reading import Run
from robusteval.results.rows import Row
from robusteval.settings.work import WorkConfig


@dataclass(frozen=True)
class Outcome:
    """What became of an experiment.

    finished: runs by title; failed: title and reason of each run without a result; beyond: counts of errors under an
    attack that are more than allowed.
    """

    finished: Mapping[str, Run]
    failed: tuple[tuple[str, str], ...]
    beyond: tuple[Row, ...]

    @property
    def exit_code(self) -> int:
        """2 where a run failed, 1 where more examples of an attack ended in an error than allowed."""
        return 2 if self.failed else 1 if self.beyond else 0


def run_experiment(plan: Plan, work: WorkConfig, report: Report) -> Outcome:
    """Do what is left of a plan; `report` hears of each run as it ends."""
    start(plan, work)
    failed = tuple((job.title, message) for job, message in run_jobs(plan.jobs, work, report, plan.data))
    finished = finished_runs(plan, work, {title for title, _ in failed})
    rows = (row for run in finished.values() for row in run.records)
    beyond = tuple(row for row in rows if row.metric == "errors" and row.value > work.max_errors)
    return Outcome(finished, failed, beyond)


def finished_runs(plan: Plan, work: WorkConfig, failed: Collection[str] = ()) -> dict[str, Run]:
    """The runs that are done, by title, without those that `failed`, as a damaged one does; each with the tests that
    the plan asks for alone."""
    runs = {job.title: (job, Run(job.folder(work.out).path, tuple(job.tests))) for job in plan.jobs}
    return {title: run for title, (job, run) in runs.items() if title not in failed and job.done(work.out)}
