"""Mixout (Lee et al., ICLR 2020): every forward pass replaces a part of the weights by the pretrained ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robusteval.components.masks import byte_rate, random_mask
from robusteval.components.parameters import linear_modules
from robusteval.methods.base import Method, TrainingData
from robusteval.models.architectures import submodules
from robusteval.settings.checks import check_choice, check_range


def mix(w: Tensor, u: Tensor, mask: Tensor, p: float) -> Tensor:
    """((1 - M) u + M w - p u) / (1 - p) with M ~ Bernoulli(1 - p); its mean over M is w [shape of w].

    w: weight [out, in]; u: the weight it is mixed with; mask: M, [out, in] or [1, in] for whole columns.
    The derivative by w is M / (1 - p).

    >>> mix(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 1.0]), torch.tensor([False, True]), 0.5)
    tensor([1., 3.])
    """
    return (torch.where(mask, w, u) - p * u) / (1 - p)


def scale_gradient(w: Tensor, factor: float) -> Tensor:
    """w, exactly, with its gradient times `factor`."""
    fixed = w.detach()
    return (w - fixed) * factor + fixed


def column_mask(weight: Tensor, keep: float, generator: torch.Generator) -> Tensor:
    """True with probability `keep` for each input column of a weight [out, in]; exactly so, it is small [1, in]."""
    return torch.rand(1, weight.shape[1], generator=generator, device=generator.device) < keep


class LinearView:
    """Linear layers whose forward pass, in training mode, sees `view(name, weight)` in place of their weight.

    The parameter itself stays where it is, so optimizer and checkpoint know nothing of it.
    """

    def __init__(self, modules: list[tuple[str, nn.Linear]], view: Callable[[str, Tensor], Tensor]) -> None:
        self._modules = [module for _, module in modules]
        for name, module in modules:
            vars(module)["forward"] = _viewed(name, module, view)

    def remove(self) -> None:
        for module in self._modules:
            vars(module).pop("forward", None)


def _viewed(name: str, module: nn.Linear, view: Callable[[str, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def forward(input: Tensor) -> Tensor:
        weight = view(name, module.weight) if module.training else module.weight
        return F.linear(input, weight, module.bias)

    return forward


@dataclass(frozen=True)
class MixoutSettings:
    """p: share of the weights replaced (released scripts: 0.1 and 0.9).

    mask: "column" replaces whole input columns, like dropout on the inputs (released code); "element" single
        entries, as the paper's theory has it, with p the nearest multiple of 1/256.
    gradient: "code" leaves the factor 1 / (1 - p) out, as the released code does.
    include_head: mix the new head, too, with its random start. head_dropout: its dropout where it is not
        mixed; every other dropout is off. At p = 0 nothing is mixed and the head's dropout is left as it is.
    """

    p: float = 0.1
    mask: Literal["column", "element"] = "column"
    gradient: Literal["exact", "code"] = "exact"
    include_head: bool = False
    head_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_range("mixout:p", self.p, 0, 0.99)
        check_choice("mixout:mask", self.mask, ("column", "element"))
        check_choice("mixout:gradient", self.gradient, ("exact", "code"))
        check_range("mixout:head_dropout", self.head_dropout, 0, 0.99)


class Mixout(Method[MixoutSettings]):
    """3F per step and a pass over the weights; two more copies of the mixed weights, theirs and the mixture's."""

    Settings = MixoutSettings
    TRAIN: ClassVar[Mapping[str, Any]] = {"dropout": 0.0}
    # `finish` may come before `setup` is through
    _view: LinearView | None = None
    _dropout: Any = None

    def setup(self, model: Any, data: TrainingData) -> None:
        settings = self.settings
        modules = linear_modules(model, include_head=settings.include_head) if settings.p > 0 else []
        self._anchors = {name: module.weight.detach().clone() for name, module in modules}
        self._view = LinearView(modules, self._mixed)
        if settings.p > 0 and not settings.include_head:
            dropout: Any = submodules(model).dropout
            self._dropout, self._head_dropout = dropout, getattr(dropout, "p", 0.0)
            dropout.p = settings.head_dropout

    def _mixed(self, name: str, weight: Tensor) -> Tensor:
        settings = self.settings
        if settings.mask == "column":
            keep = 1 - settings.p
            mask = column_mask(weight, keep, self.generator)
        else:
            # mask and divisor have the same rate: else the mean of the mixed weight would not be the weight
            keep = byte_rate(1 - settings.p)
            mask = random_mask(weight.shape, keep, self.generator)
        if settings.gradient == "code":
            weight = scale_gradient(weight, keep)
        return mix(weight, self._anchors[name], mask, 1 - keep)

    def finish(self, model: Any) -> None:
        if self._view is not None:
            self._view.remove()
        if self._dropout is not None:
            self._dropout.p = self._head_dropout
        self._view = self._dropout = None
