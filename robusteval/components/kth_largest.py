"""The k-th largest of very many scores, exactly: no full sort, no copy, and no wait for an accelerator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

# float32 bits in three digits, the highest first: (shift, number of values)
_DIGITS = ((21, 2048), (10, 2048), (0, 1024))
# on a CPU: the sign, the exponent and three bits of the mantissa, half of the bins for each sign
_SHIFT, _HALF = 20, 2048
# entries looked at together. On a CPU they stay in a core's cache, and are so few that torch gives them to one
# thread: threads that wait for each other after every short operation take longer, on a busy machine many times as long
_CHUNK_CPU, _CHUNK = (1 << 15) - 1, 1 << 24


def chunks(*tensors: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """The same rows of tensors of one shape, as views: so few that intermediate results take little memory."""
    first = tensors[0]
    limit = _CHUNK_CPU if first.device.type == "cpu" else _CHUNK
    if first.numel() <= limit:
        return [tensors]
    rows = max(1, limit * first.shape[0] // first.numel())
    return zip(*(tensor.split(rows) for tensor in tensors), strict=True)  # type: ignore[no-untyped-call]  # torch's


def percentile_count(total: int, keep: float) -> int:
    """How many of `total` scores are >= the percentile 100 (1 - keep), interpolated linearly as numpy does.

    >>> percentile_count(4, 0.3), percentile_count(4, 0.5)
    (1, 2)
    """
    return math.floor((total - 1) * keep + 1e-9) + 1


def kth_largest(tensors: Sequence[Tensor], count: int) -> Tensor:
    """The `count`-th largest entry over all tensors, a scalar: `scores >= it` keeps count entries, ties more.

    Scores are compared as float32; they may be infinite, not NaN.

    >>> kth_largest([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])], 2)
    tensor(3.)
    """
    return (_by_candidates if tensors[0].device.type == "cpu" else _by_digits)(tensors, count)


def _floats(tensors: Sequence[Tensor]) -> Iterable[Tensor]:
    return (chunk.reshape(-1).float().contiguous() for tensor in tensors for (chunk,) in chunks(tensor.detach()))


def _by_candidates(tensors: Sequence[Tensor], count: int) -> Tensor:
    """One histogram of the leading bits, then a selection among the few per cent of entries in the right bin."""
    counts = torch.zeros(2 * _HALF, dtype=torch.long)
    for scores in _floats(tensors):
        counts += torch.bincount((scores.view(torch.int32) >> _SHIFT).add_(_HALF), minlength=2 * _HALF)
    # from the highest scores to the lowest: among negative ones, higher bits are lower scores
    order = torch.cat([torch.arange(2 * _HALF - 1, _HALF - 1, -1), torch.arange(_HALF)])
    at_least = counts[order].cumsum(0)
    place = int(torch.searchsorted(at_least, count))
    chosen = int(order[place])
    inside = [s[(s.view(torch.int32) >> _SHIFT) == chosen - _HALF] for s in _floats(tensors)]
    return torch.cat(inside).kthvalue(int(at_least[place]) - count + 1).values


def _by_digits(tensors: Sequence[Tensor], count: int) -> Tensor:
    """A radix select that never asks the device for a number: the sign, the exponent and two bits of the mantissa
    make the 2048 bins of the first pass, two more passes refine inside one bin."""
    device = tensors[0].device
    remaining = torch.tensor(count, device=device)
    prefix = torch.zeros((), dtype=torch.int32, device=device)
    for level, (shift, size) in enumerate(_DIGITS):
        counts = torch.zeros(size + 1, dtype=torch.long, device=device)
        for scores in _floats(tensors):
            keys = _ordered(scores)
            if level == 0:
                digits = (keys >> shift) + size // 2
            else:
                above, width = _DIGITS[level - 1][0], size - 1
                # entries outside the bin chosen so far go to the spare bin at the end
                digits = torch.where(keys >> above == prefix, (keys >> shift) & width, size)
            counts += _histogram(digits, size + 1)
        at_least = counts[:size].flip(0).cumsum(0).flip(0)
        chosen = (at_least >= remaining).sum() - 1
        remaining = remaining - (at_least - counts[:size])[chosen]
        digit = (chosen - size // 2 if level == 0 else chosen).to(torch.int32)
        prefix = digit if level == 0 else prefix * size + digit
    return (prefix ^ ((prefix >> 31) & 0x7FFFFFFF)).view(torch.float32)


def _ordered(scores: Tensor) -> Tensor:
    """int32 keys in the order of the float32 scores; the same mapping leads back."""
    bits = scores.view(torch.int32)
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _histogram(digits: Tensor, bins: int) -> Tensor:
    if digits.device.type == "cuda":
        # unlike bincount, histc on integers does not make the device wait
        return torch.histc(digits, bins=bins, min=0, max=bins - 1).long()
    return torch.bincount(digits, minlength=bins)
