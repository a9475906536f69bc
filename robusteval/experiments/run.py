"""One run: train one model with one method and one seed, test it, and leave rows on disk."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch

from robusteval.attacks.plan import check_predictions
from robusteval.attacks.queries.cache import LogitsCache, victim_name
from robusteval.attacks.queries.wrapper import token_ids
from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.attacks.runner import attack_examples
from robusteval.errors import UserError
from robusteval.evaluation.base import Subject, Suite
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.suites import build_suites
from robusteval.methods.base import Method
from robusteval.methods.compose import attach, build_method
from robusteval.models.encoding import encode
from robusteval.models.hashes import checkpoint_sha256
from robusteval.models.loading import LoadedModel
from robusteval.models.opening import open_classifier
from robusteval.models.saving import save_checkpoint
from robusteval.models.tokenizers import check_max_length
from robusteval.pipeline.testing import measurement_rows, run_suite
from robusteval.registry import placeless, result_name
from robusteval.results.attack_lines import forget_errors, timed_out
from robusteval.results.attack_summary import AttackSummary, ProgressNote
from robusteval.results.metrics import score
from robusteval.results.rows import Note, Row
from robusteval.results.store import RunFolder
from robusteval.runtime.devices import pick_device
from robusteval.runtime.environment import measured_with
from robusteval.runtime.progress import ProgressBar
from robusteval.scenarios.base import Prepared, Scenario, build_scenarios, prepare
from robusteval.settings.codec import to_dict
from robusteval.settings.runs import RunSpec
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig
from robusteval.tasks.load import TaskData, load_task, sample
from robusteval.training.trainer import TrainResult, train
from robusteval.version import VERSION

logger = logging.getLogger(__name__)


def run_facts(data: TaskData, model_sha256: str, suites: Iterable[Suite[Any]]) -> dict[str, str]:
    """What besides the spec decides a run's numbers; part of its name, so a change of any is a new run."""
    own = {name: value for suite in suites for name, value in suite.facts(data).items()}
    return {"data": data.fingerprint, "model": model_sha256, "code": VERSION, **own}


def execute(spec: RunSpec, work: WorkConfig, facts: dict[str, str], data: TaskData | None = None) -> RunFolder:
    """Do what is left of a run and return its folder.

    Each stage (training, every suite, every attack) is finished once; an interrupted one is continued.
    UserError where rows or model are no longer those of `facts`, or where more than `work.max_errors` examples of
    an attack ended in an error; the next call tries those again.
    """
    folder = RunFolder(work.out / "runs" / spec.name(**facts))
    if folder.done:
        return folder
    if work.threads:
        torch.set_num_threads(work.threads)
    with folder.lock():
        if folder.done:  # by another process, since it was looked at
            return folder
        folder.check(model=True)
        folder.recover()
        data = data or load_task(spec.task, spec.data)
        _check_unchanged("data", "the rows", data.fingerprint, facts)
        prepared = prepare(build_scenarios(spec.scenario), data.train, data.task, spec.seed)
        data = dataclasses.replace(data, train=prepared.examples)
        device = pick_device(work.device)
        method = build_method(spec.method)
        folder.write_record("config.json", {"spec": to_dict(spec), "facts": facts})
        if "train" in folder.stages() and not folder.model.is_dir():
            logger.warning("the model of %s is gone; the run starts anew", folder.path)
            folder.reset()
        stages = folder.stages()
        if "train" in stages:
            folder.note_continuation(measured_with(device))
        else:
            _train(spec, work, folder, data, prepared, device, facts)
        loaded = open_classifier(
            folder.model, labels=data.task.labels, keep_head=True, trust_remote_code=spec.trust_remote_code
        )
        folder.update_record("environment.json", checkpoint_sha256=loaded.sha256)
        loaded.model.to(device)
        # a method whose predictions need more than the checkpoint keeps its hook while it is evaluated
        hook = None if method.plain_at_evaluation else attach(_bound(method, data, device, spec), loaded.model)
        group = method.evaluation_group(spec.train)
        predictor = Predictor(loaded.model, loaded.tokenizer, spec.train.max_length, group=group)
        subject = Subject(predictor, data, spec.evaluation, folder.model)
        for text, suite in build_suites(spec.evaluation.suites).items():
            if placeless(text) not in stages:
                _evaluate(text, suite, spec, folder, subject)
        troubles = []
        if not data.task.regression:
            for recipe in spec.attack.recipes:
                if f"attack/{recipe_entry(recipe).name}" not in stages:
                    troubles.append(_attack(recipe, spec, work, folder, subject, hooked=hook is not None))
        if hook is not None:
            hook.remove()
        if any(troubles):
            raise UserError("; ".join(filter(None, troubles)))
        folder.finish(keep_model=work.keep_models)
    return folder


def _check_unchanged(fact: str, what: str, found: str, facts: Mapping[str, str]) -> None:
    """Raise UserError where something is not what it was when the run got its name, minutes or hours ago."""
    if found != facts[fact]:
        raise UserError(f"{fact}: {what} changed since this command began; give the command again")


def _bound(method: Any, data: TaskData, device: torch.device, spec: RunSpec) -> Any:
    from robusteval.methods.base import Context

    method.bind(Context(device, 0, data.task.regression, spec.seed, lambda loss: None))
    return method


def scenario_value(scenarios: Sequence[Scenario[Any]]) -> float | None:
    """The strength of the last scenario that has one."""
    return next((s.value for s in reversed(scenarios) if s.value is not None), None)


def _row(spec: RunSpec, folder: RunFolder, **fields: Any) -> Row:
    return Row(
        run=folder.path.name,
        model=spec.model,
        task=result_name(spec.task),
        method=spec.method.label,
        scenario=spec.scenario.label,
        scenario_value=scenario_value(build_scenarios(spec.scenario)),
        seed=spec.seed,
        **fields,
    )


def _train(
    spec: RunSpec,
    work: WorkConfig,
    folder: RunFolder,
    data: TaskData,
    prepared: Prepared,
    device: torch.device,
    facts: Mapping[str, str],
) -> None:
    task, config = data.task, spec.train
    loaded = open_classifier(
        spec.model,
        labels=task.labels,
        seed=spec.seed,
        keep_head=False,
        revision=spec.model_revision,
        trust_remote_code=spec.trust_remote_code,
        dropout=config.dropout,
    )
    _check_unchanged("model", "the files of the model", loaded.sha256, facts)
    check_max_length(loaded.model, loaded.tokenizer, config.max_length)
    rows = prepared.examples
    encoded = encode(loaded.tokenizer, rows.texts, rows.labels, max_length=config.max_length)
    encoded = dataclasses.replace(encoded, groups=prepared.groups, weights=prepared.weights)
    folder.update_record(
        "environment.json",
        **measured_with(device),
        model={**loaded.source, "sha256": loaded.sha256},
        data={"train": data.train.source, "dev": data.dev.source},
        scenario={"label": spec.scenario.label, "rows": len(rows), "fingerprint": rows.fingerprint, **prepared.counts},
        truncated_training_texts=encoded.truncated,
    )
    method = build_method(spec.method)
    result = train(
        loaded,
        encoded,
        config,
        method,
        seed=spec.seed,
        device=device,
        folder=folder.path,
        dev_score=_dev_score(loaded, data, config, method) if config.select == "best" else None,
        track=work.track,
        checkpoint_seconds=work.checkpoint_seconds,
        quiet=work.quiet,
        title=f"train {run_title(spec)}",
    )
    folder.update_record("environment.json", precision=result.precision, notices=[*loaded.notices, *result.notices])
    save_checkpoint(loaded.model, loaded.tokenizer, folder.model, dict(method.modules), method.facts())
    files = (folder.path / "train.jsonl", *sorted(folder.model.iterdir()))
    folder.finish_stage("train", _train_rows(spec, folder, task.train, prepared, result), files)


def run_title(spec: RunSpec) -> str:
    """A run in words: "tdt seed 0", "tdt seed 0 under label-noise:rate=0.1"."""
    under = f" under {spec.scenario.label}" if spec.scenario.parts else ""
    return f"{spec.method.label} seed {spec.seed}{under}"


def _dev_score(loaded: LoadedModel, data: TaskData, config: TrainConfig, method: Method[Any]) -> Any:
    """The primary metric on dev, for --select best; such a score is selected on the rows it is reported on."""
    task = data.task
    length, group = config.max_length, method.evaluation_group(config)
    encoded = encode(loaded.tokenizer, data.dev.texts, data.dev.labels, max_length=length)

    def measure(model: Any) -> float:
        logits = Predictor(model, loaded.tokenizer, length, group=group).encoded(encoded, "dev rows", data.dev.ids)
        return score([task.primary], data.dev.labels, logits, regression=task.regression)[task.primary]

    return measure


def _train_rows(spec: RunSpec, folder: RunFolder, split: str, prepared: Prepared, result: TrainResult) -> list[Row]:
    n, seconds = len(prepared.examples), round(result.seconds, 3)
    values = {
        "steps": float(result.steps),
        "seconds_per_step": result.seconds_per_step,
        "peak_memory_mb": result.peak_bytes / 2**20,
    }
    notes = tuple(map(Note, result.notices))
    rows: list[tuple[str, str, str, float, tuple[Note, ...]]]
    rows = [("train", "", metric, value, notes) for metric, value in values.items()]
    rows += [("scenario", name, "rows", float(count), ()) for name, count in prepared.counts.items()]
    return [
        _row(
            spec, folder, suite=suite, suite_value=name, split=split, metric=metric, value=value, n=n,
            seconds=seconds, notes=said,
        )
        for suite, name, metric, value, said in rows
    ]  # fmt: skip


def _evaluate(text: str, suite: Suite[Any], spec: RunSpec, folder: RunFolder, subject: Subject) -> None:
    measurements = run_suite(suite, subject, folder)
    make = functools.partial(_row, spec, folder, selected_on_dev=spec.train.select == "best")
    rows = []
    for item in measurements:
        said = []
        if item.collapsed is not None:
            said.append(Note(f"to learn more than one class, {_remedies(spec)}"))
            told = "%s has collapsed to %r: it predicts nothing else; %s"
            logger.warning(told, run_title(spec), item.collapsed, _remedies(spec))
        rows += measurement_rows(item, make, *said)
    folder.finish_stage(placeless(text), rows, folder.suite_files(suite.name), suite.metrics)


def _remedies(spec: RunSpec) -> str:
    """What to try where a run predicts one class throughout."""
    train = spec.train
    steps = f"--max-steps, {train.max_steps}" if train.max_steps is not None else f"--epochs, {train.epochs:g}"
    presets = "".join(f", or {text}" for text in build_method(spec.method).remedies)
    rate = f"--learning-rate, {train.learning_rate or 2e-5:g}"
    return f"try more steps ({steps} here), another rate ({rate} here){presets}"


def _attack(
    recipe: str,
    spec: RunSpec,
    work: WorkConfig,
    folder: RunFolder,
    subject: Subject,
    *,
    hooked: bool,
) -> str:
    """Finish the stage of one recipe; else say why it is not finished: too many examples ended in an error.

    hooked: the method acts at evaluation too. Texts of one batch may then answer for each other, so that neither
    what a cache knows nor how many examples go together may decide what is in a batch.
    """
    data, predictor, config = subject.data, subject.predictor, spec.attack
    name = recipe_entry(recipe).name
    examples = sample(data.dev, config.examples)
    began = time.perf_counter()
    note = ProgressNote()
    device = predictor.device.type
    # a method with a hook at evaluation answers differently from its checkpoint
    method = spec.method.label if hooked else ""
    precision = config.precision
    predictor = Predictor(
        predictor.model, predictor.tokenizer, predictor.max_length, precision=precision, group=predictor.group
    )
    sha256 = checkpoint_sha256(folder.model)
    victim = victim_name(sha256, data.task.labels, predictor.max_length, device, precision, method)
    out = folder.path / "attacks" / f"{name}.jsonl"
    forget_errors(out)
    with ExitStack() as stack:
        bar = stack.enter_context(
            ProgressBar(f"attack {name} on {run_title(spec)}", len(examples), quiet=work.quiet)
        )
        known = None
        if work.cache and not hooked:
            try:
                known = stack.enter_context(LogitsCache(folder.path / "attacks" / "logits.sqlite", victim))
            except UserError as error:
                logger.warning("%s; the attack goes on without it", error)
        result = attack_examples(
            predictor.logits,
            examples,
            data.task.labels,
            recipe,
            seed=spec.seed,
            out=out,
            resources_dir=work.resources_dir,
            text_columns=data.task.text_columns,
            columns=data.task.changeable(config.columns),
            parallel=1 if hooked else work.parallel_on(device),
            query_budget=config.query_budget,
            time_limit=config.time_limit,
            cache=known,
            sees=token_ids(predictor.tokenizer, predictor.max_length),
            model=victim,
            check=functools.partial(check_predictions, predictor, data.dev, config.examples),
            progress=lambda done, total, line: bar.reach(done, total, note(done, total, line)),
        )
    summary = result.summary
    errors = [line for line in result.lines if line["outcome"] == "error"]
    failed = [line["message"] for line in errors if not timed_out(line)]
    if len(failed) > work.max_errors:
        return (
            f"attack {name}: {len(failed)} of {len(result.lines)} examples ended in an error ({failed[0]}), more than "
            f"{work.max_errors}; the same command tries those again, --max-errors {len(errors)} goes without them"
        )
    seconds = round(time.perf_counter() - began, 3)
    folder.finish_stage(f"attack/{name}", _attack_rows(spec, folder, name, summary, data, seconds), [out])
    return ""


def _attack_rows(
    spec: RunSpec, folder: RunFolder, recipe: str, summary: AttackSummary, data: TaskData, seconds: float
) -> list[Row]:
    """Every number with its own denominator."""
    notes = (Note(summary.warning),) if summary.warning else ()
    return [
        _row(
            spec, folder, suite="attack", suite_value=recipe, split=data.task.dev, metric=metric, value=value, n=n,
            seconds=seconds, notes=notes, selected_on_dev=spec.train.select == "best",
        )
        for metric, value, n in summary.metrics()
        if n or metric != "mean_similarity"
    ]  # fmt: skip
