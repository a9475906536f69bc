"""NoisyTune (Wu et al., ACL 2022): noise on the pretrained weights, once, before fine-tuning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from robusteval.components.parameters import pretrained_parameters
from robusteval.methods.base import Method, TrainingData
from robusteval.settings.checks import check_range


def tensor_noise(weight: Tensor, lam: float, generator: torch.Generator) -> Tensor:
    """U(-lam/2, lam/2) std(W) for each entry of one parameter tensor [shape of W]; std is the unbiased one."""
    uniform = torch.rand(weight.shape, generator=generator, device=weight.device) - 0.5
    return uniform * lam * weight.std()


@dataclass(frozen=True)
class NoisyTuneSettings:
    """lam: width of the noise in standard deviations of each tensor; include_head: the new head gets noise too."""

    lam: float = 0.15
    include_head: bool = False

    def __post_init__(self) -> None:
        check_range("noisytune:lam", self.lam, 0, math.inf)


class NoisyTune(Method[NoisyTuneSettings]):
    """Acts in `setup` alone; 3F per step. Methods that follow it in a composition see the noisy weights as theirs."""

    Settings = NoisyTuneSettings

    @torch.no_grad()
    def setup(self, model: Any, data: TrainingData) -> None:
        if self.settings.lam == 0:
            return
        for _, parameter in pretrained_parameters(model, include_head=self.settings.include_head):
            # one entry has no standard deviation
            if parameter.numel() > 1:
                parameter.add_(tensor_noise(parameter, self.settings.lam, self.generator))
