"""Cheap random masks, normals only where a mask hits, and putting masked-out weights back after a step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def byte_rate(p: float) -> float:
    """The probability that `random_mask` has for p: the nearest positive multiple of 1/256.

    >>> byte_rate(0.3)
    0.30078125
    """
    return max(1, round(256 * p)) / 256


def random_mask(shape: Sequence[int], p: float, generator: torch.Generator) -> Tensor:
    """True with probability `byte_rate(p)`, independently [shape]; one random byte per entry."""
    total = 1
    for size in shape:
        total *= size
    limit = max(1, round(256 * p))
    words = torch.empty(-(-total // 8), dtype=torch.int64, device=generator.device)
    # all 64 bits of each word are random: eight bytes for one draw
    words.random_(-(2**63), None, generator=generator)
    return (words.view(torch.uint8)[:total] <= limit - 1).view(*shape)


def sparse_normals(mask: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normals where mask is True, 0 elsewhere [shape of mask]; only the hits are drawn."""
    if mask.device.type == "cuda":
        # there a normal costs less than waiting to learn how many are needed
        return torch.randn(mask.shape, generator=generator, device=mask.device) * mask
    noise = torch.zeros(mask.shape, device=mask.device)
    noise[mask] = torch.randn(int(mask.sum()), generator=generator, device=mask.device)
    return noise


class Keeper:
    """Holds weights, and puts those outside the mask back after the optimizer has moved them all.

    Masking the gradient alone does not keep a weight in place: Adam's momentum and weight decay still move it.
    """

    def __init__(self) -> None:
        self._held: list[tuple[Tensor, Tensor, Tensor]] = []

    def clear(self) -> None:
        self._held = []

    def hold(self, parameter: Tensor, mask: Tensor) -> None:
        """Remember the parameter as it is now; mask: True where it may move, same shape."""
        self._held.append((parameter, mask, parameter.detach().clone()))

    @torch.no_grad()
    def restore(self) -> None:
        for parameter, mask, value in self._held:
            parameter.copy_(torch.where(mask, parameter, value))
