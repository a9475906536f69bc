"""Locks between processes. The system ends a lock however its process ends; on Windows nothing is locked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robusteval.errors import UserError
from robusteval.storage.files import clear_leftovers, writing

LOCK = ".lock"


@contextmanager
def locked(folder: Path, *inside: str, wait: bool = False) -> Iterator[None]:
    """Hold `folder`, made where it is missing, for this process.

    What killed writers left in it, and in its folders `inside`, is cleared: nobody else writes there now.
    UserError where another process holds it, unless `wait`.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    lock = folder / LOCK
    with _locked(lock, folder, lock, wait=wait) as known:
        for place in (folder, *(folder / name for name in inside)) if known else ():
            clear_leftovers(place)
        yield


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold the file `path` by a lock on a file beside it, while `taking_turns` may lock the file itself.

    UserError where another process holds it.
    """
    real = Path(os.path.realpath(path))
    with _locked(real.with_name(f".{real.name}.lock"), path, path, remove=True):
        yield


@contextmanager
def taking_turns(path: Path) -> Iterator[None]:
    """Wait until no other process is inside such a block of the same file; the file is made where it is missing."""
    with _locked(path, path, path, wait=True):
        yield


@contextmanager
def _locked(lock: Path, held: Path, told: Path, *, wait: bool = False, remove: bool = False) -> Iterator[bool]:
    """Lock the file `lock`; gives whether there are locks here.

    held, told: what to name where another process has it, and where the disk refuses. remove: the file goes afterwards.
    """
    try:
        import fcntl
    except ImportError:
        yield False
        return
    while True:
        with writing(told):
            # a named pipe would be waited for otherwise
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                os.close(descriptor)
                raise UserError(f"out: another process is working on {str(held)!r}") from None
            except BaseException:
                os.close(descriptor)
                raise
        if not remove or _is_open(lock, descriptor):
            break
        # its last holder removed it after it was opened here
        os.close(descriptor)
    try:
        yield True
    finally:
        if remove:
            lock.unlink(missing_ok=True)
        os.close(descriptor)


def _is_open(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
