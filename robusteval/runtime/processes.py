"""Worker processes and their parent."""

from __future__ import annotations

import multiprocessing
import os
import threading

from robusteval.runtime import stopping


def begin_worker() -> None:
    """First thing in a worker: it stops when its parent says so, and ends when that is gone."""
    stopping.in_worker()
    _end_with_parent()


def _end_with_parent() -> None:
    """In a worker: end this process at once when its parent is gone, however that ended.

    A worker that outlived it would stand in the way of the next one at the same files.
    """
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
