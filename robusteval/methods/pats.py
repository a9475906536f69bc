"""PATS (Zhang et al., EMNLP 2022): after every step, noise on the weights the loss is least sensitive to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from robusteval.components.masks import random_mask, sparse_normals
from robusteval.components.optimizers import make_optimizer
from robusteval.components.parameters import block_parameters
from robusteval.components.update_rules import mtdnn_step, overflowed, with_rule
from robusteval.methods.base import Method, TrainingData
from robusteval.settings.checks import check_choice, check_range
from robusteval.settings.train import TrainConfig

_PROBE = 1 << 20


def update_sensitivity(
    average: Tensor, parameter: Tensor, gradient: Tensor, beta: float, *, signed: bool = False
) -> Tensor:
    """Moving average of the sensitivity s = |theta g| (Eq. 1 and 2), in place; all of the parameter's shape.

    signed: s = theta g, as Algorithm 1 prints it.
    """
    sensitivity = parameter * gradient
    return average.lerp_(sensitivity if signed else sensitivity.abs_(), 1 - beta)


def noise_std(
    sensitivity: Tensor,
    lam: float,
    gamma: float,
    eps: float = 1e-12,
    *,
    max_ratio: float | None = None,
    sd: str = "sqrt",
) -> Tensor:
    """Standard deviation sqrt(r) of each entry's noise, r = lam max(mean(s) / (s + eps) - gamma, 0) (Eq. 3 and 4).

    sensitivity: averaged, of one parameter tensor; the mean is over this tensor. max_ratio: upper bound of
    mean(s) / (s + eps). sd: "r" takes r itself for the deviation.
    """
    ratio = sensitivity.mean() / (sensitivity + eps)
    if max_ratio is not None:
        ratio = ratio.clamp_(max=max_ratio)
    r = (ratio - gamma).clamp_(min=0) * lam
    return r if sd == "r" else r.sqrt_()


@dataclass(frozen=True)
class PatsSettings:
    """Defaults are the paper's.

    lam: noise variance at average sensitivity; gamma: weights more than 1/gamma times as sensitive get none.
    beta: decay of the average sensitivity; p: share of the weights that get noise in a step.
    eps: keeps Eq. 4 finite; the paper gives no value. max_ratio: bound on mean(s)/s, None for none: at 0
        sensitivity the noise is bounded by eps alone.
    signed: sensitivities keep their sign (Algorithm 1); sd: "r" reads r as the deviation, not the variance.
    noise_lr_scale: noise shrinks with the learning rate.
    mtdnn: Adamax of older mt-dnn code, without bias correction; needs optimizer=adamax. What mt-dnn had at the
        paper's time, with bias correction and decoupled decay, is `adamax`; Algorithm 1 is
        optimizer=adamax-plain:weight_decay=0.
    """

    lam: float = 2e-6
    gamma: float = 2e-3
    beta: float = 0.75
    p: float = 0.2
    eps: float = 1e-12
    max_ratio: float | None = None
    signed: bool = False
    sd: Literal["sqrt", "r"] = "sqrt"
    noise_lr_scale: bool = False
    mtdnn: bool = False

    def __post_init__(self) -> None:
        check_range("pats:lam", self.lam, 0, math.inf)
        check_range("pats:gamma", self.gamma, 0, math.inf)
        check_range("pats:beta", self.beta, 0, 1)
        check_range("pats:p", self.p, 0, 1)
        check_range("pats:eps", self.eps, 0, math.inf, open_low=True)
        check_choice("pats:sd", self.sd, ("sqrt", "r"))
        if self.max_ratio is not None:
            check_range("pats:max_ratio", self.max_ratio, 0, math.inf)


class Pats(Method[PatsSettings]):
    """Adamax with noise; encoder blocks except LayerNorm. 3F per step, one more copy of the parameters.

    It acts from inside the optimizer: only there are the clipped gradient and the weights before the
    update both at hand, without a copy of either.
    """

    Settings = PatsSettings
    TRAIN: ClassVar[Mapping[str, Any]] = {"optimizer": "adamax"}

    @property
    def remedies(self) -> tuple[str, ...]:
        return () if self.settings.noise_lr_scale else ("pats:learning_rate=3e-4:noise_lr_scale=true",)

    def setup(self, model: Any, data: TrainingData) -> None:
        self.targets = block_parameters(model, norms=False)
        self.average = {name: torch.zeros_like(parameter) for name, parameter in self.targets}
        self.peak_rate = data.config.peak_rate or 1.0  # at a rate of 0 there is nothing to scale
        self._before: dict[str, Tensor] = {}
        self._active: list[tuple[str, nn.Parameter]] = []

    def optimizer(self, groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
        if self.settings.mtdnn:
            check_choice("pats:mtdnn=true with optimizer", config.optimizer, ("adamax",))
            # only a place for rates and states: the rule below moves every parameter
            optimizer: torch.optim.Optimizer = torch.optim.Adamax(groups, lr=0.0)
        else:
            optimizer = make_optimizer(groups, config, self.context.device)
        if self.settings.lam > 0 and self.settings.p > 0:
            optimizer.register_step_pre_hook(lambda optimizer, *_: None if overflowed(optimizer) else self._measure())
            optimizer.register_step_post_hook(lambda *_: self._perturb())
        if self.settings.mtdnn:
            # after the hooks above: sensitivity is that of the weights before the update
            with_rule(optimizer, [parameter for group in groups for parameter in group["params"]], mtdnn_step)
        return optimizer

    @torch.no_grad()
    def _measure(self) -> None:
        # a subclass of a torch optimizer may run its hooks twice in a step
        if self._active:
            return
        settings, probed = self.settings, 0
        for name, parameter in self.targets:
            if parameter.grad is None:
                continue
            self._active.append((name, parameter))
            gradient = parameter.grad
            update_sensitivity(self.average[name], parameter, gradient, settings.beta, signed=settings.signed)
            # what the update does is measured on the first weights alone
            if probed < _PROBE:
                self._before[name] = parameter.detach().clone()
                probed += parameter.numel()

    @torch.no_grad()
    def _perturb(self) -> None:
        if not self._active:
            return
        settings = self.settings
        scale = self.context.learning_rate / self.peak_rate if settings.noise_lr_scale else 1.0
        squares = [torch.zeros((), device=self.context.device) for _ in range(3)]
        for name, parameter in self._active:
            deviation = noise_std(
                self.average[name], settings.lam, settings.gamma, settings.eps,
                max_ratio=settings.max_ratio, sd=settings.sd,
            )  # fmt: skip
            noise = sparse_normals(random_mask(parameter.shape, settings.p, self.generator), self.generator)
            noise *= deviation
            if scale != 1.0:
                noise *= scale
            if name in self._before:
                update = parameter - self._before.pop(name)
                squares = [s + t.square().sum() for s, t in zip(squares, (noise, update, parameter), strict=True)]
            parameter.add_(noise)
        self._active = []
        noise_size, update_size, weight_size = (s.sqrt() for s in squares)
        # the first rate of a warm-up is 0, and so is its update
        self.logged = {
            "noise_to_update": noise_size / update_size.clamp(min=1e-12),
            "noise_to_weight": noise_size / weight_size.clamp(min=1e-12),
        }

    def state_dict(self) -> dict[str, Any]:
        return {"average": self.average}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, value in state["average"].items():
            self.average[name].copy_(value)
