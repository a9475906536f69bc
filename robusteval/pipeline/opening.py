"""Opening a finished classifier: it predicts as its method does, under the name of all that decides its logits."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from robusteval.attacks.plan import check_predictions
from robusteval.attacks.queries.cache import victim_name
from robusteval.attacks.queries.wrapper import token_ids
from robusteval.attacks.runner import Victim
from robusteval.evaluation.predict import Predictor
from robusteval.methods.base import Context
from robusteval.methods.compose import attach, build_method
from robusteval.models.architectures import PooledHook
from robusteval.models.loading import LoadedModel
from robusteval.models.opening import open_classifier, try_rows
from robusteval.models.provenance import plain_model_notices, text_count_notices
from robusteval.runtime.devices import pick_device
from robusteval.settings.model import ModelConfig
from robusteval.settings.runs import Tuning
from robusteval.tasks.load import TaskData

# Attribute of a model in memory: how it was trained, where its weights alone predict otherwise.
TUNED = "robusteval_tuned"


@dataclass(frozen=True)
class Classifier:
    """A finished classifier that predicts as it was trained to; leaving it as a context leaves its model alone again.

    labels, outputs: as in `models.load_model`. method: of one that answers differently from its checkpoint, else "".
    notices: what the user should know of the model.
    """

    loaded: LoadedModel
    predictor: Predictor
    labels: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    method: str = ""
    hook: PooledHook | None = None
    notices: tuple[str, ...] = ()

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *error: object) -> None:
        if self.hook is not None:
            self.hook.remove()

    def victim(self, precision: str = "fp32") -> Victim:
        """The classifier as it is attacked. precision: "bf16" for bfloat16 autocast."""
        predictor, kind = self._at(precision), self.predictor.device.type
        length, tokenizer = predictor.max_length, predictor.tokenizer
        name = victim_name(self.loaded.sha256, self.labels, length, kind, precision, self.method, self.outputs)
        return Victim(predictor.logits, name, token_ids(tokenizer, length))

    def check(self, precision: str, data: TaskData, count: int | None) -> Callable[[], None]:
        """Raises where the model has no finite logits for the `count` dev rows of an attack (`check_predictions`)."""
        return functools.partial(check_predictions, self._at(precision), data.dev, count)

    def _at(self, precision: str) -> Predictor:
        given = self.predictor
        return Predictor(given.model, given.tokenizer, given.max_length, precision=precision, group=given.group)


def open_finished(
    model: Any,
    *,
    labels: Sequence[str],
    outputs: tuple[str, ...] = (),
    max_length: int,
    opening: ModelConfig,
    device: str = "auto",
    tuning: Tuning | None = None,
) -> Classifier:
    """The classifier of a folder or hub id on its device, which predicts as it was trained to. tuning: how it was."""
    loaded = _open(model, None, labels, outputs, opening)
    return _predicting(loaded, labels, outputs, max_length, device, tuning)


def open_tested(
    model: Any, tokenizer: Any, rows: TaskData, *, max_length: int, opening: ModelConfig, device: str
) -> Classifier:
    """The classifier, of a folder, hub id or in memory, that is tested or attacked on these dev rows.

    It has read the longest of them. One in memory that `train_classifier` trained knows how to predict.
    UserError as `open_classifier` and `try_rows`.
    """
    task = rows.task
    loaded = _open(model, tokenizer, task.labels, task.outputs, opening)
    config = loaded.model.config
    told = text_count_notices(config, len(task.text_columns), task.labels)
    told += tuple(try_rows(loaded, (rows.dev,), max_length, finite=False))
    tuning = vars(loaded.model).get(TUNED)
    classifier = _predicting(loaded, task.labels, task.outputs, max_length, device, tuning)
    plain = plain_model_notices(config) if classifier.hook is None else ()
    return dataclasses.replace(classifier, notices=(*loaded.notices, *told, *plain))


def _open(
    model: Any, tokenizer: Any, labels: Sequence[str], outputs: tuple[str, ...], opening: ModelConfig
) -> LoadedModel:
    return open_classifier(
        model, tokenizer, labels=tuple(labels), outputs=outputs, keep_head=True, revision=opening.model_revision,
        trust_remote_code=opening.trust_remote_code,
    )  # fmt: skip


def _predicting(
    loaded: LoadedModel,
    labels: Sequence[str],
    outputs: tuple[str, ...],
    max_length: int,
    device: str,
    tuning: Tuning | None,
) -> Classifier:
    """A loaded model on its device, with the method that its predictions need beside its weights."""
    chosen = pick_device(device)
    loaded.model.to(chosen)
    hook, group, name = None, None, ""
    if tuning is not None:
        method = build_method(tuning.method)
        group = method.evaluation_group(tuning.train)
        if not method.plain_at_evaluation:
            method.bind(Context(chosen, 0, not labels, tuning.seed, lambda loss: None))
            hook = attach(method, loaded.model)
            name = tuning.method.label if hook is not None else ""
    predictor = Predictor(loaded.model, loaded.tokenizer, max_length, group=group)
    return Classifier(loaded, predictor, tuple(labels), outputs, name, hook, loaded.notices)
