"""From an experiment's spec to a checked plan: every mistake is found here, before hours are spent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from robusteval.anatomy import check_architecture
from robusteval.attacks import recipe_entry
from robusteval.attacks.resources import require
from robusteval.config import ExperimentSpec, MethodConfig, RunSpec, ScenarioConfig, TrainConfig
from robusteval.devices import check_tracker, pick_device, pick_precision
from robusteval.encoding import encode
from robusteval.errors import UserError
from robusteval.evaluation.base import Suite
from robusteval.experiments.run import Options, run_facts, suites_of
from robusteval.experiments.store import RunFolder, check_output, claim_output
from robusteval.methods import METHODS
from robusteval.methods.compose import build_method
from robusteval.models import check_max_length, check_weights, locate, recommended_learning_rate, weights_sha256
from robusteval.scenarios.base import build_scenarios, prepare
from robusteval.tasks.load import TaskData, load_task


@dataclass(frozen=True)
class Plan:
    """Runs that are ready to start, with their rows in memory and what the user should know.

    tests: every suite of any run and what it goes through, in words.
    """

    spec: ExperimentSpec
    runs: list[RunSpec]
    data: TaskData
    facts: dict[str, str]
    notices: list[str]
    tests: list[str]

    def folder(self, run: RunSpec, out: Path) -> RunFolder:
        return RunFolder(out / "runs" / run.name(**self.facts))


def make_spec(
    base: RunSpec,
    methods: Sequence[str],
    seeds: Sequence[int],
    explicit: Mapping[str, Any],
    scenarios: Sequence[str] = ("none",),
) -> ExperimentSpec:
    """An experiment with every setting resolved to a value.

    A training setting comes from, in this order: the method's own text ("match:learning_rate=1e-5"), what the
    user set for all (`explicit`), what the method's paper uses, the model's recommendation, the default.
    """
    parsed = [MethodConfig.parse(text) for text in methods]
    columns = []
    for method in parsed:
        paper: dict[str, Any] = {}
        for name, _ in method.parts:
            paper.update(METHODS[name].TRAIN)
        paper = {key: value for key, value in paper.items() if key not in explicit}
        columns.append(dataclasses.replace(method, train={**paper, **method.train}))
    train = TrainConfig(**{"learning_rate": recommended_learning_rate(base.model), **explicit})
    ladder = tuple(scenario for text in scenarios for scenario in ScenarioConfig.parse(text))
    return ExperimentSpec(dataclasses.replace(base, train=train), tuple(columns), tuple(seeds), ladder)


def make_plan(spec: ExperimentSpec, options: Options) -> Plan:
    """Check names, settings, data, model, device and resources; nothing is written.

    Raises UserError for the first thing that cannot work.
    """
    for recipe in spec.base.evaluation.attacks:
        recipe_entry(recipe)
    runs = spec.runs()
    for run in runs:
        kept = build_method(run.method).keeps
        for suite in suites_of(run).values():
            suite.check_method(run.method.label, kept)
    check_tracker(options.track)
    device = pick_device(options.device)
    for run in runs:
        pick_precision(run.train.precision, device)
    check_output(options.out, spec)
    data = load_task(spec.base.task, spec.base.data)
    folder, _ = locate(spec.base.model, spec.base.model_revision)
    facts = run_facts(data, weights_sha256(folder))
    notices = [*data.notices, *(f"no {name}: {reason}" for name, reason in data.missing.items())]
    notices += _check_scenarios(spec, data)
    suites = {text: suite for run in runs for text, suite in suites_of(run).items()}
    notices += _check_model(spec, folder, data, list(suites.values()))
    outlines = ((text, suite.outline(data, spec.base.evaluation)) for text, suite in suites.items())
    tests = [f"{text}: {outline}" if outline else text for text, outline in outlines]
    if data.task.regression and spec.base.evaluation.attacks:
        notices.append(f"not attacked: {data.task.name} is a regression task, and an attack needs classes")
    elif spec.base.evaluation.attacks:
        data.task.changeable(spec.base.evaluation.columns)
        for recipe in spec.base.evaluation.attacks:
            require(recipe, options.resources_dir)
    return Plan(spec, runs, data, facts, notices, tests)


def _check_scenarios(spec: ExperimentSpec, data: TaskData) -> list[str]:
    """Prepare every training set once, so that an impossible scenario is found; a notice with its counts."""
    notices = []
    for config in spec.scenarios:
        scenarios = build_scenarios(config)
        prepared = [prepare(scenarios, data.train, data.task, seed) for seed in spec.seeds]
        if scenarios:
            counts = "".join(f", {name} {count}" for name, count in prepared[0].counts.items())
            notices.append(
                f"{config.label}: trained on {len(prepared[0].examples)} rows{counts} (seed {spec.seeds[0]})"
            )
    return notices


def _check_model(spec: ExperimentSpec, folder: Path, data: TaskData, suites: Sequence[Suite[Any]]) -> list[str]:
    """What can be known of the model from its configuration and tokenizer alone."""
    trust = spec.base.trust_remote_code
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
    except Exception as error:  # a damaged folder fails in as many ways as there are tokenizers
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"model: {spec.base.model!r} cannot be loaded: {reason}") from error
    check_weights(folder)
    for run in spec.runs():
        check_max_length(config, tokenizer, run.train.max_length)
        if build_method(run.method).acts_inside:
            check_architecture(config.model_type)
    length = spec.base.train.max_length
    notices = []
    for suite in suites:
        if suite.acts_inside:
            check_architecture(config.model_type)
        notices += suite.check(data, tokenizer, spec.base.evaluation)
    for name, examples in (("training", data.train), ("dev", data.dev)):
        cut = encode(tokenizer, examples.texts, max_length=length).truncated
        if cut:
            notices.append(f"{cut} of {len(examples)} {name} texts are cut to {length} tokens (max_length)")
    return notices


def start(plan: Plan, options: Options) -> None:
    """Claim the output folder for this plan."""
    claim_output(options.out, plan.spec)
