"""What TextAttack asks for predictions and gradients, in the shape that it expects."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from robusteval.attacks.queries.batched import GradientOf, Logits, Question
from robusteval.attacks.queries.cache import Text
from robusteval.attacks.queries.gradients import WordGradient
from robusteval.models.encoding import encode

Ask = Callable[[Question], Any]
"""Texts -> their `Answer`; a `GradientOf` -> its `WordGradient`."""
Sees = Callable[[Sequence[Text]], Sequence[Hashable]]
"""n texts -> what the model sees of each, its token ids say: equal where no model could tell texts apart."""

# A2T looks at so many words at most, whatever the model.
MOST_WORDS = 1024
# TextAttack strips the three first; without the last it finds no word among SentencePiece's tokens.
TOKEN_MARKS = ("##", "\u0120", "__", "\u2581")


@dataclass(frozen=True)
class TokenIds:
    """What a model behind `tokenizer` sees of texts that are cut to `max_length` tokens."""

    tokenizer: Any
    max_length: int

    def __call__(self, texts: Sequence[Text]) -> list[Hashable]:
        encoded = encode(self.tokenizer, list(zip(*texts, strict=True)), max_length=self.max_length)
        arrays = [encoded.ids] if encoded.types is None else [encoded.ids, encoded.types]
        rows = zip(*(np.split(array, encoded.offsets[1:-1]) for array in arrays), strict=True)
        return [tuple(part.tobytes() for part in row) for row in rows]


def token_ids(tokenizer: Any, max_length: int) -> TokenIds:
    """`sees` for a transformers model: texts with the same tokens are the same to it."""
    return TokenIds(tokenizer, max_length)


class PredictionsOnly:
    """Stands where TextAttack keeps the victim model; it looks at the class name and nothing else."""


class PredictWrapper:
    """A TextAttack model wrapper: passes the questions of one attack on to `ask`.

    sees: texts that it maps to equal values are asked for once in an attack (default: equal texts). The logits
    of a text differ in their last digits with the batch it is in; so an upper-case letter that the tokenizer
    lowers would else look like an improvement, or not, by chance.
    rows: texts that the model computed since `reset`; cached_rows: texts answered without it, from the disk or
    because another attack asked the same at the same time.
    looks_inside: the attack will ask for gradients; that of the first text is then asked for before any
    prediction, so that a model without gradients is refused in time.
    max_length: A2T looks at no more words of a text.
    """

    def __init__(self, ask: Ask | None = None, sees: Sees | None = None) -> None:
        self.model = PredictionsOnly()
        self.sees: Sees = sees or list
        self.max_length: int = getattr(sees, "max_length", MOST_WORDS)
        self.looks_inside = False
        self.reset(ask)

    def reset(self, ask: Ask | None = None) -> None:
        """Forget answers and counts; questions go to `ask` from now on."""
        self.ask = ask
        self.rows = self.cached_rows = 0
        self._known: dict[Hashable, Logits] = {}
        self._gradients: dict[Text, WordGradient] = {}

    def __call__(self, text_input_list: Sequence[str | Text]) -> torch.Tensor:
        """Logits, float32 [n, K] on the CPU, one row per text in the order given."""
        texts = [_columns(text) for text in text_input_list]
        if self.looks_inside and not self._gradients:
            self._gradient(texts[0])
        seen = self.sees(texts)
        new = {key: text for key, text in zip(seen, texts, strict=True) if key not in self._known}
        if new:
            answer = self._asked(list(new.values()))
            self._known.update(zip(new, answer.logits, strict=True))
            self.rows += answer.computed
            self.cached_rows += len(new) - answer.computed
        logits = np.stack([self._known[key] for key in seen])
        return torch.from_numpy(not_mistaken_for_probabilities(logits))

    def get_grad(self, text_input: str | Text) -> dict[str, Any]:
        """As TextAttack's wrappers return it: "ids" [1, n] of the n tokens, "gradient" float32 [n, D]."""
        found = self._gradient(_columns(text_input))
        return {"ids": torch.tensor([found.ids]), "gradient": found.values}

    def tokenize(self, inputs: Sequence[str | Text], strip_prefix: bool = False) -> list[list[str]]:
        """The tokens of each text, by its gradient; `strip_prefix` takes the marks of word pieces off."""
        tokens = [list(self._gradient(_columns(text)).tokens) for text in inputs]
        return [[_stripped(token) for token in row] for row in tokens] if strip_prefix else tokens

    def _gradient(self, text: Text) -> WordGradient:
        if text not in self._gradients:
            self._gradients[text] = self._asked(GradientOf(text))
        return self._gradients[text]

    def _asked(self, question: Question) -> Any:
        if self.ask is None:
            raise RuntimeError("this wrapper was given nobody to ask")
        return self.ask(question)


def _columns(text: str | Text) -> Text:
    return (text,) if isinstance(text, str) else tuple(text)


def _stripped(token: str) -> str:
    for mark in TOKEN_MARKS:
        token = token.replace(mark, "")
    return token


def not_mistaken_for_probabilities(logits: Logits) -> Logits:
    """The same logits, shifted by one where every row happens to sum to one.

    TextAttack applies no softmax to rows that sum to 1 within 1e-6: logits that do so by chance would be read
    as probabilities. A constant shift moves the sum away and leaves the softmax as it was.
    """
    if logits.size and bool((np.abs(logits.sum(axis=1) - 1) < 1e-5).all()):
        shifted: Logits = logits + np.float32(1)
        return shifted
    return logits
