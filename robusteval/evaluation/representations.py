"""Suite `representations`: what enters the last layer, and what TDT's confidence layer says of every token.

TDT (Findings of ACL 2022), Figure 3 (representations of originals and both variants) and Figure 4 (confidence).
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from scipy.special import softmax
from sklearn.metrics import silhouette_score

from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.evaluation.confidence import (
    CONFIDENCE_FILE,
    ConfidenceLayer,
    by_length,
    load_confidence_layer,
    token_scores,
)
from robusteval.evaluation.last_layer import FloatArray, entering, features_and_logits
from robusteval.evaluation.predict import Predictor
from robusteval.methods.base import Context
from robusteval.methods.tdt import TDT, TDTHard, confidence_scores
from robusteval.models.encoding import Collator, Encoded
from robusteval.results.finite import check_finite
from robusteval.results.metrics import predictions, score
from robusteval.results.rows import Note
from robusteval.settings.checks import check_range
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.load import TaskData, sample

VERSIONS = ("original", "positive", "negative")
Seen = tuple[FloatArray, npt.NDArray[np.float32]]
Tokens = list[npt.NDArray[np.float32]] | None


# the settings that decide what the variants are; in a composition others may share the names of the rest
_OF_VARIANTS = ("mu0", "include_pads", "pre_position", "protect_special", "tau", "neg_fill")


def as_trained(layer: ConfidenceLayer, tokenizer: Any, longest: int, device: torch.device) -> TDT:
    """A method whose `branches` makes the variants that the training of a confidence layer made.

    longest: tokens of the longest row that it will see. What is drawn at random is drawn from one seed for every model.
    """
    kind: type[TDT] = TDTHard if layer.out_features == 2 else TDT
    known = {field.name for field in dataclasses.fields(kind.Settings)} & set(_OF_VARIANTS)
    values = {name: json.loads(layer.facts[name]) for name in known & layer.facts.keys()}
    method = kind(kind.Settings(**values), kind.Settings.name)
    method.bind(Context(device, 0, False, 0, lambda loss: None))
    method.equip(layer, tokenizer, longest)
    return method


def variants(predictor: Predictor, encoded: Encoded, layer: ConfidenceLayer) -> list[Seen]:
    """Vectors [n, d] and logits [n, K] of TDT's positive and negative variant of every row, as its training made them.

    Without dropout. What a training draws anew in each step (tdt-hard's choice, mu0=gauss) is drawn once.
    """
    model, device, count = predictor.model, predictor.device, len(encoded)
    method = as_trained(layer.to(device), predictor.tokenizer, int(encoded.lengths.max()), device)
    found: list[Seen] = []
    collate = Collator(predictor.tokenizer)
    with entering(predictor) as caught:
        for rows in by_length(encoded):
            logits, _ = method.branches(model, collate(encoded, rows).to(device), 3)
            branches = zip(caught.pop().chunk(3), logits, strict=True)
            for place, (vector, logit) in enumerate(list(branches)[1:]):
                if len(found) <= place:
                    found.append((np.zeros((count, vector.shape[1])), np.zeros((count, logit.shape[1]), np.float32)))
                found[place][0][rows], found[place][1][rows] = vector.float().cpu(), logit.float().cpu()
    return found


def text_confidence(
    model: Any, layer: ConfidenceLayer, encoded: Encoded, tokenizer: Any, device: torch.device
) -> list[npt.NDArray[np.float32]]:
    """The confidence of the tokens of each row's text, special ones left out."""
    model, layer = model.to(device), layer.to(device)
    scores = token_scores(
        encoded,
        tokenizer,
        device,
        lambda batch: confidence_scores(model, layer, batch, pre_position=layer.pre_position),
    )
    return [
        scores[first:end][~encoded.special[first:end]]
        for first, end in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)
    ]


@dataclass(frozen=True)
class RepresentationsSettings:
    """rows: dev rows, drawn once for all models; each takes the width of the last layer in numbers."""

    rows: int = 500

    def __post_init__(self) -> None:
        check_range("representations:rows", self.rows, 1, math.inf)


class Representations(Suite[RepresentationsSettings]):
    """One measurement for the rows as they are; of a model with a confidence layer one more for each variant."""

    reads = ()
    Settings = RepresentationsSettings
    acts_inside = True
    aspect = "analysis"

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return f"{len(sample(data.dev, self.settings.rows))} rows"

    def run(self, subject: Subject) -> Iterator[Measurement]:
        began = time.perf_counter()
        predictor, task, examples = subject.predictor, subject.data.task, sample(subject.data.dev, self.settings.rows)
        encoded = subject.encode(examples)
        seen = features_and_logits(predictor, encoded)
        check_finite(seen[1], "dev rows", examples.ids)
        layer, notes = _layer_of(subject), list[Note]()
        before, after, others = None, None, list[Seen]()
        if layer is not None:
            after = text_confidence(predictor.model, layer, encoded, predictor.tokenizer, predictor.device)
            before, told = self._before(subject, layer, encoded)
            notes += told
            if predictor.group is None:
                others = variants(predictor, encoded, layer)
            else:
                notes.append(Note("without variants: the model's predictions depend on batch mates"))
        metrics = (
            {"silhouette": silhouette(seen[0], examples.labels)}
            if not task.regression
            else _score(task, examples, seen)
        )
        yield self._measured("original", task, examples, seen, metrics, began, tuple(notes), (before, after))
        for version, each in zip(VERSIONS[1:], others, strict=bool(others)):
            check_finite(each[1], f"{version} variants of dev rows", examples.ids)
            yield self._measured(version, task, examples, each, _score(task, examples, each), time.perf_counter())

    def _before(self, subject: Subject, layer: ConfidenceLayer, encoded: Encoded) -> tuple[Tokens, list[Note]]:
        """Confidence of the layer as training began, on the model as it was opened."""
        if layer.start is None or subject.start is None:
            lacking = "layer" if layer.start is None else "model"
            return None, [Note(f"without confidence before training: the {lacking} as it was is not known here")]
        predictor = subject.predictor
        return text_confidence(subject.start(), layer.start, encoded, predictor.tokenizer, predictor.device), []

    def _measured(
        self, version: str, task: Task, examples: Examples, seen: Seen, metrics: dict[str, float], began: float,
        notes: tuple[Note, ...] = (), confidence: tuple[Tokens, Tokens] = (None, None),
    ) -> Measurement:  # fmt: skip
        vectors, logits = seen
        predicted, classes = predictions(logits, regression=task.regression), np.asarray(task.labels, object)
        nothing = [None] * len(examples)
        frame = pd.DataFrame(
            {
                "version": version,
                "id": list(examples.ids),
                "gold": examples.labels if task.regression else classes[examples.labels],
                "predicted": predicted if task.regression else classes[predicted],
                "confidence": math.nan if task.regression else softmax(logits.astype(float), axis=1).max(axis=1),
                "vector": list(vectors.astype(np.float32)),
                "token_confidence_before": confidence[0] or nothing,
                "token_confidence": confidence[1] or nothing,
            }
        )
        return Measurement(
            self.name, version, task.dev, metrics, len(examples), time.perf_counter() - began, notes, frame=frame
        )


def silhouette(vectors: FloatArray, classes: npt.NDArray[np.generic]) -> float:
    """How far apart classes are, from -1 to 1 (Rousseeuw 1987); NaN for one class, or one row each."""
    if not 1 < len(np.unique(classes)) < len(classes):
        return math.nan
    return float(silhouette_score(vectors, classes))


def _score(task: Task, examples: Examples, seen: Seen) -> dict[str, float]:
    return score(task.metrics, examples.labels, seen[1], regression=task.regression)


def _layer_of(subject: Subject) -> ConfidenceLayer | None:
    folder = subject.folder
    if folder is None or not (folder / CONFIDENCE_FILE).is_file():
        return None
    return load_confidence_layer(folder, "representations")
