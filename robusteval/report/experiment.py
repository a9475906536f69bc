"""The table of an experiment, with what stands under it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from robusteval.errors import UserError, some
from robusteval.report.table import Place, Table, build_table
from robusteval.results.asked import Wanted
from robusteval.results.experiment import Experiment, declared_by, rows_of
from robusteval.results.reading import Run
from robusteval.results.search import search_notes
from robusteval.runtime.environment import differences
from robusteval.runtime.memory import uncollected
from robusteval.settings.spec import ExperimentSpec

# Parts of a grid whose settings a note tells; the spec has all.
MOST_SETTINGS = 6


@uncollected()
def finished_table(experiment: Experiment) -> Table:
    """The table of an experiment's finished runs; UserError where none is."""
    if not experiment.runs:
        raise UserError(f"experiment: no run in {str(experiment.path)!r} is finished")
    notices = search_notes(experiment.path, experiment.spec)
    if experiment.unfinished:
        notices.append(f"{len(experiment.unfinished)} of {len(experiment.asked)} runs are not finished")
    if experiment.others:
        notices.append(f"left out: {len(experiment.others)} runs that were done with other settings or another version")
    spec, names = experiment.spec, {wanted.name: wanted for wanted in experiment.asked}
    several = (len(spec.tasks) > 1, len(spec.models) > 1)
    finished = {title_of(names[run.path.name], *several): run for run in experiment.runs}
    return experiment_table(spec, finished, experiment.asked, notices, [*experiment.damaged.items()])


def title_of(run: Wanted, task: bool, model: bool) -> str:
    """A run in words, as a session names it; task, model: whether they are named."""
    where = f" on {run.task}" if task else ""
    what = f" with {run.model}" if model else ""
    under = "" if run.scenario == "none" else f" under {run.scenario}"
    return f"{run.method} seed {run.seed}{where}{what}{under}"


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
    places, runs = {run.name: run for run in wanted}, list(finished.values())
    selected = _selected(runs, places)
    best = [label for label, on_dev in selected.items() if on_dev]
    last = [label for label, on_dev in selected.items() if not on_dev]
    notes = [f"{', '.join(best)}: checkpoint selected on dev"] if best else []
    notes += [f"{', '.join(last)}: the last checkpoint of each run"] if last else []
    notes += [*_not_alike(spec), *notices]
    notes += differences({title: run.environments() for title, run in finished.items()})
    unsealed = [title for title, run in finished.items() if not run.journal.sealed]
    if unsealed:
        notes.append(f"no seal, so that a change of the files would not be noticed: {some(unsealed, 6)}")
    notes += [f"no result for {title}: {message}" for title, message in failed]
    requested: dict[Place, list[int]] = {}
    for run in places.values():
        requested.setdefault(_place(run), []).append(run.seed)
    return build_table(
        rows_of(runs), [method.label for method in spec.methods], baseline=spec.first, primary=spec.primary,
        requested=requested, notes=notes, declared=declared_by(runs),
    )  # fmt: skip


def _not_alike(spec: ExperimentSpec) -> list[str]:
    """What the spec sets for a part of its runs, which no name in the table tells."""
    told = []
    for each in spec.settings:
        whose = [*each.model, *each.task, *each.method, *each.scenario]
        given = {**each.opening, **each.data, **each.train, **each.evaluation, **each.attack, **each.method_settings}
        values = ", ".join(f"{name}={value}" for name, value in given.items())
        told.append(f"{' '.join(whose) or 'all'} with {values}")
    return [f"set for a part of the runs: {some(told, MOST_SETTINGS)}"] if told else []


def _place(run: Wanted) -> Place:
    return run.model, run.task, run.method, run.scenario


def _selected(runs: Sequence[Run], places: Mapping[str, Wanted]) -> dict[str, bool]:
    """Whether the checkpoint is the best on dev, by method: all seeds of a place are trained alike, so one is asked."""
    one = {_place(places[run.path.name]): run for run in reversed(runs) if run.path.name in places}
    specs = [run.spec for run in reversed(one.values()) if run.spec is not None]
    return {spec.method.label: spec.train.select == "best" for spec in specs}
