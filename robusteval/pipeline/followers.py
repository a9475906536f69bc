"""Under torchrun or `accelerate launch`, the first process does what the command says; the others help it to train."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from robusteval.errors import UserError
from robusteval.runtime import stopping
from robusteval.runtime.logs import quiet_libraries
from robusteval.training.distributed import Group, group

Job = Callable[[], Callable[[], Any]]
"""Is made ready in each process alone, and gives back what all do together."""


class _State:
    """Of the whole process: the others, where they wait for word from this one."""

    waiting: Group | None = None


@contextmanager
def led() -> Iterator[None]:
    """Inside, this process is the first, and the others are in `follow`."""
    _State.waiting = among = group()
    ended = False
    try:
        yield
        ended = True
    finally:
        _State.waiting = None
        among.part_ways(wait=ended)


def send(job: Job) -> None:
    """Have the others, where there are any that wait, do this along with what comes next here."""
    if _State.waiting is not None:
        _State.waiting.send(job)


def follow() -> int:
    """Do what the main process sends until nothing comes any more; the exit code.

    UserError where this process alone cannot: it ends, and the launcher ends the others.
    """
    among = group()
    quiet_libraries()
    # the main process says it
    logging.getLogger("robusteval").setLevel(logging.ERROR)
    try:
        while (job := among.receive()) is not None:
            together = job()
            try:
                together()
            except UserError:
                # told to all, and reported by the main process, unless that is gone
                if among.lost:
                    raise
    except KeyboardInterrupt:
        stopping.end()
    return 0
