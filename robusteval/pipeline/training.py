"""Training a classifier: its settings, each from the first source that has it, and the training itself."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.methods import METHODS
from robusteval.methods.base import Method
from robusteval.methods.compose import build_method
from robusteval.models.catalogue import recommended_learning_rate
from robusteval.models.encoding import Encoded, encode
from robusteval.models.loading import LoadedModel
from robusteval.models.opening import open_classifier, try_rows
from robusteval.models.saving import save_checkpoint
from robusteval.pipeline import followers
from robusteval.pipeline.common import Common, tokens
from robusteval.pipeline.opening import TUNED
from robusteval.results.metrics import score
from robusteval.results.showing import as_html
from robusteval.runtime.devices import pick_device
from robusteval.scenarios.base import Prepared
from robusteval.settings.codec import from_dict
from robusteval.settings.model import ModelConfig
from robusteval.settings.runs import MethodConfig, Tuning
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig
from robusteval.tasks.base import Task
from robusteval.tasks.load import TaskData
from robusteval.training.trainer import TrainResult
from robusteval.training.trainer import train as fit

Begin = Callable[[LoadedModel, Encoded], None]
"""Is told, before the first step, of the model that is trained and the rows that it reads."""


@dataclass(frozen=True)
class Trained:
    """A fine-tuned model in evaluation mode, its tokenizer, the task, how it was trained, and what that cost.

    modules, facts: what the method trained for analysis only, and its settings. named: how the task was asked for, so
    that its rows can be found again; empty for a Task of one's own.
    """

    model: Any
    tokenizer: Any
    task: Task
    training: TrainResult
    modules: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    tuning: Tuning | None = None
    named: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One line: task, method, seed, steps, seconds, seconds_per_step, peak_mib (memory), device, precision."""
        cost, tuning = self.training, self.tuning
        line = {
            "task": self.task.name, "method": tuning.method.label if tuning else "",
            "seed": tuning.seed if tuning else 0, "steps": cost.steps, "seconds": cost.seconds,
            "seconds_per_step": cost.seconds_per_step, "peak_mib": cost.peak_bytes / 2**20, "device": cost.device,
            "precision": cost.precision,
        }  # fmt: skip
        return pd.DataFrame([line])

    def _repr_html_(self) -> str:
        return as_html(self.to_frame().round(3), "; ".join(self.training.notices))

    def save(self, folder: str | Path) -> Path:
        """Write a plain transformers checkpoint, and beside it what the method trained for analysis only."""
        save_checkpoint(self.model, self.tokenizer, Path(folder), self.modules, self.facts)
        return Path(folder)


def common_settings(model: Any, explicit: Mapping[str, Any]) -> TrainConfig:
    """Training settings before any method has its say: the user's, else the model's recommendation, else defaults.

    model: a registered name or anything else. explicit: fields of TrainConfig.
    """
    rate = explicit.get("learning_rate")
    known = {"learning_rate": recommended_learning_rate(model) if rate is None else rate}
    return from_dict(TrainConfig, {**explicit, **known}, "train.")


def with_paper(method: MethodConfig, explicit: Mapping[str, Any]) -> MethodConfig:
    """The method with all that it sets itself: its own text, and what its paper sets and the user does not."""
    paper = {key: value for name, _ in method.parts for key, value in METHODS[name].TRAIN.items()}
    paper = {key: value for key, value in paper.items() if key not in explicit}
    return dataclasses.replace(method, train={**paper, **method.train})


def train_classifier(
    model: Any,
    data: TaskData,
    tuning: Tuning,
    *,
    tokenizer: Any = None,
    opening: ModelConfig,
    work: WorkConfig,
    prepared: Prepared | None = None,
    folder: Path | None = None,
    common: Common | None = None,
    begin: Begin | None = None,
    title: str = "training",
) -> Trained:
    """Fine-tune a model, named or in memory with its `tokenizer`, on the training rows of `data`.

    prepared: the training set as a scenario left it. folder: for train.jsonl and the resumable state. common: what
    other runs have made for this one, too.
    """
    config, task = tuning.train, data.task
    if config.select == "best" and len(data.dev) == 0:
        raise UserError("select: 'best' needs a dev_dataset to select on")
    prepared = prepared or Prepared(data.train)
    rows = prepared.examples
    method = build_method(tuning.method)
    loaded = open_classifier(
        model, tokenizer, labels=task.labels, seed=tuning.seed, keep_head=False, revision=opening.model_revision,
        trust_remote_code=opening.trust_remote_code, dropout=config.dropout,
    )  # fmt: skip
    told = try_rows(loaded, (rows, data.dev), config.max_length, finite=True)
    loaded.notices = (*loaded.notices, *told)
    if common is not None:
        method.once = common.once
        encoded = tokens(loaded, rows, config.max_length)
    else:
        encoded = encode(loaded.tokenizer, rows.texts, rows.labels, max_length=config.max_length)
    encoded = dataclasses.replace(encoded, groups=prepared.groups, weights=prepared.weights)
    if begin is not None:
        begin(loaded, encoded)
    score_of = _dev_score(loaded, data, config, method) if config.select == "best" else None
    followers.send(_Along(model, tuning, opening, work, task.labels, encoded, folder))
    result = _fit(loaded, encoded, tuning, method, work, folder, score_of, title)
    vars(loaded.model).pop(TUNED, None)
    if not method.plain_at_evaluation:
        setattr(loaded.model, TUNED, tuning)
    return Trained(loaded.model, loaded.tokenizer, task, result, dict(method.modules), method.facts(), tuning)


@dataclass(frozen=True)
class _Along:
    """A training of which another process, the main one, has said what it is: this process trains along."""

    model: Any
    tuning: Tuning
    opening: ModelConfig
    work: WorkConfig
    labels: tuple[str, ...]
    encoded: Encoded
    folder: Path | None

    def __call__(self) -> Callable[[], Any]:
        """Open the model as the main process did; gives back what trains it."""
        tuning, opening = self.tuning, self.opening
        loaded = open_classifier(
            self.model, None, labels=self.labels, seed=tuning.seed, keep_head=False, revision=opening.model_revision,
            trust_remote_code=opening.trust_remote_code, dropout=tuning.train.dropout,
        )  # fmt: skip
        method = build_method(tuning.method)
        # the main process alone scores
        score_of = (lambda model: math.nan) if tuning.train.select == "best" else None
        return lambda: _fit(loaded, self.encoded, tuning, method, self.work, self.folder, score_of)


def _fit(
    loaded: LoadedModel,
    encoded: Encoded,
    tuning: Tuning,
    method: Method[Any],
    work: WorkConfig,
    folder: Path | None,
    dev_score: Callable[[Any], float] | None,
    title: str = "training",
) -> TrainResult:
    return fit(
        loaded, encoded, tuning.train, method, seed=tuning.seed, device=pick_device(work.device), folder=folder,
        dev_score=dev_score, track=work.track, checkpoint_seconds=work.checkpoint_seconds, quiet=work.quiet,
        title=title,
    )  # fmt: skip


def _dev_score(loaded: LoadedModel, data: TaskData, config: TrainConfig, method: Method[Any]) -> Callable[[Any], float]:
    """The primary metric on dev, for select="best"; such a score is selected on the rows it is reported on."""
    task = data.task
    length, group = config.max_length, method.evaluation_group(config)
    encoded = encode(loaded.tokenizer, data.dev.texts, data.dev.labels, max_length=length)

    def measure(model: Any) -> float:
        logits = Predictor(model, loaded.tokenizer, length, group=group).encoded(encoded, "dev rows", data.dev.ids)
        return score([task.primary], data.dev.labels, logits, regression=task.regression)[task.primary]

    return measure
