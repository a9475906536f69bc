"""Scores of the tokens of texts, by a finished classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from robusteval.errors import UserError
from robusteval.evaluation.confidence import CONFIDENCE_FILE, ConfidenceLayer, load_confidence_layer, token_scores
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.token_drop import gradient_scores
from robusteval.methods.tdt import confidence_scores
from robusteval.models.encoding import Batch, Encoded, encode
from robusteval.models.loading import checkpoint_labels
from robusteval.models.opening import open_classifier
from robusteval.models.provenance import plain_model_notices
from robusteval.models.tokenizers import check_max_length
from robusteval.results.token_scores import BY, ScoredText, Token
from robusteval.runtime.devices import pick_device
from robusteval.settings.checks import check_choice
from robusteval.settings.model import ModelConfig


@dataclass(frozen=True)
class TokenScorer:
    """A classifier that scores tokens. labels: none of one that gives a score. notices: what one should know of it."""

    predictor: Predictor
    labels: tuple[str, ...]
    layer: ConfidenceLayer | None
    notices: tuple[str, ...] = ()

    @classmethod
    def open(cls, checkpoint: str, by: str, *, max_length: int, opening: ModelConfig, device: str) -> TokenScorer:
        """by: one of `BY`. UserError for what cannot be opened, and for a checkpoint without a confidence layer."""
        check_choice("by", by, BY)
        revision, trust = opening.model_revision, opening.trust_remote_code
        labels = checkpoint_labels(checkpoint, revision, trust)
        loaded = open_classifier(
            checkpoint, labels=labels, keep_head=True, revision=revision, trust_remote_code=trust
        )  # fmt: skip
        check_max_length(loaded.model, loaded.tokenizer, max_length)
        layer, chosen = None, pick_device(device)
        if by == "confidence":
            if loaded.folder is None or not (loaded.folder / CONFIDENCE_FILE).is_file():
                raise UserError(
                    f"by: 'confidence' needs the layer that tdt and tdt-hard train, and {checkpoint!r} has no "
                    f"{CONFIDENCE_FILE}; valid here: gradient"
                )
            layer = load_confidence_layer(loaded.folder).to(chosen)
        loaded.model.to(chosen)
        notices = (*loaded.notices, *plain_model_notices(loaded.model.config))
        return cls(Predictor(loaded.model, loaded.tokenizer, max_length), labels, layer, notices)

    def score(self, texts: Sequence[tuple[str, ...]]) -> list[ScoredText]:
        """Of n texts, each one string per text column: the prediction, and a score for each token.

        The scores are those by which the suite `ordered-drop` orders tokens: `confidence_scores` of TDT, from 0 to 1,
        or `gradient_scores`, of any size.
        """
        if not texts:
            return []
        predictor, tokenizer = self.predictor, self.predictor.tokenizer
        columns = list(zip(*texts, strict=True))
        encoded = encode(tokenizer, columns, max_length=predictor.max_length)
        logits = predictor.encoded(encoded, "texts")
        scores = token_scores(encoded, tokenizer, predictor.device, self._score)
        found = []
        for row, own in enumerate(texts):
            place = slice(encoded.offsets[row], encoded.offsets[row + 1])
            ids, sides = encoded.ids[place], encoded.column[place]
            spans = _spans(tokenizer, own, encoded, row, predictor.max_length)
            pieces = tokenizer.convert_ids_to_tokens(ids.tolist())
            tokens = tuple(
                Token(str(piece), int(side), *(span if side >= 0 else (None, None)), float(score))
                for piece, side, span, score in zip(pieces, sides, spans, scores[place], strict=True)
            )
            cut = (
                any(_end(tokens, side) < len(text.rstrip()) for side, text in enumerate(own)) and encoded.truncated > 0
            )
            found.append(ScoredText(own, tokens, *self._prediction(logits[row]), cut))
        return found

    def _score(self, batch: Batch) -> Tensor:
        model, layer = self.predictor.model, self.layer
        if layer is None:
            return gradient_scores(model, batch)
        return confidence_scores(model, layer, batch, pre_position=layer.pre_position)

    def _prediction(self, logits: Any) -> tuple[str, float]:
        """Label and probability of one row's logits [K]; of a score no label, and itself."""
        if not self.labels:
            return "", float(logits[0])
        odds = np.exp(logits.astype(np.float64) - logits.max())
        best = int(logits.argmax())
        return self.labels[best], float(odds[best] / odds.sum())


def _end(tokens: Sequence[Token], column: int) -> int:
    """Where the last token of a text ends."""
    return max((token.end or 0 for token in tokens if token.column == column), default=0)


def _spans(
    tokenizer: Any, texts: tuple[str, ...], encoded: Encoded, row: int, max_length: int
) -> list[tuple[int | None, int | None]]:
    """The characters that each token of a row stands for; None where the tokenizer does not tell.

    A text that spells a token at which the model's head looks was read as letters, so both readings are tried.
    """
    ids = encoded.ids[encoded.offsets[row] : encoded.offsets[row + 1]]
    for letters in (False, True) if tokenizer.is_fast else ():
        output = tokenizer(
            *texts, truncation=True, max_length=max_length, return_offsets_mapping=True, verbose=False,
            **({"split_special_tokens": True} if letters else {}),
        )  # fmt: skip
        if np.array_equal(output["input_ids"], ids):
            return [(int(start), int(end)) for start, end in output["offset_mapping"]]
    return [(None, None)] * len(ids)
