"""The table of an experiment, with what stands under it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from robusteval.errors import UserError, some
from robusteval.report.table import Place, Table, build_table
from robusteval.results.asked import Wanted
from robusteval.results.experiment import Experiment
from robusteval.results.frames import rows_frame
from robusteval.results.reading import Run
from robusteval.runtime.environment import differences
from robusteval.settings.spec import ExperimentSpec


def finished_table(experiment: Experiment) -> Table:
    """The table of an experiment's finished runs; UserError where none is."""
    if not experiment.runs:
        raise UserError(f"experiment: no run in {str(experiment.path)!r} is finished")
    notices = []
    if experiment.unfinished:
        notices.append(f"{len(experiment.unfinished)} of {len(experiment.asked)} runs are not finished")
    if experiment.others:
        notices.append(f"left out: {len(experiment.others)} runs that were done with other settings or another version")
    finished = {_title(experiment, run.whose): run for run in experiment.runs}
    return experiment_table(experiment.spec, finished, experiment.asked, notices, [*experiment.damaged.items()])


def _title(experiment: Experiment, whose: Mapping[str, Any]) -> str:
    """A run in words, as a session names it."""
    where = f" on {whose['task']}" if len(experiment.spec.tasks) > 1 else ""
    what = f" with {whose['model']}" if len(experiment.spec.models) > 1 else ""
    under = "" if whose["scenario"] == "none" else f" under {whose['scenario']}"
    return f"{whose['method']} seed {whose['seed']}{where}{what}{under}"


def experiment_table(
    spec: ExperimentSpec,
    finished: Mapping[str, Run],
    wanted: Iterable[Wanted],
    notices: Sequence[str] = (),
    failed: Sequence[tuple[str, str]] = (),
) -> Table:
    """The table of the finished runs; its notes name what failed, and what was not measured with the same.

    finished: by title; wanted: every run that was asked for; notices: what one should know to read the numbers; failed:
    titles, and why there is no result.
    """
    specs = [run.spec for run in finished.values() if run.spec is not None]
    selected = {run.method.label: run.train.select == "best" for run in specs}
    best = [label for label, on_dev in selected.items() if on_dev]
    last = [label for label, on_dev in selected.items() if not on_dev]
    notes = [f"{', '.join(best)}: checkpoint selected on dev"] if best else []
    notes += [f"{', '.join(last)}: the last checkpoint of each run"] if last else []
    notes += notices
    notes += differences({title: run.environments() for title, run in finished.items()})
    unsealed = [title for title, run in finished.items() if not run.journal.sealed]
    if unsealed:
        notes.append(f"no seal, so that a change of the files would not be noticed: {some(unsealed, 6)}")
    notes += [f"no result for {title}: {message}" for title, message in failed]
    rows = [row for run in finished.values() for row in run.records]
    declared = {name: each for run in finished.values() for name, each in run.declared.items()}
    requested: dict[Place, list[int]] = {}
    for run in wanted:
        requested.setdefault((run.model, run.task, run.method, run.scenario), []).append(run.seed)
    return build_table(
        rows_frame(rows, declared), [method.label for method in spec.methods], baseline=spec.first,
        primary=spec.primary, requested=requested, notes=notes, declared=declared,
    )  # fmt: skip
