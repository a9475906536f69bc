"""Mixout (Lee et al., ICLR 2020): every forward pass replaces a part of the weights by the pretrained ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from robusteval.anatomy import anatomy
from robusteval.config import check_choice, check_range
from robusteval.methods.base import Method, TrainingData
from robusteval.methods.masks import random_mask
from robusteval.methods.parts import linear_modules


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
            del vars(module)["forward"]


def _viewed(name: str, module: nn.Linear, view: Callable[[str, Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def forward(input: Tensor) -> Tensor:
        weight = view(name, module.weight) if module.training else module.weight
        return F.linear(input, weight, module.bias)

    return forward


@dataclass(frozen=True)
class MixoutSettings:
    """p: share of the weights replaced (released scripts: 0.1 and 0.9).

    mask: "column" replaces whole input columns, like dropout on the inputs (released code); "element" single
        entries, as the paper's theory has it.
    gradient: "code" leaves the factor 1 / (1 - p) out, as the released code does.
    include_head: mix the new head, too, with its random start. head_dropout: its dropout where it is not
        mixed; every other dropout is off.
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

    def setup(self, model: Any, data: TrainingData) -> None:
        settings = self.settings
        modules = linear_modules(model, include_head=settings.include_head) if settings.p > 0 else []
        self._anchors = {name: module.weight.detach().clone() for name, module in modules}
        self._view = LinearView(modules, self._mixed)
        self._dropout = anatomy(model).dropout
        self._head_dropout = getattr(self._dropout, "p", 0.0)
        if not settings.include_head:
            self._dropout.p = settings.head_dropout  # type: ignore[assignment]

    def _mixed(self, name: str, weight: Tensor) -> Tensor:
        settings = self.settings
        shape = (1, weight.shape[1]) if settings.mask == "column" else weight.shape
        mask = random_mask(shape, 1 - settings.p, self.generator)
        if settings.gradient == "code":
            weight = scale_gradient(weight, 1 - settings.p)
        return mix(weight, self._anchors[name], mask, settings.p)

    def finish(self, model: Any) -> None:
        self._view.remove()
        self._dropout.p = self._head_dropout  # type: ignore[assignment]
