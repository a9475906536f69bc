"""Freed memory goes back to the system: a long attack, whose batches all differ in size, stays as large as it was."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable


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
