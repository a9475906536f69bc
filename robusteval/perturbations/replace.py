"""Token replacement (TDT, Section 4.4): tokens overwritten by others of the same input."""

from __future__ import annotations

import numpy as np

from robusteval.models.encoding import Encoded
from robusteval.perturbations.base import Source


def replace(source: Source, rate: float, generator: np.random.Generator) -> Encoded:
    """Every eligible position is overwritten with probability `rate` by a token of the same input.

    The new token is drawn uniformly from the input's own non-special positions, of both texts of a pair; it may
    be the one that stood there.
    """
    encoded, row = source.encoded, source.row
    # positions of the tokens to draw from, row by row, and where each row's share of them begins
    positions = np.flatnonzero(~encoded.special)
    counts = np.bincount(row[positions], minlength=len(encoded))
    starts = np.cumsum(counts) - counts
    hit = np.flatnonzero((generator.random(len(encoded.ids)) < rate) & source.eligible)
    drawn = starts[row[hit]] + np.floor(generator.random(len(hit)) * counts[row[hit]]).astype(np.int64)
    ids = encoded.ids.copy()
    ids[hit] = encoded.ids[positions[drawn]]
    return encoded.with_ids(ids)
