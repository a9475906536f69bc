"""Bi-Drop (Tong et al., Findings of EMNLP 2023): update the weights whose gradients survive other dropout masks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from robusteval.components.kth_largest import chunks, kth_largest
from robusteval.components.masks import Keeper
from robusteval.components.parameters import block_parameters
from robusteval.methods.base import Method, TrainingData
from robusteval.models.dropout import has_dropout
from robusteval.models.encoding import Batch
from robusteval.settings.checks import check_choice, check_range

Variant = Literal["ess", "perturbation", "scaling", "random", "gavg"]
VARIANTS = ("ess", "perturbation", "scaling", "random", "gavg")


def deviation(gradients: Sequence[Tensor]) -> Tensor:
    """sqrt(sum_j (g_j - mu)^2), the denominator of Eq. 7; exactly 0 where all gradients are equal."""
    shifted = [gradient - gradients[0] for gradient in gradients[1:]]
    if len(shifted) == 1:
        return shifted[0].abs_() * math.sqrt(0.5)
    total = sum(shifted[1:], shifted[0])
    return (sum(d.square() for d in shifted) - total.square() / len(gradients)).clamp_(min=0).sqrt_()


def rank_scores(mean: Tensor, spread: Tensor, parameter: Tensor, variant: str = "ess", eps: float = 1e-12) -> Tensor:
    """What ranks weights as F = F_per F_sca (Eq. 9) does: one factor, or the root of both, of the parameter's shape.

    mu: the mean of k gradients (Eq. 6). F_per = |mu| / spread (Eq. 7), variant "perturbation"; F_sca = |mu| / |theta|
    (Eq. 8), variant "scaling". F itself would underflow at gradients of 1e-20; its root does not. eps keeps quotients
    finite: never NaN, and 0 only where the mean is 0.
    """
    size = mean.abs()
    if variant == "perturbation":
        return size.div_(spread + eps)
    scale = parameter.detach().abs().add_(eps)
    if variant == "scaling":
        return size.div_(scale)
    return size.mul_((spread + eps).rsqrt_()).mul_(scale.rsqrt_())


@dataclass(frozen=True)
class BiDropSettings:
    """The paper leaves `keep`, the eligible tensors and the scope of the threshold open.

    variant: "ess" is Bi-Drop; "perturbation", "scaling" use one factor, "random" selects as many weights by
        lot, "gavg" updates all (Table 7).
    k: passes over the mini-batch, each with its own dropout; keep: share of the eligible weights updated.
    tensors: eligible weights: those of the encoder blocks, or all; others are always updated.
    per_tensor: one threshold per tensor, else one for all eligible weights.
    mask_scope: "grad" masks the gradient only (Algorithm 1): momentum and decay still move a weight;
        "update" leaves it where it is.
    refresh: find the threshold anew every so many steps.
    """

    variant: Variant = "ess"
    k: int = 2
    keep: float = 0.3
    tensors: Literal["encoder", "all"] = "encoder"
    per_tensor: bool = False
    mask_scope: Literal["grad", "update"] = "grad"
    refresh: int = 1
    eps: float = 1e-12

    def __post_init__(self) -> None:
        check_choice("bidrop:variant", self.variant, VARIANTS)
        check_range("bidrop:k", self.k, 2, 16)
        check_range("bidrop:keep", self.keep, 0, 1, open_low=True)
        check_choice("bidrop:tensors", self.tensors, ("encoder", "all"))
        check_choice("bidrop:mask_scope", self.mask_scope, ("grad", "update"))
        check_range("bidrop:refresh", self.refresh, 1, math.inf)
        check_range("bidrop:eps", self.eps, 0, math.inf, open_low=True)


class BiDrop(Method[BiDropSettings]):
    """k passes, then the mean gradient on the selected weights. 3F k per step, k - 1 more copies of the gradients.

    Each pass sums its gradients over all micro-batches before the selection: accumulation changes nothing.
    """

    Settings = BiDropSettings
    TRAIN: ClassVar[Mapping[str, Any]] = {"dropout": 0.1}

    def claims(self) -> frozenset[str]:
        return super().claims() - (frozenset() if self.settings.mask_scope == "update" else {"after_step"})

    def setup(self, model: Any, data: TrainingData) -> None:
        settings = self.settings
        self._modules = (model, self.root.modules)
        inside = list(model.named_parameters()) if settings.tensors == "all" else block_parameters(model)
        self._eligible = {id(p) for _, p in inside}
        self._earlier: list[dict[int, Tensor]] = [{} for _ in range(settings.k - 1)]
        self._scale = torch.zeros((), device=self.context.device)
        self._thresholds: list[Tensor] = []
        self._keeper = Keeper()
        self._looked = False

    def _parameters(self) -> Iterator[nn.Parameter]:
        # asked for anew: methods that are set up later may freeze some and bring others
        return (p for module in self._modules for p in module.parameters())

    def backward(self, model: Any, batch: Batch) -> Tensor:
        """k passes; the gradients of all but the last are kept apart until `before_step`."""
        if not self._looked:
            self._looked = True
            if not has_dropout(model):
                lost = "the perturbation factor means nothing"
                if self.settings.variant not in ("ess", "perturbation"):
                    lost = "all but one are in vain"
                self.late_notice(
                    f"{self.name}: the model has no dropout, so the passes differ only if another method draws at "
                    f"random; else {lost}",
                )
        total = torch.zeros((), device=self.context.device)
        for earlier in self._earlier:
            probe = torch.zeros((), device=self.context.device, requires_grad=True)
            aside = self._swap(earlier)
            loss = self.root.loss(model, batch)
            self.context.scale_backward(loss + probe)
            earlier.update(self._swap(aside))
            # mixed precision scales the loss: the probe's gradient tells by how much
            assert probe.grad is not None
            self._scale += probe.grad / len(self._earlier)
            total += loss.detach()
        total += super().backward(model, batch)
        return total / self.settings.k

    def _swap(self, gradients: dict[int, Tensor]) -> dict[int, Tensor]:
        """Put these gradients into .grad and give back what was there."""
        before = {id(p): p.grad for p in self._parameters() if p.grad is not None}
        for p in self._parameters():
            p.grad = gradients.get(id(p))
        return before

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        settings = self.settings
        if self.context.overflowed:
            # nothing will move, and a threshold found now would outlive this step
            if step % settings.refresh == 0:
                self._thresholds = []
            self._forget()
            return
        masked = settings.variant != "gavg" and settings.keep < 1
        scores = {}
        for p in self._parameters():
            if p.grad is None:
                continue
            earlier = [passed[id(p)] for passed in self._earlier]
            ranked = masked and id(p) in self._eligible
            for parts in chunks(p.grad, p, *earlier):
                self._average(*parts, ranked=ranked and settings.variant != "random")
            if ranked:
                # the gradient of the first pass is not needed again: its memory holds the scores
                scores[id(p)] = earlier[0]
                if settings.variant == "random":
                    earlier[0].uniform_(generator=self.generator)
        if scores:
            self._mask(step, scores)
        self._forget()

    def _average(self, gradient: Tensor, parameter: Tensor, *earlier: Tensor, ranked: bool) -> None:
        """Make the last gradient the mean of all; put the scores, if asked for, where the first one was."""
        settings = self.settings
        # an earlier pass may have overflowed where the scaler looked at the last one alone
        others = [(each / self._scale).nan_to_num_(0, 0, 0) for each in earlier]
        spread = deviation([*others, gradient]) if ranked else None
        for other in others:
            gradient += other
        gradient /= settings.k
        if spread is not None:
            earlier[0].copy_(rank_scores(gradient, spread, parameter, settings.variant, settings.eps))

    def apart(self) -> Iterator[Tensor]:
        for earlier in self._earlier:
            yield from earlier.values()
        yield self._scale

    def _forget(self) -> None:
        """Make room for the passes of the next step."""
        self._earlier = [{} for _ in self._earlier]
        self._scale.zero_()

    def _mask(self, step: int, scores: dict[int, Tensor]) -> None:
        settings = self.settings
        tensors = list(scores.values())
        scopes = [[tensor] for tensor in tensors] if settings.per_tensor else [tensors]
        if step % settings.refresh == 0 or not self._thresholds:
            counts = [max(1, round(settings.keep * sum(t.numel() for t in scope))) for scope in scopes]
            self._thresholds = [kth_largest(s, count) for s, count in zip(scopes, counts, strict=True)]
        thresholds = self._thresholds if settings.per_tensor else self._thresholds * len(tensors)
        bound = dict(zip(scores, thresholds, strict=True))
        kept = torch.zeros((), device=self.context.device)
        self._keeper.clear()
        for p in self._parameters():
            if id(p) in scores and p.grad is not None:
                for gradient, mask in chunks(p.grad, scores[id(p)]):
                    # the scores become the mask, 1 or 0: a product of floats is faster than one with booleans
                    gradient *= mask.ge_(bound[id(p)])
                    kept += mask.sum()
                if settings.mask_scope == "update":
                    self._keeper.hold(p, scores[id(p)].bool())
        self.logged = {"kept": kept / sum(tensor.numel() for tensor in tensors)}

    def after_step(self, step: int) -> None:
        self._keeper.restore()

    def state_dict(self) -> dict[str, Any]:
        return {"thresholds": self._thresholds}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._thresholds = [value.to(self.context.device) for value in state["thresholds"]]


@dataclass(frozen=True)
class PerturbationSettings(BiDropSettings):
    variant: Variant = "perturbation"


@dataclass(frozen=True)
class ScalingSettings(BiDropSettings):
    variant: Variant = "scaling"


@dataclass(frozen=True)
class RandomSettings(BiDropSettings):
    variant: Variant = "random"


@dataclass(frozen=True)
class AverageSettings(BiDropSettings):
    variant: Variant = "gavg"


class BiDropPerturbation(BiDrop):
    """Table 7, perturbation factor alone."""

    Settings = PerturbationSettings


class BiDropScaling(BiDrop):
    """Table 7, scaling factor alone."""

    Settings = ScalingSettings


class BiDropRandom(BiDrop):
    """Table 7, RSS: as many weights, by lot."""

    Settings = RandomSettings


class BiDropAverage(BiDrop):
    """Table 7, g_avg: the mean gradient of k passes on every weight."""

    Settings = AverageSettings
