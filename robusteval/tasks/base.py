"""What a task is: its text columns, its labels, its metrics, and where each split comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError, unknown_name


@dataclass(frozen=True)
class Transfer:
    """Rows of a registered task that a model trained on another one is tested on (see `docs/tasks.md`).

    task, split: whose rows; by default its dev split.
    labels: class of the trained task -> class of this one; empty where both have the same classes by name.
    in_domain: the rows are like the training rows, so averages over out-of-domain sets leave them out.
    """

    task: str
    split: str = ""
    labels: Mapping[str, str] = field(default_factory=dict, hash=False)
    in_domain: bool = False


@dataclass(frozen=True)
class Task:
    """A declaration; adding a task is writing one of these down (see `docs/tasks.md`).

    labels: class names in the order of the integer labels in the data; empty for regression.
    score_range: lowest and highest valid score of a regression task.
    metrics: every metric the papers use for the task; the first is the primary one.
    train, dev: split names as the hub spells them; out_of_domain: the split with other text, if any.
    adversarial: registered tasks whose dev splits attack this one (AdvGLUE).
    transfers: other tasks' rows that a model trained on this one is tested on.
    perturbable: text columns that perturbations and attacks may change, where it is not all of them.
    separator: what joins the strings of a text cell that holds a list of them; without it such a cell is an error.
    values: label value in the data -> class, where the data calls it otherwise (`--label-map`).
    outputs: the class that each output of a checkpoint answers; empty where the names of its outputs say so.
    drop_unlabelled: leave rows without a gold label (-1 or "-") out, with a notice; otherwise they are an error.
    folder: the task's folder in a local family folder, where it is not the task's name.
    hub: repository on the hub, with `config` inside it; empty for tasks that are not there.
    generator: what makes the rows, where they come from no file: a function, or "module:function", that is called with
        the task's name, a split's name and cue=, the strength of the spurious cue, and gives rows or a data frame.
    """

    name: str
    family: str
    text_columns: tuple[str, ...]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    label_column: str = "label"
    score_range: tuple[float, float] | None = None
    train: str = "train"
    dev: str = "validation"
    out_of_domain: str | None = None
    adversarial: tuple[str, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    perturbable: tuple[str, ...] = ()
    separator: str = ""
    values: Mapping[str, str] = field(default_factory=dict, hash=False)
    outputs: tuple[str, ...] = ()
    drop_unlabelled: bool = False
    folder: str = ""
    hub: str = ""
    config: str = ""
    generator: str | Callable[..., Any] = ""

    @property
    def regression(self) -> bool:
        return not self.labels

    @property
    def num_labels(self) -> int:
        return len(self.labels) or 1

    @property
    def primary(self) -> str:
        return self.metrics[0]

    def changeable(self, columns: Sequence[str] = ()) -> tuple[str, ...]:
        """The text columns that perturbations and attacks may change: those asked for, else all that are open.

        Raises UserError for a column that the task lacks or protects.
        """
        allowed = self.perturbable or self.text_columns
        for name in columns:
            if name not in self.text_columns:
                raise unknown_name("columns", name, self.text_columns)
            if name not in allowed:
                raise UserError(f"columns: {name!r} of {self.name!r} must stay as it is; valid: {', '.join(allowed)}")
        return tuple(name for name in self.text_columns if name in (columns or allowed))


@dataclass(frozen=True)
class Examples:
    """One split in memory.

    texts: one tuple of strings per text column, all of the same length.
    labels: int64 class indices, or float32 scores for regression.
    ids: a stable name for each row; results on disk refer to it.
    fingerprint: sha256 over texts and labels, as hexadecimal.
    source: where the rows came from and how many were left out, for the record.
    """

    texts: tuple[tuple[str, ...], ...]
    labels: npt.NDArray[np.generic]
    ids: tuple[str, ...]
    fingerprint: str
    source: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> Examples:
        """The given rows, in the given order, with a fingerprint of their own."""
        chosen = [int(row) for row in rows]
        texts = tuple(tuple(column[row] for row in chosen) for column in self.texts)
        labels = self.labels[chosen]
        return Examples(texts, labels, tuple(self.ids[row] for row in chosen), fingerprint(texts, labels), self.source)

    def text(self, row: int) -> tuple[str, ...]:
        """The text of one row: one string per text column."""
        return tuple(column[row] for column in self.texts)


def fingerprint(texts: Sequence[Sequence[str]], labels: npt.NDArray[np.generic]) -> str:
    """sha256 over texts and labels, row by row; the same rows give the same fingerprint everywhere."""
    digest = hashlib.sha256()
    for *row, label in zip(*texts, labels.tolist(), strict=True):
        for part in row:
            data = part.encode()
            digest.update(len(data).to_bytes(8, "big") + data)
        digest.update(repr(label).encode())
    return digest.hexdigest()
