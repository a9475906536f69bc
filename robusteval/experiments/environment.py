"""What a number was measured with: versions, commit, hardware."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import robusteval

PACKAGES = ("torch", "transformers", "datasets", "accelerate", "textattack", "numpy", "scipy", "scikit-learn")


def versions() -> dict[str, str]:
    """Installed versions of what results depend on; "absent" where something is not installed."""
    found = {"python": platform.python_version(), "robusteval": robusteval.__version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def git_commit() -> str:
    """The commit of the checkout the package runs from, "+changes" where it was edited; empty elsewhere."""
    folder = Path(robusteval.__file__).resolve().parent.parent
    if not (folder / ".git").exists():
        return ""
    try:
        arguments = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty=+changes"]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def hardware(device: torch.device) -> dict[str, Any]:
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "accelerator": accelerator,
    }
