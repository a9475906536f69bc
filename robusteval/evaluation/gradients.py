"""What suites that look at gradients share: a differentiable model, and batches that are the same for every model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from robusteval.evaluation.predict import Predictor
from robusteval.models.encoding import Batch, Collator, Encoded
from robusteval.runtime.seeds import derive
from robusteval.training.order import BatchOrder


@contextmanager
def differentiable(model: nn.Module, parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """The model in evaluation mode, differentiable in exactly these parameters; afterwards as it was."""
    training = [(module, module.training) for module in model.modules()]
    required = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    chosen = {id(parameter) for parameter in parameters}
    try:
        model.eval()
        for parameter, _ in required:
            parameter.requires_grad_(id(parameter) in chosen)
        with torch.enable_grad():
            yield
    finally:
        for module, mode in training:
            module.training = mode
        for parameter, flag in required:
            parameter.requires_grad_(flag)


def batches(predictor: Predictor, encoded: Encoded, size: int) -> Iterator[Batch]:
    """All rows once in batches of `size`, on the device; in an order as in training, the same for every model."""
    collate = Collator(predictor.tokenizer)
    for rows in BatchOrder(encoded.lengths, size, derive(0, "analysis")).epoch(0):
        yield collate(encoded, rows).to(predictor.device)
