"""The precision that a model is trained in, and accelerate, which sees to it and to the trackers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState

from robusteval.errors import UserError


def pick_precision(name: str, device: torch.device) -> str:
    """The precision to train in; "auto" is bf16 where a CUDA device has it, else fp32."""
    if name == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if name == "fp16" and device.type != "cuda":
        raise UserError(f"precision: 'fp16' needs a CUDA device, not {device.type!r}; valid here: fp32, bf16")
    return name


@contextmanager
def accelerated(device: torch.device, precision: str, track: str | None, folder: Path | None) -> Iterator[Accelerator]:
    """An Accelerator for one training.

    accelerate keeps the first Accelerator's settings for the whole process. Each training has its own, and those of
    the caller are put back after it.
    """
    kept = [(kind._shared_state, dict(kind._shared_state)) for kind in (AcceleratorState, PartialState, GradientState)]
    for shared, _ in kept:
        shared.clear()
    try:
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision="no" if precision == "fp32" else precision,
            log_with=track,
            project_dir=str(folder) if folder else ".",
            device_placement=False,
        )
        yield accelerator
    finally:
        for shared, before in kept:
            shared.clear()
            shared.update(before)


def gradients_overflowed(accelerator: Accelerator, optimizer: Any) -> bool:
    """Whether fp16 gradients overflowed. accelerate's own flag misses it for fused optimizers, which skip inside."""
    if accelerator.scaler is None:
        return False
    found = accelerator.scaler._found_inf_per_device(optimizer.optimizer)
    return any(bool(value) for value in found.values())
