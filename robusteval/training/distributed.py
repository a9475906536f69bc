"""Several processes that train one model together: each has its rows of every batch, and all take the same steps.

Each process holds the whole model and sees the whole batch, of which it works on its rows. Gradients are added up
once a step, after the backward passes: methods run several of them, act on submodules and change `.grad`, which
DistributedDataParallel's hooks would not see through. Whatever may fail in one process alone is told to all, so that
all raise at the same place; what cannot be told any more ends all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from robusteval.errors import UserError, first_line
from robusteval.methods.base import Method, Part
from robusteval.runtime import launch

T = TypeVar("T")

# Others may wait as long as the main process evaluates; a process that dies is noticed at once.
PATIENCE = timedelta(days=7)
# Entries that are added up in one message.
BUCKET = 1 << 23
POLL = 0.05
ENDED = "another process of this training ended; the same command continues where it stopped"


class Group:
    """The processes that train one model; one process alone is a group in which nothing needs to be said.

    rank: of this process, counted from 0, the main one, which alone writes, prints and evaluates. size: how many.
    store: where the main process leaves word for the others, of processes that a launcher started.
    lost: the processes are no longer at the same place, after an error in one of them: nothing more can be done.
    """

    def __init__(self, rank: int = 0, size: int = 1, store: Any = None) -> None:
        self.rank, self.size, self._store = rank, size, store
        self.lost = False
        self._known: Exception | None = None
        self._sent = 0
        # what lies on the CPU is exchanged over gloo, also where the process group in use has NCCL alone
        self._cpu: Any = None
        if size > 1 and "gloo" not in str(dist.get_backend_config()):
            self._cpu = dist.new_group(backend="gloo", timeout=PATIENCE)

    @property
    def main(self) -> bool:
        return self.rank == 0

    def check(self, device: torch.device, method: Method[Any]) -> None:
        """Raise UserError where several processes cannot train with this method, or this one has no such device."""
        if self.size == 1:
            return
        launch.check_launch(str(device))
        if device.type == "cuda" and launch.local_place() >= torch.cuda.device_count():
            raise UserError(
                f"device: process {launch.local_place()} of this machine has no GPU of its own, since there are "
                f"{torch.cuda.device_count()}; start as many processes, or give --device cpu"
            )
        if method.alone:
            raise UserError(f"{method.name}: {method.alone}; train with one process")

    # ---- rows and numbers ------------------------------------------------------------------------

    def part(self, rows: int) -> Part | None:
        """This process's rows of a micro-batch, of like number in all processes; None for one process alone."""
        if self.size == 1:
            return None
        each, more = divmod(rows, self.size)
        return Part(tuple(each + (place < more) for place in range(self.size)), self.rank)

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Put the sum over all processes into each tensor; every process gives tensors of the same shapes."""
        if self.size == 1:
            return
        for bucket in _buckets(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            self.total(flat)
            totals = torch.split(flat, [tensor.numel() for tensor in bucket])
            for tensor, total in zip(bucket, totals, strict=True):
                tensor.copy_(total.view_as(tensor))

    def total(self, tensor: Tensor) -> None:
        """Put the sum over all processes into one tensor."""
        self._tell(dist.all_reduce, tensor, group=self._over(tensor))

    def mean(self, numbers: Mapping[str, Tensor], part: Part | None) -> dict[str, Tensor]:
        """Scalars of all processes, each counted by its rows."""
        if part is None or not numbers:
            return dict(numbers)
        total = torch.stack([number.detach().float() for number in numbers.values()]) * part.share
        self.total(total)
        return dict(zip(numbers, total, strict=True))

    def gather(self, values: Tensor, part: Part) -> Tensor:
        """All rows of a micro-batch, in their order, from each process's own; see `Context.gather`."""
        gathered: Tensor = _Gather.apply(values, part, self)  # type: ignore[no-untyped-call]  # torch's
        return gathered

    def rows(self, values: Tensor, part: Part) -> Tensor:
        """The same without a gradient."""
        padded = values.new_zeros(max(part.counts), *values.shape[1:])
        own = part.counts[self.rank]
        padded[:own] = values[:own]
        found = [torch.empty_like(padded) for _ in part.counts]
        self._tell(dist.all_gather, found, padded, group=self._over(padded))
        return torch.cat([each[:count] for each, count in zip(found, part.counts, strict=True)])

    # ---- agreement -------------------------------------------------------------------------------

    def any(self, *wishes: bool) -> tuple[bool, ...]:
        """For each wish, whether some process has it."""
        if self.size == 1:
            return wishes
        flags = torch.tensor(wishes, dtype=torch.int32)
        self._tell(dist.all_reduce, flags, op=dist.ReduceOp.MAX, group=self._cpu)
        return tuple(map(bool, flags.tolist()))

    def all_of(self, value: T) -> list[T]:
        """The value of each process, in their order."""
        values = [value] * self.size
        if self.size > 1:
            self._tell(dist.all_gather_object, values, value, group=self._cpu)
        return values

    def from_main(self, function: Callable[[], T]) -> T:
        """What the main process gets of `function`, which it alone calls; UserError in all where it raises."""
        if self.size == 1:
            return function()
        said: list[Any] = [None, None]
        error: Exception | None = None
        if self.main:
            try:
                said[0] = function()
            except Exception as raised:  # told to the others, and raised again
                error, said[1] = raised, _told(raised)
        self._tell(dist.broadcast_object_list, said, src=0, group=self._cpu)
        if error is not None:
            self._known = error
            raise error
        if said[1] is not None:
            raise UserError(said[1])
        result: T = said[0]
        return result

    @contextmanager
    def together(self) -> Iterator[None]:
        """What fails inside, where nothing is exchanged, fails for all: UserError where it was another process."""
        error: Exception | None = None
        try:
            yield
        except Exception as raised:  # told to the others, and raised again
            error = raised
        said = self.all_of(None if error is None else _told(error))
        if error is not None:
            self._known = error
            raise error
        for rank, message in enumerate(said):
            if message is not None:
                raise UserError(f"process {rank}: {message}")

    @contextmanager
    def joint(self) -> Iterator[None]:
        """A training of all processes; they are lost to each other where an error comes that was not told to all."""
        if self.lost:
            raise UserError(ENDED)
        try:
            yield
        except UserError:
            # raised by all alike
            raise
        except Exception as error:
            self.lost = self.lost or error is not self._known
            raise
        finally:
            self._known = None

    def agree(self, state: Any) -> None:
        """Make every tensor in this tree of dicts, lists and tuples what it is in the main process."""
        if self.size == 1:
            return
        for tensor in _tensors(state):
            raw = tensor.contiguous()
            sent = raw.view(torch.uint8) if raw.dtype == torch.bool else raw
            self._tell(dist.broadcast, sent, src=0, group=self._over(raw))
            tensor.copy_(raw)

    def check_alike(self, parameters: Sequence[Tensor]) -> None:
        """Raise UserError unless these weights are bit for bit the same in all processes."""
        if self.size == 1:
            return
        sums = [p.detach().contiguous().view(-1).view(torch.uint8).sum(dtype=torch.int64) for p in parameters]
        found = self.all_of(torch.stack(sums).tolist())
        if any(each != found[0] for each in found):
            raise UserError(
                "launch: the processes no longer hold the same weights, since the method does something else in "
                "each; train with one process"
            )

    # ---- the main process and those that wait for it ------------------------------------------------

    def send(self, job: Any) -> None:
        """Have the others get this from `receive`, or the same error as here."""
        if self.lost:
            raise UserError(ENDED)
        self._store.set(f"robusteval/{self._sent}", "job")
        self._sent += 1
        self.from_main(lambda: job)

    def part_ways(self, *, wait: bool) -> None:
        """Have the others get None: nothing more comes. wait: for them to know, as the store may end with this one."""
        self._store.set(f"robusteval/{self._sent}", "end")
        if wait and not self.lost:
            with suppress(RuntimeError):
                self._store.wait([f"robusteval/ended/{rank}" for rank in range(1, self.size)], timedelta(seconds=10))

    def receive(self) -> Any:
        """What the main process sends next, however long that takes. A signal ends the waiting."""
        key = f"robusteval/{self._sent}"
        try:
            while not self._store.check([key]):
                time.sleep(POLL)
            self._sent += 1
            if self._store.get(key) == b"end":
                self._store.set(f"robusteval/ended/{self.rank}", "")
                return None
        except RuntimeError as error:
            raise UserError(ENDED) from error
        return self.from_main(lambda: None)

    def _over(self, tensor: Tensor) -> Any:
        """The process group that exchanges tensors of this device; None is the default one."""
        return self._cpu if tensor.device.type == "cpu" else None

    def _tell(self, operation: Callable[..., Any], *values: Any, **options: Any) -> None:
        """Exchange something with all processes; UserError where one of them is gone."""
        try:
            operation(*values, **options)
        except RuntimeError as error:
            self.lost = True
            raise UserError(ENDED) from error


class _State:
    """Of the whole process, as torch's process group is."""

    group: Group | None = None


def group() -> Group:
    """The processes that train together with this one: those of a launcher, or of torch.distributed where it is in use.

    UserError where a launcher asks for what does not work here.
    """
    in_use = dist.is_available() and dist.is_initialized()
    if not in_use and launch.launched() == 1:
        return Group()
    if not in_use:
        _State.group = _started()
    elif _State.group is None:
        _State.group = Group(dist.get_rank(), dist.get_world_size())
    return _State.group


def _started() -> Group:
    """Meet the others that the launcher started."""
    from torch.distributed.rendezvous import rendezvous

    launch.check_launch("auto")
    cuda = torch.cuda.is_available()
    if cuda and launch.local_place() < torch.cuda.device_count():
        torch.cuda.set_device(launch.local_place())
    store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
    backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    return Group(rank, size, store)


class _Gather(torch.autograd.Function):
    """All rows from each process's own; backwards, the gradients of all processes for one's own rows."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, part: Part, among: Group) -> Tensor:
        ctx.part, ctx.among = part, among
        return among.rows(values.detach(), part)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        part: Part = ctx.part
        total = (gradients[0] * part.counted).contiguous()
        ctx.among.total(total)
        return total[part.rows] * part.counted, None, None


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in their order, those of a kind together up to the size of one message."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        full = sum(each.numel() for each in bucket) + tensor.numel() > BUCKET
        if bucket and (full or (tensor.dtype, tensor.device) != (bucket[0].dtype, bucket[0].device)):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping | list | tuple):
        for each in state.values() if isinstance(state, Mapping) else state:
            yield from _tensors(each)


def _told(error: Exception) -> str:
    """An error in a sentence, for the processes in which it did not happen."""
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {first_line(error)}"
