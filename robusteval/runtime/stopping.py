"""Ctrl-C and SIGTERM: a command ends within seconds, at a place from which the same command goes on.

The first signal raises KeyboardInterrupt, but where `boundaries` is under way: there, work asks `asked` at its own
boundaries. What has not ended `GRACE` seconds later is killed, as it is at a second signal; nothing that was finished
is lost by that. A program that uses robusteval as a library keeps its own signal handlers.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NoReturn

GRACE = 4.0
# What the workers get of it: their parent has to end, too.
WORKERS_GRACE = 2.5
EXIT_CODE = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _State:
    """Of the whole process, as its signals are."""

    asked = False
    depth = 0
    worker = False
    message = "interrupted"
    # the watching thread lives until the process ends, and so must what it listens to
    signals: socket.socket | None = None


def continues() -> None:
    """Whatever stops this command from here on, the same command goes on from there."""
    _State.message = "interrupted: the same command continues where this one stopped"


def message() -> str:
    """What to tell of an interruption."""
    return _State.message


def asked() -> bool:
    """Whether this process was asked to stop."""
    return _State.asked


@contextmanager
def boundaries() -> Iterator[None]:
    """Inside, a first signal interrupts nothing: the work looks at `asked` and stops where it can be continued."""
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1


@contextmanager
def handled() -> Iterator[None]:
    """Inside, this process is a command: signals end it as the module says."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _State.asked, _State.message = False, "interrupted"
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    _State.signals = theirs
    before = {number: signal.signal(number, _interrupt) for number in SIGNALS}
    fd = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(ours,), daemon=True).start()
    try:
        yield
    finally:
        if not _State.asked:
            signal.set_wakeup_fd(fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            theirs.close()


def end() -> NoReturn:
    """Leave this process now: what Python does at its end can take as long as the work that was stopped."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(EXIT_CODE)


def _interrupt(number: int, frame: FrameType | None) -> None:
    first, _State.asked = not _State.asked, True
    if first and _State.depth == 0:
        raise KeyboardInterrupt


def _watch(signals: socket.socket) -> None:
    """End the process where it does not end itself: Python's handlers wait for C code to return, this thread not."""
    with signals:
        while True:
            signals.settimeout(None)
            if not (number := signals.recv(1)):
                return
            if number[0] in SIGNALS:
                break
        last = time.monotonic() + GRACE
        while (left := last - time.monotonic()) > 0:
            signals.settimeout(left)
            try:
                if not (number := signals.recv(1)):
                    return
            except TimeoutError:
                break
            if number[0] in SIGNALS:
                break
    for child in multiprocessing.active_children():
        child.kill()
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\r")  # a progress bar hides the cursor
    os.write(2, f"{_State.message}\n".encode())
    os._exit(EXIT_CODE)


def start_tracker() -> None:
    """Start Python's own helper, which removes the semaphores of a process that was ended, before it is first needed.

    It would report them after our last words, though nothing is left of them; and it starts with signals unblocked,
    which inside `shielded` would let a Ctrl-C through to the worker that starts next.
    """
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (before, "ignore:resource_tracker")))
    try:
        resource_tracker.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


@contextmanager
def shielded() -> Iterator[None]:
    """Inside, processes are started that a terminal's Ctrl-C does not reach: their parent tells them."""
    start_tracker()
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker() -> None:
    """First thing in a worker: it ends when its parent is gone, and at SIGTERM, which `end_workers` sends, at once.

    Inside `boundaries` that waits for the next one. A worker that outlived its parent, however that ended, would stand
    in the way of the next one at the same files.
    """
    _State.worker = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def is_worker() -> bool:
    """Whether another process of this package began this one, and says what is to be said once."""
    return _State.worker


def _leave(number: int, frame: FrameType | None) -> None:
    _State.asked = True
    if _State.depth == 0:
        os._exit(EXIT_CODE)


def end_workers(workers: Iterable[BaseProcess] | None = None) -> None:
    """Ask worker processes (all of them by default) to stop; kill those that have not after `WORKERS_GRACE` seconds."""
    children = multiprocessing.active_children() if workers is None else list(workers)
    for child in children:
        child.terminate()
    last = time.monotonic() + WORKERS_GRACE
    for child in children:
        child.join(max(0.0, last - time.monotonic()))
        if child.is_alive():
            child.kill()
            child.join()
