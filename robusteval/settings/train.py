"""How to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from robusteval.errors import UserError
from robusteval.settings.checks import check_choice, check_range
from robusteval.settings.codec import from_dict, to_dict


@dataclass(frozen=True)
class TrainConfig:
    """How to train. Defaults follow MATCH-TUNING and Bi-Drop: batch 16, 3 epochs, 10 % warm-up, length 128.

    optimizer: "adamax-plain" is Adamax as its paper lists it, without eps and without weight decay, which must be 0.
    learning_rate: peak rate; None takes the model's recommended one, else 2e-5.
    max_steps: optimizer steps; it replaces `epochs` where given.
    accumulation: micro-batches per optimizer step; `batch_size` is what one optimizer step sees.
    warmup: share of the steps with a rising rate.
    clip_norm: gradient norm after clipping; 0 switches clipping off.
    dropout: hidden and attention dropout; None keeps the checkpoint's own.
    select: "last" evaluates the final weights, "best" the ones with the best dev score.
    bucket: batch examples of like length together (within pools of 50 batches).
    """

    optimizer: Literal["adamw", "adamax", "adamax-plain"] = "adamw"
    learning_rate: float | None = None
    epochs: float = 3.0
    max_steps: int | None = None
    batch_size: int = 16
    accumulation: int = 1
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    max_length: int = 128
    dropout: float | None = None
    select: Literal["last", "best"] = "last"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    bucket: bool = True

    def __post_init__(self) -> None:
        infinity = float("inf")
        check_choice("optimizer", self.optimizer, ("adamw", "adamax", "adamax-plain"))
        if self.optimizer == "adamax-plain" and self.weight_decay:
            raise UserError(
                f"weight_decay: {self.weight_decay:g} is not possible with the optimizer 'adamax-plain', which has "
                "none; say weight_decay=0, or adamax"
            )
        check_choice("select", self.select, ("last", "best"))
        check_choice("precision", self.precision, ("auto", "fp32", "bf16", "fp16"))
        if self.learning_rate is not None:
            check_range("learning_rate", self.learning_rate, 0, infinity)
        check_range("epochs", self.epochs, 0, 1e6, open_low=True)
        if self.max_steps is not None:
            check_range("max_steps", self.max_steps, 1, 1e9)
        check_range("batch_size", self.batch_size, 1, 1e6)
        check_range("accumulation", self.accumulation, 1, self.batch_size)
        check_range("warmup", self.warmup, 0, 1)
        check_range("weight_decay", self.weight_decay, 0, infinity)
        check_range("clip_norm", self.clip_norm, 0, infinity)
        check_range("max_length", self.max_length, 3, 1e6)
        if self.dropout is not None:
            check_range("dropout", self.dropout, 0, 0.99)


def override(train: TrainConfig, changes: Mapping[str, Any]) -> TrainConfig:
    """`train` with the given fields changed; values are checked and converted as in a file."""
    return from_dict(TrainConfig, {**to_dict(train), **changes}, "train.")
