"""What enters a classifier's last linear layer: the representation that a prediction is made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch

from robusteval.evaluation.predict import Predictor, groups
from robusteval.models.architectures import submodules
from robusteval.models.encoding import Collator, Encoded
from robusteval.training.order import BatchOrder

FloatArray = npt.NDArray[np.float64]


@contextmanager
def entering(predictor: Predictor) -> Iterator[list[torch.Tensor]]:
    """What enters the last linear layer in each pass through the model within, [B, d], in evaluation mode.

    Raises UserError for an architecture whose last layer is not known.
    """
    model, caught = predictor.model, list[torch.Tensor]()
    training = model.training
    handle = submodules(model).classifier.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
    try:
        model.eval()
        with torch.inference_mode():
            yield caught
    finally:
        handle.remove()
        model.train(training)


def features(predictor: Predictor, encoded: Encoded) -> FloatArray:
    """The vector that enters the last linear layer, for every row [n, d]."""
    return features_and_logits(predictor, encoded)[0]


def features_and_logits(predictor: Predictor, encoded: Encoded) -> tuple[FloatArray, npt.NDArray[np.float32]]:
    """As `features`, and the logits [n, K] of the same passes."""
    width = submodules(predictor.model).classifier.in_features
    result = np.zeros((len(encoded), width))
    logits = np.zeros((len(encoded), predictor.model.config.num_labels), np.float32)
    collate = Collator(predictor.tokenizer)
    size = max(1, predictor.batch_tokens // int(encoded.lengths.max()))
    batches = BatchOrder(encoded.lengths, size, seed=0).epoch(0)
    if predictor.group is not None:
        batches = groups(len(encoded), predictor.group)
    with entering(predictor) as caught:
        for rows in batches:
            found = predictor.model(**collate(encoded, rows).to(predictor.device).inputs).logits
            result[rows], logits[rows] = caught.pop().float().cpu().numpy(), found.float().cpu().numpy()
    return result, logits
