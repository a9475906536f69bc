"""The optimizer of a training: parameter groups, AdamW or Adamax over them, the learning rate of each step."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from robusteval.settings.train import TrainConfig


def learning_rate_at(step: int, total: int, config: TrainConfig, peak: float) -> float:
    """Linear warm-up to `peak`, then linear decay to 0; step counts from 0."""
    warmup = math.ceil(config.warmup * total)
    if step < warmup:
        return peak * step / max(1, warmup)
    return peak * max(0.0, (total - step) / max(1, total - warmup))


def parameter_groups(model: nn.Module, extra: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """All trainable parameters, the model's and the method's own; no decay on biases and normalisation weights."""
    named = [*model.named_parameters(), *extra.named_parameters()]
    trainable = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    plain = [parameter for name, parameter in trainable if parameter.ndim < 2 or "bias" in name]
    decayed = [parameter for name, parameter in trainable if not (parameter.ndim < 2 or "bias" in name)]
    return [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]


class AdamaxW(torch.optim.Adamax):
    """Adamax with decoupled weight decay. torch's own adds decay to the gradient, where the division by the
    largest gradient seen would turn it into a step of full size wherever gradients are small."""

    def step(self, closure: Any = None) -> Any:
        kept = [group["weight_decay"] for group in self.param_groups]
        for group, decay in zip(self.param_groups, kept, strict=True):
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            if decay and moving:
                with torch.no_grad():
                    torch._foreach_mul_(moving, 1 - group["lr"] * decay)
            group["weight_decay"] = 0.0
        try:
            return super().step(closure)
        finally:
            for group, decay in zip(self.param_groups, kept, strict=True):
                group["weight_decay"] = decay


def is_adamax(config: TrainConfig) -> bool:
    return config.optimizer != "adamw"


def make_optimizer(groups: list[dict[str, Any]], config: TrainConfig, device: torch.device) -> Any:
    """AdamW or a kind of Adamax; the rate is set before each step."""
    # on an accelerator the rate lives in a tensor, so that a captured step can change it
    rate: Any = torch.tensor(0.0, device=device) if device.type == "cuda" else 0.0
    if is_adamax(config):
        # far below what fp32 tells from a gradient: nothing but 0 / 0 is changed by it
        eps = 1e-30 if config.optimizer == "adamax-plain" else 1e-8
        return AdamaxW(groups, lr=rate, eps=eps, capturable=device.type == "cuda")
    return torch.optim.AdamW(groups, lr=rate, eps=1e-8, fused=device.type in ("cpu", "cuda"))


def set_learning_rate(optimizer: Any, rate: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
