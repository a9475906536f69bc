"""Token replacement (TDT, Section 4.4): tokens overwritten by others of the same input."""

from __future__ import annotations

import numpy as np

from robusteval.encoding import Encoded


def replace(encoded: Encoded, rate: float, generator: np.random.Generator, mask_id: int | None) -> Encoded:
    """Every non-special position is overwritten with probability `rate` by a token of the same input.

    The new token is drawn uniformly from the input's own non-special positions, of both texts of a pair; it may
    be the one that stood there.
    """
    eligible = ~encoded.special
    row = np.repeat(np.arange(len(encoded)), encoded.lengths)
    # positions of the eligible tokens, row by row, and where each row's share of them begins
    positions = np.flatnonzero(eligible)
    counts = np.bincount(row[positions], minlength=len(encoded))
    starts = np.cumsum(counts) - counts
    hit = np.flatnonzero((generator.random(len(encoded.ids)) < rate) & eligible)
    drawn = starts[row[hit]] + np.floor(generator.random(len(hit)) * counts[row[hit]]).astype(np.int64)
    ids = encoded.ids.copy()
    ids[hit] = encoded.ids[positions[drawn]]
    return encoded.with_ids(ids)
