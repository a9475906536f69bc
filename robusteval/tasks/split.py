"""A dev split from the training file: the same rows for every seed and method."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError
from robusteval.runtime.seeds import numpy_generator
from robusteval.tasks.base import Examples, Task

IntArray = npt.NDArray[np.int64]


def split_off(examples: Examples, share: float, task: Task, field: str = "dev_share") -> tuple[Examples, Examples]:
    """Rows to train on, and about `share` of the rows, of each class alike, to evaluate on; both in their old order.

    Rows with the same texts stay together, so that none is trained on and tested. Scores are not stratified.
    field: the setting that asks for it. Raises UserError where one side would be empty.
    """
    dev = np.zeros(len(examples), bool)
    groups = _same_texts(examples)
    classes = np.zeros(len(examples), np.int64) if task.regression else examples.labels.astype(np.int64)
    first = {group: row for row, group in reversed(list(enumerate(groups.tolist())))}
    sizes = np.bincount(groups)
    generator = numpy_generator(0, field)
    for label in np.unique(classes).tolist():
        mine = np.asarray([group for group, row in first.items() if classes[row] == label], np.int64)
        mine = generator.permutation(np.sort(mine))
        wanted = round(share * int(sizes[mine].sum()))
        # a group goes over where half of it or more still fits
        taken = mine[np.cumsum(sizes[mine]) - sizes[mine] / 2 <= wanted] if wanted else mine[:0]
        dev |= np.isin(groups, taken)
    if not dev.any() or dev.all():
        left = "none" if dev.all() else "all"
        raise UserError(f"{field}: {share:g} of {len(examples)} rows leaves {left} to train on")
    return examples.take(np.flatnonzero(~dev)), examples.take(np.flatnonzero(dev))


def _same_texts(examples: Examples) -> IntArray:
    """A number for each row, the same for rows with the same texts whatever their capitals and spaces [n]."""
    known: dict[tuple[str, ...], int] = {}
    rows = (tuple(" ".join(text.split()).casefold() for text in row) for row in zip(*examples.texts, strict=True))
    return np.asarray([known.setdefault(row, len(known)) for row in rows], np.int64)
