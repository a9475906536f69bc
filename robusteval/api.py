"""The Python interface: train, evaluate and attack, by name or with objects already in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from robusteval.attacks.runner import AttackResult, Progress
from robusteval.errors import UserError
from robusteval.evaluation import default_suites
from robusteval.evaluation.suites import build_suites
from robusteval.pipeline.attack import begin_campaign
from robusteval.pipeline.evaluation import Evaluation, evaluate_classifier
from robusteval.pipeline.notices import Notify, tell
from robusteval.pipeline.opening import open_tested
from robusteval.pipeline.rows import evaluation_rows, training_rows
from robusteval.pipeline.training import Trained, common_settings, train_classifier, with_paper
from robusteval.registry import pinned
from robusteval.results.predictions import Record
from robusteval.results.store import RunFolder, check_evaluation
from robusteval.runtime.launch import place
from robusteval.settings.attack import AttackConfig
from robusteval.settings.checks import check_range
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.keywords import records, settings_of
from robusteval.settings.model import ModelConfig
from robusteval.settings.runs import MethodConfig, Tuning
from robusteval.settings.train import TrainConfig, override
from robusteval.settings.work import WorkConfig
from robusteval.storage.locks import locked
from robusteval.tasks.base import Task

__all__ = ["AttackResult", "Evaluation", "Notify", "Trained", "attack", "evaluate", "train"]

# Fields of WorkConfig that each function takes.
TRAINING_WORK = ("device", "quiet", "checkpoint_seconds", "track")
ATTACK_WORK = ("device", "workers", "parallel", "resources_dir", "threads")
ATTACK = ("examples", "columns", "precision", "query_budget", "time_limit", "truncate")
DEFAULT_TASK, DEFAULT_LENGTH = "demo-sentiment", 128


def train(
    model: Any = "minilm",
    task: str | Task = DEFAULT_TASK,
    method: str = "vanilla",
    *,
    tokenizer: Any = None,
    train_dataset: Any = None,
    dev_dataset: Any = None,
    seed: int = 0,
    out: str | Path | None = None,
    data: DataConfig | None = None,
    notify: Notify | None = None,
    **settings: Any,
) -> Trained:
    """Fine-tune one model with one method.

    model: a registered name, folder or hub id; or a transformers classifier, with its `tokenizer`, which is trained in
    place: a dropout of the settings or of the method ("mixout" trains with 0) is set in it and stays.
    task: a registered name or a Task; train_dataset, dev_dataset: its rows as `datasets.Dataset`.
    method: as on the command line ("match:temperature=2").
    out: folder for train.jsonl and the resumable state.
    notify: called with each notice before the first step, instead of logging it.
    Under torchrun all processes call this alike, train one model together and get it; the first one writes.
    settings: fields of `TrainConfig` (epochs, max_steps, learning_rate, batch_size, max_length, ...); of a hub model
    model_revision, and trust_remote_code, whether code that a model's folder brings is run; device, quiet,
    checkpoint_seconds, track.

    >>> trained = train("minilm", "demo-sentiment", "match", max_steps=100)  # doctest: +SKIP
    >>> evaluate(trained).scores  # doctest: +SKIP
    """
    takes = {TrainConfig: (), ModelConfig: (), WorkConfig: TRAINING_WORK}
    explicit = settings_of(settings, takes, "train")[0]
    column = with_paper(MethodConfig.parse(method), explicit)
    config = override(common_settings(model, explicit), column.train)
    rest = {name: value for name, value in settings.items() if name not in explicit}
    _, opening, work = records(rest, takes, "train")
    rows = training_rows(task, data or DataConfig(), train_dataset, dev_dataset)
    folder = Path(out) if out is not None else None
    main = place() == 0
    with locked(folder) if folder is not None and main else nullcontext():
        trained = train_classifier(
            model, rows, Tuning(column, config, seed), tokenizer=tokenizer, opening=opening, work=work, folder=folder,
            begin=lambda loaded, encoded: tell(loaded.notices, notify),
        )  # fmt: skip
        if folder is not None and main:
            # finished: the next training in this folder is another one
            (folder / "state.safetensors").unlink(missing_ok=True)
    return dataclasses.replace(trained, named=pinned(task, "task") if isinstance(task, str) else "")


def evaluate(
    model: Any,
    task: str | Task | None = None,
    *,
    tokenizer: Any = None,
    dataset: Any = None,
    suites: Sequence[str] | None = None,
    data: DataConfig | None = None,
    max_length: int | None = None,
    out: str | Path | None = None,
    record: Record | None = None,
    notify: Notify | None = None,
    **settings: Any,
) -> Evaluation:
    """Test a fine-tuned classifier.

    model: what `train` gave; a checkpoint folder or hub id; or a classifier in memory with its `tokenizer`. What
    `train` gave, and its model, predict as the method does; of a folder the weights alone count.
    task: the one trained on, for what `train` gave, else the demo task. dataset: rows to test on instead of the task's
    dev split, as `datasets.Dataset`. max_length: as in training, for what `train` gave, else 128.
    suites: "mask", "flatness:directions=5"; by default those that suit the task.
    out: a new folder for rows, predictions and tables of the suites' own, or one that holds an evaluation.
    record: called with suite, value, number of the set and its predictions.
    notify: called with each notice before the first suite runs, instead of logging it; all are in the result too.
    settings: the other fields of `EvalConfig` (rates, sets, columns, mask_token); model_revision and trust_remote_code,
    as in `train`; device.

    A model that names the task's labels in another order is tested with its outputs in the task's order.
    UserError where no suite measures anything.
    """
    given = settings if suites is None else {**settings, "suites": tuple(suites)}
    takes = {EvalConfig: (), ModelConfig: (), WorkConfig: ("device",)}
    config, opening, work = records(given, takes, "evaluation")
    if suites is not None and not build_suites(config.suites):
        raise UserError("suites: none given; at least one is needed")
    folder = RunFolder(Path(out)) if out is not None else None
    if folder is not None:
        check_evaluation(folder.path)
    model, tokenizer, task, length = _unpacked(model, tokenizer, task, dataset, max_length)
    rows = evaluation_rows(model, task, data or DataConfig(), dataset, opening)
    if suites is None:
        config = dataclasses.replace(config, suites=default_suites(rows.task if dataset is None else _alone(rows.task)))
    named = str(model) if isinstance(model, str | Path) else type(model).__name__
    with open_tested(
        model, tokenizer, rows, max_length=length, opening=opening, device=work.device
    ) as classifier:  # fmt: skip
        return evaluate_classifier(
            classifier, rows, config, model=named, by_default=suites is None, folder=folder, record=record,
            notify=notify,
        )  # fmt: skip


def attack(
    model: Any,
    task: str | Task | None = None,
    recipe: str = "deepwordbug",
    *,
    tokenizer: Any = None,
    dataset: Any = None,
    seed: int = 0,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    data: DataConfig | None = None,
    max_length: int | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
    **settings: Any,
) -> AttackResult:
    """Attack a fine-tuned classifier with one TextAttack recipe.

    model, task, tokenizer, dataset, max_length: as in `evaluate`, labels are mapped as there.
    out: a .jsonl file, one line per example; finished lines are not attacked again.
    cache: a file that keeps logits by checkpoint and text, for other recipes and later calls.
    progress: called after each example with how many are done, how many there are, and its line.
    notify: called with each notice before the first query, instead of logging it.
    settings: examples, how many dev rows to attack, drawn once for all seeds (None: all of them); columns, the text
    columns that may be changed (default: all that the task leaves open); precision, "bf16" for bfloat16 autocast,
    whose numbers are not those of fp32; query_budget and time_limit, the most queries and seconds for one example;
    truncate, attack also texts of more than `max_length` tokens, though the model sees only their beginning; parallel,
    examples attacked at a time, 0 for what suits the device; workers, processes, for a checkpoint's folder;
    resources_dir; device; threads; model_revision and trust_remote_code, as in `train`.
    """
    check_range("seed", seed, 0, 2**63 - 1)
    takes = {AttackConfig: ATTACK, ModelConfig: (), WorkConfig: ATTACK_WORK}
    config, opening, work = records(settings, takes, "attack")
    model, tokenizer, task, length = _unpacked(model, tokenizer, task, dataset, max_length)
    rows = evaluation_rows(model, task, data or DataConfig(), dataset, opening)
    with begin_campaign(
        model, rows, config, seed, tokenizer=tokenizer, max_length=length, opening=opening, work=work,
        cache=Path(cache) if cache is not None else None, notify=notify,
    ) as campaign:  # fmt: skip
        return campaign.attack(recipe, Path(out) if out is not None else None, progress)


def _unpacked(
    model: Any, tokenizer: Any, task: str | Task | None, dataset: Any, max_length: int | None
) -> tuple[Any, Any, str | Task, int]:
    """What `train` gave as model, tokenizer, task and maximal length; anything else with the defaults."""
    if isinstance(model, Trained):
        if max_length is None and model.tuning is not None:
            max_length = model.tuning.train.max_length
        own = model.task if dataset is not None else model.named or model.task
        model, tokenizer, task = model.model, tokenizer or model.tokenizer, task or own
    return model, tokenizer, task or DEFAULT_TASK, DEFAULT_LENGTH if max_length is None else max_length


def _alone(task: Task) -> Task:
    """A task whose rows were given, without the sets that would come from elsewhere."""
    return dataclasses.replace(task, out_of_domain=None, transfers=(), adversarial=())
