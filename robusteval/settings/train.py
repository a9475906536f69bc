"""How to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from robusteval.errors import UserError
from robusteval.settings.codec import from_dict, to_dict
from robusteval.settings.fields import Record, setting

# Peak rate for a model that none is recommended for.
LEARNING_RATE = 2e-5


@dataclass(frozen=True)
class TrainConfig(Record):
    """How to train. Defaults follow MATCH-TUNING and Bi-Drop: batch 16, 3 epochs, 10 % warm-up, length 128.

    optimizer: "adamax-plain" is Adamax as its paper lists it, without eps and without weight decay, which must be 0.
    """

    PANEL: ClassVar[str] = "Training"

    epochs: float = setting(3.0, "Passes over the training rows.", above=0, high=1e6)
    max_steps: int | None = setting(None, "Optimizer steps, instead of epochs.", low=1, high=1e9)
    learning_rate: float | None = setting(None, "Peak rate.", low=0, unset="the model's own")
    batch_size: int = setting(16, "Examples per optimizer step.", low=1, high=1e6)
    accumulation: int = setting(1, "Micro-batches per optimizer step.", low=1, high="batch_size")
    optimizer: Literal["adamw", "adamax", "adamax-plain"] = setting("adamw", "Optimizer.")
    warmup: float = setting(0.1, "Share of the steps with a rising rate.", low=0, high=1)
    weight_decay: float = setting(0.01, "Weight decay.", low=0)
    clip_norm: float = setting(1.0, "Gradient norm after clipping; 0 for none.", low=0)
    dropout: float | None = setting(
        None, "Hidden and attention dropout.", low=0, high=0.99, unset="the checkpoint's own"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = setting("auto", "Precision of the arithmetic.")
    select: Literal["last", "best"] = setting("last", "Weights evaluated: the last, or the best on dev.")
    max_length: int = setting(128, "Tokens per input.", low=3, high=1e6)
    bucket: bool = setting(True, "Batches of examples in any order, not of like length.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.optimizer == "adamax-plain" and self.weight_decay:
            raise UserError(
                f"weight_decay: {self.weight_decay:g} is not possible with the optimizer 'adamax-plain', which has "
                "none; say weight_decay=0, or adamax"
            )

    @property
    def peak_rate(self) -> float:
        """The learning rate at the end of the warm-up."""
        return LEARNING_RATE if self.learning_rate is None else self.learning_rate


def override(train: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """`train` with the given fields changed; values are checked and converted as in a file."""
    return from_dict(TrainConfig, {**to_dict(train), **changes}, "train.")
