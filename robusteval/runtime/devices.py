"""Where to compute: checked before work begins."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from robusteval.errors import UserError

if TYPE_CHECKING:
    import torch


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
