"""Prediction in few, full batches: tokenised once, sorted by length, padded to the longest in the batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from robusteval.errors import UserError
from robusteval.models.encoding import Collator, Encoded, encode, join
from robusteval.results.finite import check_finite
from robusteval.settings.checks import check_choice

# Padded tokens per batch: on a CPU larger batches leave the cache, on an accelerator smaller ones leave it idle.
TOKENS_CPU = 4096
TOKENS_ACCELERATOR = 65536
# Sets that are small are predicted together until their tokens fill this many batches: memory stays bounded.
STREAM_BATCHES = 16


class Predictor:
    """A model, its tokenizer and a maximal length; turns texts or encoded rows into logits.

    Logits that are not finite raise NotFinite; `what` and `names` say there whose rows these are and which. Logits of
    another shape than the configuration tells raise UserError.
    precision: "fp32", or "bf16" for bfloat16 autocast.
    group: so many rows go through the model together, in their order and each set for itself: for a model whose
    predictions depend on batch mates (`Method.mixes_at_evaluation`). None: whatever is fastest.
    rows, calls: how many rows went through the model, in how many forward passes.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        max_length: int = 128,
        *,
        batch_tokens: int | None = None,
        precision: str = "fp32",
        group: int | None = None,
    ) -> None:
        check_choice("precision", precision, ("fp32", "bf16"))
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length
        self.precision, self.group = precision, group
        self.device = next(model.parameters()).device
        on_cpu = self.device.type == "cpu"
        self.batch_tokens = batch_tokens or (TOKENS_CPU if on_cpu else TOKENS_ACCELERATOR)
        self._collate = Collator(tokenizer, multiple=1 if on_cpu else 8)
        self.rows = self.calls = 0

    def logits(
        self, texts: Sequence[tuple[str, ...]], what: str = "texts", names: Sequence[str] | None = None
    ) -> npt.NDArray[np.float32]:
        """Logits [n, K] of n texts, each one string per text column."""
        if not texts:
            return np.zeros((0, self.model.config.num_labels), np.float32)
        columns = list(zip(*texts, strict=True))
        return self.encoded(encode(self.tokenizer, columns, max_length=self.max_length), what, names)

    def encoded(
        self, encoded: Encoded, what: str = "rows", names: Sequence[str] | None = None
    ) -> npt.NDArray[np.float32]:
        """Logits [n, K] of encoded rows, in their order. The model is in evaluation mode throughout."""
        logits = self._forward(encoded)
        check_finite(logits, what, names)
        return logits

    def _forward(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        lengths = encoded.lengths
        order = np.argsort(-lengths, kind="stable")
        result = np.zeros((len(encoded), self.model.config.num_labels), np.float32)
        training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode(), self._autocast():
                for rows in self._batches(order, lengths):
                    batch = self._collate(encoded, rows).to(self.device)
                    logits = self.model(**batch.inputs).logits.float().cpu().numpy()
                    if logits.shape != result[rows].shape:
                        raise UserError(
                            f"model: its logits have the shape {logits.shape}, but its configuration says "
                            f"{result.shape[1]} for each of {len(rows)} rows"
                        )
                    result[rows] = logits
                    self.rows += len(rows)
                    self.calls += 1
        finally:
            self.model.train(training)
        return result

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def stream(
        self, sets: Iterable[Encoded], what: str = "rows", names: Sequence[str] | None = None
    ) -> Iterator[npt.NDArray[np.float32]]:
        """Logits of each of many sets of rows, in turn; as many sets as fill a few batches share one sorted pass."""
        waiting: list[Encoded] = []
        for encoded in sets:
            waiting.append(encoded)
            if sum(len(each.ids) for each in waiting) >= STREAM_BATCHES * self.batch_tokens:
                yield from self._together(waiting, what, names)
                waiting = []
        yield from self._together(waiting, what, names)

    def _together(
        self, sets: list[Encoded], what: str, names: Sequence[str] | None
    ) -> Iterator[npt.NDArray[np.float32]]:
        if self.group is not None:
            yield from (self.encoded(each, what, names) for each in sets)
        elif sets:
            bounds = np.cumsum([len(each) for each in sets])[:-1]
            for logits in np.split(self._forward(join(sets)), bounds):
                check_finite(logits, what, names)
                yield logits

    def _batches(self, order: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Runs of rows, longest first, of at most `batch_tokens` padded tokens (at least one row); or the groups."""
        if self.group is not None:
            return groups(len(order), self.group)
        batches, start = [], 0
        while start < len(order):
            size = max(1, self.batch_tokens // int(lengths[order[start]]))
            batches.append(order[start : start + size])
            start += size
        return batches


def groups(rows: int, size: int) -> list[npt.NDArray[np.int64]]:
    """The numbers of `rows` rows in their order, `size` at a time; the last group may be smaller."""
    return [np.arange(start, min(start + size, rows)) for start in range(0, rows, size)]
