"""From what was asked for to the runs of a grid: each setting has its value from the first source that has one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from robusteval.errors import UserError
from robusteval.evaluation import default_suites
from robusteval.evaluation.suites import with_own
from robusteval.pipeline.training import common_settings, with_paper
from robusteval.registry import result_name
from robusteval.scenarios.base import build_scenarios
from robusteval.settings.attack import AttackConfig
from robusteval.settings.codec import from_dict
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.grammar import part_name
from robusteval.settings.model import ModelConfig
from robusteval.settings.runs import MethodConfig, RunSpec, ScenarioConfig
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.train import override
from robusteval.tasks import TASKS
from robusteval.tasks.base import Task

Place = tuple[str, str, str, str]
"""Of a column: model, task, scenario's and method's label."""


def places(spec: ExperimentSpec) -> list[tuple[str, str, ScenarioConfig, MethodConfig]]:
    """The columns of the grid that are not skipped; UserError where none is left."""
    grid = [
        (model, task, scenario, method)
        for model in spec.models
        for task in spec.tasks
        for scenario in spec.scenarios
        for method in spec.methods
        if not spec.skips(model=model, task=task, scenario=scenario.label, method=method.label)
    ]
    if not grid:
        every = f"{', '.join(spec.models)} on {', '.join(spec.tasks)}"
        raise UserError(f"skip: nothing is left to run, since it leaves {every} out")
    return grid


def expand(spec: ExperimentSpec, chosen: Mapping[Place, MethodConfig] = MappingProxyType({})) -> list[RunSpec]:
    """Every run of the grid; seeds vary slowest, so that early results cover everything.

    A training setting comes from, in this order: the method's own text ("match:learning_rate=1e-5"), the spec's
    `settings` for a part of the grid, the last that has it, its `train`, what the method's paper uses, the model's
    recommendation, the default. Every run has the suites that any scenario brings, so that training without a scenario
    has their numbers too. chosen: columns with what a search found for them, as if their own text said it.
    """
    grid = places(spec)

    def take(model: str, task: str, scenario: ScenarioConfig, method: MethodConfig) -> MethodConfig:
        return chosen.get((model, task, scenario.label, method.label), method)

    bases = {place: _base(spec, *place) for place in dict.fromkeys((model, task) for model, task, *_ in grid)}
    cells = [
        (bases[model, task], scenario, *_column(spec, model, task, scenario, take(model, task, scenario, method)))
        for model, task, scenario, method in grid
    ]
    return [
        dataclasses.replace(base, scenario=scenario, seed=seed, method=method, train=train)
        for seed in spec.seeds
        for base, scenario, method, train in cells
    ]


def optional_suites(spec: ExperimentSpec, model: str, task: str) -> tuple[str, ...]:
    """The suites of a task that nobody named: the experiment goes without those whose rows are nowhere."""
    given = spec.given("evaluation", model=model, task=task)
    return () if "suites" in given else default_suites(_declared(task, from_dict(DataConfig, _data(spec, model, task))))


def _base(spec: ExperimentSpec, model: str, task: str) -> RunSpec:
    """What all runs of one model on one task share."""
    opening = from_dict(ModelConfig, spec.given("opening", model=model, task=task), "opening.")
    data = from_dict(DataConfig, _data(spec, model, task), "data.")
    given = spec.given("evaluation", model=model, task=task)
    evaluation = from_dict(EvalConfig, given, "evaluation.")
    asked = with_own(evaluation.suites if "suites" in given else default_suites(_declared(task, data)), data)
    suites = (*asked, *_scenario_suites(asked, spec))
    return RunSpec(
        model=model, model_revision=opening.model_revision, trust_remote_code=opening.trust_remote_code, task=task,
        data=data, evaluation=dataclasses.replace(evaluation, suites=suites),
        attack=from_dict(AttackConfig, spec.given("attack", model=model, task=task), "attack."),
    )  # fmt: skip


def _data(spec: ExperimentSpec, model: str, task: str) -> dict[str, Any]:
    return spec.given("data", model=model, task=task)


def _declared(task: str, data: DataConfig) -> Task:
    own = data.train_file is not None or data.dev_file is not None
    return Task(task, "file", (), (), ()) if own else TASKS[task]


def _column(
    spec: ExperimentSpec, model: str, task: str, scenario: ScenarioConfig, method: MethodConfig
) -> tuple[MethodConfig, Any]:
    """A method and its training settings in one place of the grid."""
    place = {"model": model, "task": task, "scenario": scenario.label, "method": method.label}
    explicit = spec.given("train", **place)
    method = _with_settings(method, spec.given("method_settings", **place))
    method = with_paper(method, explicit)
    return method, override(common_settings(model, explicit), method.train)


def _with_settings(method: MethodConfig, given: Mapping[str, Any]) -> MethodConfig:
    """The method with settings of a part of the grid; what its own text says comes first."""
    if not given:
        return method
    apart = all(isinstance(value, Mapping) for value in given.values())
    if len(method.parts) > 1 and not apart:
        names = " and ".join(name for name, _ in method.parts)
        raise UserError(f"settings.method_settings: {method.label!r} is {names}; give a mapping for each by its name")
    by_name = given if apart else {method.parts[0][0]: given}
    parts = tuple((name, {**by_name.get(name, {}), **own}) for name, own in method.parts)
    return dataclasses.replace(method, parts=parts)


def _scenario_suites(asked: tuple[str, ...], spec: ExperimentSpec) -> tuple[str, ...]:
    """The suites that scenarios bring, but for those that were asked for under any settings.

    Raises UserError where two scenarios bring one suite with different settings: its rows bear its name alone.
    """
    names = {result_name(part_name(text)) for text in asked}
    brought = [text for config in spec.scenarios for scenario in build_scenarios(config) for text in scenario.suites]
    own: dict[str, str] = {}
    for text in brought:
        name = result_name(part_name(text))
        if name not in names and own.setdefault(name, text) != text:
            raise UserError(
                f"scenarios: one brings the suite {own[name]!r} and another {text!r}, but every run has the same "
                "suites; name one of the two in suites"
            )
    return tuple(own.values())
