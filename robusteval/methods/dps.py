"""DPS (Zhang et al., NeurIPS 2022): cycles that first score the weights, then train those that scored highest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from robusteval.components.kth_largest import kth_largest
from robusteval.components.masks import Keeper
from robusteval.components.parameters import linear_modules
from robusteval.methods.base import Method, TrainingData
from robusteval.methods.mixout import LinearView, column_mask, mix, scale_gradient
from robusteval.settings.checks import check_choice, check_range


def scoring(step: int, span: int) -> bool:
    """Whether a step, counted from 0, belongs to Stage I of its cycle of 2 `span` steps."""
    return step // span % 2 == 0


def top_mask(scores: Tensor, keep: float) -> Tensor:
    """True at the ceil(keep n) highest of n scores, ties included [shape of scores].

    >>> top_mask(torch.tensor([4.0, 1.0, 3.0, 2.0]), 0.5)
    tensor([ True, False,  True, False])
    """
    return scores >= kth_largest([scores], _count(scores.numel(), keep))


def mean_score(total: Tensor, count: Tensor, span: int) -> Tensor:
    """DPS-mix: G / n, times exp(-n / span) where span >= 50, so that rarely kept columns are not passed over.

    total: summed squared gradients G [out, in]; count: steps n in which a column was kept [1, in].
    """
    score = total / count.clamp(min=1)
    return score * (-count / span).exp() if span >= 50 else score


def _count(total: int, keep: float) -> int:
    return max(1, math.ceil(keep * total - 1e-9))


@dataclass(frozen=True)
class DpsSettings:
    """Defaults are the released script's. The paper's code calls 0.3 the reserved share, but keeps 0.7.

    keep: share of each Linear weight that Stage II trains. ratio: length of a stage, as a share of all steps.
    threshold: over each tensor (released code) or over all together.
    mask_scope: "update" also holds off momentum and weight decay in Stage II.
    gradient: "code" leaves the factor 1 / keep of the mixed weights out (`dps-mix`).
    """

    keep: float = 0.7
    ratio: float = 0.05
    threshold: Literal["tensor", "global"] = "tensor"
    mask_scope: Literal["grad", "update"] = "grad"
    gradient: Literal["exact", "code"] = "exact"

    def __post_init__(self) -> None:
        check_range("dps:keep", self.keep, 0, 1, open_low=True)
        check_range("dps:ratio", self.ratio, 0, 1, open_low=True)
        check_choice("dps:threshold", self.threshold, ("tensor", "global"))
        check_choice("dps:mask_scope", self.mask_scope, ("grad", "update"))
        check_choice("dps:gradient", self.gradient, ("exact", "code"))


class Dps(Method[DpsSettings]):
    """DPS dense: Stage I trains and scores all, Stage II masks gradients. 3F, one copy of the Linear weights.

    Cycles count optimizer steps; the released code counts forward passes.
    """

    Settings = DpsSettings
    TRAIN: ClassVar[Mapping[str, Any]] = {"dropout": 0.0}

    def claims(self) -> frozenset[str]:
        return super().claims() - (frozenset() if self.settings.mask_scope == "update" else {"after_step"})

    def setup(self, model: Any, data: TrainingData) -> None:
        # a run shorter than 1 / ratio steps has stages of one step
        self.span = max(1, int(self.context.total_steps * self.settings.ratio))
        modules = linear_modules(model, include_head=True) if self.settings.keep < 1 else []
        self._weights = {name: module.weight for name, module in modules}
        self._scores = {name: torch.zeros_like(weight) for name, weight in self._weights.items()}
        self._masks: dict[str, Tensor] = {}
        self._keeper = Keeper()

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        if step % (2 * self.span) == 0:
            self._begin()
        self._keeper.clear()
        for name, weight in self._weights.items():
            # one overflowed gradient would decide the whole cycle; without any score at all, everything is trained
            if weight.grad is None or self.context.overflowed:
                continue
            if scoring(step, self.span):
                self._score(name, weight.grad)
                continue
            weight.grad *= self._masks[name]
            if self.settings.mask_scope == "update":
                self._keeper.hold(weight, self._masks[name])
        if scoring(step, self.span) and not scoring(step + 1, self.span):
            self._select()

    def after_step(self, step: int) -> None:
        self._keeper.restore()

    def _begin(self) -> None:
        self._masks = {}
        for score in self._scores.values():
            score.zero_()

    def _score(self, name: str, gradient: Tensor) -> None:
        self._scores[name].addcmul_(gradient, gradient)

    def _final_score(self, name: str) -> Tensor:
        return self._scores[name]

    def _select(self) -> None:
        """The masks of the coming Stage II."""
        keep = self.settings.keep
        if self.settings.threshold == "tensor":
            self._masks = {name: top_mask(self._final_score(name), keep) for name in self._weights}
            return
        scores = {name: self._final_score(name) for name in self._weights}
        if scores:
            count = _count(sum(score.numel() for score in scores.values()), keep)
            threshold = kth_largest(list(scores.values()), count)
            self._masks = {name: score >= threshold for name, score in scores.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self._scores, "masks": self._masks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        device = self.context.device
        self._scores = {name: value.to(device) for name, value in state["scores"].items()}
        self._masks = {name: value.to(device) for name, value in state["masks"].items()}


class DpsMix(Dps):
    """DPS mix: Stage I runs Mixout toward the pretrained weights, Stage II mixes by the mask, toward its own start.

    3F per step and a pass over the weights; four more copies of the Linear weights.
    """

    # `finish` may come before `setup` is through
    _view: LinearView | None = None

    def setup(self, model: Any, data: TrainingData) -> None:
        super().setup(model, data)
        self._anchors = {name: weight.detach().clone() for name, weight in self._weights.items()}
        self._starts: dict[str, Tensor] = {}
        self._counts = {name: weight.new_zeros(1, weight.shape[1]) for name, weight in self._weights.items()}
        self._columns: dict[str, Tensor] = {}
        self._step = 0
        modules = linear_modules(model, include_head=True) if self._weights else []
        self._view = LinearView(modules, self._mixed)

    def _mixed(self, name: str, weight: Tensor) -> Tensor:
        keep = self.settings.keep
        seen = scale_gradient(weight, keep) if self.settings.gradient == "code" else weight
        if scoring(self._step, self.span):
            if name not in self._columns:
                # one mask per optimizer step: the count of kept steps is then right under accumulation, too
                self._columns[name] = column_mask(weight, keep, self.generator)
            return mix(seen, self._anchors[name], self._columns[name], 1 - keep)
        if name not in self._starts:
            self._starts[name] = weight.detach().clone()
        return mix(seen, self._starts[name], self._masks[name], 1 - keep)

    def before_step(self, step: int) -> None:
        super().before_step(step)
        self._columns = {}
        self._step = step + 1
        if scoring(self._step, self.span):
            self._starts = {}

    def _begin(self) -> None:
        super()._begin()
        for count in self._counts.values():
            count.zero_()

    def _score(self, name: str, gradient: Tensor) -> None:
        super()._score(name, gradient)
        if name in self._columns:
            self._counts[name] += self._columns[name]

    def _final_score(self, name: str) -> Tensor:
        return mean_score(self._scores[name], self._counts[name], self.span)

    def finish(self, model: Any) -> None:
        if self._view is not None:
            self._view.remove()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "starts": self._starts, "counts": self._counts, "step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        device = self.context.device
        self._starts = {name: value.to(device) for name, value in state["starts"].items()}
        self._counts = {name: value.to(device) for name, value in state["counts"].items()}
        self._step = state["step"]
