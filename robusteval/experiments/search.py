"""Finding settings before the runs are done: every candidate is a run of an experiment of its own, in OUT/search.

A grid tries every combination. Beyond it Optuna is asked for one candidate after another, always anew and with the
same seed, and told the scores of the finished runs in the same order: an interrupted search goes on where it stopped.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from robusteval.errors import UserError, unknown_name
from robusteval.experiments.grid import Place, places
from robusteval.experiments.jobs import Job
from robusteval.experiments.plan import Plan, make_plan
from robusteval.methods import METHODS
from robusteval.methods.compose import build_method
from robusteval.results.asked import SEARCH
from robusteval.results.metrics import metric
from robusteval.results.reading import Run
from robusteval.results.search import Candidate, Choice
from robusteval.settings.fields import hints
from robusteval.settings.grammar import cut
from robusteval.settings.runs import MethodConfig
from robusteval.settings.search import Axis, Search
from robusteval.settings.spec import ExperimentSpec, Slice, matching
from robusteval.settings.train import TrainConfig, override
from robusteval.settings.work import WorkConfig
from robusteval.tasks.load import TaskData, held_out

Values = tuple[Any, ...]
"""One of each axis."""
Do = Callable[[Plan, WorkConfig], Mapping[str, str] | None]
"""Does the runs of a plan: those that failed by name, with why; None where some are not done, which ends the search."""

# of a value from a range: more would only make names long
DIGITS = 3


def check_search(search: Search) -> None:
    """Raise UserError where Optuna is needed and not installed."""
    if search.trials is not None and importlib.util.find_spec("optuna") is None:
        raise UserError("search.trials: Optuna is not installed, which asks for them: pip install 'robusteval[search]'")


def axes_of(search: Search, method: MethodConfig) -> tuple[Axis, ...]:
    """What is searched for a method; what its own text sets is not."""
    own = dict(method.parts)
    return tuple(
        axis
        for axis in search.axes
        if (axis.part in own and axis.name not in own[axis.part] if axis.part else axis.name not in method.train)
    )


def with_values(method: MethodConfig, axes: Sequence[Axis], values: Values) -> MethodConfig:
    """The method as if its own text gave these values."""
    given = list(zip(axes, values, strict=True))
    parts = tuple(
        (name, {**own, **{axis.name: value for axis, value in given if axis.part == name}})
        for name, own in method.parts
    )
    train = {axis.name: value for axis, value in given if not axis.part}
    texts = cut(method.label, "+")
    for axis, value in given:
        at = next((place for place, (name, _) in enumerate(parts) if name == axis.part), len(parts) - 1)
        texts[at] += f":{axis.name}={value}"
    return MethodConfig("+".join(texts), parts, {**method.train, **train})


def find(plan: Plan, work: WorkConfig, do: Do) -> tuple[Plan, list[Choice]] | None:
    """The plan with the values that its search chooses, and these; None where `do` left runs undone.

    plan: of a spec with a search, checked. UserError where the search cannot work, before anything is done, and where
    no candidate of a method has a score, because all failed.
    """
    spec, search = plan.spec, plan.spec.search
    assert search is not None
    rows = {part.base.task: part.data for part in plan.parts}
    searched = _searched(spec, search, rows)
    loaded = {task: _selected_on(data, search) for task, data in rows.items()}
    beside = dataclasses.replace(work, out=work.out / SEARCH, keep_models=False)
    while asked := [each for each in searched if each.ask()]:
        trial = make_plan(_trial_spec(spec, search, asked), beside, loaded)
        failed = do(trial, beside)
        if failed is None:
            return None
        for each in asked:
            each.tell(trial, beside, failed)
    choices = [each.choice(search) for each in searched]
    best = {each.place: each.best for each in searched}
    return make_plan(spec, work, rows, best), choices


def planned(plan: Plan) -> int:
    """How many runs a search comes to, at most."""
    search = plan.spec.search
    assert search is not None
    rows = {part.base.task: part.data for part in plan.parts}
    return len(search.seeds) * sum(each.count for each in _searched(plan.spec, search, rows))


def _searched(spec: ExperimentSpec, search: Search, rows: Mapping[str, TaskData]) -> list[_Searched]:
    _check_axes(search, spec)
    check_search(search)
    found = []
    for model, task, scenario, method in places(spec):
        axes = axes_of(search, method)
        if axes:
            place = model, task, scenario.label, method.label
            name = _metric(search, rows[task])
            ways: Callable[..., _Searched] = _Grid if search.trials is None else _Optuna
            found.append(ways(place, method, axes, name, search.trials or 0))
    if not found:
        raise UserError("search.over: no method of this experiment has these settings, unless its own text gives them")
    return found


def _check_axes(search: Search, spec: ExperimentSpec) -> None:
    """Raise UserError for a method or a setting that is not there, and for a value that it cannot have."""
    used = {name for method in spec.methods for name, _ in method.parts}
    for axis in search.axes:
        if axis.part and axis.part not in used:
            raise unknown_name("search.over: method", axis.part, used)
        for value in axis.ends:
            try:
                if axis.part:
                    METHODS[axis.part].configure({axis.name: value}, axis.part)
                else:
                    override(TrainConfig(), {axis.name: value})
            except UserError as error:
                raise UserError(f"search.over: {error}") from error
        if not axis.values and _kind(axis) not in (int, float):
            raise UserError(f"search.over: {axis.name} is no number, so it has no range; give its values, as in a/b/c")
    for method in spec.methods:
        axes = axes_of(search, method)
        build_method(with_values(method, axes, tuple(axis.ends[0] for axis in axes)))


def _kind(axis: Axis) -> Any:
    """The type of a setting; without None, where it may be that."""
    kind: type = METHODS[axis.part].Settings if axis.part else TrainConfig
    hint = hints(kind)[axis.name]
    return next((each for each in (int, float) if each in (hint, *getattr(hint, "__args__", ()))), hint)


def _metric(search: Search, data: TaskData) -> str:
    name = search.metric or data.task.metrics[0]
    if name not in data.task.metrics:
        raise unknown_name(f"search.metric on {data.task.name}", name, data.task.metrics)
    return name


def _selected_on(data: TaskData, search: Search) -> TaskData:
    """The rows of a task as candidates are trained and tested on them."""
    data = dataclasses.replace(data, tests={}, config=dataclasses.replace(data.config, tests=()))
    if search.select_on == "dev":
        return data
    try:
        return held_out(data, search.share)
    except UserError as error:
        raise UserError(f"search.share: {error}") from error


def _trial_spec(spec: ExperimentSpec, search: Search, searched: Iterable[_Searched]) -> ExperimentSpec:
    """The experiment of the candidates that are asked for now, which are columns of it."""
    wanted: dict[str, set[tuple[str, str, str]]] = {}
    origin: dict[str, str] = {}
    methods: dict[str, MethodConfig] = {}
    for each in searched:
        for candidate in each.asked:
            methods[candidate.label] = candidate
            origin[candidate.label] = each.method.label
            wanted.setdefault(candidate.label, set()).add(each.place[:3])
    whole = itertools.product(methods, spec.models, spec.tasks, [scenario.label for scenario in spec.scenarios])
    skip = tuple(
        Slice((model,), (task,), (method,), (scenario,))
        for method, model, task, scenario in whole
        if (model, task, scenario) not in wanted[method]
    )
    settings = []
    for part in spec.settings:
        meant = {label for name in part.method for label in matching(name, [each.label for each in spec.methods])}
        own = tuple(label for label in methods if origin[label] in meant)
        if own or not part.method:
            given = {name: value for name, value in part.data.items() if name != "tests"}
            evaluation = {name: value for name, value in part.evaluation.items() if name != "suites"}
            settings.append(dataclasses.replace(part, method=own, data=given, evaluation=evaluation, attack={}))
    held = {"held_out": search.share} if search.select_on == "train" else {}
    return dataclasses.replace(
        spec, title="", methods=tuple(methods.values()), seeds=search.seeds, data={**spec.data, "tests": (), **held},
        evaluation={**spec.evaluation, "suites": ("clean",)}, attack={"recipes": ()}, settings=tuple(settings),
        skip=skip, baseline="", primary=(), search=None,
    )  # fmt: skip


@dataclass
class _Searched(ABC):
    """The search for one method in one place.

    asked: the candidates whose runs are to be done now, tried: those whose scores are known.
    """

    place: Place
    method: MethodConfig
    axes: tuple[Axis, ...]
    metric: str
    trials: int
    asked: list[MethodConfig] = field(default_factory=list)
    tried: list[Candidate] = field(default_factory=list)
    values: dict[str, Values] = field(default_factory=dict)

    @property
    @abstractmethod
    def count(self) -> int:
        """How many candidates there will be."""

    @abstractmethod
    def propose(self) -> list[Values]:
        """The values to try next, none where the search is at its end."""

    def learn(self, score: float) -> None:  # noqa: B027 (a grid learns nothing)
        """Hear of the score of the candidates proposed, each in turn; NaN where there is none."""

    @property
    def lower(self) -> bool:
        return metric(self.metric).direction == "lower"

    def ask(self) -> bool:
        """Whether there is more to try."""
        proposed = self.propose()
        self.asked = [with_values(self.method, self.axes, values) for values in proposed]
        self.values |= {each.label: values for each, values in zip(self.asked, proposed, strict=True)}
        return bool(self.asked)

    def tell(self, plan: Plan, work: WorkConfig, failed: Mapping[str, str]) -> None:
        """Read the scores of the candidates that were asked for; one of which a run failed has none."""
        for candidate in self.asked:
            jobs = [job for job in plan.jobs if _place(job) == (*self.place[:3], candidate.label)]
            why = next((failed[job.name] for job in jobs if job.name in failed), "")
            runs = [Run(job.folder(work.out).path, tuple(job.tests)) for job in jobs if job.name not in failed]
            scores = () if why else tuple(self._score(run) for run in runs)
            seconds = math.fsum(stage.marker.seconds for run in runs for stage in run.journal.stages.values())
            values = dict(zip(self._names, self.values[candidate.label], strict=True))
            names = tuple(job.name for job in jobs)
            self.tried.append(Candidate(candidate.label, values, scores, names, round(seconds, 3), why))
            self.learn(self.tried[-1].score)

    def _score(self, run: Run) -> float:
        return next(row.value for row in run.records if row.suite == "clean" and row.metric == self.metric)

    @property
    def _names(self) -> list[str]:
        return [f"{axis.part} {axis.name}" if len(self.method.parts) > 1 and axis.part else axis.name
                for axis in self.axes]  # fmt: skip

    @property
    def _winner(self) -> Candidate:
        """The best, and of equals the first; what is not a number is worse than all others, and what failed is none."""
        sound = [each for each in self.tried if not each.failed]
        if not sound:
            model, task, scenario, method = self.place
            where = f"{method} on {task} with {model}" + ("" if scenario == "none" else f" under {scenario}")
            raise UserError(f"search: all {len(self.tried)} candidates for {where} failed: {self.tried[0].failed}")
        scores = [each.score if self.lower else -each.score for each in sound]
        return sound[min(range(len(scores)), key=lambda at: math.inf if math.isnan(scores[at]) else scores[at])]

    @property
    def best(self) -> MethodConfig:
        """The method with the values of the winner, under its own name."""
        found = with_values(self.method, self.axes, self.values[self._winner.label])
        return dataclasses.replace(found, label=self.method.label)

    def choice(self, search: Search) -> Choice:
        model, task, scenario, method = self.place
        won = self._winner
        tied = [each.label for each in self.tried if each.score == won.score and each.label != won.label]
        on_train = f"{search.share:.3g} of the training rows, held out"
        rows = on_train if search.select_on == "train" else "the dev rows that it is also tested on"
        extents = [f"{axis.extent} of {name}" for axis, name in zip(self.axes, self._names, strict=True)]
        tried = " and ".join(extents) + (f", {self.trials} trials of Optuna" if self.trials else "")
        return Choice(
            model, task, scenario, method, self.metric, rows, tried, won.label, won.values,
            tuple(dict.fromkeys(tied)), tuple(self.tried),
        )  # fmt: skip


def _place(job: Job) -> Place:
    return job.spec.model, job.spec.task, job.spec.scenario.label, job.spec.method.label


class _Grid(_Searched):
    """Every combination of the values, all at once."""

    @property
    def count(self) -> int:
        return math.prod(len(axis.values) for axis in self.axes)

    def propose(self) -> list[Values]:
        return [] if self.tried else list(itertools.product(*(axis.values for axis in self.axes)))


class _Optuna(_Searched):
    """One candidate after another, as Optuna's tree-structured Parzen estimator asks for them."""

    study: Any = None
    trial: Any = None

    @property
    def count(self) -> int:
        return self.trials

    def propose(self) -> list[Values]:
        import optuna

        if self.study is None:
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            direction = "minimize" if self.lower else "maximize"
            self.study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=0))
        if len(self.tried) == self.trials:
            return []
        self.trial = self.study.ask()
        return [tuple(self._suggest(axis) for axis in self.axes)]

    def _suggest(self, axis: Axis) -> Any:
        name = f"{axis.part}:{axis.name}"
        if axis.values:
            return self.trial.suggest_categorical(name, axis.values)
        if _kind(axis) is int:
            return self.trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
        drawn = self.trial.suggest_float(name, axis.low, axis.high, log=axis.log)
        return min(max(float(f"{drawn:.{DIGITS}g}"), axis.low), axis.high)

    def learn(self, score: float) -> None:
        from optuna.trial import TrialState

        if math.isnan(score):
            self.study.tell(self.trial, state=TrialState.FAIL)
        else:
            self.study.tell(self.trial, score)
