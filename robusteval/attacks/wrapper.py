"""What TextAttack asks for predictions: any `predict` function, in the shape its goal functions expect."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from robusteval.errors import UserError

Predict = Callable[[Sequence[tuple[str, ...]]], npt.NDArray[np.float32]]
"""n texts (each a tuple of one string per text column) -> logits [n, K]."""


class PredictionsOnly:
    """Stands where TextAttack keeps the victim model; it looks at the class name and nothing else."""


class PredictWrapper:
    """A TextAttack model wrapper around `predict`.

    rows, calls: texts computed and times `predict` was called since `reset`. Equal texts within one call
    are computed once, so `rows` can be smaller than the number of texts asked for.
    """

    def __init__(self, predict: Predict, num_labels: int) -> None:
        self.predict = predict
        self.num_labels = num_labels
        self.model = PredictionsOnly()
        self.reset()

    def reset(self) -> None:
        self.rows = 0
        self.calls = 0

    def __call__(self, text_input_list: Sequence[str | tuple[str, ...]]) -> torch.Tensor:
        """Logits, float32 [n, K] on the CPU, one row per text in the order given.

        UserError where `predict` returns another shape.
        """
        texts = [(text,) if isinstance(text, str) else tuple(text) for text in text_input_list]
        position = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        logits = np.asarray(self.predict(list(position)), dtype=np.float32)
        if logits.shape != (len(position), self.num_labels):
            raise UserError(f"predict: returned shape {logits.shape}, not {(len(position), self.num_labels)}")
        self.calls += 1
        self.rows += len(position)
        return torch.from_numpy(not_mistaken_for_probabilities(logits)[[position[text] for text in texts]])


def not_mistaken_for_probabilities(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The same logits, shifted by one where every row happens to sum to one.

    TextAttack applies no softmax to rows that sum to 1 within 1e-6: logits that do so by chance would be read
    as probabilities. A constant shift moves the sum away and leaves the softmax as it was.
    """
    if logits.size and bool((np.abs(logits.sum(axis=1) - 1) < 1e-5).all()):
        shifted: npt.NDArray[np.float32] = logits + np.float32(1)
        return shifted
    return logits
