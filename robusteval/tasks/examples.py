"""From a table of rows to checked examples: every mistake in the data is found before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.errors import UserError, nearest
from robusteval.tasks.base import Examples, Task, fingerprint
from robusteval.tasks.table import typed

# how the hub's versions and the raw files of inference sets mark a row on whose label the annotators did not agree
NO_GOLD = ("-1", "-")


def examples_from_frame(
    frame: pd.DataFrame, task: Task, split: str, source: Mapping[str, str] | None = None
) -> Examples:
    """Check the rows of one split and convert them.

    Raises UserError that names split, column and value for: no rows, a missing column, text that is not a
    string or is empty, an unlabelled split, a label out of range, a score that is not a number. Where the task
    drops rows without a gold label, the number of those is in the source record as "unlabelled".
    """
    where = f"{task.name} {split}"
    if len(frame) == 0:
        raise UserError(f"{where}: there are no rows")
    for column in (*task.text_columns, task.label_column):
        if column not in frame.columns:
            have = [str(name) for name in frame.columns]
            close = nearest(column, have, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(have)}"
            raise UserError(f"{where}: there is no column {column!r}; {_separator(have) or hint}")
    record = {**(source or {}), "split": split}
    frame = frame.reset_index(drop=True)
    label_where = f"{where}: column {task.label_column!r}"
    if task.drop_unlabelled:
        labelled = _labelled(frame[task.label_column], label_where)
        if not labelled.all():
            record["unlabelled"] = str(int((~labelled).sum()))
            frame = frame[labelled]
    texts = tuple(_texts(frame[column], task.separator, f"{where}: column {column!r}") for column in task.text_columns)
    values = typed(frame, task.label_column)
    labels = _scores(values, task, label_where) if task.regression else _classes(values, task, label_where)
    ids = tuple(str(value) for value in (frame["idx"] if _unique(frame, "idx") else frame.index))
    return Examples(texts, labels, ids, fingerprint(texts, labels), record)


def _labelled(column: pd.Series[Any], where: str) -> npt.NDArray[np.bool_]:
    """True at rows that have a gold label; UserError where none has."""
    labelled = np.asarray([label_name(value) not in NO_GOLD for value in column.tolist()], bool)
    if not labelled.any():
        raise UserError(f"{where}: the split is unlabelled (no row has a gold label)")
    return labelled


def _separator(columns: list[str]) -> str:
    """What a single column whose name holds a separator gives away."""
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(columns) == 1 and mark in columns[0]:
            return f"its columns seem to be separated by {name}, and .csv means commas (.tsv means tabs)"
    return ""


def _unique(frame: pd.DataFrame, column: str) -> bool:
    return column in frame.columns and frame[column].is_unique


def _texts(column: pd.Series[Any], separator: str, where: str) -> tuple[str, ...]:
    texts = []
    for row, value in zip(column.index, column.tolist(), strict=True):
        if separator and isinstance(value, list | tuple | np.ndarray) and all(isinstance(each, str) for each in value):
            value = separator.join(value)
        if not isinstance(value, str):
            nothing = value is None or value != value
            raise UserError(
                f"{where}: row {row} " + ("is missing" if nothing else f"holds {value!r}, which is not text")
            )
        if not value.strip():
            raise UserError(f"{where}: row {row} is empty text")
        texts.append(value)
    return tuple(texts)


def _scores(column: pd.Series[Any], task: Task, where: str) -> npt.NDArray[np.float32]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        raise UserError(
            f"{where}: row {column.index[bad[0]]} holds {column.tolist()[bad[0]]!r}, which is not a finite score"
        )
    if task.score_range:
        low, high = task.score_range
        bad = np.flatnonzero((numbers < low) | (numbers > high))
        if len(bad):
            raise UserError(
                f"{where}: row {column.index[bad[0]]} holds {numbers[bad[0]]:g}, outside {low:g} to {high:g}"
            )
    return numbers.astype(np.float32)


def _classes(column: pd.Series[Any], task: Task, where: str) -> npt.NDArray[np.int64]:
    """Class indices from the task's label names, or from integers where the data is numbered.

    A file of the user's own names its classes by its label values, so a number there is a name and no index.
    """
    index_of = {name: index for index, name in enumerate(task.labels)}
    generic = all(name == f"LABEL_{index}" for index, name in enumerate(task.labels))
    values = column.tolist()
    names = [label_name(value) for value in values]
    numbered = (task.family != "file" or generic) and not any(name in index_of for name in names)
    if numbered and all(name == "-1" for name in names):
        raise UserError(f"{where}: the split is unlabelled (every label is -1)")
    if numbered:
        index_of = {str(index): index for index in range(task.num_labels)}
        valid = f"valid: 0 to {task.num_labels - 1} ({', '.join(task.labels)})"
    else:
        valid = f"valid: {', '.join(repr(name) for name in task.labels[:20])}"
    for row, value, name in zip(column.index, values, names, strict=True):
        if name not in index_of:
            close = [] if numbered else nearest(name, index_of, 1)
            hint = f"did you mean {close[0]!r}?" if close else valid
            raise UserError(f"{where}: row {row} holds the label {value!r}; {hint}")
    return np.asarray([index_of[name] for name in names], np.int64)


def label_name(value: Any) -> str:
    """A label value as the name of its class: 1, 1.0 and "1" are the same class."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def task_from_frame(
    frame: pd.DataFrame, name: str, text_columns: tuple[str, ...], label_column: str, label_type: str
) -> Task:
    """A task for the user's own file: classes from strings, integers or booleans, scores from other numbers.

    Class names are the distinct label values in sorted order; label_type "class" or "score" decides by hand.
    """
    check_columns(text_columns, label_column)
    if len(frame) == 0:
        raise UserError("train_file: there are no rows")
    if label_column not in frame.columns:
        have = [str(column) for column in frame.columns]
        close = nearest(label_column, have, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"the file has {', '.join(have)}"
        hint = _separator(have) or hint
        raise UserError(f"label_column: the training file has no column {label_column!r}; {hint}")
    column = typed(frame, label_column)
    scores = label_type == "score" or (label_type == "auto" and _looks_like_scores(column))
    if scores:
        return Task(name, "file", text_columns, (), ("spearman", "pearson"), label_column=label_column)
    values = [value if isinstance(value, str) else label_name(value) for value in column.tolist()]
    missing = [row for row, value in enumerate(values) if value in ("", "nan", "None", "<NA>")]
    if missing:
        raise UserError(f"{name} train: column {label_column!r}: row {missing[0]} has no label")
    names = sorted(set(values), key=_label_order)
    if len(names) < 2:
        raise UserError(f"label_column: {label_column!r} holds {len(names)} distinct label; two are needed")
    if len(names) > max(200, len(values) // 2):
        raise UserError(
            f"label_column: {label_column!r} holds {len(names)} distinct values; for scores say --label-type score"
        )
    return Task(name, "file", text_columns, tuple(names), ("accuracy", "macro_f1"), label_column=label_column)


def check_columns(text_columns: tuple[str, ...], label_column: str) -> None:
    """Raise UserError unless these are one or two different text columns, none of them the label's."""
    if not 1 <= len(text_columns) <= 2:
        raise UserError(f"text_columns: one or two are needed, not {len(text_columns)}")
    if len(set(text_columns)) < len(text_columns):
        raise UserError(f"text_columns: {text_columns[0]!r} is given twice")
    if label_column in text_columns:
        raise UserError(f"text_columns: {label_column!r} is the label column; the model would read the answer")


def _label_order(name: str) -> tuple[bool, int, str]:
    """Numbers by value, then other names by spelling."""
    number = name.lstrip("-").isdigit()
    return not number, int(name) if number else 0, name


def _looks_like_scores(column: pd.Series[Any]) -> bool:
    """Mostly numbers, some of them with a fraction; one bad cell must not turn scores into classes."""
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    return len(finite) > len(numbers) / 2 and bool(np.any(finite != np.floor(finite)))
