"""RecAdam (Chen et al., EMNLP 2020): from recalling the pretrained weights to fine-tuning, along an S-curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from robusteval.components.optimizers import is_adamax, make_optimizer
from robusteval.components.parameters import pretrained_parameters, snapshot
from robusteval.components.update_rules import adam_moments, adamax_direction, with_rule
from robusteval.errors import UserError
from robusteval.methods.base import Method, TrainingData
from robusteval.settings.checks import check_choice, check_range
from robusteval.settings.train import TrainConfig


def anneal(step: Tensor, fun: str = "sigmoid", k: float = 0.5, t0: float = 250.0, w: float = 1.0) -> Tensor:
    """lambda(t), the weight of the task: w sigmoid(k (t - t0)), w min(1, t / t0) ("linear") or w ("constant").

    step: t, counted from 1, any shape.
    """
    if fun == "sigmoid":
        return w * torch.sigmoid(k * (step - t0))
    if fun == "linear":
        return w * (step / t0).clamp(max=1)
    return torch.full_like(step, w)


def recall(parameter: Tensor, anchor: Tensor, strength: Tensor | float) -> Tensor:
    """theta - strength (theta - theta0): one step down the penalty gamma/2 ||theta - theta0||^2.

    strength: rate (w - lambda) gamma; 2 or more diverges, more than 1 overshoots.
    """
    return parameter - strength * (parameter - anchor)


@dataclass(frozen=True)
class RecAdamSettings:
    """Defaults are the released code's.

    fun, k, t0, w: see `anneal`; t0 counts optimizer steps, whatever their number.
    gamma: strength of the penalty.
    penalty_at: where it is evaluated: "prev", at the weights before the update (the paper's listing), or
        "updated", after it (released code).
    """

    fun: Literal["sigmoid", "linear", "constant"] = "sigmoid"
    k: float = 0.5
    t0: float = 250.0
    w: float = 1.0
    gamma: float = 5000.0
    penalty_at: Literal["prev", "updated"] = "prev"

    def __post_init__(self) -> None:
        check_choice("recadam:fun", self.fun, ("sigmoid", "linear", "constant"))
        check_range("recadam:k", self.k, 0, math.inf, open_low=True)
        check_range("recadam:t0", self.t0, 0, math.inf, open_low=True)
        check_range("recadam:w", self.w, 0, math.inf, open_low=True)
        check_range("recadam:gamma", self.gamma, 0, math.inf)
        check_choice("recadam:penalty_at", self.penalty_at, ("prev", "updated"))


class RecAdam(Method[RecAdamSettings]):
    """An optimizer of its own for the pretrained part; the head has the plain one. 3F, one more copy."""

    Settings = RecAdamSettings

    def setup(self, model: Any, data: TrainingData) -> None:
        settings = self.settings
        plain = settings.fun == "constant" and settings.w == 1
        self._targets = [] if plain else pretrained_parameters(model)
        anchors = snapshot(self._targets)
        self._anchors = {parameter: anchors[name] for name, parameter in self._targets}
        rate = data.config.peak_rate
        if not plain and settings.fun != "constant" and rate * settings.w * settings.gamma >= 2:
            raise UserError(
                f"recadam:gamma: {settings.gamma:g} at learning rate {rate:g} diverges; "
                f"gamma must stay below {2 / (rate * settings.w):g}"
            )
        total = self.context.total_steps
        last = float(anneal(torch.tensor(float(total)), settings.fun, settings.k, settings.t0, settings.w))
        if last < 0.9 * settings.w:
            self.notices.append(
                f"recadam: t0 is {settings.t0:g} but the run has {total} steps: the weight of the task never "
                f"exceeds {last:.2g} of {settings.w:g}"
            )

    def optimizer(self, groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = make_optimizer(groups, config, self.context.device)
        self._adamax = is_adamax(config)
        if self._targets:
            with_rule(optimizer, self._anchors, self._step)
        return optimizer

    def _step(self, parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any]) -> None:
        settings, rate, decay = self.settings, group["lr"], group["weight_decay"]
        if self._adamax:
            direction = adamax_direction(parameter, state, {**group, "weight_decay": 0.0})
        else:
            _, first, second, correction = adam_moments(parameter, state, group)
            direction = correction * first / (second.sqrt() + group["eps"])
        weight = anneal(state["step"], settings.fun, settings.k, settings.t0, settings.w)
        update = rate * weight * direction
        strength = rate * (settings.w - weight) * settings.gamma
        anchor = self._anchors[parameter]
        if settings.penalty_at == "prev":
            moved = recall(parameter, anchor, strength) - update
        else:
            moved = recall(parameter - update, anchor, strength)
        # decay comes last and sees the updated weight, as in the released code
        parameter.copy_(moved * (1 - rate * decay))
