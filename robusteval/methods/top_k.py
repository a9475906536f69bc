"""Top-K tuning: only the top K encoder blocks, the pooler and the head are trained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from robusteval.errors import UserError
from robusteval.methods.base import Method, TrainingData
from robusteval.models.architectures import Submodules, submodules
from robusteval.settings.checks import check_range


def frozen_parameters(parts: Submodules, layers: int, *, freeze_embeddings: bool = True) -> list[nn.Parameter]:
    """The parameters below the top `layers` blocks; with the embeddings goes all else that lies under the blocks."""
    blocks = list(parts.layers)
    lower = blocks[: len(blocks) - layers]
    if not freeze_embeddings:
        return [parameter for block in lower for parameter in block.parameters()]
    trained = {id(p) for block in blocks[len(blocks) - layers :] for p in block.parameters()}
    trained |= {id(parameter) for parameter in parts.dense.parameters()}
    return [parameter for parameter in parts.backbone.parameters() if id(parameter) not in trained]


@dataclass(frozen=True)
class TopKSettings:
    """layers: blocks that are trained, counted from the top; no paper gives the number.

    freeze_embeddings: the embeddings stay as they are, too.
    frozen_eval: no dropout in the frozen part.
    """

    layers: int = 3
    freeze_embeddings: bool = True
    frozen_eval: bool = False

    def __post_init__(self) -> None:
        check_range("top-k:layers", self.layers, 0, math.inf)


class TopK(Method[TopKSettings]):
    """F + 2F K/L per step; the optimizer holds states for the trained part alone."""

    Settings = TopKSettings

    def setup(self, model: Any, data: TrainingData) -> None:
        settings, parts = self.settings, submodules(model)
        if settings.layers > len(parts.layers):
            raise UserError(f"top-k:layers: {settings.layers} is more than the {len(parts.layers)} this model has")
        lower_part = frozen_parameters(parts, settings.layers, freeze_embeddings=settings.freeze_embeddings)
        self._frozen = [parameter for parameter in lower_part if parameter.requires_grad]
        for parameter in self._frozen:
            parameter.requires_grad_(False)
        self._handles = []
        if settings.frozen_eval:
            lower: list[nn.Module] = list(parts.layers)[: len(parts.layers) - settings.layers]
            for module in [*lower, *([parts.embeddings] if settings.freeze_embeddings else [])]:
                # the trainer puts the whole model into training mode after every evaluation
                self._handles.append(module.register_forward_pre_hook(lambda module, inputs: _evaluating(module)))

    def finish(self, model: Any) -> None:
        # it may come before setup, in the middle of it, or twice
        for parameter in vars(self).pop("_frozen", ()):
            parameter.requires_grad_(True)
        for handle in vars(self).pop("_handles", ()):
            handle.remove()


def _evaluating(module: nn.Module) -> None:
    module.eval()
