"""SMART (Jiang et al., ACL 2020): the prediction must stay under the worst small change of the word embeddings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from robusteval.components.divergence import detached_symmetric_kl, log_odds_distance, symmetric_kl
from robusteval.components.embeddings import edit_embeddings, per_token
from robusteval.methods.base import Method, TrainingData, task_loss
from robusteval.models.encoding import Batch
from robusteval.settings.checks import check_choice, check_range


def divergence(first: Tensor, second: Tensor, regression: bool = False, *, detach: bool = False) -> Tensor:
    """l_s of Eq. 2: symmetric KL of two logits [B, K], or the squared difference of scores [B, 1]; a mean.

    detach: each KL has a gradient by its second argument alone, as in the released code.
    """
    if regression:
        return (first.float() - second.float()).square().mean()
    return (detached_symmetric_kl if detach else symmetric_kl)(first, second).mean()


def climbed(moved: Tensor, clean: Tensor, regression: bool = False, ascent: str = "mean") -> Tensor:
    """What an ascent step climbs: l_s, its sum over the batch, or the summed "stable" divergence; clean is fixed."""
    if ascent == "stable" and not regression:
        return log_odds_distance(moved, clean).sum()
    return divergence(moved, clean, regression) * (1 if ascent == "mean" else len(moved))


def ascend(delta: Tensor, gradient: Tensor, step_size: float, radius: float, *, unit: bool = False) -> Tensor:
    """One ascent step; all [B, L, d]. The gradient is brought to maximum norm 1 per token, then the
    perturbation is projected to the ball |delta| <= radius.

    unit: the released code instead adds the raw gradient and then scales every token's perturbation to
    maximum norm 1, whatever its size.

    >>> ascend(torch.zeros(1, 1, 2), torch.tensor([[[3.0, -4.0]]]), 0.1, 0.08)
    tensor([[[ 0.0750, -0.0800]]])
    """
    if unit:
        moved = delta + step_size * gradient
        return moved / (moved.abs().amax(-1, keepdim=True) + 1e-6)
    direction = gradient / gradient.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    return (delta + step_size * direction).clamp(-radius, radius)


@dataclass(frozen=True)
class SmartSettings:
    """Smoothness-inducing regularisation; the Bregman term is absent, as in the released code.

    weight: of the divergence; steps: K ascent steps; noise: deviation of the first, random perturbation.
    step_size: length of an ascent step; radius: bound on every entry of the perturbation.
    projection: "ball" of that radius, or "unit": every token's perturbation has maximum norm 1 (released code).
    detach: no gradient through the first argument of either KL (released code).
    ascent: what the ascent climbs, see `climbed`; with "ball" a sum goes where its mean goes. Released code: "stable".
    """

    weight: float = 1.0
    steps: int = 1
    noise: float = 1e-5
    step_size: float = 1e-3
    radius: float = 1e-5
    projection: Literal["ball", "unit"] = "ball"
    detach: bool = False
    ascent: Literal["mean", "sum", "stable"] = "mean"

    def __post_init__(self) -> None:
        check_range("smart:weight", self.weight, 0, math.inf)
        check_range("smart:steps", self.steps, 1, math.inf)
        check_range("smart:noise", self.noise, 0, math.inf, open_low=True)
        check_range("smart:step_size", self.step_size, 0, math.inf)
        check_range("smart:radius", self.radius, 0, math.inf)
        check_choice("smart:projection", self.projection, ("ball", "unit"))
        check_choice("smart:ascent", self.ascent, ("mean", "sum", "stable"))


class Smart(Method[SmartSettings]):
    """A clean pass, K ascents that differentiate by the embeddings alone, an adversarial pass. 6F + 2F K."""

    Settings = SmartSettings

    def setup(self, model: Any, data: TrainingData) -> None:
        self._longest = int(data.encoded.lengths.max())

    def loss(self, model: Any, batch: Batch) -> Tensor:
        settings, regression = self.settings, self.context.regression
        if settings.weight == 0:
            return super().loss(model, batch)
        mask = batch.inputs["attention_mask"].bool()
        delta: Tensor | None = None

        def draw(rows: int, width: int) -> Tensor:
            draws = torch.empty(rows, self._longest, width, device=mask.device)
            return draws.normal_(0, settings.noise, generator=self.generator)

        def perturb(e: Tensor) -> Tensor:
            nonlocal delta
            if delta is None:
                draws = self.context.drawn(len(batch), lambda rows: draw(rows, e.shape[-1]))
                delta = per_token(draws, mask).requires_grad_()
            return e + delta

        # the clean pass serves three times: task loss, target of the ascent, and second term of the divergence
        clean = self.logits(model, batch.inputs, batch.labels)
        with edit_embeddings(model, perturb, words=True):
            for _ in range(settings.steps):
                moved = self.logits(model, batch.inputs, batch.labels)
                distance = climbed(moved, clean.detach(), regression, settings.ascent)
                if settings.ascent == "mean" and self.context.part is not None:
                    # the mean is that over the rows of all processes
                    distance = distance * self.context.part.share
                assert delta is not None
                (gradient,) = torch.autograd.grad(distance, delta)
                unit = settings.projection == "unit"
                # pads have no gradient, and "unit" keeps their zeros
                delta = ascend(delta.detach(), gradient, settings.step_size, settings.radius, unit=unit)
                delta.requires_grad_()
            delta = delta.detach() if delta is not None else None
            adversarial = self.logits(model, batch.inputs, batch.labels)
        distance = divergence(adversarial, clean, regression, detach=settings.detach)
        return task_loss(clean, batch.labels) + settings.weight * distance
