"""Editing embeddings inside a forward pass: several branches of one mini-batch, and draws that ignore padding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from robusteval.models.architectures import OutputHook, submodules


def repeated(inputs: Mapping[str, Tensor], branches: int) -> dict[str, Tensor]:
    """The inputs of `branches` copies of a mini-batch, end to end: one pass in place of several."""
    return {name: tensor.repeat(branches, 1) for name, tensor in inputs.items()}


def edit_embeddings(model: Any, edit: Callable[[Tensor], Tensor], *, words: bool) -> OutputHook:
    """Replace embeddings [B, L, d] by edit(embeddings) while the returned hook is in place.

    words: edit the token table's output; else the whole embedding layer's, after position, LayerNorm and dropout.
    """
    parts = submodules(model)
    module = parts.word_embeddings if words else parts.embeddings
    if parts.token_axis == 1:
        return OutputHook(module, edit)
    return OutputHook(module, lambda output: edit(output.transpose(0, 1)).transpose(0, 1))


def token_rank(mask: Tensor) -> Tensor:
    """How many marked tokens stand before each token of its row; mask [B, L], result [B, L].

    >>> token_rank(torch.tensor([[False, True, True]]))
    tensor([[0, 0, 1]])
    """
    return (mask.long().cumsum(1) - 1).clamp(min=0)


def per_token(values: Tensor, mask: Tensor) -> Tensor:
    """Give the r-th marked token of row b the values[b, r], and 0 to the rest; values [B, N, d], result [B, L, d].

    With N fixed for a whole run, neither a draw nor the generator depends on how far a batch is padded.
    """
    rank = token_rank(mask).clamp(max=values.shape[1] - 1)
    return torch.where(mask[:, :, None], values.gather(1, rank[:, :, None].expand(-1, -1, values.shape[2])), 0)
