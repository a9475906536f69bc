"""Memory of this process: giving it back, and its peak over a stretch of work."""

from __future__ import annotations

import ctypes
import functools
import gc
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# What torch's allocators and the libraries below it say in an error of no kind of its own.
_NO_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


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


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the search for cycles, which goes through all objects again and again while many are made that stay."""
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def ran_out(error: BaseException) -> bool:
    """Whether this error, or one that it came of, is that there was not enough memory, of whichever device."""
    import torch

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(seen, RuntimeError) and any(words in str(seen) for words in _NO_MEMORY):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def kills() -> int:
    """How many processes the kernel has killed for want of memory since it started; 0 where it does not say."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def reset_peak(device: torch.device) -> None:
    """Start a new stretch. On a CPU this needs Linux; elsewhere the peak counts from the process's start.

    What earlier work of the process left behind counts, unless `release` was called after it.
    """
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_bytes(device: torch.device) -> int:
    """Bytes at the peak: allocated tensors on an accelerator, resident memory of the process on a CPU."""
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
