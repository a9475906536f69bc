"""Token masking (TDT, Section 4.4): what is left of an input when tokens are hidden."""

from __future__ import annotations

import numpy as np

from robusteval.encoding import Encoded
from robusteval.errors import UserError


def mask(encoded: Encoded, rate: float, generator: np.random.Generator, mask_id: int | None) -> Encoded:
    """Every non-special position becomes the mask token with probability `rate`, independently.

    Raises UserError where the tokenizer has no mask token.
    """
    if mask_id is None:
        raise UserError("suites: 'mask' needs a tokenizer with a mask token, and this model's has none")
    hit = (generator.random(len(encoded.ids)) < rate) & ~encoded.special
    return encoded.with_ids(np.where(hit, mask_id, encoded.ids))
