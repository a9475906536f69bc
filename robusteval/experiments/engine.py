"""Doing the runs of a plan: what all engines share. An engine has the places; which run is next is decided here.

What is done is decided by the run folders alone. A run that another process holds is passed over and awaited, and done
here where that process dies. One whose worker is killed is done once more, and so, with nothing beside it, is one that
ran out of memory; nothing is ever changed to make a run fit.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from robusteval.experiments import ENGINES
from robusteval.settings.work import WorkConfig
from robusteval.storage.claims import holder

if TYPE_CHECKING:
    from robusteval.experiments.jobs import Job
    from robusteval.tasks.load import TaskData

logger = logging.getLogger(__name__)

DONE = "done"
FINISHED_BEFORE = "finished before"
ELSEWHERE = "done by another process"
FINE = (DONE, FINISHED_BEFORE, ELSEWHERE)
GO_ON = "the same command goes on from there"
NO_ROOM = "fewer rows at a time need less memory, and are another experiment (--batch-size, --max-length)"

# Seconds between two looks at the runs that others hold.
LOOK_EVERY = 1.0

Report = Callable[["Job", str], None]
"""(run, what became of it: one of `FINE`, that another process holds it (`is_awaited`), or an error message)."""
Rows = Callable[["Job"], "TaskData | None"]
"""The rows of a run, where this process has them in memory."""


@dataclass(frozen=True)
class End:
    """How an attempt at a run ended.

    kind: "held", another process has the run, which `message` names; "lost", whoever did it ended before, as when it is
    killed; "memory", there was not enough; "failed". message: why, or how. peak, size: bytes that it took on its
    device, and that there are; 0 where that is not known.
    """

    kind: Literal["done", "held", "lost", "memory", "failed"]
    message: str = ""
    peak: int = 0
    size: int = 0


class Places(AbstractContextManager["Places"], ABC):
    """Where several runs are done at a time; leaving it as a context ends what is under way."""

    @abstractmethod
    def room(self, job: Job) -> bool:
        """Whether the run can begin now."""

    @abstractmethod
    def begin(self, job: Job) -> None:
        """Begin a run for which there is room."""

    @abstractmethod
    def ended(self, seconds: float) -> list[tuple[Job, End]]:
        """The runs that ended; waits for one, at most so long."""


@dataclass(frozen=True)
class Engine:
    """A kind of places.

    check: raises UserError where these options cannot work, before hours are spent. open: the places for the open runs
    of these jobs, of which it is told how many there are.
    """

    check: Callable[[WorkConfig], None]
    open: Callable[[WorkConfig, Sequence[Job], int, Rows], Places]


def check_engine(work: WorkConfig) -> None:
    """Raise UserError where the engine is not known, not installed, or given options of another one."""
    ENGINES[work.engine].check(work)


def is_awaited(message: str) -> bool:
    """Whether a report says that another process holds the run; what becomes of it is reported later."""
    return message.startswith("held by ")


def run_jobs(
    jobs: Sequence[Job], work: WorkConfig, report: Report, data: Rows = lambda job: None
) -> list[tuple[Job, str]]:
    """Do every run that is not finished; returns the runs that failed, with the reason.

    A run that fails does not stop the others. data: rows that are in memory here.
    """
    left: deque[Job] = deque()
    failed: list[tuple[Job, str]] = []

    def tell(job: Job, message: str) -> None:
        report(job, message)
        if message not in FINE and not is_awaited(message):
            failed.append((job, message))

    for job in jobs:
        folder = job.folder(work.out)
        if not job.done(work.out):
            left.append(job)
        elif damage := folder.damage():
            tell(job, damage)
        else:
            folder.tidy()
            tell(job, FINISHED_BEFORE)
    if left:
        with ENGINES[work.engine].open(work, jobs, len(left), data) as places:
            _Queue(work, places, left, tell).empty()
    return failed


class _Queue:
    """The runs that are left: to begin, under way, held by others, and those that need all the memory."""

    def __init__(self, work: WorkConfig, places: Places, left: deque[Job], tell: Report) -> None:
        self._work, self._places, self._left, self._tell = work, places, left, tell
        self._running: dict[str, Job] = {}
        self._held: dict[str, Job] = {}
        self._told: set[str] = set()
        self._alone: deque[Job] = deque()
        self._lost: set[str] = set()
        self._short: set[str] = set()
        self._looked = 0.0

    def empty(self) -> None:
        while self._left or self._running or self._held or self._alone:
            self._begin()
            if self._running:
                for job, end in self._places.ended(LOOK_EVERY):
                    del self._running[job.name]
                    self._end(job, end)
            elif not self._left and not self._alone:
                time.sleep(LOOK_EVERY)
            self._look()

    def _begin(self) -> None:
        if any(name in self._short for name in self._running):
            return
        while (job := next(filter(self._places.room, self._left), None)) is not None:
            self._left.remove(job)
            if self._free(job):
                self._start(job)
        if not self._running and not self._left and self._alone:
            self._start(self._alone.popleft())

    def _start(self, job: Job) -> None:
        self._running[job.name] = job
        self._places.begin(job)

    def _free(self, job: Job) -> bool:
        """Whether a run is to be done here; says so where it is not, because another process did or does it."""
        if job.done(self._work.out):
            self._tell(job, ELSEWHERE)
        elif who := holder(job.folder(self._work.out).path):
            self._await(job, str(who))
        else:
            return True
        return False

    def _await(self, job: Job, who: str) -> None:
        self._held[job.name] = job
        if job.name not in self._told:
            self._told.add(job.name)
            self._tell(job, f"held by {who}, which is waited for")

    def _look(self) -> None:
        """See what became of the runs that others hold."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        for name, job in list(self._held.items()):
            if job.done(self._work.out):
                del self._held[name]
                self._tell(job, ELSEWHERE)
            elif holder(job.folder(self._work.out).path) is None:
                del self._held[name]
                self._left.append(job)
        self._looked = time.monotonic()

    def _end(self, job: Job, end: End) -> None:
        if end.kind == "held":
            self._await(job, end.message)
        elif end.kind == "lost" and job.name not in self._lost:
            self._lost.add(job.name)
            logger.warning("%s: its worker process ended early (%s); it is done once more", job.title, end.message)
            self._left.appendleft(job)
        elif end.kind == "memory" and job.name not in self._short:
            self._short.add(job.name)
            logger.warning("%s: there was not enough memory; it is done once more, with nothing beside it", job.title)
            self._alone.append(job)
        elif end.kind == "memory":
            self._tell(job, f"there is not enough memory, also with nothing beside it ({end.message}); {NO_ROOM}")
        elif end.kind == "lost":
            self._tell(job, f"its worker process ended early twice ({end.message}); {GO_ON}")
        else:
            self._tell(job, DONE if end.kind == "done" else end.message)
