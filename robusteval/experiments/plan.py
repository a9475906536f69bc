"""From an experiment's spec to a checked plan: every mistake is found here, before hours are spent."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robusteval.attacks.plan import check_lengths, recipe_facts
from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.errors import UserError
from robusteval.evaluation import SUITES
from robusteval.evaluation.base import Suite
from robusteval.evaluation.suites import build_suites, check_suites
from robusteval.experiments.grid import Place, expand, optional_suites
from robusteval.experiments.jobs import Facts, Job, placed
from robusteval.experiments.rows import run_title
from robusteval.experiments.run import run_facts
from robusteval.experiments.shared import shared_work
from robusteval.methods import METHODS
from robusteval.methods.compose import build_method
from robusteval.models.architectures import check_architecture
from robusteval.models.loading import LoadedModel
from robusteval.models.opening import open_classifier, try_rows
from robusteval.models.tokenizers import check_max_length
from robusteval.pipeline.evaluation import cut_texts
from robusteval.registry import CustomEntry, Entry, Registry, placeless, result_name
from robusteval.results.asked import check_folder, keep_asked, read_asked
from robusteval.runtime.devices import pick_device
from robusteval.scenarios import SCENARIOS
from robusteval.scenarios.base import build_scenarios, prepare
from robusteval.settings.codec import to_dict
from robusteval.settings.data import DataConfig
from robusteval.settings.grammar import label, part_name
from robusteval.settings.runs import MethodConfig, RunSpec
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.work import WorkConfig
from robusteval.tasks import TASKS
from robusteval.tasks.load import TaskData, load_task, sample, unmet_limits
from robusteval.training.precision import pick_precision
from robusteval.training.tracking import check_tracker


@dataclass(frozen=True)
class Part:
    """One model on one task: its rows, and every suite with what it goes through, in words.

    base: what all its runs share; attacked: how many rows each attack is given.
    """

    base: RunSpec
    data: TaskData
    notices: tuple[str, ...]
    tests: tuple[str, ...]
    attacked: int = 0


@dataclass(frozen=True)
class Plan:
    """Runs that are ready to start, with their rows in memory and what the user should know.

    finished: names of those that were done when the plan was made. chosen: columns with what a search found for them,
    None where the spec's search has yet to be done.
    shared: what several runs need and one does, in words.
    """

    spec: ExperimentSpec
    parts: tuple[Part, ...]
    jobs: tuple[Job, ...]
    notices: tuple[str, ...]
    finished: frozenset[str] = frozenset()
    chosen: Mapping[Place, MethodConfig] | None = None
    shared: tuple[str, ...] = ()

    def data(self, job: Job) -> TaskData:
        """The rows of a run's task."""
        return next(part.data for part in self.parts if (part.base.task, part.base.data) == _rows_of(job.spec))


def _rows_of(run: RunSpec) -> tuple[str, DataConfig]:
    return run.task, run.data


def make_plan(
    spec: ExperimentSpec,
    work: WorkConfig,
    loaded: Mapping[str, TaskData] | None = None,
    chosen: Mapping[Place, MethodConfig] | None = None,
) -> Plan:
    """Check names, settings, data, models, device and resources; nothing is written.

    loaded: the rows of tasks that were read already, by name; chosen: see `Plan`.
    Raises UserError for the first thing that cannot work.
    """
    check_tracker(work.track)
    check_folder(work.out)
    device = pick_device(work.device)
    runs = expand(spec, chosen or {})
    for run in runs:
        pick_precision(run.train.precision, device)
    by_part: dict[tuple[str, str], list[RunSpec]] = {}
    for run in runs:
        by_part.setdefault((run.model, run.task), []).append(run)
    rows = {(task, data.config): data for task, data in (loaded or {}).items()}
    parts, jobs, finished, beside = [], {}, set[str](), dict[str, list[str]]()
    for (model, task), own in by_part.items():
        place = _rows_of(own[0])
        rows[place] = data = rows[place] if place in rows else load_task(*place)
        part, sha256, tests = _part(own, data, work, optional_suites(spec, model, task))
        parts.append(part)
        known: dict[tuple[str, str], tuple[dict[str, Any], Facts]] = {}
        for run in own:
            run = dataclasses.replace(run, evaluation=part.base.evaluation)
            title = run_title(run, task=len(spec.tasks) > 1, model=len(spec.models) > 1)
            column = (run.method.label, run.scenario.label)
            if column not in known:  # all its seeds share these, and they are costly
                facts: Facts = {**run_facts(data, sha256), **_versions(_trained_with(run, data))}
                if run.train.precision == "auto":
                    facts = {**facts, "precision": pick_precision("auto", device)}
                known[column] = run.identity, facts
            identity, facts = known[column]
            job, done, told = placed(run, facts, tests, work.out, title, {**identity, "seed": run.seed})
            finished |= {job.name} if done else set()
            jobs[run.model, run.task, run.method.label, run.scenario.label, run.seed] = job
            if told and not job.folder(work.out).path.exists():
                beside[job.name] = told
    ordered = tuple(jobs[r.model, r.task, r.method.label, r.scenario.label, r.seed] for r in runs)
    told_once = dict.fromkeys(why for told in beside.values() for why in told)
    notices = _of_parts(parts)
    notices += [f"a finished run has {why}: it stays, and a new one is done beside it" for why in told_once]
    notices += _outdated([job for job in ordered if job.name not in beside], work.out)
    ordered, shared = shared_work(ordered, lambda job: rows[_rows_of(job.spec)])
    each_once = tuple(dict.fromkeys(notices))
    return Plan(spec, tuple(parts), ordered, each_once, frozenset(finished), chosen, shared)


def _of_parts(parts: Sequence[Part]) -> list[str]:
    """The notices of all parts, each once; one that some parts only have says whose it is."""
    found: dict[str, list[Part]] = {}
    for part in parts:
        for notice in dict.fromkeys(part.notices):
            found.setdefault(notice, []).append(part)
    several = len({part.base.model for part in parts}) > 1
    told = []
    for notice, own in found.items():
        names = [f"{part.base.model} on " * several + result_name(part.base.task) for part in own]
        told.append(notice if len(own) == len(parts) else f"{', '.join(names)}: {notice}")
    return told


def _part(
    runs: Sequence[RunSpec], data: TaskData, work: WorkConfig, optional: Sequence[str]
) -> tuple[Part, str, dict[str, Facts]]:
    """What the runs of one model on one task share, the model's hash, and the facts of their tests."""
    base = runs[0]
    for recipe in base.attack.recipes:
        recipe_entry(recipe)
    suites = build_suites(base.evaluation.suites)
    columns = list({(run.method.label, run.scenario.label): run for run in runs}.values())
    for run in columns:
        kept = build_method(run.method).keeps
        for suite in suites.values():
            suite.check_method(run.method.label, kept)
    notices = [*data.notices, *unmet_limits(data), *_check_scenarios(runs, data)]
    loaded, told = _check_model(columns, data)
    kind, tokenizer, sha256 = loaded.model.config.model_type, loaded.tokenizer, loaded.sha256
    del loaded  # its weights are not held while runs load their own
    suites, missing = check_suites(suites, data, tokenizer, base.evaluation, kind, optional)
    notices += [*missing, *told]
    base = dataclasses.replace(base, evaluation=dataclasses.replace(base.evaluation, suites=tuple(suites)))
    notices += _code_of_others(columns, base, data)
    tests: dict[str, Facts] = {placeless(text): suite_facts(text, suite, data, base) for text, suite in suites.items()}
    attacked = 0
    if data.task.regression and base.attack.recipes:
        notices.append(f"not attacked: {data.task.name} is a regression task, and an attack needs classes")
    elif base.attack.recipes:
        data.task.changeable(base.attack.columns)
        tests |= {f"attack/{recipe_entry(each).name}": attack_facts(each, base, work) for each in base.attack.recipes}
        rows = sample(data.dev, base.attack.examples)
        attacked, length = len(rows), min(run.train.max_length for run in runs)
        notices += check_lengths(tokenizer, rows, length, truncate=base.attack.truncate)
    outlines = ((label(text), suite.outline(data, base.evaluation)) for text, suite in suites.items())
    outlined = tuple(f"{text}: {outline}" if outline else text for text, outline in outlines)
    return Part(base, data, tuple(notices), outlined, attacked), sha256, tests


def suite_facts(text: str, suite: Suite[Any], data: TaskData, run: RunSpec) -> Facts:
    """What besides a run decides the numbers of a suite: settings that it reads, rows that it finds itself, and the
    version of its code where it is not this package's."""
    given = to_dict(run.evaluation, identity=True)
    return {**{name: str(given[name]) for name in suite.reads}, **suite.facts(data), **_versions([_suite(text)])}


def attack_facts(recipe: str, run: RunSpec, work: WorkConfig) -> Facts:
    """What besides a run decides the lines of an attack: its settings, the resources that it needs, and the version of
    its code where it is not this package's."""
    given = {name: str(value) for name, value in to_dict(run.attack, identity=True).items() if name != "recipes"}
    return {**given, **recipe_facts(recipe, work.resources_dir), **_versions([("attack", recipe_entry(recipe))])}


Code = tuple[str, Entry]
"""What kind of thing is named, and where its code lies."""


def _suite(text: str) -> Code:
    return SUITES.kind, SUITES.entry(part_name(text))


def _trained_with(run: RunSpec, data: TaskData) -> list[Code]:
    named: list[tuple[Registry[Any], str]] = [(TASKS, run.task)] if data.task.family != "file" else []
    named += [(METHODS, name) for name, _ in run.method.parts]
    named += [(SCENARIOS, name) for name, _ in run.scenario.parts]
    return [(registry.kind, registry.entry(name)) for registry, name in named]


def _versions(code: Sequence[Code]) -> Facts:
    """The versions of the packages whose code is run."""
    others = ((f"{kind} {each.name}", each.version) for kind, each in code if isinstance(each, CustomEntry))
    return {name: version for name, version in others if version}


def _code_of_others(runs: Sequence[RunSpec], base: RunSpec, data: TaskData) -> list[str]:
    """A notice for all code that is not this package's."""
    code = [each for run in runs for each in _trained_with(run, data)]
    code += [*map(_suite, base.evaluation.suites), *(("attack", recipe_entry(name)) for name in base.attack.recipes)]
    told = [f"{each.name} is {each.summary}" for _, each in code if isinstance(each, CustomEntry)]
    return list(dict.fromkeys(told))


def _outdated(jobs: Sequence[Job], out: Path) -> list[str]:
    """A notice where runs of this experiment were measured with something else, as an earlier version did."""
    titles = {path.name.rpartition(".")[0] for path in (out / "runs").glob("*")} if (out / "runs").is_dir() else set()
    known = {run.name for each in read_asked(out) for run in each.runs}
    found = sum(
        not job.folder(out).path.exists() and job.name.rpartition(".")[0] in titles and job.name not in known
        for job in jobs
    )
    told = "with other settings, of an earlier version, of other rows or of another model: they stay, and new ones are"
    return [f"{found} of {len(jobs)} runs are in {out} already, but {told} done beside them"] if found else []


def _check_scenarios(runs: Sequence[RunSpec], data: TaskData) -> list[str]:
    """Prepare every training set once, so that an impossible scenario is found.

    Its counts are one notice where all seeds have the same, else one of each seed.
    """
    notices = []
    seeds = list(dict.fromkeys(run.seed for run in runs))
    for config in {run.scenario.label: run.scenario for run in runs}.values():
        built = build_scenarios(config)
        told = {}
        for seed in seeds:
            prepared = prepare(built, data.train, data.task, seed)
            counts = "".join(f", {name} {count}" for name, count in prepared.counts.items())
            told[seed] = f"{config.label}: trained on {len(prepared.examples)} rows{counts}"
        if built and len(set(told.values())) == 1:
            notices.append(told[seeds[0]])
        elif built:
            notices += [f"{text} (seed {seed})" for seed, text in told.items()]
    return notices


def _check_model(runs: Sequence[RunSpec], data: TaskData) -> tuple[LoadedModel, list[str]]:
    """The starting model, opened as each run opens it and tried on the longest row, and what one should know of it."""
    base = runs[0]
    loaded = open_classifier(
        base.model, labels=data.task.labels, seed=base.seed, keep_head=False, revision=base.model_revision,
        trust_remote_code=base.trust_remote_code,
    )  # fmt: skip
    for run in runs:
        check_max_length(loaded.model, loaded.tokenizer, run.train.max_length)
        if build_method(run.method).acts_inside:
            check_architecture(loaded.model.config.model_type)
    lengths = sorted({run.train.max_length for run in runs}, reverse=True)
    notices = [*loaded.notices, *try_rows(loaded, (data.train, data.dev), lengths[0], finite=True)]
    own = {f"test {name}": test.examples for name, test in data.tests.items()}
    for length in lengths:
        notices += cut_texts(loaded.tokenizer, {"training": data.train, "dev": data.dev, **own}, length)
    return loaded, notices


def start(plan: Plan, work: WorkConfig) -> None:
    """Claim the output folder for this plan, and note there what is asked for.

    UserError where the spec has a search that was not done.
    """
    if plan.spec.search is not None and plan.chosen is None:
        raise UserError("search: its values are not chosen yet; robusteval.experiments.search does that first")
    keep_asked(work.out, plan.spec, [job.wanted for job in plan.jobs])
