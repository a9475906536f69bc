"""Tasks that are declared elsewhere: in a file of the user's own, or in an installed package."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np

from robusteval.errors import UserError, describe_error, unknown_name
from robusteval.registry import CustomEntry
from robusteval.results.metrics import METRICS, score
from robusteval.tasks.base import Task


def accepted(entry: CustomEntry) -> Task:
    """The task that an entry of others declares, under the entry's name; UserError where it cannot be used.

    It is a Task or a function that returns one. The function that makes its rows is looked at whenever it is called.
    """
    found = entry.found()
    if callable(found):
        try:
            found = found()
        except Exception as error:  # code of others may raise anything
            raise entry.wrong(f"{entry.attribute}() failed: {entry.described(error)}") from error
    if not isinstance(found, Task):
        raise entry.wrong(f"{entry.attribute} is neither a {Task.__module__}.Task nor a function that returns one")
    _check(entry, found)
    generator = _guarded(entry, found) if found.generator else ""
    return dataclasses.replace(found, name=entry.name, folder=found.folder or found.name, generator=generator)


def _check(entry: CustomEntry, task: Task) -> None:
    for field in ("text_columns", "labels", "metrics"):
        values = getattr(task, field)
        if not isinstance(values, tuple) or not all(isinstance(each, str) and each for each in values):
            raise entry.wrong(f"its {field} {values!r} are not a tuple of names")
        if len(set(values)) < len(values):
            raise entry.wrong(f"its {field} name one twice: {', '.join(values)}")
    if len(task.text_columns) not in (1, 2):
        raise entry.wrong(f"it has {len(task.text_columns)} text columns; a model reads one text or two")
    if len(task.labels) == 1:
        raise entry.wrong(f"it has one class, {task.labels[0]!r}; a classifier needs two, and scores need none")
    if not task.metrics:
        raise entry.wrong("it has no metrics; the first is the one that models are compared by")
    scores = np.arange(3, dtype=np.float32)
    gold = np.arange(task.num_labels) if task.labels else scores
    logits = np.eye(task.num_labels, dtype=np.float32) if task.labels else scores[:, None]
    known = [metric.name for metric in METRICS.values() if metric.function is not None]
    for name in task.metrics:
        if name not in known:
            raise unknown_name(f"{entry.kind} {entry.name!r}: metrics", name, known)
        try:
            score([name], gold, logits, regression=task.regression)
        except ValueError as error:
            what = f"{task.num_labels} classes" if task.labels else "scores"
            raise entry.wrong(f"its metric {name!r} does not measure {what} ({error})") from error


def _guarded(entry: CustomEntry, task: Task) -> Any:
    made = task.generator
    if isinstance(made, str):
        module, _, name = made.partition(":")
        try:
            made = getattr(importlib.import_module(module), name)
        except Exception as error:  # code of others may raise anything
            told = describe_error(error)
            raise entry.wrong(f"its generator {task.generator!r} cannot be imported: {told}") from error

    def rows(name: str, split: str, *, cue: float) -> Any:
        try:
            found = made(task.name, split, cue=cue)
            return found if hasattr(found, "columns") else list(found)
        except UserError:
            raise
        except Exception as error:  # code of others may raise anything
            raise entry.wrong(f"its generator failed on the split {split!r}: {entry.described(error)}") from error

    return rows
