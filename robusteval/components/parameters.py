"""Which parameters a method acts on, by their full names in the model."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from robusteval.models.architectures import submodules

Named = list[tuple[str, nn.Parameter]]


def _chosen(model: nn.Module, wanted: set[int]) -> Named:
    return [(name, parameter) for name, parameter in model.named_parameters() if id(parameter) in wanted]


def block_parameters(model: Any, *, norms: bool = True) -> Named:
    """Parameters of the encoder blocks; norms=False leaves those of LayerNorm out."""
    wanted = {id(parameter) for _, parameter in submodules(model).layer_parameters()}
    if not norms:
        for module in submodules(model).layers.modules():
            if type(module).__name__.endswith("Norm"):
                wanted -= {id(parameter) for parameter in module.parameters()}
    return _chosen(model, wanted)


def pretrained_parameters(model: Any, *, include_head: bool = False) -> Named:
    """Parameters of the encoder with its embeddings and pooler; the new head only on request."""
    if include_head:
        return list(model.named_parameters())
    return _chosen(model, {id(parameter) for parameter in submodules(model).backbone.parameters()})


def linear_modules(model: Any, *, include_head: bool = False) -> list[tuple[str, nn.Linear]]:
    """Linear layers of the encoder with its pooler; the new head's only on request."""
    inside = {id(module) for module in submodules(model).backbone.modules()}
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and (include_head or id(module) in inside)
    ]


def snapshot(named: Named) -> dict[str, Tensor]:
    """Copies of the parameters as they are now, by name."""
    return {name: parameter.detach().clone() for name, parameter in named}
