"""The runs on a Ray cluster: a task each, with the CPU cores that it computes on and, of GPUs, a share of one.

The nodes see the output folder under the same path and have this package installed. Ray starts a task only once here:
one whose worker or node died is begun again as with any engine. Where a GPU is used, Ray ends a worker with its task.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import math
import os
import signal
import socket
import time
from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from robusteval.errors import UserError, first_line
from robusteval.experiments.engine import End, Engine, Places, Rows
from robusteval.experiments.packing import CONTEXT, MARGIN, USABLE, kind_of
from robusteval.runtime.stopping import SIGNALS
from robusteval.settings.work import WorkConfig

if TYPE_CHECKING:
    from robusteval.experiments.jobs import Job

# Seconds that a cluster has to answer, and between two looks at how large it is.
PATIENCE, LOOK_EVERY = 5.0, 5.0
# How a client of gRPC begins; Ray itself would ask for minutes at a port where something else answers, or nothing.
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def _check(work: WorkConfig) -> None:
    if importlib.util.find_spec("ray") is None:
        raise UserError("engine: 'ray' needs Ray, which is not installed: pip install 'robusteval[ray]'")
    address = _address(work)
    host, _, port = address.rpartition(":")
    if address in ("", "auto"):
        return
    if not host or not port.isdigit():
        raise UserError(f"address: {address!r} is no HOST:PORT of a Ray cluster, nor 'auto'")
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(HELLO)
            answer = connection.recv(9)
    except (OSError, OverflowError) as error:
        answer, reason = b"", str(getattr(error, "strerror", None) or error)
    else:
        reason = "something else is there"
    if answer[3:4] != b"\x04":  # settings, with which a server of HTTP/2 begins
        raise UserError(f"address: no Ray answers at {address!r}: {reason}; 'ray start --head' begins one")


def _address(work: WorkConfig) -> str:
    return work.address or os.environ.get("RAY_ADDRESS", "")


def _open(work: WorkConfig, jobs: Sequence[Job], count: int, data: Rows) -> Places:
    return _Tasks(work)


ENGINE = Engine(_check, _open)


class _Tasks(Places):
    """Tasks of a cluster, which is left as it was found, and ended where it was begun here."""

    def __init__(self, work: WorkConfig) -> None:
        self._cores = work.threads or 1
        self._work = dataclasses.replace(work, quiet=True, threads=self._cores)
        self._running: dict[Any, Job] = {}
        self._shares: dict[Hashable, float] = {}
        self._looked, self._most = 0.0, 0

    def __enter__(self) -> _Tasks:
        import ray

        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(self._work)
        self._gpus = ray.cluster_resources().get("GPU", 0) > 0 and self._work.device in ("auto", "cuda")
        # a run that is lost may have been the cause, so that it is not for Ray to begin it again
        self._task = ray.remote(max_retries=0, max_calls=1 if self._gpus else 0)(_attempt)
        return self

    def __exit__(self, *error: object) -> None:
        import ray

        for task in self._running:
            ray.cancel(task, force=True)
        if self._ours:
            ray.shutdown()

    def room(self, job: Job) -> bool:
        import ray

        if not self._most or time.monotonic() - self._looked > LOOK_EVERY:
            self._looked = time.monotonic()
            # one at least, for which a cluster that grows as it is needed has to grow
            self._most = max(1, int(ray.cluster_resources().get("CPU", 0) // self._cores))
        return len(self._running) < self._most

    def begin(self, job: Job) -> None:
        gpus = self._shares.get(kind_of(job), 1) if self._gpus else 0
        task = self._task.options(num_cpus=self._cores, num_gpus=gpus, name=job.title)
        self._running[task.remote(job, self._work, os.getcwd())] = job

    def ended(self, seconds: float) -> list[tuple[Job, End]]:
        import ray

        ready, _ = ray.wait(list(self._running), timeout=seconds)
        return [self._ended(task) for task in ready]

    def _ended(self, task: Any) -> tuple[Job, End]:
        import ray
        from ray import exceptions

        job = self._running.pop(task)
        try:
            end = ray.get(task)
        except exceptions.OutOfMemoryError:
            return job, End("memory", "Ray ended its process, because its node was running out")
        except exceptions.RayTaskError as error:  # before the run began, as where this package is not installed
            return job, End("failed", f"on its node: {first_line(error.cause)}")
        except exceptions.RayError as error:
            return job, End("lost", type(error).__name__)
        if end.peak:
            self._shares[kind_of(job)] = share(end.peak, end.size)
        return job, end


def share(peak: int, size: int) -> float:
    """The share of a device that is kept for a run like one that took `peak` of its `size` bytes."""
    return min(1.0, math.ceil(100 * (MARGIN * peak + CONTEXT) / (USABLE * size)) / 100)


def _connect(work: WorkConfig) -> None:
    """Connect to the cluster, or begin one on this machine; signals are left as they were."""
    import ray

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    # nothing large is handed around: rows and models are read from files
    own = {"include_dashboard": False, "object_store_memory": 100 * 2**20}
    address = _address(work)
    try:
        ray.init(address or "local", logging_level=logging.ERROR, log_to_driver=False, **({} if address else own))
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = f"answers at {address!r}" if address else "can be begun here"
        raise UserError(f"address: no Ray {where}: {first_line(error)}") from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _attempt(job: Job, work: WorkConfig, folder: str) -> End:
    """In a worker of the cluster. folder: that of the command, for places that are named from there."""
    from robusteval.experiments.attempt import attempt_in_worker

    with suppress(OSError):
        os.chdir(folder)
    return attempt_in_worker(job, work)
