"""The k-th largest of very many scores, exactly, by histograms: no sort, no copy, no wait for the device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# float32 bits in three digits, the highest first: (shift, number of values)
_DIGITS = ((21, 2048), (10, 2048), (0, 1024))
# entries looked at together: on a CPU what its cache holds
_CHUNK_CPU, _CHUNK = 1 << 16, 1 << 24


def percentile_count(total: int, keep: float) -> int:
    """How many of `total` scores are >= the percentile 100 (1 - keep), interpolated linearly as numpy does.

    >>> percentile_count(4, 0.3), percentile_count(4, 0.5)
    (1, 2)
    """
    return math.floor((total - 1) * keep + 1e-9) + 1


def _ordered(scores: Tensor) -> Tensor:
    """int32 keys in the order of the float32 scores; the same mapping leads back."""
    bits = scores.detach().reshape(-1).float().contiguous().view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _histogram(digits: Tensor, bins: int) -> Tensor:
    if digits.device.type == "cuda":
        # unlike bincount, histc on integers does not make the device wait
        return torch.histc(digits, bins=bins, min=0, max=bins - 1).long()
    return torch.bincount(digits, minlength=bins)


def top_threshold(tensors: Sequence[Tensor], count: int) -> Tensor:
    """The `count`-th largest entry over all tensors, a scalar: `scores >= it` keeps count entries, ties more.

    A radix select over the bits of float32: the sign, the exponent and two bits of the mantissa make the 2048
    bins of the first pass, two more passes refine inside one bin. Scores may be infinite, not NaN.

    >>> top_threshold([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])], 2)
    tensor(3.)
    """
    device = tensors[0].device
    chunk_size = _CHUNK if device.type == "cuda" else _CHUNK_CPU
    remaining = torch.tensor(count, device=device)
    prefix = torch.zeros((), dtype=torch.int32, device=device)
    for level, (shift, size) in enumerate(_DIGITS):
        counts = torch.zeros(size + 1, dtype=torch.long, device=device)
        for tensor in tensors:
            for chunk in tensor.detach().reshape(-1).split(chunk_size):  # type: ignore[no-untyped-call]
                keys = _ordered(chunk)
                if level == 0:
                    digits = (keys >> shift) + size // 2
                else:
                    above, width = _DIGITS[level - 1][0], size - 1
                    inside = keys >> above == prefix
                    digits = (keys >> shift) & width
                    # entries outside the bin chosen so far go to the spare bin at the end
                    digits = torch.where(inside, digits, size) if device.type == "cuda" else digits[inside]
                counts += _histogram(digits, size + 1)
        at_least = counts[:size].flip(0).cumsum(0).flip(0)
        chosen = (at_least >= remaining).sum() - 1
        remaining = remaining - (at_least - counts[:size])[chosen]
        digit = (chosen - size // 2 if level == 0 else chosen).to(torch.int32)
        prefix = digit if level == 0 else prefix * size + digit
    return (prefix ^ ((prefix >> 31) & 0x7FFFFFFF)).view(torch.float32)
