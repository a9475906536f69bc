"""Update rules of methods: how one parameter moves, in place of what the optimizer that holds it would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# rule(parameter, its optimizer state, its group): moves the parameter by its .grad
Rule = Callable[[nn.Parameter, dict[str, Any], dict[str, Any]], None]


def overflowed(optimizer: torch.optim.Optimizer) -> bool:
    """Whether fp16 gradients overflowed, so that a fused optimizer is about to skip its step."""
    found: Tensor | None = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found)


def with_rule(optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter], rule: Rule) -> None:
    """From now on `rule` moves these parameters in every step of `optimizer`, which passes them over."""
    own = {id(parameter) for parameter in parameters}
    hidden: list[tuple[nn.Parameter, Tensor]] = []

    def before(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if overflowed(optimizer):
            return
        with torch.no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if id(parameter) in own and parameter.grad is not None:
                        rule(parameter, optimizer.state[parameter], group)
                        hidden.append((parameter, parameter.grad))
                        parameter.grad = None

    def after(*_: Any) -> None:
        while hidden:
            parameter, gradient = hidden.pop()
            parameter.grad = gradient

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)


def _started(parameter: nn.Parameter, state: dict[str, Any], *names: str) -> Tensor:
    """The step number of a parameter, counted up; its state starts at zero."""
    if not state:
        # on the parameter's device, so that no step waits for it
        state["step"] = torch.zeros((), device=parameter.device)
        for name in names:
            state[name] = torch.zeros_like(parameter)
    # a loaded state may have left it on the CPU
    step: Tensor = state["step"].to(parameter.device)
    step += 1
    state["step"] = step
    return step


def adam_moments(
    parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any], *extra: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Adam's step number t, m, v and sqrt(1 - beta2^t) / (1 - beta1^t), after taking in .grad."""
    beta1, beta2 = group["betas"]
    step = _started(parameter, state, "exp_avg", "exp_avg_sq", *extra)
    gradient = parameter.grad
    assert gradient is not None
    first: Tensor = state["exp_avg"].lerp_(gradient, 1 - beta1)
    second: Tensor = state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    correction: Tensor = (1 - beta2**step).sqrt() / (1 - beta1**step)
    return step, first, second, correction


def adamax_direction(
    parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any], *extra: str, mtdnn: bool = False
) -> Tensor:
    """Adamax's update over the rate, m / (u (1 - beta1^t)), plus decay times the weight.

    mtdnn: the older form of the mt-dnn code, which SAGE's copy has: no bias correction, eps added twice.
    """
    beta1, beta2 = group["betas"]
    step = _started(parameter, state, "exp_avg", "exp_inf", *extra)
    gradient, eps = parameter.grad, group["eps"]
    assert gradient is not None
    first: Tensor = state["exp_avg"].lerp_(gradient, 1 - beta1)
    largest: Tensor = state["exp_inf"]
    largest.copy_(torch.maximum(largest * beta2, gradient.abs() + eps))
    direction: Tensor = first / (largest + eps) if mtdnn else first / (largest * (1 - beta1**step))
    direction += group["weight_decay"] * parameter
    return direction


def mtdnn_step(parameter: nn.Parameter, state: dict[str, Any], group: dict[str, Any]) -> None:
    """A rule: Adamax of the older mt-dnn code, for any parameter."""
    parameter.sub_(group["lr"] * adamax_direction(parameter, state, group, mtdnn=True))
