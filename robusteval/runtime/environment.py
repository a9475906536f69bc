"""What a number was measured with: versions, commit, hardware."""

from __future__ import annotations

import copy
import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robusteval.errors import UserError
from robusteval.runtime.launch import launched
from robusteval.version import VERSION

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "transformers", "datasets", "accelerate", "textattack", "numpy", "scipy", "scikit-learn")


def versions() -> dict[str, str]:
    """Installed versions of what results depend on; "absent" where something is not installed."""
    found = {"python": platform.python_version(), "robusteval": VERSION}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def git_commit() -> str:
    """The commit of the checkout the package runs from, "+changes" where the package differs from it; else empty."""
    package = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    if not (package.parent / ".git").exists():
        return ""
    try:
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def measured_with(device: torch.device) -> dict[str, Any]:
    """Versions, commit and hardware of this process."""
    return {**copy.deepcopy(_code()), "hardware": hardware(device)}


@functools.cache
def _code() -> dict[str, Any]:
    """Versions and commit, asked once: code that this process has imported stays as it was then."""
    return {"versions": versions(), "git_commit": git_commit()}


def check_environment(record: Any, where: str) -> None:
    """Raise UserError, which begins with `where`, unless `record` is what `measured_with` gives, and what continued."""
    if not isinstance(record, dict):
        raise UserError(f"{where}: {type(record).__name__} is no record of versions and hardware")
    for key, kind in (("versions", dict), ("hardware", dict), ("git_commit", str), ("continued", list)):
        if not isinstance(record.get(key, kind()), kind):
            raise UserError(f"{where}: {key}: is no {kind.__name__}")
    for each in record.get("continued", ()):
        check_environment(each, where)


def differences(environments: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """One sentence for each version, commit or device in which runs differ: their numbers may differ for that alone.

    environments: of each run, by its title, all that it was measured with (`measured_with`).
    """
    used: dict[str, dict[str, dict[str, None]]] = {}
    for title, several in environments.items():
        for each in several:
            told = {**each.get("versions", {}), "commit": each.get("git_commit", "")}
            hardware = each.get("hardware", {})
            told["device"] = hardware.get("accelerator") or hardware.get("device", "")
            told["number of processes"] = str(hardware.get("processes", 1))
            for name, value in told.items():
                used.setdefault(name, {}).setdefault(str(value), {})[title] = None
    sentences = []
    for name, values in used.items():
        if len(values) > 1:
            shares = (f"{value or 'unknown'} ({_some(list(titles))})" for value, titles in values.items())
            sentences.append(f"not all measured with the same {name}: {', '.join(shares)}")
    return sentences


def _some(titles: Sequence[str]) -> str:
    return titles[0] if len(titles) == 1 else f"{titles[0]} and {len(titles) - 1} more"


def hardware(device: torch.device) -> dict[str, Any]:
    import torch

    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(device),
        "accelerator": accelerator,
        **({"processes": launched()} if launched() > 1 else {}),
    }
