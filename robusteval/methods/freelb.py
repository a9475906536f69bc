"""FreeLB (Zhu et al., ICLR 2020): K ascent steps on the word embeddings, learning from every one of them."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from robusteval.components.embeddings import edit_embeddings, per_token
from robusteval.methods.base import Method, TrainingData
from robusteval.models.encoding import Batch
from robusteval.runtime.generators import forked
from robusteval.settings.checks import check_range


def project(delta: Tensor, max_norm: float) -> Tensor:
    """Shrink each example's perturbation [B, L, d] to Frobenius norm max_norm where longer; 0 is no bound."""
    if max_norm == 0:
        return delta
    norm: Tensor = torch.linalg.vector_norm(delta.flatten(1), dim=1).clamp(min=1e-12)
    return delta * (max_norm / norm).clamp(max=1)[:, None, None]


def ascend(delta: Tensor, gradient: Tensor, adv_lr: float, max_norm: float = 0.0) -> Tensor:
    """delta + adv_lr * g / ||g||_F per example, projected (Algorithm 1); all [B, L, d].

    >>> ascend(torch.zeros(1, 1, 2), torch.tensor([[[3.0, 4.0]]]), adv_lr=0.1)
    tensor([[[0.0600, 0.0800]]])
    """
    norm: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1).clamp(min=1e-30)
    return project(delta + adv_lr * gradient / norm[:, None, None], max_norm)


@dataclass(frozen=True)
class FreeLBSettings:
    """Defaults lie in the range of the released ALBERT scripts (K 2-4, adv_lr .03-.2, magnitude 0-.6).

    steps: K, passes per step; adv_lr: length of an ascent step; magnitude: size of the first, random perturbation.
    max_norm: bound on the perturbation's Frobenius norm; 0 is none.
    shared_dropout: the same dropout masks in all K passes.
    """

    steps: int = 3
    adv_lr: float = 0.1
    magnitude: float = 0.1
    max_norm: float = 0.0
    shared_dropout: bool = True

    def __post_init__(self) -> None:
        check_range("freelb:steps", self.steps, 1, math.inf)
        check_range("freelb:adv_lr", self.adv_lr, 0, math.inf)
        check_range("freelb:magnitude", self.magnitude, 0, math.inf)
        check_range("freelb:max_norm", self.max_norm, 0, math.inf)


class FreeLB(Method[FreeLBSettings]):
    """K passes, each adding 1/K of its gradient; the perturbation's gradient comes with the same backward. 3F K."""

    Settings = FreeLBSettings

    def setup(self, model: Any, data: TrainingData) -> None:
        self._longest = int(data.encoded.lengths.max())

    def backward(self, model: Any, batch: Batch) -> Tensor:
        settings = self.settings
        if settings.steps == 1 and settings.magnitude == 0:
            return super().backward(model, batch)
        mask = batch.inputs["attention_mask"].bool()
        delta: Tensor | None = None

        def perturb(e: Tensor) -> Tensor:
            nonlocal delta
            if delta is None:
                delta = self._first(mask, e.shape[-1]).requires_grad_()
            # a loss of several branches sees the same perturbation in each
            return e + delta.repeat(e.shape[0] // len(batch), 1, 1)

        total = torch.zeros((), device=self.context.device)
        for step in range(settings.steps):
            last = step + 1 == settings.steps
            with (
                forked(self.context.device) if settings.shared_dropout and not last else nullcontext(),
                edit_embeddings(model, perturb, words=True),
            ):
                loss = self.root.loss(model, batch) / settings.steps
            self.context.scale_backward(loss)
            total = total + loss.detach()
            if not last and delta is not None and delta.grad is not None:
                delta = ascend(delta.detach(), delta.grad, settings.adv_lr, settings.max_norm).requires_grad_()
        return total

    def _first(self, mask: Tensor, width: int) -> Tensor:
        """Uniform(-1, 1) * magnitude / sqrt(tokens * width) at real tokens, 0 at pads [B, L, d]."""

        def draw(rows: int) -> Tensor:
            draws = torch.empty(rows, self._longest, width, device=mask.device)
            return draws.uniform_(-1, 1, generator=self.generator)

        scale = self.settings.magnitude / (mask.sum(1) * width).sqrt()
        return per_token(self.context.drawn(len(mask), draw), mask) * scale[:, None, None]
