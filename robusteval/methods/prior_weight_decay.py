"""Weight decay toward the pretrained weights (Daumé III, ACL 2007; Lee et al., ICLR 2020; L2-SP)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from robusteval.components.parameters import pretrained_parameters, snapshot
from robusteval.methods.base import Method, TrainingData
from robusteval.settings.checks import check_choice, check_range


def penalty_gradient(parameter: Tensor, anchor: Tensor, lam: float) -> Tensor:
    """lam (theta - theta0), the gradient of the penalty lam/2 ||theta - theta0||^2 [shape of theta]."""
    return lam * (parameter - anchor)


def pull(parameter: Tensor, anchor: Tensor, lam: float, rate: float) -> Tensor:
    """theta - rate lam (theta - theta0), in place: the decoupled form."""
    return parameter.lerp_(anchor, rate * lam)


@dataclass(frozen=True)
class PriorSettings:
    """lam: strength; the literature searches 10 down to 0.001.

    mode: "loss" adds the penalty to the loss, as MATCH-TUNING and Bi-Drop describe it; "decoupled" moves the
        weights before the optimizer does, as released code has it. The same lam means different things.
    include_head: also pull the new head to where it started.
    """

    lam: float = 0.01
    mode: Literal["loss", "decoupled"] = "loss"
    include_head: bool = False

    def __post_init__(self) -> None:
        check_range("prior-wd:lam", self.lam, 0, math.inf)
        check_choice("prior-wd:mode", self.mode, ("loss", "decoupled"))


class PriorWeightDecay(Method[PriorSettings]):
    """Pulls the weight matrices, not biases and LayerNorm. 3F per step, one more copy of the parameters."""

    Settings = PriorSettings

    def setup(self, model: Any, data: TrainingData) -> None:
        named = pretrained_parameters(model, include_head=self.settings.include_head)
        self._targets = [(n, p) for n, p in named if p.ndim > 1 and "bias" not in n and self.settings.lam > 0]
        self._anchors = snapshot(self._targets)

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        if self.context.overflowed and self.settings.mode == "decoupled":
            # the optimizer passes this step over, and so does the pull
            return
        distance = torch.zeros((), device=self.context.device)
        for name, parameter in self._targets:
            if parameter.grad is None:
                continue
            anchor = self._anchors[name]
            if self.settings.mode == "decoupled":
                pull(parameter, anchor, self.settings.lam, self.context.learning_rate)
            else:
                gradient = penalty_gradient(parameter, anchor, self.settings.lam)
                # the loss in the log is the task's; the penalty is lam/2 times this distance squared
                distance += gradient.square().sum()
                parameter.grad += gradient
        if self._targets and self.settings.mode == "loss":
            self.logged = {"distance": distance.sqrt() / self.settings.lam}
