"""One seed names a run; every source of chance in it has a generator of its own.

Separate streams are what makes two methods comparable: the same seed gives both the same data order
and the same classification head, and a method that draws noise does not shift anybody's dropout.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive(seed: int, *names: object) -> int:
    """A 63-bit seed for the stream called `names` within the run `seed`.

    The same arguments give the same number on every platform and in every process.
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *names: object) -> np.random.Generator:
    """A generator for the stream called `names` within the run `seed`."""
    import numpy as np

    return np.random.default_rng(derive(seed, *names))
