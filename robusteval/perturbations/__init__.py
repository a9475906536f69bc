"""Perturbations of encoded text: pure functions on token ids, one file each.

Each is called as function(encoded, rate, generator, mask_id) and gives the perturbed rows; special tokens are
never touched, and rate 0 is the identity.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from robusteval.encoding import Encoded
from robusteval.registry import Registry

Perturbation = Callable[[Encoded, float, np.random.Generator, "int | None"], Encoded]

PERTURBATIONS: Registry[Perturbation] = Registry("perturbation")
PERTURBATIONS.add("mask", "robusteval.perturbations.mask:mask", "each token becomes [MASK] with the given rate")
PERTURBATIONS.add(
    "replace",
    "robusteval.perturbations.replace:replace",
    "each token becomes one drawn from the same input with the given rate",
)
