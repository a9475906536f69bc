"""Vanilla fine-tuning with the batch doubled (Bi-Drop, Appendix D): the control for methods with two passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from robusteval.methods.vanilla import Vanilla


class DoubleBatch(Vanilla):
    """Every hook keeps its default; a step sees 32 different examples, twice the papers' 16 (Table 10).

    The same mini-batch repeated with two dropout masks, which Appendix D sets against it, is
    "rdrop:alpha=0:ce_scale=0.5". 6F of vanilla per step, and half the steps per epoch.
    """

    TRAIN: ClassVar[Mapping[str, Any]] = {"batch_size": 32}
