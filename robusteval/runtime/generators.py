"""torch's generators of random numbers, and the global ones of a process, which are given back as they were found."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from robusteval.runtime.seeds import derive


def torch_generator(device: torch.device, seed: int, *names: object) -> torch.Generator:
    """As `seeds.numpy_generator`, on a device."""
    generator = torch.Generator(device=device)
    generator.manual_seed(derive(seed, *names))
    return generator


@contextmanager
def forked(device: torch.device | None = None, seed: int | None = None) -> Iterator[None]:
    """Put torch's global generators, that of the CPU and that of `device`, back after the block; seeded where told to.

    Cheap enough for every step; `preserved` is for all the global generators of a process.
    """
    devices = [device] if device is not None and device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        if seed is not None:
            torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class RandomStates:
    """The global states of random, numpy and torch (and of its CUDA devices where they are in use)."""

    python: Any
    numpy: Any
    torch_cpu: torch.Tensor
    torch_cuda: list[torch.Tensor] | None

    @classmethod
    def now(cls) -> RandomStates:
        used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]  # torch's
        cuda = torch.cuda.get_rng_state_all() if used else None
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda)

    def restore(self) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
        torch.set_rng_state(self.torch_cpu)
        if self.torch_cuda:
            torch.cuda.set_rng_state_all(self.torch_cuda)


def seed_all(seed: int) -> None:
    """Seed the global generators of random, numpy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def preserved() -> Iterator[None]:
    """Leave the global states of random, numpy and torch as they were found."""
    states = RandomStates.now()
    try:
        yield
    finally:
        states.restore()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators with `seed` inside the block; restore them after it."""
    with preserved():
        seed_all(seed)
        yield
