"""One model call for the questions of many attacks: equal texts once, known ones from the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from robusteval.attacks.cache import LogitsCache
from robusteval.errors import UserError

Text = tuple[str, ...]
Logits = npt.NDArray[np.float32]
Predict = Callable[[Sequence[Text]], Logits]
"""n texts (each a tuple of one string per text column) -> logits [n, K]."""


@dataclass(frozen=True)
class Answer:
    """logits: [n, K], a row per text asked. computed: how many of them the model computed for this question."""

    logits: Logits
    computed: int


class FusedPredict:
    """Answers many questions, each a list of different texts, with one call of `predict`.

    A text that several questions hold is computed once and counted as computed for the first of them.
    Where the call fails, each question is asked alone, so that one text cannot spoil the others.
    rows, calls: texts given to `predict`, and how often it was called.
    """

    def __init__(self, predict: Predict, num_labels: int, cache: LogitsCache | None = None) -> None:
        self.predict, self.num_labels, self.cache = predict, num_labels, cache
        self.rows = self.calls = 0

    def __call__(self, questions: Sequence[Sequence[Text]]) -> list[Answer | Exception]:
        """An answer per question, or the exception that `predict` raised for it.

        UserError where `predict` returns another shape, or where the cache cannot be used.
        """
        texts = list(dict.fromkeys(text for question in questions for text in question))
        known = self.cache.get(texts, self.num_labels) if self.cache is not None else {}
        missing = [text for text in texts if text not in known]
        try:
            logits = self._computed(missing)
        except UserError:
            raise
        except Exception as error:
            return [error] if len(questions) == 1 else [self([question])[0] for question in questions]
        if self.cache is not None:
            self.cache.put(missing, logits)
        known.update(zip(missing, logits, strict=True))
        uncounted = set(missing)
        answers: list[Answer | Exception] = []
        for question in questions:
            rows = np.stack([known[text] for text in question])
            answers.append(Answer(rows, len(uncounted.intersection(question))))
            uncounted.difference_update(question)
        return answers

    def _computed(self, texts: Sequence[Text]) -> Logits:
        if not texts:
            return np.zeros((0, self.num_labels), np.float32)
        self.calls += 1
        self.rows += len(texts)
        logits = np.asarray(self.predict(texts), dtype=np.float32)
        if logits.shape != (len(texts), self.num_labels):
            raise UserError(f"predict: returned shape {logits.shape}, not {(len(texts), self.num_labels)}")
        return logits
