"""Which accelerator a run is done on: several at a time on one, where what such runs took before fits together."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robusteval.errors import UserError

if TYPE_CHECKING:
    from robusteval.experiments.jobs import Job

# What of a device's memory is given to runs; and how much more than another one of its kind a run may take: its
# batches are others, and what the allocator keeps in pieces is not counted.
USABLE, MARGIN = 0.95, 1.15
# Bytes that a process has on a device beside its tensors: the driver's context and the kernels.
CONTEXT = 700 * 2**20


def kind_of(job: Job) -> Hashable:
    """What runs have in common that take the same memory."""
    spec = job.spec
    return spec.model, spec.model_revision, spec.task, spec.method.label, repr(spec.train)


class Packing:
    """The runs under way on each device.

    sizes: free bytes of each device by name; 0 for one whose memory is not counted, which takes any number of runs.
    A run of a kind that was not measured yet has a device for itself.
    """

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._sizes = dict(sizes)
        self._peaks: dict[Hashable, int] = {}
        self._on: dict[str, list[Hashable]] = {device: [] for device in sizes}

    def measured(self, kind: Hashable, peak: int) -> None:
        """A run of this kind took `peak` bytes; the most that one took is what counts."""
        if peak:
            self._peaks[kind] = max(peak, self._peaks.get(kind, 0))

    def knows(self, kind: Hashable) -> bool:
        return kind in self._peaks

    def device(self, kind: Hashable) -> str | None:
        """Where such a run can begin now, the emptiest first; None where nowhere."""
        free = {device: self._left(device) for device, size in self._sizes.items() if size}
        uncounted = [device for device, size in self._sizes.items() if not size]
        if uncounted:
            return min(uncounted, key=lambda device: len(self._on[device]))
        fits = [device for device, left in free.items() if not self._on[device] or left >= self._need(kind, device)]
        return max(fits, key=lambda device: free[device], default=None)

    def enter(self, device: str, kind: Hashable) -> None:
        self._on[device].append(kind)

    def leave(self, device: str, kind: Hashable) -> None:
        self._on[device].remove(kind)

    def _left(self, device: str) -> float:
        return USABLE * self._sizes[device] - sum(self._need(kind, device) for kind in self._on[device])

    def _need(self, kind: Hashable, device: str) -> float:
        """Bytes that are kept for a run: all of the device where it is not known."""
        return MARGIN * self._peaks[kind] + CONTEXT if kind in self._peaks else self._sizes[device]


def packed(sizes: Mapping[str, int], jobs: Sequence[Job], out: Path) -> Packing:
    """Of these devices, with the peaks of the runs that are finished."""
    packing = Packing(sizes)
    for job in jobs if any(sizes.values()) else ():
        if not packing.knows(kind_of(job)) and job.done(out):
            packing.measured(kind_of(job), peak_of(job, out))
    return packing


def peak_of(job: Job, out: Path) -> int:
    """Bytes that training took at its peak; 0 where a finished run cannot say it."""
    try:
        rows = job.folder(out).rows()
    except UserError:  # which is told where the run is reported
        return 0
    return max((round(row.value * 2**20) for row in rows if row.metric == "peak_memory_mb"), default=0)
