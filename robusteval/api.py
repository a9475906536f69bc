"""The Python interface: train, evaluate and attack, by name or with objects already in memory."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from robusteval.anatomy import check_architecture
from robusteval.attacks.runner import AttackResult, attack_examples
from robusteval.attacks.shards import attack_checkpoint
from robusteval.attacks.wrapper import token_ids
from robusteval.config import (
    DataConfig,
    EvalConfig,
    MethodConfig,
    TrainConfig,
    check_range,
    from_dict,
)
from robusteval.devices import pick_device
from robusteval.encoding import encode
from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Record, Subject
from robusteval.evaluation.metrics import score
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.suites import build_suites
from robusteval.methods import METHODS
from robusteval.methods.compose import build_method
from robusteval.models import (
    LoadedModel,
    check_head,
    check_max_length,
    checkpoint_labels,
    load_model,
    locate,
    recommended_learning_rate,
    save_checkpoint,
)
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import TaskData, load_evaluation, load_task, resolve, sample
from robusteval.trainer import TrainResult
from robusteval.trainer import train as fit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A fine-tuned model in evaluation mode, its tokenizer, the task, and what training cost."""

    model: Any
    tokenizer: Any
    task: Task
    training: TrainResult
    modules: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    def save(self, folder: str | Path) -> Path:
        """Write a plain transformers checkpoint, and beside it what the method trained for analysis only."""
        save_checkpoint(self.model, self.tokenizer, Path(folder), self.modules, self.facts)
        return Path(folder)


@dataclass(frozen=True)
class Evaluation:
    """Measurements in suite order; `scores` maps (suite, value, metric) to the number."""

    task: Task
    measurements: tuple[Measurement, ...]

    @property
    def scores(self) -> dict[tuple[str, str, str], float]:
        return {(m.suite, m.value, name): value for m in self.measurements for name, value in m.metrics.items()}


def train(
    model: Any = "minilm",
    task: str | Task = "demo-sentiment",
    method: str = "vanilla",
    *,
    tokenizer: Any = None,
    train_dataset: Any = None,
    dev_dataset: Any = None,
    seed: int = 0,
    out: str | Path | None = None,
    device: str = "auto",
    data: DataConfig | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Trained:
    """Fine-tune one model with one method.

    model: a registered name, folder or hub id; or a transformers classifier, with its `tokenizer`.
    task: a registered name or a Task; train_dataset, dev_dataset: its rows as `datasets.Dataset`.
    method: as on the command line ("match:temperature=2").
    out: folder for train.jsonl and the resumable state. settings: fields of TrainConfig.

    >>> trained = train("minilm", "demo-sentiment", "match", max_steps=100)  # doctest: +SKIP
    >>> evaluate(trained.model, "demo-sentiment", tokenizer=trained.tokenizer).scores  # doctest: +SKIP
    """
    column = MethodConfig.parse(method)
    built = build_method(column)
    paper = {key: value for name, _ in column.parts for key, value in METHODS[name].TRAIN.items()}
    rate = recommended_learning_rate(model) if isinstance(model, str) else 2e-5
    config = from_dict(TrainConfig, {"learning_rate": rate, **paper, **settings, **column.train}, "train.")
    rows = _training_rows(task, data or DataConfig(), train_dataset, dev_dataset)
    if config.select == "best" and len(rows.dev) == 0:
        raise UserError("select: 'best' needs a dev_dataset to select on")
    loaded = _loaded(model, tokenizer, rows.task, seed=seed, keep_head=False, dropout=config.dropout)
    check_max_length(loaded.model.config, loaded.tokenizer, config.max_length)
    encoded = encode(loaded.tokenizer, rows.train.texts, rows.train.labels, max_length=config.max_length)

    def dev_score(candidate: Any) -> float:
        subject = Subject(Predictor(candidate, loaded.tokenizer, config.max_length), rows, EvalConfig())
        primary = rows.task.primary
        return score([primary], rows.dev.labels, subject.clean, regression=rows.task.regression)[primary]

    result = fit(
        loaded,
        encoded,
        config,
        built,
        seed=seed,
        device=pick_device(device),
        folder=Path(out) if out is not None else None,
        dev_score=dev_score if config.select == "best" else None,
        quiet=quiet,
    )
    if out is not None:
        # finished: the next training in this folder is another one
        (Path(out) / "state.safetensors").unlink(missing_ok=True)
    return Trained(loaded.model, loaded.tokenizer, rows.task, result, dict(built.modules), built.facts())


def evaluate(
    model: Any,
    task: str | Task = "demo-sentiment",
    *,
    tokenizer: Any = None,
    dataset: Any = None,
    device: str = "auto",
    data: DataConfig | None = None,
    max_length: int = 128,
    record: Record | None = None,
    **settings: Any,
) -> Evaluation:
    """Test a fine-tuned classifier; settings are fields of EvalConfig (suites, rates, sets).

    record: called with suite, value, number of the set and its predictions.

    model: a checkpoint folder or hub id, or a classifier in memory with its `tokenizer`.
    dataset: rows to test on instead of the task's dev split, as `datasets.Dataset`.
    """
    config = from_dict(EvalConfig, settings, "evaluation.")
    suites = build_suites(config.suites)
    rows, loaded = _evaluation(model, tokenizer, task, data, dataset, max_length)
    for suite in suites.values():
        if suite.acts_inside:
            check_architecture(loaded.model.config.model_type)
        suite.check(rows, loaded.tokenizer, config)
    loaded.model.to(pick_device(device))
    folder = Path(model) if isinstance(model, str | Path) and Path(model).is_dir() else None
    subject = Subject(Predictor(loaded.model, loaded.tokenizer, max_length), rows, config, folder, record)
    return Evaluation(rows.task, tuple(m for suite in suites.values() for m in suite.run(subject)))


def attack(
    model: Any,
    task: str | Task = "demo-sentiment",
    recipe: str = "deepwordbug",
    *,
    tokenizer: Any = None,
    dataset: Any = None,
    examples: int | None = 50,
    seed: int = 0,
    out: str | Path | None = None,
    resources_dir: str | Path | None = None,
    columns: Sequence[str] | None = None,
    parallel: int = 0,
    workers: int = 1,
    query_budget: int | None = None,
    time_limit: float | None = None,
    cache: str | Path | None = None,
    device: str = "auto",
    data: DataConfig | None = None,
    max_length: int = 128,
    progress: Any = None,
) -> AttackResult:
    """Attack a fine-tuned classifier with one TextAttack recipe.

    examples: how many dev rows to attack, drawn once for all seeds (None: all of them).
    out: a .jsonl file, one line per example; finished lines are not attacked again.
    columns: text columns that may be changed (default: all that the task leaves open).
    parallel: examples attacked at a time, 0 for what suits the device; workers: processes, for a checkpoint's folder.
    query_budget, time_limit: the most queries and seconds for one example.
    cache: a file that keeps logits by checkpoint and text, for other recipes and later calls.
    """
    if examples is not None:
        check_range("attack_examples", examples, 1, math.inf)
    check_range("seed", seed, 0, 2**63 - 1)
    rows, loaded = _evaluation(model, tokenizer, task, data, dataset, max_length)
    chosen = pick_device(device)
    settings: dict[str, Any] = {
        "seed": seed,
        "out": Path(out) if out is not None else None,
        "resources_dir": Path(resources_dir) if resources_dir is not None else None,
        "text_columns": rows.task.text_columns,
        "columns": rows.task.changeable(columns or ()),
        "parallel": parallel or (1 if chosen.type == "cpu" else 16),
        "query_budget": query_budget,
        "time_limit": time_limit,
        "progress": progress,
    }
    selected = sample(rows.dev, examples)
    cut = encode(loaded.tokenizer, selected.texts, max_length=max_length).truncated
    if cut:
        logger.warning(
            "%d of %d texts to attack are cut to %d tokens (max_length): no word beyond changes a prediction",
            cut, len(selected), max_length,
        )  # fmt: skip
    if workers != 1 or cache is not None:
        if not isinstance(model, str | Path):
            raise UserError("workers: processes and a cache need a checkpoint's folder, not a model in memory")
        return attack_checkpoint(
            locate(str(model))[0], selected, rows.task.labels, recipe, workers=workers, max_length=max_length,
            device=device, cache=Path(cache) if cache is not None else None, **settings,
        )  # fmt: skip
    loaded.model.to(chosen).eval()
    predictor = Predictor(loaded.model, loaded.tokenizer, max_length)
    sees = token_ids(loaded.tokenizer, max_length)
    return attack_examples(predictor.logits, selected, rows.task.labels, recipe, sees=sees, **settings)


def _evaluation(
    model: Any, tokenizer: Any, task: str | Task, data: DataConfig | None, dataset: Any, max_length: int
) -> tuple[TaskData, LoadedModel]:
    """The rows to test on and the model to test, checked against each other."""
    config = data or DataConfig()
    if dataset is not None:
        declared = resolve(task, config) if isinstance(task, str) else task
        dev = _examples(dataset, declared, "dataset")
        rows = TaskData(dataclasses.replace(declared, dev="dataset"), dev.take([]), dev, config=config)
    elif isinstance(task, Task):
        raise UserError("dataset: not given; a Task of your own needs its rows")
    else:
        rows = load_evaluation(task, config, checkpoint_labels(model) if config.dev_file else ())
    loaded = _loaded(model, tokenizer, rows.task, seed=0, keep_head=True)
    check_max_length(loaded.model.config, loaded.tokenizer, max_length)
    return rows, loaded


def _training_rows(task: str | Task, data: DataConfig, train_dataset: Any, dev_dataset: Any) -> TaskData:
    if train_dataset is None:
        if isinstance(task, Task):
            raise UserError("train_dataset: not given; a Task of your own needs its rows")
        return load_task(task, data)
    declared = resolve(task, data) if isinstance(task, str) else task
    training = sample(_examples(train_dataset, declared, "train_dataset"), data.train_limit)
    dev = _examples(dev_dataset, declared, "dev_dataset") if dev_dataset is not None else training.take([])
    return TaskData(declared, training, dev, config=data)


def _examples(dataset: Any, task: Task, split: str) -> Examples:
    """A datasets.Dataset (or a pandas DataFrame) as checked examples."""
    frame = dataset.to_pandas() if hasattr(dataset, "to_pandas") else dataset
    if not isinstance(frame, pd.DataFrame):
        raise UserError(f"{split}: a datasets.Dataset or pandas DataFrame is needed, not a {type(dataset).__name__}")
    return examples_from_frame(frame, task, split)


def _loaded(
    model: Any, tokenizer: Any, task: Task, *, seed: int, keep_head: bool, dropout: float | None = None
) -> LoadedModel:
    if isinstance(model, str | Path):
        return load_model(str(model), labels=task.labels, seed=seed, keep_head=keep_head, dropout=dropout)
    if tokenizer is None:
        raise UserError("tokenizer: not given; a model in memory needs its tokenizer")
    if model.config.num_labels != task.num_labels:
        raise UserError(
            f"model: it has {model.config.num_labels} outputs but the task {task.name!r} needs {task.num_labels}"
        )
    if keep_head:
        check_head("model in memory", model.config, task.labels)
    return LoadedModel(model, tokenizer, {"model": type(model).__name__, "origin": "memory"}, "")
