"""Dropping tokens by importance (TDT, Section 4.3 and Figure 6): does a score know what a prediction rests on?

If it does, a model loses more when the highest scored tokens go first than when the lowest scored ones do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from robusteval.components.embeddings import edit_embeddings
from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject, Suite, random_sets
from robusteval.evaluation.confidence import CONFIDENCE_FILE, ConfidenceLayer, load_confidence_layer, token_scores
from robusteval.methods.tdt import confidence_scores
from robusteval.models.encoding import Batch, Encoded, IntArray, encode
from robusteval.models.hashes import weights_sha256
from robusteval.models.opening import open_classifier
from robusteval.models.tokenizers import check_max_length
from robusteval.perturbations.base import Source
from robusteval.perturbations.delete import remove
from robusteval.perturbations.mask import hide
from robusteval.results.rows import Note
from robusteval.runtime.seeds import derive
from robusteval.settings.checks import check_choice, check_distinct
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.load import TaskData

Scores = npt.NDArray[np.floating[Any]]

ORDERS = ("confidence", "gradient", "random")


def drop_places(source: Source, scores: Scores, *, descending: bool = True) -> IntArray:
    """The place of each eligible token among those of its row, from 0 on, by its score; -1 for the others [T].

    Of equal scores the left one is the higher: ascending is descending read backwards.
    """
    eligible = np.flatnonzero(source.eligible)
    row = source.row[eligible]
    counts = np.bincount(row, minlength=len(source.encoded))
    place = np.arange(len(eligible)) - np.repeat(np.cumsum(counts) - counts, counts)
    if not descending:
        place = np.repeat(counts, counts) - 1 - place
    places = np.full(len(scores), -1)
    places[eligible[np.lexsort((-scores[eligible], row))]] = place
    return places


def drop_order(source: Source, scores: Scores, rate: float, *, descending: bool = True) -> npt.NDArray[np.bool_]:
    """True at the round(rate * count) tokens of each row that drop first, count being its eligible tokens [T].

    descending: the highest scores [T] drop first, else the lowest. Half a token rounds down, so that up to rate .5
    no token is among both.
    """
    counts = np.bincount(source.row[source.eligible], minlength=len(source.encoded))
    # a product that is half a token but for its last bits is half a token
    share = np.ceil(np.round(rate * counts, 9) - 0.5)[source.row]
    hit: npt.NDArray[np.bool_] = source.eligible & (drop_places(source, scores, descending=descending) < share)
    return hit


def drop(source: Source, scores: Scores, rate: float, *, descending: bool = True, by: str = "mask") -> Encoded:
    """The rows without the tokens that `drop_order` names.

    by: "mask" puts the mask token in their place; "delete" closes the row up, and spares the last token of a text.
    """
    hit = drop_order(source, scores, rate, descending=descending)
    if by == "mask":
        return hide(source, hit)
    return remove(source, hit, drop_places(source, scores, descending=descending))


def gradient_scores(model: Any, batch: Batch) -> Tensor:
    """|e . d logit / d e| of every token, for the logit of the predicted class (a score's own) [B, L].

    Gradient times input (Shrikumar et al., 2016, arXiv 1605.01713), summed over the d numbers of an embedding.
    e is the whole embedding layer's output, which TDT's confidence layer reads too. Before its LayerNorm gradient
    and input would be next to orthogonal, since a LayerNorm ignores the scale of what enters it.
    """
    inputs: list[Tensor] = []

    def remember(e: Tensor) -> Tensor:
        inputs.append(e.detach().requires_grad_())
        return inputs[0]

    training = model.training
    with torch.enable_grad(), edit_embeddings(model, remember, words=False):
        logits = model.eval()(**batch.inputs).logits
        (gradient,) = torch.autograd.grad(logits.max(dim=1).values.sum(), inputs[0])
    model.train(training)
    return (gradient * inputs[0].detach()).sum(-1).abs()


@dataclass(frozen=True)
class Scorer:
    """A model, its tokenizer, and the confidence layer that was trained with it."""

    model: Any
    tokenizer: Any
    layer: ConfidenceLayer

    @classmethod
    def load(cls, folder: str, labels: tuple[str, ...], tokenizer: Any) -> Scorer:
        """From a TDT checkpoint of the same task; UserError where its tokens are not those of `tokenizer`."""
        path = Path(folder).expanduser()
        layer = load_confidence_layer(path, "ordered-drop:scores")
        loaded = open_classifier(path, labels=labels, keep_head=True)
        if loaded.tokenizer.get_vocab() != tokenizer.get_vocab():
            raise _other_tokens(folder)
        return cls(loaded.model, loaded.tokenizer, layer)

    def scores(self, encoded: Encoded, device: torch.device) -> Scores:
        """The confidence of every token [T]."""
        model, layer = self.model.to(device), self.layer.to(device)

        def score(batch: Batch) -> Tensor:
            return confidence_scores(model, layer, batch, pre_position=layer.pre_position)

        return token_scores(encoded, self.tokenizer, device, score)


def _no_layer(reason: str) -> UserError:
    return UserError(
        f"ordered-drop:orders: 'confidence' needs a trained confidence layer, and {reason}; give scores=FOLDER of a "
        "tdt checkpoint, or orders=gradient|random"
    )


def _other_tokens(folder: str) -> UserError:
    return UserError(
        f"ordered-drop:scores: the tokenizer of {folder!r} is not the tested model's; a checkpoint that scores "
        "tokens for other models must share it"
    )


@dataclass(frozen=True)
class OrderedDropSettings:
    """What orders the tokens, and what dropping means.

    orders: names joined by "|". confidence: TDT's confidence layer; gradient: |gradient x input| of the tested
        model; random: the control. The default list leaves confidence out where there is no layer.
    drop: "mask" (TDT, Section 4.3: "in order to ensure language fluency") or "delete".
    scores: folder of a TDT checkpoint whose model and layer score the tokens, so that any model is tested on the
        same sets; without it, the layer of the tested checkpoint itself does.
    """

    orders: str = "|".join(ORDERS)
    drop: Literal["mask", "delete"] = "mask"
    scores: str | None = None

    def __post_init__(self) -> None:
        for name in self.names:
            check_choice("ordered-drop:orders", name, ORDERS)
        check_distinct("ordered-drop:orders", self.names)
        check_choice("ordered-drop:drop", self.drop, ("mask", "delete"))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name.strip() for name in self.orders.split("|"))


class OrderedDrop(Suite[OrderedDropSettings]):
    """One measurement per order, direction and rate, as "confidence descending 0.2"; for random one per rate.

    The paper turns a row's scores into a probability distribution before it sorts; that changes no order, so the
    scores are sorted as they are. Special tokens are never dropped, and the tokens of a pair are sorted together.
    """

    Settings: ClassVar[type[Any]] = OrderedDropSettings
    aspect = "analysis"
    acts_inside = True

    def check_method(self, label: str, kept: Sequence[str]) -> None:
        by_name = self.settings.orders != OrderedDropSettings.orders and "confidence" in self.settings.names
        if by_name and self.settings.scores is None and "confidence" not in kept:
            raise _no_layer(f"{label!r} has none")

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        source = self.trial(data, tokenizer, config)
        drop(source, np.zeros(len(source.eligible)), 0.5, by=self.settings.drop)
        if "confidence" in self.settings.names and self.settings.scores is not None:
            Scorer.load(self.settings.scores, data.task.labels, tokenizer)
        return []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return f"{', '.join(self.settings.names)} {random_sets(config)}"

    def facts(self, data: TaskData) -> dict[str, str]:
        if "confidence" not in self.settings.names or self.settings.scores is None:
            return {}
        # the confidence layer is one of the folder's .safetensors files
        return {f"{self.name} scores": weights_sha256(Path(self.settings.scores).expanduser())}

    def run(self, subject: Subject) -> Iterator[Measurement]:
        notes: tuple[Note, ...] = ()
        for order in self.settings.names:
            if order == "random":
                measured = self._random(subject)
            elif order == "gradient":
                measured = self._ordered(subject, order, self._gradient(subject))
            else:
                scores = self._confidence(subject)
                if scores is None:
                    lacking = f"the checkpoint has no {CONFIDENCE_FILE}, and no scores= were given"
                    notes = (Note(f"without confidence: {lacking}"),)
                    continue
                measured = self._ordered(subject, order, scores)
            for each in measured:
                yield replace(each, notes=(*notes, *each.notes))
                notes = ()

    def _ordered(self, subject: Subject, order: str, scores: Scores) -> Iterator[Measurement]:
        source = subject.source
        for descending in (True, False):
            for rate in subject.config.rates:
                value = f"{order} {'descending' if descending else 'ascending'} {rate:g}"
                dropped = drop(source, scores, rate, descending=descending, by=self.settings.drop)
                yield subject.measure_sets(self.name, value, [dropped])

    def _random(self, subject: Subject) -> Iterator[Measurement]:
        """As many tokens as in the other orders, drawn; what a set loses at one rate, it also loses at a higher one."""
        source = subject.source
        for rate in subject.config.rates:
            seeds = (derive(0, "ordered-drop", "random", number) for number in range(subject.config.sets))
            draws = (np.random.default_rng(seed).random(len(source.eligible)) for seed in seeds)
            dropped = (drop(source, each, rate, by=self.settings.drop) for each in draws)
            yield subject.measure_sets(self.name, f"random {rate:g}", dropped)

    def _gradient(self, subject: Subject) -> Scores:
        predictor = subject.predictor

        def score(batch: Batch) -> Tensor:
            return gradient_scores(predictor.model, batch)

        return token_scores(subject.dev, predictor.tokenizer, predictor.device, score)

    def _confidence(self, subject: Subject) -> Scores | None:
        """Scores of the checkpoint that was named, else of the tested one; None where that may lack a layer.

        Raises UserError where a layer is missing and confidence was asked for by name.
        """
        predictor, named = subject.predictor, self.settings.scores
        if named is not None:
            scorer = Scorer.load(named, subject.data.task.labels, predictor.tokenizer)
            check_max_length(scorer.model, scorer.tokenizer, predictor.max_length)
            # its own tokenizer, since the same tokens may come with other inputs (token types)
            encoded = encode(scorer.tokenizer, subject.data.dev.texts, max_length=predictor.max_length)
            if not np.array_equal(encoded.ids, subject.dev.ids):
                raise _other_tokens(named)
            return scorer.scores(encoded, predictor.device)
        folder = subject.folder
        if folder is not None and (folder / CONFIDENCE_FILE).is_file():
            scorer = Scorer(predictor.model, predictor.tokenizer, load_confidence_layer(folder, "ordered-drop:scores"))
            return scorer.scores(subject.dev, predictor.device)
        if self.settings.orders == OrderedDropSettings.orders:
            return None
        raise _no_layer(f"the checkpoint has no {CONFIDENCE_FILE}")
