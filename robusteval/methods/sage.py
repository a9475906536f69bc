"""SAGE (Liang et al., ICLR 2022): each weight's learning rate follows how much its sensitivity is changing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from robusteval.components.optimizers import is_adamax, make_optimizer
from robusteval.components.parameters import block_parameters
from robusteval.components.update_rules import adam_moments, adamax_direction, mtdnn_step, with_rule
from robusteval.methods.base import Method, TrainingData
from robusteval.settings.checks import check_choice, check_range
from robusteval.settings.train import TrainConfig


def factor(sensitivity: Tensor, average: Tensor, eps: float = 1e-8, *, code: bool = False) -> Tensor:
    """What multiplies each weight's rate: (|I - Ibar| + eps) / (Ibar + eps) [shape of I].

    sensitivity: I = |theta g|; average: its moving average Ibar, the current I included.
    code: |I - Ibar| / (Ibar + eps^2), as the released code has it.
    """
    change = (sensitivity - average).abs_()
    return change / (average + eps**2) if code else (change + eps) / (average + eps)


@dataclass(frozen=True)
class SageSettings:
    """beta3: decay of the average sensitivity (released script: 0.85; a search: 0.6 to 0.9).

    eps: of the factor. strength: 1 is SAGE; 0 makes every factor 1, which is the plain optimizer.
    bias_correction: of the average; None follows the released code: AdamW with, Adamax without.
    code_eps: eps as in the released code. mtdnn: its Adamax for all parameters, without the correction 1 - beta1^t
    and with eps twice; needs optimizer=adamax. optimizer_eps: of AdamW or Adamax, None for their own 1e-8 (released
    code: 1e-6).
    """

    beta3: float = 0.75
    eps: float = 1e-8
    strength: float = 1.0
    bias_correction: bool | None = None
    code_eps: bool = False
    mtdnn: bool = False
    optimizer_eps: float | None = None

    def __post_init__(self) -> None:
        check_range("sage:beta3", self.beta3, 0, 0.9999)
        check_range("sage:eps", self.eps, 0, math.inf, open_low=True)
        check_range("sage:strength", self.strength, 0, 1)
        if self.optimizer_eps is not None:
            check_range("sage:optimizer_eps", self.optimizer_eps, 0, 1, open_low=True)


class Sage(Method[SageSettings]):
    """AdamW or Adamax with a rate per weight, on the encoder blocks except LayerNorm. 3F, one more copy."""

    Settings = SageSettings
    TRAIN: ClassVar[Mapping[str, Any]] = {"optimizer": "adamax"}

    def setup(self, model: Any, data: TrainingData) -> None:
        self._targets = block_parameters(model, norms=False)

    def optimizer(self, groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
        settings = self.settings
        if settings.mtdnn:
            check_choice("sage:mtdnn=true with optimizer", config.optimizer, ("adamax",))
        optimizer: torch.optim.Optimizer = make_optimizer(groups, config, self.context.device)
        if settings.strength == 0:
            return optimizer
        if settings.optimizer_eps is not None:
            for group in optimizer.param_groups:
                group["eps"] = settings.optimizer_eps
        targets = [parameter for _, parameter in self._targets]
        with_rule(optimizer, targets, self._adamax if is_adamax(config) else self._adamw)
        if settings.mtdnn:
            sensitive = {id(parameter) for parameter in targets}
            others = (p for group in groups for p in group["params"] if id(p) not in sensitive)
            with_rule(optimizer, others, mtdnn_step)
        return optimizer

    def _factor(self, parameter: Tensor, state: dict[str, Any], correct: bool) -> Tensor:
        settings, gradient = self.settings, parameter.grad
        assert gradient is not None
        sensitivity = (parameter * gradient).abs_()
        average = state["sensitivity"].lerp_(sensitivity, 1 - settings.beta3)
        if settings.bias_correction if settings.bias_correction is not None else correct:
            average = average / (1 - settings.beta3 ** state["step"])
        value = factor(sensitivity, average, settings.eps, code=settings.code_eps)
        return value if settings.strength == 1 else 1 + settings.strength * (value - 1)

    def _adamw(self, parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any]) -> None:
        _, first, second, correction = adam_moments(parameter, state, group, "sensitivity")
        root = (1 - group["betas"][1] ** state["step"]).sqrt()
        direction = first * correction / (second.sqrt() + group["eps"] * root)
        direction *= self._factor(parameter, state, correct=True)
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * direction)

    def _adamax(self, parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any]) -> None:
        direction = adamax_direction(parameter, state, group, "sensitivity", mtdnn=self.settings.mtdnn)
        # decay is part of the direction, so it is scaled as well
        parameter.sub_(group["lr"] * self._factor(parameter, state, correct=False) * direction)
