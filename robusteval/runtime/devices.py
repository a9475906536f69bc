"""Where to compute, in which precision, and where to report progress: choices checked before work begins."""

from __future__ import annotations

import importlib.util
import re
from typing import TYPE_CHECKING

from robusteval.errors import UserError

if TYPE_CHECKING:
    import torch

TRACKERS = ("tensorboard", "mlflow", "wandb")


def check_device(name: str) -> None:
    """Raise UserError unless this names a device, be it here or not; imports no torch."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:[0-9]{1,3})?", name):
        raise UserError(f"device: {name!r} is no device; valid: auto, cpu, cuda, cuda:N, mps")


def pick_device(name: str = "auto") -> torch.device:
    """The device to run on; "auto" prefers CUDA, then Apple's GPU, then the CPU."""
    import torch

    check_device(name)
    if name == "auto":
        mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device: {name!r} is not available here; valid: auto, cpu, cuda, cuda:N, mps") from error
    return device


def pick_precision(name: str, device: torch.device) -> str:
    """The precision to train in; "auto" is bf16 where a CUDA device has it, else fp32."""
    import torch

    if name == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if name == "fp16" and device.type != "cuda":
        raise UserError(f"precision: 'fp16' needs a CUDA device, not {device.type!r}; valid here: fp32, bf16")
    return name


def check_tracker(name: str | None) -> None:
    """Raise UserError for a tracker that is not known or not installed."""
    if name is None:
        return
    if name not in TRACKERS:
        raise UserError(f"track: unknown tracker {name!r}; valid: {', '.join(TRACKERS)}")
    if importlib.util.find_spec(name) is None:
        raise UserError(f"track: {name!r} is not installed: pip install {name}")
