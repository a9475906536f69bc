"""Token deletion: tokens are taken out, and the row closes up; TDT's drop (Section 4.3) without the mask token."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from robusteval.models.encoding import Encoded
from robusteval.perturbations.base import Source


def delete(source: Source, rate: float, generator: np.random.Generator) -> Encoded:
    """Every eligible token is removed with probability `rate`, independently; one of each text always stays.

    Where all tokens of a text would go, one of them, drawn uniformly, is kept: no text of a pair is ever empty.
    """
    draws = generator.random(len(source.eligible))
    return remove(source, draws < rate, draws)


def remove(source: Source, hit: npt.NDArray[np.bool_], order: npt.NDArray[np.generic]) -> Encoded:
    """The rows without those hit tokens that are eligible; hit [T].

    order: of each text, the token with the highest number stays even if it is hit [T].
    """
    encoded, segment = source.encoded, source.segment
    keep = ~(hit & source.eligible)
    # by text, and in each text by order: the last one of each is spared
    sequence = np.lexsort((order, segment))
    keep[sequence[np.flatnonzero(np.diff(segment[sequence], append=-1))]] = True
    return dataclasses.replace(
        encoded,
        ids=encoded.ids[keep],
        # as many tokens as were kept before the row's first one
        offsets=np.concatenate([[0], np.cumsum(keep)])[encoded.offsets],
        types=encoded.types[keep] if encoded.types is not None else None,
        column=encoded.column[keep],
    )
