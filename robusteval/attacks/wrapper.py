"""What TextAttack asks for predictions, in the shape that its goal functions expect."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch

from robusteval.attacks.fused import Answer, Logits, Text
from robusteval.encoding import encode

Ask = Callable[[Sequence[Text]], Answer]
Sees = Callable[[Sequence[Text]], Sequence[Hashable]]
"""n texts -> what the model sees of each, its token ids say: equal where no model could tell texts apart."""


def token_ids(tokenizer: Any, max_length: int) -> Sees:
    """What a model behind this tokenizer sees of a text that is cut to `max_length` tokens."""

    def sees(texts: Sequence[Text]) -> list[Hashable]:
        encoded = encode(tokenizer, list(zip(*texts, strict=True)), max_length=max_length)
        arrays = [encoded.ids] if encoded.types is None else [encoded.ids, encoded.types]
        rows = zip(*(np.split(array, encoded.offsets[1:-1]) for array in arrays), strict=True)
        return [tuple(part.tobytes() for part in row) for row in rows]

    return sees


class PredictionsOnly:
    """Stands where TextAttack keeps the victim model; it looks at the class name and nothing else."""


class PredictWrapper:
    """A TextAttack model wrapper: passes the questions of one attack on to `ask`.

    sees: texts that it maps to equal values are asked for once in an attack (default: equal texts). The logits
    of a text differ in their last digits with the batch it is in; so an upper-case letter that the tokenizer
    lowers would else look like an improvement, or not, by chance.
    rows: texts that the model computed since `reset`; cached_rows: texts answered without it, from the disk or
    because another attack asked the same at the same time.
    """

    def __init__(self, ask: Ask | None = None, sees: Sees | None = None) -> None:
        self.model = PredictionsOnly()
        self.sees: Sees = sees or list
        self.reset(ask)

    def reset(self, ask: Ask | None = None) -> None:
        """Forget answers and counts; questions go to `ask` from now on."""
        self.ask = ask
        self.rows = self.cached_rows = 0
        self._known: dict[Hashable, Logits] = {}

    def __call__(self, text_input_list: Sequence[str | Text]) -> torch.Tensor:
        """Logits, float32 [n, K] on the CPU, one row per text in the order given."""
        if self.ask is None:
            raise RuntimeError("this wrapper was given nobody to ask")
        texts = [(text,) if isinstance(text, str) else tuple(text) for text in text_input_list]
        seen = self.sees(texts)
        new = {key: text for key, text in zip(seen, texts, strict=True) if key not in self._known}
        if new:
            answer = self.ask(list(new.values()))
            self._known.update(zip(new, answer.logits, strict=True))
            self.rows += answer.computed
            self.cached_rows += len(new) - answer.computed
        logits = np.stack([self._known[key] for key in seen])
        return torch.from_numpy(not_mistaken_for_probabilities(logits))


def not_mistaken_for_probabilities(logits: Logits) -> Logits:
    """The same logits, shifted by one where every row happens to sum to one.

    TextAttack applies no softmax to rows that sum to 1 within 1e-6: logits that do so by chance would be read
    as probabilities. A constant shift moves the sum away and leaves the softmax as it was.
    """
    if logits.size and bool((np.abs(logits.sum(axis=1) - 1) < 1e-5).all()):
        shifted: Logits = logits + np.float32(1)
        return shifted
    return logits
