"""One model call for many attacks: equal texts once, known ones from the disk; their gradients one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robusteval.attacks.queries.cache import LogitsCache, Text
from robusteval.attacks.queries.gradients import WordGradient, gradient_of
from robusteval.errors import UserError
from robusteval.results.finite import NotFinite, check_finite

Logits = npt.NDArray[np.float32]
Predict = Callable[[Sequence[Text]], Logits]
"""n texts (each a tuple of one string per text column) -> logits [n, K]. Gradients: see `gradients.gradient_of`."""


class GradientOf(NamedTuple):
    """The question for the gradient at one text, where others ask for logits."""

    text: Text


Question = Sequence[Text] | GradientOf


@dataclass(frozen=True)
class Answer:
    """logits: [n, K], a row per text asked. computed: how many of them the model computed for this question."""

    logits: Logits
    computed: int


class BatchedPredict:
    """Answers many questions, each a list of different texts, with one call of `predict`.

    A text that several questions hold is computed once and counted as computed for the first of them.
    Where the call fails, or a text has no finite logits, each question is asked alone, so that one text cannot spoil
    the others.
    A gradient is computed for itself, in this thread as well, and never cached.
    rows, calls: texts given to `predict`, and how often it was called.
    """

    def __init__(self, predict: Predict, num_labels: int, cache: LogitsCache | None = None) -> None:
        self.predict, self.num_labels, self.cache = predict, num_labels, cache
        self.gradient = gradient_of(predict)
        self.rows = self.calls = 0

    def __call__(self, questions: Sequence[Question]) -> list[Answer | WordGradient | Exception]:
        """An answer per question, or the exception that `predict` raised for it.

        UserError where `predict` returns another shape or has no gradient, or where the cache cannot be used.
        """
        gradients = [self._gradient(question.text) for question in questions if isinstance(question, GradientOf)]
        logits = self._together([question for question in questions if not isinstance(question, GradientOf)])
        return [gradients.pop(0) if isinstance(question, GradientOf) else logits.pop(0) for question in questions]

    def _gradient(self, text: Text) -> WordGradient | Exception:
        if self.gradient is None:
            raise UserError(
                "predict: this recipe asks for the model's gradient, and a bare function gives predictions only; "
                "give `Predictor(...).logits`, or a function with an attribute `gradient`"
            )
        try:
            found = self.gradient(text)
        except UserError:
            raise
        except Exception as error:  # a user's gradient may raise anything; the one who asked is told
            return error
        return found if np.isfinite(found.values).all() else ValueError("the gradient of this text is not finite")

    def _together(self, questions: Sequence[Sequence[Text]]) -> list[Answer | Exception]:
        texts = list(dict.fromkeys(text for question in questions for text in question))
        known = self.cache.get(texts, self.num_labels) if self.cache is not None else {}
        missing = [text for text in texts if text not in known]
        try:
            logits = self._computed(missing)
        except Exception as error:  # a user's predict may raise anything; each who asked is asked for alone
            if isinstance(error, UserError) and not isinstance(error, NotFinite):
                raise
            return [error] if len(questions) == 1 else [self._together([question])[0] for question in questions]
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
        check_finite(logits, "texts")
        return logits
