"""Token swaps: neighbours change places, so that every word is still there but the order is not."""

from __future__ import annotations

import numpy as np

from robusteval.models.encoding import Encoded
from robusteval.perturbations.base import Source


def swap(source: Source, rate: float, generator: np.random.Generator) -> Encoded:
    """From left to right, every eligible token that has not moved yet trades places with its right neighbour.

    It does so with probability `rate`, if that neighbour is eligible and of the same text. No token moves twice:
    about 2 rate / (1 + rate) of a long text move, and at rate 1 all but the last of an odd number of tokens.
    """
    ids, segment = source.encoded.ids, source.segment
    partners = source.eligible[:-1] & source.eligible[1:] & (segment[:-1] == segment[1:])
    start = partners & (generator.random(len(partners)) < rate)
    # of an unbroken run of starts the first, third, fifth... come first: the token of each other one has moved
    index = np.arange(len(start))
    before_run = np.maximum.accumulate(np.where(start, -1, index))
    left = index[start & ((index - before_run) % 2 == 1)]
    swapped = ids.copy()
    swapped[left], swapped[left + 1] = ids[left + 1], ids[left]
    return source.encoded.with_ids(swapped)
