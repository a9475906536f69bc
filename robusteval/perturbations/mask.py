"""Token masking (TDT, Section 4.4): what is left of an input when tokens are hidden."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError
from robusteval.models.encoding import Encoded
from robusteval.perturbations.base import Source


def mask(source: Source, rate: float, generator: np.random.Generator) -> Encoded:
    """Every eligible position becomes the mask token with probability `rate`, independently.

    Raises UserError where the tokenizer has no mask token.
    """
    return hide(source, generator.random(len(source.eligible)) < rate)


def hide(source: Source, hit: npt.NDArray[np.bool_]) -> Encoded:
    """The rows with the mask token at those hit positions that are eligible; hit [T].

    Raises UserError where the tokenizer has no mask token.
    """
    if source.mask_id is None:
        raise UserError("mask_token: masking needs one, and this model's tokenizer has none of its own")
    return source.encoded.with_ids(np.where(hit & source.eligible, source.mask_id, source.encoded.ids))
