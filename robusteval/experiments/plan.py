"""From an experiment's spec to a checked plan: every mistake is found here, before hours are spent."""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robusteval.attacks.plan import check_lengths, recipe_facts
from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.errors import UserError
from robusteval.evaluation import SUITES
from robusteval.evaluation.suites import build_suites, check_suites, with_own
from robusteval.experiments.run import run_facts
from robusteval.methods import METHODS
from robusteval.methods.compose import build_method
from robusteval.models.architectures import check_architecture
from robusteval.models.loading import LoadedModel
from robusteval.models.opening import open_classifier, try_rows
from robusteval.models.tokenizers import check_max_length
from robusteval.pipeline.evaluation import cut_texts
from robusteval.pipeline.training import common_settings, with_paper
from robusteval.registry import CustomEntry, Registry, result_name
from robusteval.results.store import RunFolder, check_output, claim_output
from robusteval.runtime.devices import pick_device
from robusteval.scenarios import SCENARIOS
from robusteval.scenarios.base import build_scenarios, prepare
from robusteval.settings.grammar import label, part_name
from robusteval.settings.runs import ExperimentSpec, MethodConfig, RunSpec, ScenarioConfig
from robusteval.settings.work import WorkConfig
from robusteval.tasks import TASKS
from robusteval.tasks.load import TaskData, load_task, sample, unmet_limits
from robusteval.training.precision import pick_precision
from robusteval.training.tracking import check_tracker


@dataclass(frozen=True)
class Plan:
    """Runs that are ready to start, with their rows in memory and what the user should know.

    tests: every suite and what it goes through, in words.
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
    Every run has the suites that any scenario brings, so that training without a scenario has their numbers too.
    """
    columns = [with_paper(MethodConfig.parse(text), explicit) for text in methods]
    train = common_settings(base.model, explicit)
    ladder = tuple(scenario for text in scenarios for scenario in ScenarioConfig.parse(text))
    asked = with_own(base.evaluation.suites, base.data)
    suites = (*asked, *_scenario_suites(asked, ladder))
    evaluation = dataclasses.replace(base.evaluation, suites=suites)
    base = dataclasses.replace(base, train=train, evaluation=evaluation)
    return ExperimentSpec(base, tuple(columns), tuple(seeds), ladder)


def _scenario_suites(asked: Sequence[str], scenarios: Sequence[ScenarioConfig]) -> tuple[str, ...]:
    """The suites that scenarios bring, but for those that were asked for under any settings.

    Raises UserError where two scenarios bring one suite with different settings: its rows bear its name alone.
    """
    names = {result_name(part_name(text)) for text in asked}
    brought = [text for config in scenarios for scenario in build_scenarios(config) for text in scenario.suites]
    own: dict[str, str] = {}
    for text in brought:
        name = result_name(part_name(text))
        if name not in names and own.setdefault(name, text) != text:
            raise UserError(
                f"scenario: one brings the suite {own[name]!r} and another {text!r}, but every run has the same "
                "suites; name one of the two in --suites"
            )
    return tuple(own.values())


def make_plan(
    spec: ExperimentSpec, work: WorkConfig, optional: Collection[str] = (), data: TaskData | None = None
) -> Plan:
    """Check names, settings, data, model, device and resources; nothing is written.

    optional: suites that nobody named; the experiment goes without those whose rows are nowhere, and says so.
    data: the experiment's rows, where they are loaded already.
    Raises UserError for the first thing that cannot work.
    """
    for recipe in spec.base.attack.recipes:
        recipe_entry(recipe)
    runs = spec.runs()
    suites = build_suites(spec.base.evaluation.suites)
    for run in runs:
        kept = build_method(run.method).keeps
        for suite in suites.values():
            suite.check_method(run.method.label, kept)
    check_tracker(work.track)
    device = pick_device(work.device)
    for run in runs:
        pick_precision(run.train.precision, device)
    data = data or load_task(spec.base.task, spec.base.data)
    notices = [*data.notices, *unmet_limits(data)]
    notices += _check_scenarios(spec, data)
    loaded, told = _check_model(spec, data)
    kind, tokenizer, model = loaded.model.config.model_type, loaded.tokenizer, loaded.sha256
    del loaded  # its weights are not held while runs load their own
    suites, missing = check_suites(suites, data, tokenizer, spec.base.evaluation, kind, optional)
    notices += [*missing, *told]
    evaluation = dataclasses.replace(spec.base.evaluation, suites=tuple(suites))
    spec = dataclasses.replace(spec, base=dataclasses.replace(spec.base, evaluation=evaluation))
    check_output(work.out, spec)
    facts = run_facts(data, model, suites.values())
    versions, told = _code_of_others(spec, data)
    facts, notices = {**facts, **versions}, [*notices, *told]
    if any(run.train.precision == "auto" for run in runs):
        facts["precision"] = pick_precision("auto", device)
    outlines = ((label(text), suite.outline(data, spec.base.evaluation)) for text, suite in suites.items())
    tests = [f"{text}: {outline}" if outline else text for text, outline in outlines]
    if data.task.regression and spec.base.attack.recipes:
        notices.append(f"not attacked: {data.task.name} is a regression task, and an attack needs classes")
    elif spec.base.attack.recipes:
        data.task.changeable(spec.base.attack.columns)
        for recipe in spec.base.attack.recipes:
            facts |= recipe_facts(recipe, work.resources_dir)
        attacked = sample(data.dev, spec.base.attack.examples)
        length = min(run.train.max_length for run in runs)
        notices += check_lengths(tokenizer, attacked, length, truncate=spec.base.attack.truncate)
    notices += _outdated(spec.runs(), facts, work.out)
    return Plan(spec, spec.runs(), data, facts, notices, tests)


def _code_of_others(spec: ExperimentSpec, data: TaskData) -> tuple[dict[str, str], list[str]]:
    """The versions of the packages whose code is run, and a notice for all code that is not this package's."""
    evaluation = spec.base.evaluation
    named: list[tuple[Registry[Any], str]] = [(TASKS, spec.base.task)] if data.task.family != "file" else []
    named += [(METHODS, name) for method in spec.methods for name, _ in method.parts]
    named += [(SCENARIOS, name) for scenario in spec.scenarios for name, _ in scenario.parts]
    named += [(SUITES, part_name(text)) for text in evaluation.suites]
    entries = [(registry.kind, registry.entry(name)) for registry, name in named]
    entries += [("attack", recipe_entry(name)) for name in spec.base.attack.recipes]
    versions, told = {}, []
    for kind, entry in entries:
        if isinstance(entry, CustomEntry):
            told.append(f"{entry.name} is {entry.summary}")
            if entry.version:
                versions[f"{kind} {entry.name}"] = entry.version
    return versions, list(dict.fromkeys(told))


def _outdated(runs: Sequence[RunSpec], facts: Mapping[str, str], out: Path) -> list[str]:
    """A notice where runs of this experiment were measured with something else, as an earlier version did."""
    found = 0
    for name in (run.name(**facts) for run in runs):
        title = glob.escape(name.rpartition(".")[0])
        found += not (out / "runs" / name).exists() and any((out / "runs").glob(f"{title}.????????"))
    told = "of an earlier version, of other rows or of another model: they are left as they are and measured anew"
    return [f"{found} of {len(runs)} runs in {out} are {told}"] if found else []


def _check_scenarios(spec: ExperimentSpec, data: TaskData) -> list[str]:
    """Prepare every training set once, so that an impossible scenario is found.

    Its counts are one notice where all seeds have the same, else one of each seed.
    """
    notices = []
    for config in spec.scenarios:
        scenarios = build_scenarios(config)
        told = {}
        for seed in spec.seeds:
            prepared = prepare(scenarios, data.train, data.task, seed)
            counts = "".join(f", {name} {count}" for name, count in prepared.counts.items())
            told[seed] = f"{config.label}: trained on {len(prepared.examples)} rows{counts}"
        if scenarios and len(set(told.values())) == 1:
            notices.append(told[spec.seeds[0]])
        elif scenarios:
            notices += [f"{text} (seed {seed})" for seed, text in told.items()]
    return notices


def _check_model(spec: ExperimentSpec, data: TaskData) -> tuple[LoadedModel, list[str]]:
    """The starting model, opened as each run opens it and tried on the longest row, and what one should know of it."""
    base = spec.base
    loaded = open_classifier(
        base.model, labels=data.task.labels, seed=spec.seeds[0], keep_head=False, revision=base.model_revision,
        trust_remote_code=base.trust_remote_code,
    )  # fmt: skip
    for run in spec.runs():
        check_max_length(loaded.model, loaded.tokenizer, run.train.max_length)
        if build_method(run.method).acts_inside:
            check_architecture(loaded.model.config.model_type)
    lengths = sorted({run.train.max_length for run in spec.runs()}, reverse=True)
    notices = [*loaded.notices, *try_rows(loaded, (data.train, data.dev), lengths[0], finite=True)]
    own = {f"test {name}": test.examples for name, test in data.tests.items()}
    for length in lengths:
        notices += cut_texts(loaded.tokenizer, {"training": data.train, "dev": data.dev, **own}, length)
    return loaded, notices


def start(plan: Plan, work: WorkConfig) -> None:
    """Claim the output folder for this plan."""
    claim_output(work.out, plan.spec)
