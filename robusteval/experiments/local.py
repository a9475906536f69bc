"""The runs on this machine: in this process, or in several that live as long as there are runs.

Each process keeps rows and tokenizers from run to run, and has its share of the CPU's cores, which can change results
in the last digits compared to another number of workers.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from robusteval.errors import UserError
from robusteval.experiments.engine import End, Engine, Places, Rows
from robusteval.experiments.packing import kind_of, packed
from robusteval.runtime import stopping
from robusteval.runtime.memory import kills
from robusteval.settings.work import WorkConfig

if TYPE_CHECKING:
    from robusteval.experiments.jobs import Job


def _check(work: WorkConfig) -> None:
    if work.address is not None:
        raise UserError(f"address: {work.address!r} is of no use to the engine 'local'; --engine ray connects to it")


def _open(work: WorkConfig, jobs: Sequence[Job], count: int, data: Rows) -> Places:
    if work.workers > 1:
        share = max(1, (os.cpu_count() or 1) // work.workers)
        work = dataclasses.replace(work, threads=work.threads or share)
    if min(work.workers, count) <= 1:
        return _Here(work, data)
    return _Workers(work, jobs, count)


ENGINE = Engine(_check, _open)


class _Here(Places):
    """This process, which does one run at a time while it is asked for what ended."""

    def __init__(self, work: WorkConfig, data: Rows) -> None:
        self._work, self._data = work, data
        self._job: Job | None = None

    def __exit__(self, *error: object) -> None:
        pass

    def room(self, job: Job) -> bool:
        return self._job is None

    def begin(self, job: Job) -> None:
        self._job = job

    def ended(self, seconds: float) -> list[tuple[Job, End]]:
        from robusteval.experiments.attempt import attempt

        job, self._job = self._job, None
        return [(job, attempt(job, self._work, self._data(job)))] if job is not None else []


# ---- several processes -------------------------------------------------------------------------------------------


class _Worker:
    """A process that does one run after the other."""

    def __init__(self, context: Any) -> None:
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, _attempt))
        self._kills = kills()
        with stopping.shielded():
            self.process.start()
        theirs.close()

    def gone(self) -> bool:
        """Whether it, being idle, was killed: it says nothing unasked, so what there is to read is the pipe's end.

        The system closes the pipe before the process counts as dead; `is_alive` knows it later, from the fork server.
        """
        if not self.pipe.poll():
            return False
        self.pipe.close()
        self.process.join()
        return True

    def lost(self) -> End:
        """How the run ended that the process was at when it died."""
        self.process.join()
        if self.process.exitcode == -9 and kills() > self._kills:
            return End("memory", "the system killed its process")
        code = self.process.exitcode or 0
        return End("lost", f"exit code {code}" if code >= 0 else signal.Signals(-code).name)


@dataclasses.dataclass(frozen=True)
class _UnderWay:
    job: Job
    worker: _Worker
    device: str


class _Workers(Places):
    """Processes that are started as they are needed."""

    def __init__(self, work: WorkConfig, jobs: Sequence[Job], count: int) -> None:
        self._work = dataclasses.replace(work, quiet=True)
        self._most = min(work.workers, count)
        self._context = _context()
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, _UnderWay] = {}
        self._packing = packed(_devices(work.device), jobs, work.out)

    def __enter__(self) -> _Workers:
        stopping.start_tracker()
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        workers = [*self._idle, *(each.worker for each in self._busy.values())]
        for worker in workers:
            worker.pipe.close()  # an idle one leaves at that
        if kind is not None:
            stopping.end_workers([worker.process for worker in workers])
        for worker in workers:
            worker.process.join()

    def room(self, job: Job) -> bool:
        return len(self._busy) < self._most and self._packing.device(kind_of(job)) is not None

    def begin(self, job: Job) -> None:
        device = self._packing.device(kind_of(job))
        assert device is not None
        worker = self._worker()
        self._packing.enter(device, kind_of(job))
        self._busy[worker.pipe] = _UnderWay(job, worker, device)
        with suppress(OSError):  # killed just now, which `ended` meets
            worker.pipe.send((job, dataclasses.replace(self._work, device=device)))

    def _worker(self) -> _Worker:
        while self._idle:
            if not (worker := self._idle.pop()).gone():
                return worker
        return _Worker(self._context)

    def ended(self, seconds: float) -> list[tuple[Job, End]]:
        ready = wait(list(self._busy), seconds)
        return [self._ended(pipe) for pipe in list(self._busy) if pipe in ready]

    def _ended(self, pipe: Connection) -> tuple[Job, End]:
        each = self._busy.pop(pipe)
        kind, worker = kind_of(each.job), each.worker
        try:
            end: End = pipe.recv()
        except (EOFError, OSError):
            end = worker.lost()
        else:
            if end.kind != "memory":
                self._idle.append(worker)
            else:  # it may hold some of it still
                pipe.close()
                worker.process.join()
        self._packing.leave(each.device, kind)
        self._packing.measured(kind, end.peak)
        return each.job, end


def _context() -> Any:
    """Workers are forked from a process that has imported what runs need and done nothing, where there are forks."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["robusteval.experiments.attempt"])
    return context


def _devices(name: str) -> dict[str, int]:
    """Free bytes of each device that runs may go to, by name; 0 where they are not counted."""
    import torch

    from robusteval.runtime.devices import pick_device

    device = pick_device(name)
    if device.type != "cuda":
        return {name: 0}
    every = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return {each: torch.cuda.mem_get_info(each)[0] for each in (every if device.index is None else [str(device)])}


def _attempt(job: Job, work: WorkConfig) -> End:
    from robusteval.experiments.attempt import attempt_in_worker

    return attempt_in_worker(job, work)


def _serve(pipe: Connection, attempt: Callable[[Job, WorkConfig], End]) -> None:
    """In a worker: runs, until the parent closes the pipe."""
    stopping.begin_worker()
    try:
        while True:
            job, work = pipe.recv()
            pipe.send(attempt(job, work))
    except (EOFError, OSError):
        os._exit(0)  # what Python does at its end takes as long as a run
    except KeyboardInterrupt:
        os._exit(stopping.EXIT_CODE)
