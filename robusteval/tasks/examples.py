"""From a table of rows to checked examples: every mistake in the data is found before anything is trained."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.errors import UserError, nearest
from robusteval.settings.data import DataConfig
from robusteval.settings.grammar import mapping, written
from robusteval.tasks.base import Examples, Task, fingerprint
from robusteval.tasks.labels import (
    check_labelled,
    decimal_comma,
    is_number,
    label_cells,
    label_names,
    marked_classes,
    plain,
    shown,
    spellings,
    unlabelled,
)
from robusteval.tasks.naming import file_classes, label_order, model_classes, read_label_map
from robusteval.tasks.table import AS_WRITTEN, class_names

# so many columns stand in an error
MOST_COLUMNS = 20
# more rows than this with a label of their own each are numbered, not classified
MOST_SINGLE = 20


def examples_from_frame(
    frame: pd.DataFrame, task: Task, split: str, source: Mapping[str, str] | None = None
) -> Examples:
    """Check the rows of one split and convert them.

    Raises UserError that names split, column and value for: no rows, a missing column, text that is not a
    string or is empty, an unlabelled split, a label out of range, a score that is not a number. Where the task
    drops rows without a gold label, the number of those is in the source record as "unlabelled".
    """
    where = f"{task.name} {split}"
    check_present(frame, (*task.text_columns, task.label_column), where)
    record = {**(source or {}), "split": split}
    frame = frame.reset_index(drop=True)
    label_where = f"{where}: column {task.label_column!r}"
    own_names = class_names(frame, task.label_column)
    if task.family != "file" and {name.lower() for name in own_names} != {name.lower() for name in task.labels}:
        own_names = ()
    cells = label_cells(frame[task.label_column], label_where, own_names)
    names = label_names(cells, as_written=bool(frame.attrs.get(AS_WRITTEN)))
    missing = unlabelled(names, {*task.labels, *task.values, *(["-1"] if task.regression else [])})
    if missing.any():
        if missing.all() or not task.drop_unlabelled:
            check_labelled(missing, names, list(frame.index), label_where)
        record["unlabelled"] = str(int(missing.sum()))
        marks = sorted({name or "empty" for name, gone in zip(names, missing, strict=True) if gone})
        record["unlabelled_marks"] = ", ".join(marks)
        left = np.flatnonzero(~missing).tolist()
        frame, cells, names = frame.iloc[left], [cells[row] for row in left], [names[row] for row in left]
    if own_names and task.family != "file" and tuple(own_names) != task.labels:
        record["classes"] = ", ".join(f"{index} = {name}" for index, name in enumerate(own_names))
    texts = tuple(_texts(frame[column], task.separator, f"{where}: column {column!r}") for column in task.text_columns)
    for column, cells_of in zip(task.text_columns, texts, strict=True):
        if all(map(is_number, cells_of)):
            record["numbers"] = column
    labels: npt.NDArray[Any]
    if task.regression:
        labels = _scores(pd.Series(cells, frame.index, dtype=object), task, label_where)
    else:
        labels = _classes(names, cells, frame.index.tolist(), task, label_where)
    return Examples(texts, labels, row_ids(frame), fingerprint(texts, labels), record)


def row_ids(frame: pd.DataFrame) -> tuple[str, ...]:
    """The names of the rows of a split: the column idx where it tells them apart, else their places."""
    return tuple(str(value) for value in (frame["idx"] if _unique(frame, "idx") else frame.index))


def check_present(frame: pd.DataFrame, columns: Sequence[str], where: str) -> None:
    """Raise UserError unless there are rows and all these columns."""
    if len(frame) == 0:
        raise UserError(f"{where}: there are no rows")
    for column in columns:
        if column not in frame.columns:
            raise UserError(f"{where}: there is no column {column!r}; {_columns(frame, column)}")


def _columns(frame: pd.DataFrame, column: str) -> str:
    """What a column that is not there may be: the nearest one, or a place where the file has no header."""
    have = [str(name) for name in frame.columns]
    close = [name for name in have if name.startswith(f"{column} (column ")] or nearest(column, have, 1)
    quoted = f" (in an option: {written(close[0])})" if close and written(close[0]) != close[0] else ""
    if close:
        return f"did you mean {close[0]!r}?{quoted}"
    hint = f"it has {', '.join(have[:MOST_COLUMNS])}"
    if len(have) > MOST_COLUMNS:
        hint += f" and {len(have) - MOST_COLUMNS} others"
    if frame.attrs.get(AS_WRITTEN) and have != [str(place) for place in range(len(have))]:
        by_place = "columns are named by their place, 0 for the first, only with --no-header"
        hint += f"; {by_place if column.isdecimal() else 'a file without a header is read with --no-header'}"
    return hint


def _unique(frame: pd.DataFrame, column: str) -> bool:
    return column in frame.columns and frame[column].is_unique


def _texts(column: pd.Series[Any], separator: str, where: str) -> tuple[str, ...]:
    texts: list[str] = []
    bad: list[str] = []
    wrong = 0
    for row, value in zip(column.index, column.tolist(), strict=True):
        if separator and isinstance(value, list | tuple | np.ndarray) and all(isinstance(each, str) for each in value):
            value = separator.join(value)
        if not isinstance(value, str):
            missing = plain(value) is None
            fault = "is missing" if missing else f"holds {shown(value)}, which is not text"
        else:
            fault = "" if value.strip() else "is empty text"
            texts.append(value)
        if fault:
            wrong += 1
            bad += [f"row {row} {fault}"] if len(bad) < 5 else []
    if wrong:
        raise UserError(f"{where}: {', '.join(bad)}{f' ({wrong} such rows in all)' if wrong > 1 else ''}")
    return tuple(texts)


def _scores(column: pd.Series[Any], task: Task, where: str) -> npt.NDArray[np.float32]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    with np.errstate(over="ignore"):  # what single precision cannot hold is no finite score either
        bad = np.flatnonzero(~np.isfinite(numbers.astype(np.float32)))
    if len(bad):
        cells = column.tolist()
        first = ", ".join(f"row {column.index[row]} holds {cells[row]!r}" for row in bad[:5])
        more = f" ({len(bad)} such rows in all)" if len(bad) > 1 else ""
        raise UserError(f"{where}: {first}, which is not a finite score{more}")
    if task.score_range:
        low, high = task.score_range
        bad = np.flatnonzero((numbers < low) | (numbers > high))
        if len(bad):
            raise UserError(
                f"{where}: row {column.index[bad[0]]} holds {numbers[bad[0]]:g}, outside {low:g} to {high:g}"
            )
    return numbers.astype(np.float32)


def _classes(
    names: Sequence[str | None], cells: Sequence[Any], rows: Sequence[Any], task: Task, where: str
) -> npt.NDArray[np.int64]:
    """Class indices from the task's label names, or from integers where the data is numbered.

    A file of the user's own names its classes by its label values, so a number there is a name and no index.
    """
    index_of = {name: index for index, name in enumerate(task.labels)}
    index_of |= {value: index_of[name] for value, name in task.values.items()}
    own = task.family == "file"
    if not own:
        # a declared task knows its classes whatever their capitals
        folded = Counter(name.lower() for name in index_of)
        index_of |= {name.lower(): index for name, index in index_of.items() if folded[name.lower()] == 1}
    spelled = {name: _spelled(name or "", index_of, fold=not own) for name in set(names)}
    numbers = not own and not any(spelled[name] for name in spelled if name not in task.values)
    if numbers:
        index_of = {str(index): index for index in range(task.num_labels)}
        index_of |= {value: task.labels.index(name) for value, name in task.values.items()}
        valid = f"valid: 0 to {task.num_labels - 1} ({', '.join(task.labels)})"
        spelled = {name: _spelled(name or "", index_of) for name in spelled}
    else:
        valid = f"valid: {', '.join(repr(name) for name in task.labels[:20])}"
    bad = [place for place, name in enumerate(names) if not spelled[name]]
    if bad:
        name = names[bad[0]] or ""
        close = [] if numbers else nearest(name, task.labels, 1)
        hint = f"did you mean {close[0]!r}?" if close else valid
        remedy = f" --label-map {mapping([(name, close[0])])} says so" if own and close else ""
        first = ", ".join(f"row {rows[place]} holds the label {shown(cells[place])}" for place in bad[:5])
        more = f" ({len(bad)} such rows in all)" if len(bad) > 1 else ""
        raise UserError(f"{where}: {first}{more}; {hint}{remedy}")
    return np.asarray([index_of[spelled[name]] for name in names], np.int64)


def _spelled(name: str, known: Mapping[str, int], *, fold: bool = False) -> str:
    """How the known classes spell a label, "" where none does."""
    return next((each for each in (*spellings(name), *([name.lower()] if fold else [])) if each in known), "")


def own_task(frame: pd.DataFrame, name: str, config: DataConfig) -> tuple[Task, tuple[str, ...]]:
    """A task for the user's own training file: classes from strings, integers or booleans, scores from other numbers.

    Class names are the distinct label values in sorted order, or in the order that the file or `--labels` gives them;
    label_type "class" or "score" decides by hand. Second: what the user should know.
    """
    text_columns, label_column = config.text_columns, config.label_column
    check_columns(text_columns, label_column)
    if len(frame) == 0:
        raise UserError("train_file: there are no rows")
    if label_column not in frame.columns:
        raise UserError(
            f"label_column: the training file has no column {label_column!r}; {_columns(frame, label_column)}"
        )
    where = f"{name} train: column {label_column!r}"
    frame = frame.reset_index(drop=True)
    file_names = class_names(frame, label_column)
    cells = label_cells(frame[label_column], where, file_names)
    base = Task(
        name, "file", text_columns, (), ("spearman", "pearson"), label_column=label_column,
        drop_unlabelled=config.drop_unlabelled,
    )  # fmt: skip
    by_hand = config.label_type == "class" or config.labels or config.label_map
    if config.label_type == "score" or (not by_hand and _looks_like_scores(cells)):
        if config.labels or config.label_map:
            raise UserError("label_type: scores have no classes, so --labels and --label-map cannot name them")
        return base, ()
    commas = [] if by_hand else [row for row, cell in enumerate(cells) if decimal_comma(cell)]
    if len(commas) > len(cells) / 2:
        raise UserError(
            f"{where}: row {commas[0]} holds {cells[commas[0]]!r}, which looks like a score with a decimal comma; "
            "write scores with a point, or say --label-type class where it is a class"
        )
    names = label_names(cells, as_written=bool(frame.attrs.get(AS_WRITTEN)))
    label_map = read_label_map(config.label_map)
    marked = marked_classes(names, drop=config.drop_unlabelled)
    missing = unlabelled(names, {*config.labels, *label_map, *marked})
    if missing.all() or not config.drop_unlabelled:
        keep = "where it is a class, name all classes with --labels"
        check_labelled(missing, names, list(frame.index), where, keep)
    counts = Counter(each for each, gone in zip(names, missing, strict=True) if each is not None and not gone)
    if len(counts) > max(200, len(names) // 2) or len(counts) == len(names) > MOST_SINGLE:
        raise UserError(
            f"label_column: {label_column!r} holds {len(counts)} distinct values in {len(names)} rows, so it names no "
            "classes; for scores say --label-type score"
        )
    in_file = dict.fromkeys(label_map.get(each, (each,))[0] for each in file_names if each in counts)
    named = file_classes(counts, config.labels or tuple(in_file), label_map, where)
    notices = named.notices
    if "-1" in marked and "-1" in counts and "0" in counts:
        others = " and ".join(sorted(set(counts) - {"-1"}))
        notices += (f"the label -1 is taken for a class beside {others}; where it means no label, --drop-unlabelled",)
    task = dataclasses.replace(base, labels=named.labels, values=named.values, metrics=("accuracy", "macro_f1"))
    return task, notices


def speaking_task(
    frame: pd.DataFrame, name: str, config: DataConfig, outputs: Sequence[str], split: str = "dev",
    how: str = "--label-map ",
) -> tuple[Task, tuple[str, ...]]:  # fmt: skip
    """A task for a file of the user's own that a model with these outputs (none: a score) is tested on.

    Its label values mean what `model_classes` finds; how: as there. Second: what the user should know.
    """
    base = Task(
        name, "file", config.text_columns, (), ("spearman", "pearson"), label_column=config.label_column, dev=split,
        drop_unlabelled=config.drop_unlabelled,
    )  # fmt: skip
    if not outputs:
        if config.labels or config.label_map:
            raise UserError("labels: the checkpoint gives a score, so --labels and --label-map cannot name classes")
        return base, ()
    base = dataclasses.replace(base, labels=tuple(outputs), metrics=("accuracy", "macro_f1"))
    check_present(frame, (*config.text_columns, config.label_column), f"{name} {split}")
    where = f"{name} {split}: column {config.label_column!r}"
    frame = frame.reset_index(drop=True)
    cells = label_cells(frame[config.label_column], where, class_names(frame, config.label_column))
    names = label_names(cells, as_written=bool(frame.attrs.get(AS_WRITTEN)))
    label_map = read_label_map(config.label_map)
    missing = unlabelled(names, {*outputs, *config.labels, *label_map})
    if missing.all() or not config.drop_unlabelled:
        keep = f"where it is a class, say which, as in {how}{mapping([('-1', outputs[0])])}"
        check_labelled(missing, names, list(frame.index), where, keep)
    found = sorted({each for each, gone in zip(names, missing, strict=True) if each and not gone}, key=label_order)
    named = model_classes(found, outputs, config.labels, label_map, where, how)
    task = dataclasses.replace(base, labels=named.labels, values=named.values, outputs=named.outputs)
    return task, named.notices


def check_columns(text_columns: tuple[str, ...], label_column: str) -> None:
    """Raise UserError unless these are one or two different text columns, none of them the label's."""
    if not 1 <= len(text_columns) <= 2:
        raise UserError(f"text_columns: one or two are needed, not {len(text_columns)}")
    if len(set(text_columns)) < len(text_columns):
        raise UserError(f"text_columns: {text_columns[0]!r} is given twice")
    if label_column in text_columns:
        raise UserError(f"text_columns: {label_column!r} is the label column; the model would read the answer")


def _looks_like_scores(cells: Sequence[Any]) -> bool:
    """Mostly numbers, some of them with a fraction; one bad cell must not turn scores into classes."""
    cells = [cell for cell in cells if cell not in (None, "")]
    numbers = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    finite = numbers[np.isfinite(numbers)]
    return len(finite) > len(numbers) / 2 and bool(np.any(finite != np.floor(finite)))
