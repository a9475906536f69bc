"""Perturbations of text: pure functions, one file each.

Each is called as function(source, rate, generator) and gives the perturbed rows; special tokens and protected
columns are never touched, and rate 0 is the identity. `docs/perturbations.md` says what a rate means for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from robusteval.registry import Registry

if TYPE_CHECKING:
    import numpy as np

    from robusteval.models.encoding import Encoded
    from robusteval.perturbations.base import Source

Perturbation: TypeAlias = "Callable[[Source, float, np.random.Generator], Encoded]"

PERTURBATIONS: Registry[Perturbation] = Registry(
    "perturbation", "robusteval.perturbations.base:accepted", ("robusteval.perturbations",)
)
for _name, _summary in (
    ("mask", "each token becomes [MASK] with the given rate"),
    ("replace", "each token becomes one drawn from the same input with the given rate"),
    ("delete", "each token is removed with the given rate; one of each text stays"),
    ("swap", "each token trades places with its right neighbour with the given rate"),
    ("typos", "each word of letters a-z gets one typing error with the given rate"),
):
    PERTURBATIONS.add(_name, f"robusteval.perturbations.{_name}:{_name}", _summary)
