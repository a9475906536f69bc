"""The Python interface: train, evaluate and attack, by name or with objects already in memory."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from robusteval.attacks.plan import check_lengths, check_predictions
from robusteval.attacks.queries.cache import victim_name
from robusteval.attacks.queries.wrapper import token_ids
from robusteval.attacks.runner import AttackResult, attack_examples
from robusteval.attacks.workers import attack_checkpoint
from robusteval.errors import UserError
from robusteval.evaluation import default_suites
from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.suites import build_suites, check_suites, with_own
from robusteval.methods import METHODS
from robusteval.methods.compose import build_method
from robusteval.models.catalogue import locate, recommended_learning_rate
from robusteval.models.encoding import encode, told_cut
from robusteval.models.loading import LoadedModel, checkpoint_labels
from robusteval.models.opening import open_classifier, try_rows
from robusteval.models.provenance import plain_model_notices, text_count_notices
from robusteval.models.saving import kept_modules, save_checkpoint
from robusteval.pipeline.testing import run_tests
from robusteval.results.metrics import Metric, score
from robusteval.results.predictions import Record
from robusteval.results.store import RunFolder, check_evaluation
from robusteval.runtime.devices import pick_device
from robusteval.settings.checks import check_range
from robusteval.settings.codec import from_dict
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.storage.locks import locked
from robusteval.tasks.arrow import dataset_frame
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.labels import distribution
from robusteval.tasks.load import (
    TaskData,
    answered,
    load_evaluation,
    load_task,
    resolve,
    sample,
    trained,
    unmet_limits,
    with_own_tests,
)
from robusteval.tasks.table import CLASSES
from robusteval.training.trainer import TrainResult
from robusteval.training.trainer import train as fit

logger = logging.getLogger(__name__)

Notify = Callable[[str], None]
"""Is told what the user should know, one notice at a time."""


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
    """Measurements in suite order; `scores` maps (suite, value, metric) to the number.

    notices: what one should know to read them; name: of the checkpoint, as its rows bear it; model: as it was given;
    declared: what suites of the user's own say of their metrics.
    """

    task: Task
    measurements: tuple[Measurement, ...]
    notices: tuple[str, ...] = ()
    name: str = ""
    model: str = ""
    declared: Mapping[str, Metric] = field(default_factory=dict)

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
    model_revision: str = "main",
    trust_remote_code: bool = False,
    notify: Notify | None = None,
    **settings: Any,
) -> Trained:
    """Fine-tune one model with one method.

    model: a registered name, folder or hub id; or a transformers classifier, with its `tokenizer`, which is trained in
    place: a dropout of the settings or of the method ("mixout" trains with 0) is set in it and stays.
    task: a registered name or a Task; train_dataset, dev_dataset: its rows as `datasets.Dataset`.
    method: as on the command line ("match:temperature=2").
    out: folder for train.jsonl and the resumable state. settings: fields of TrainConfig.
    model_revision, trust_remote_code: of a hub model; and whether code that a model's folder brings is run.
    notify: called with each notice before the first step, instead of logging it.

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
    loaded = open_classifier(
        model, tokenizer, labels=rows.task.labels, seed=seed, keep_head=False, revision=model_revision,
        trust_remote_code=trust_remote_code, dropout=config.dropout,
    )  # fmt: skip
    told = try_rows(loaded, (rows.train, rows.dev), config.max_length, finite=True)
    _tell([*loaded.notices, *told], notify)
    encoded = encode(loaded.tokenizer, rows.train.texts, rows.train.labels, max_length=config.max_length)

    def dev_score(candidate: Any) -> float:
        predictor = Predictor(candidate, loaded.tokenizer, config.max_length, group=built.evaluation_group(config))
        subject = Subject(predictor, rows, EvalConfig())
        primary = rows.task.primary
        return score([primary], rows.dev.labels, subject.clean, regression=rows.task.regression)[primary]

    folder = Path(out) if out is not None else None
    with locked(folder) if folder is not None else nullcontext():
        result = fit(
            loaded,
            encoded,
            config,
            built,
            seed=seed,
            device=pick_device(device),
            folder=folder,
            dev_score=dev_score if config.select == "best" else None,
            quiet=quiet,
        )
        if folder is not None:
            # finished: the next training in this folder is another one
            (folder / "state.safetensors").unlink(missing_ok=True)
    return Trained(loaded.model, loaded.tokenizer, rows.task, result, dict(built.modules), built.facts())


def evaluate(
    model: Any,
    task: str | Task = "demo-sentiment",
    *,
    tokenizer: Any = None,
    dataset: Any = None,
    suites: Sequence[str] | None = None,
    device: str = "auto",
    data: DataConfig | None = None,
    max_length: int = 128,
    out: str | Path | None = None,
    record: Record | None = None,
    model_revision: str = "main",
    trust_remote_code: bool = False,
    notify: Notify | None = None,
    **settings: Any,
) -> Evaluation:
    """Test a fine-tuned classifier; settings are the other fields of EvalConfig (rates, sets, columns).

    model: a checkpoint folder or hub id, or a classifier in memory with its `tokenizer`.
    dataset: rows to test on instead of the task's dev split, as `datasets.Dataset`.
    suites: "mask", "flatness:directions=5"; by default those that suit the task.
    out: a new folder for rows, predictions and tables of the suites' own, or one that holds an evaluation.
    record: called with suite, value, number of the set and its predictions.
    model_revision, trust_remote_code: as in `train`.
    notify: called with each notice before the first suite runs, instead of logging it; all are in the result too.

    A model that names the task's labels in another order is tested with its outputs in the task's order.
    UserError where no suite measures anything.
    """
    given = settings if suites is None else {**settings, "suites": suites}
    config = from_dict(EvalConfig, given, "evaluation.")
    if suites is not None and not build_suites(config.suites):
        raise UserError("suites: none given; at least one is needed")
    folder = RunFolder(Path(out)) if out is not None else None
    if folder is not None:
        check_evaluation(folder.path)
    rows, loaded = _evaluation(
        model, tokenizer, task, data, dataset, max_length, model_revision, trust_remote_code=trust_remote_code
    )
    if suites is None:
        config = dataclasses.replace(config, suites=default_suites(rows.task if dataset is None else _alone(rows.task)))
    config = dataclasses.replace(config, suites=with_own(config.suites, rows.config))
    given_as = str(model) if isinstance(model, str | Path) else type(model).__name__
    name = Path(given_as).name or given_as
    loaded.model.to(pick_device(device))
    subject = Subject(Predictor(loaded.model, loaded.tokenizer, max_length), rows, config, loaded.folder, record)
    tests, notices = _check_tests(subject, loaded, name, by_default=suites is None)
    _tell(notices, notify)
    if notify is not None:
        notify(f"dev: {distribution(rows.dev, rows.task)}")
    _ = subject.clean  # a model without finite logits is refused before anything is written
    if folder is None:
        measurements = [item for suite in tests.values() for item in suite.measure(subject)]
    else:
        about = {"checkpoint": {**loaded.source, "sha256": loaded.sha256}, "notices": notices}
        measurements = run_tests(tests, subject, name, given_as, folder, about)
    if not measurements:
        said = "".join(f"; {notice}" for notice in notices)
        raise UserError(f"suites: {', '.join(tests)} measured nothing on {rows.task.name!r}{said}")
    declared = {metric.name: metric for suite in tests.values() for metric in suite.metrics}
    return Evaluation(rows.task, tuple(measurements), tuple(notices), name, given_as, declared)


def _alone(task: Task) -> Task:
    """A task whose rows were given, without the sets that would come from elsewhere."""
    return dataclasses.replace(task, out_of_domain=None, transfers=(), adversarial=())


def _check_tests(
    subject: Subject, loaded: LoadedModel, name: str, *, by_default: bool
) -> tuple[dict[str, Suite[Any]], list[str]]:
    """The suites that can run, and what the user should know before they do; UserError where one cannot.

    by_default: nobody named them, so one of other text whose rows are nowhere is left out with a notice.
    """
    rows, tests = subject.data, build_suites(subject.config.suites)
    notices = [*loaded.notices, *rows.notices, *unmet_limits(rows)]
    kept = kept_modules(loaded.folder)
    for suite in tests.values():
        suite.check_method(name, kept)
    tests, told = check_suites(
        tests, rows, loaded.tokenizer, subject.config, loaded.model.config.model_type,
        optional=tests if by_default else (),
    )  # fmt: skip
    notices += told
    length = subject.predictor.max_length
    notices += told_cut(subject.dev.truncated, len(rows.dev), "dev", length)
    for called, test in rows.tests.items():
        cut = encode(loaded.tokenizer, test.examples.texts, max_length=length).truncated
        notices += told_cut(cut, len(test.examples), f"test {called}", length)
    return tests, notices


def _tell(notices: Sequence[str], notify: Notify | None) -> None:
    for notice in notices:
        if notify is not None:
            notify(notice)
        else:
            logger.warning("%s", notice)


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
    precision: str = "fp32",
    data: DataConfig | None = None,
    max_length: int = 128,
    truncate: bool = False,
    progress: Any = None,
    model_revision: str = "main",
    trust_remote_code: bool = False,
    notify: Notify | None = None,
) -> AttackResult:
    """Attack a fine-tuned classifier with one TextAttack recipe.

    examples: how many dev rows to attack, drawn once for all seeds (None: all of them).
    out: a .jsonl file, one line per example; finished lines are not attacked again.
    columns: text columns that may be changed (default: all that the task leaves open).
    precision: "bf16" runs the model in bfloat16 autocast; its numbers are not those of fp32.
    parallel: examples attacked at a time, 0 for what suits the device; workers: processes, for a checkpoint's folder.
    query_budget, time_limit: the most queries and seconds for one example.
    cache: a file that keeps logits by checkpoint and text, for other recipes and later calls.
    truncate: attack also texts of more than `max_length` tokens, though the model sees only their beginning.
    model_revision, trust_remote_code: as in `train`.
    notify: called with each notice before the first query, instead of logging it. Labels are mapped as in `evaluate`.
    """
    if examples is not None:
        check_range("attack_examples", examples, 1, math.inf)
    check_range("seed", seed, 0, 2**63 - 1)
    rows, loaded = _evaluation(
        model, tokenizer, task, data, dataset, max_length, model_revision, trust_remote_code=trust_remote_code
    )
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
    long = check_lengths(loaded.tokenizer, selected, max_length, truncate=truncate)
    _tell([*loaded.notices, *rows.notices, *unmet_limits(rows), *long], notify)
    if notify is not None:
        notify(f"dev: {distribution(selected, rows.task)}")
    if (workers != 1 or cache is not None) and not isinstance(model, str | Path):
        raise UserError("workers: processes and a cache need a checkpoint's folder, not a model in memory")
    predictor = Predictor(loaded.model.to(chosen), loaded.tokenizer, max_length, precision=precision)
    settings["check"] = functools.partial(check_predictions, predictor, rows.dev, examples)
    if workers != 1 or cache is not None:
        return attack_checkpoint(
            locate(str(model), model_revision)[0], selected, rows.task.labels, recipe, workers=workers,
            max_length=max_length, device=device, precision=precision, trust_remote_code=trust_remote_code,
            outputs=rows.task.outputs,
            cache=Path(cache) if cache is not None else None, **settings,
        )  # fmt: skip
    sees = token_ids(loaded.tokenizer, max_length)
    name = victim_name(loaded.sha256, rows.task.labels, max_length, chosen.type, precision, outputs=rows.task.outputs)
    return attack_examples(predictor.logits, selected, rows.task.labels, recipe, sees=sees, model=name, **settings)


def _evaluation(
    model: Any,
    tokenizer: Any,
    task: str | Task,
    data: DataConfig | None,
    dataset: Any,
    max_length: int,
    revision: str,
    *,
    trust_remote_code: bool,
) -> tuple[TaskData, LoadedModel]:
    """The rows to test on and the model to test, checked against each other."""
    config = data or DataConfig()
    speaks = config.labels or config.label_map or (dataset is None and config.dev_file)
    own = checkpoint_labels(model, revision, trust_remote_code) if speaks else ()
    if dataset is not None:
        declared = answered(resolve(task, config) if isinstance(task, str) else task, config, own)
        dev = _examples(dataset, declared, "dataset")
        rows = TaskData(dataclasses.replace(declared, dev="dataset"), dev.take([]), dev, config=config)
        rows = with_own_tests(rows)
    elif isinstance(task, Task):
        raise UserError("dataset: not given; a Task of your own needs its rows")
    else:
        rows = load_evaluation(task, config, own)
    loaded = open_classifier(
        model, tokenizer, labels=rows.task.labels, outputs=rows.task.outputs, keep_head=True, revision=revision,
        trust_remote_code=trust_remote_code,
    )  # fmt: skip
    texts = text_count_notices(loaded.model.config, len(rows.task.text_columns), rows.task.labels)
    told = try_rows(loaded, (rows.dev,), max_length, finite=False)
    plain = plain_model_notices(loaded.model.config)
    return rows, dataclasses.replace(loaded, notices=(*loaded.notices, *texts, *told, *plain))


def _training_rows(task: str | Task, data: DataConfig, train_dataset: Any, dev_dataset: Any) -> TaskData:
    if train_dataset is None:
        if isinstance(task, Task):
            raise UserError("train_dataset: not given; a Task of your own needs its rows")
        return load_task(task, data)
    declared = trained(resolve(task, data) if isinstance(task, str) else task, data)
    training = sample(_examples(train_dataset, declared, "train_dataset"), data.train_limit)
    dev = _examples(dev_dataset, declared, "dev_dataset") if dev_dataset is not None else training.take([])
    return TaskData(declared, training, dev, config=data)


def _examples(dataset: Any, task: Task, split: str) -> Examples:
    """A datasets.Dataset (or a pandas DataFrame) as checked examples."""
    frame = dataset_frame(dataset) if hasattr(dataset, "to_pandas") else dataset
    # datasets.ClassLabel
    features = getattr(dataset, "features", None) or {}
    named = {name: each.names for name, each in features.items() if hasattr(each, "names")}
    if not isinstance(frame, pd.DataFrame):
        raise UserError(f"{split}: a datasets.Dataset or pandas DataFrame is needed, not a {type(dataset).__name__}")
    if named:
        frame = frame.copy(deep=False)
        frame.attrs[CLASSES] = named
    return examples_from_frame(frame, task, split)
