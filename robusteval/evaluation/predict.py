"""Prediction in few, full batches: tokenised once, sorted by length, padded to the longest in the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from robusteval.encoding import Collator, Encoded, encode

# Padded tokens per batch: on a CPU larger batches leave the cache, on an accelerator smaller ones leave it idle.
TOKENS_CPU = 4096
TOKENS_ACCELERATOR = 65536


class Predictor:
    """A model, its tokenizer and a maximal length; turns texts or encoded rows into logits.

    rows, calls: how many rows went through the model, in how many forward passes.
    """

    def __init__(self, model: Any, tokenizer: Any, max_length: int = 128, *, batch_tokens: int | None = None) -> None:
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length
        self.device = next(model.parameters()).device
        on_cpu = self.device.type == "cpu"
        self.batch_tokens = batch_tokens or (TOKENS_CPU if on_cpu else TOKENS_ACCELERATOR)
        self._collate = Collator(tokenizer, multiple=1 if on_cpu else 8)
        self.rows = self.calls = 0

    def logits(self, texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        """Logits [n, K] of n texts, each one string per text column."""
        if not texts:
            return np.zeros((0, self.model.config.num_labels), np.float32)
        columns = list(zip(*texts, strict=True))
        return self.encoded(encode(self.tokenizer, columns, max_length=self.max_length))

    def encoded(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Logits [n, K] of encoded rows, in their order. The model is in evaluation mode throughout."""
        lengths = encoded.lengths
        order = np.argsort(-lengths, kind="stable")
        result = np.zeros((len(encoded), self.model.config.num_labels), np.float32)
        training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                for rows in self._batches(order, lengths):
                    batch = self._collate(encoded, rows).to(self.device)
                    result[rows] = self.model(**batch.inputs).logits.float().cpu().numpy()
                    self.rows += len(rows)
                    self.calls += 1
        finally:
            self.model.train(training)
        return result

    def _batches(self, order: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Runs of rows, longest first, of at most `batch_tokens` padded tokens (at least one row)."""
        batches, start = [], 0
        while start < len(order):
            size = max(1, self.batch_tokens // int(lengths[order[start]]))
            batches.append(order[start : start + size])
            start += size
        return batches
