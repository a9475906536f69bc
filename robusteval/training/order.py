"""The order of training examples: a pure function of the seed, so that any step can be resumed from its number."""

from __future__ import annotations

import copy
import math

import numpy as np
import numpy.typing as npt

from robusteval.runtime.seeds import numpy_generator

POOL = 50


class BatchOrder:
    """Which rows form the batch of each optimizer step.

    Every epoch is a fresh permutation. With `bucket`, pools of 50 batches are sorted by length before they are
    cut into batches, and the batches are shuffled: little padding, and still a new composition each epoch.
    The last batch of an epoch may be smaller; no row is dropped or repeated.
    With `weights` [n] an epoch is n rows drawn with replacement instead, each row with a chance in proportion.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.int64],
        batch_size: int,
        seed: int,
        *,
        bucket: bool = True,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self._lengths, self._batch_size = lengths, batch_size
        self._seed, self._bucket = seed, bucket
        self._chances = weights / weights.sum() if weights is not None else None
        self.steps_per_epoch = math.ceil(len(lengths) / batch_size)
        self._epoch = -1
        self._batches: list[npt.NDArray[np.int64]] = []

    def of_seed(self, seed: int) -> BatchOrder:
        """The same rows in the order of another seed."""
        other = copy.copy(self)
        other._seed, other._epoch = seed, -1
        return other

    def __getitem__(self, step: int) -> npt.NDArray[np.int64]:
        """The rows of optimizer step `step`, counted from 0 over all epochs."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self.epoch(epoch)
        return self._batches[position]

    def epoch(self, epoch: int) -> list[npt.NDArray[np.int64]]:
        """All batches of one epoch, in order."""
        generator = numpy_generator(self._seed, "order", epoch)
        count = len(self._lengths)
        if self._chances is None:
            order = generator.permutation(count)
        else:
            order = generator.choice(count, count, p=self._chances)
        size = self._batch_size
        if not self._bucket:
            return [order[start : start + size] for start in range(0, len(order), size)]
        batches = []
        for start in range(0, len(order), size * POOL):
            pool = order[start : start + size * POOL]
            pool = pool[np.argsort(-self._lengths[pool], kind="stable")]
            batches += [pool[first : first + size] for first in range(0, len(pool), size)]
        return [batches[index] for index in generator.permutation(len(batches))]

    def total_steps(self, epochs: float, max_steps: int | None) -> int:
        """Optimizer steps of a whole training run."""
        return max_steps if max_steps is not None else math.ceil(epochs * self.steps_per_epoch)
