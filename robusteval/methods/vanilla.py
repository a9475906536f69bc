"""Plain fine-tuning: cross entropy, or mean squared error for regression."""

from __future__ import annotations

from dataclasses import dataclass

from robusteval.methods.base import Method


@dataclass(frozen=True)
class VanillaSettings:
    """Vanilla has no settings of its own; TrainConfig says it all."""


class Vanilla(Method[VanillaSettings]):
    """Every hook keeps its default. 3F per step."""

    Settings = VanillaSettings
