"""Memory of this process: giving it back, and its peak over a stretch of work."""

from __future__ import annotations

import ctypes
import functools
import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch


def release() -> None:
    """Give back what earlier work of this process left behind: Python's cycles, and what malloc keeps for later.

    Takes a good tenth of a second in a process with many objects.
    """
    gc.collect()
    release_freed()


def release_freed() -> None:
    """Return what glibc keeps of freed memory; nothing happens with another C library. Takes milliseconds."""
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def reset_peak(device: torch.device) -> None:
    """Start a new stretch. On a CPU this needs Linux; elsewhere the peak counts from the process's start.

    What earlier work of the process left behind counts, unless `release` was called after it.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes(device: torch.device) -> int:
    """Bytes at the peak: allocated tensors on an accelerator, resident memory of the process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
