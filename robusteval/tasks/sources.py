"""Where rows come from: the hub, a folder of Parquet files, a file of the user's, or a built-in generator.

Every source gives a Table and a record of its origin; `examples.py` checks and converts it.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pandas as pd

from robusteval.dialect import Dialect
from robusteval.errors import UserError, nearest
from robusteval.tasks.base import Task
from robusteval.tasks.table import AS_WRITTEN, Table

Source = tuple[Table, dict[str, str]]
READERS = (".csv", ".tsv", ".jsonl", ".parquet")
# no cell of a CSV or TSV file is missing: "NA" is a word, and nothing between two commas is empty text
_CELLS: dict[str, Any] = {"keep_default_na": False}


class RowsMissing(UserError):
    """Rows that are not there, as opposed to rows that are wrong: a test set may be missing, with a notice."""


def generated(task: Task, split: str, cue: float) -> Source:
    """Rows of a built-in task; the cue's strength matters to its training split only."""
    module, _, name = task.generator.partition(":")
    generate = getattr(importlib.import_module(module), name)
    return Table(pd.DataFrame(generate(task.name, split, cue=cue))), {"origin": "generated", "split": split}


def from_file(path: str, field: str, dialect: Dialect) -> Source:
    """Rows of a file of the user's own; field: the option that named it."""
    table = read_table(Path(path).expanduser(), field, dialect)
    return table, {"origin": f"file {Path(path).name}", **table.record}


def from_folder(task: Task, split: str, data_dir: Path, dialect: Dialect, option: str = "") -> Source:
    """Rows of <data_dir>/<family>/<task>/<split>.parquet.

    option: how the user would name another split ("--train-split "), for the error.
    Raises RowsMissing that names the splits which are there: a sample never stands in for a split unasked.
    """
    folder = data_dir / task.family / (task.folder or task.name)
    path = folder / f"{split}.parquet"
    if not data_dir.is_dir():
        raise UserError(f"data_dir: there is no folder {str(data_dir)!r}")
    if not path.is_file():
        there = sorted(file.stem for file in folder.glob("*.parquet"))
        if not there:
            raise RowsMissing(f"data_dir: {str(data_dir)!r} has no {path.relative_to(data_dir).as_posix()}")
        close = nearest(split, there, 1)
        hint = f" (say {option}{close[0]})" if option and close else ""
        raise RowsMissing(f"data_dir: {str(folder)!r} has no split {split!r}; it has {', '.join(there)}{hint}")
    table = read_table(path, "data_dir", dialect)
    return table, {"origin": "folder", "split": split, **table.record}


def from_hub(task: Task, split: str, revision: str) -> Source:
    """Rows of a hub data set's Parquet files; the commit that `revision` meant is in the record.

    Raises RowsMissing where the hub has no such rows or is out of reach.
    """
    from datasets import load_dataset

    file = f"{task.family}/{task.folder or task.name}/{split}.parquet"
    if not task.hub:
        raise RowsMissing(f"task: {task.name!r} has no hub source; give --data-dir with {file}")
    try:
        rows = load_dataset(task.hub, task.config or None, split=split, revision=revision)
    except ValueError as error:
        raise RowsMissing(f"task: {task.name!r} has no split {split!r} on the hub: {_first_line(error)}") from error
    except Exception as error:  # the hub client raises a dozen kinds for "out of reach"
        raise RowsMissing(
            f"task: {task.name!r} could not be loaded from the hub ({task.hub}, revision {revision!r}): "
            f"{_first_line(error)}; give --data-dir with {file}"
        ) from error
    record = {"origin": f"hub {task.hub}/{task.config}", "split": split, "revision": revision}
    return Table(rows.to_pandas()), record | _commit(task.hub, revision)


def _commit(repository: str, revision: str) -> dict[str, str]:
    """The commit behind a revision, where the hub can be asked."""
    if Path(repository).is_dir():
        return {}
    from huggingface_hub import HfApi

    try:
        info = HfApi().dataset_info(repository, revision=revision, timeout=10)
    except Exception:  # a record without the commit beats no run: the fingerprint still says what the rows were
        return {"commit": "not known (the hub was out of reach)"}
    return {"commit": str(info.sha)}


def read_table(path: Path, field: str, dialect: Dialect) -> Table:
    """See `read_file`."""
    return Table(read_file(path, field), (path.name,))


def read_file(path: Path, field: str) -> pd.DataFrame:
    """A CSV, TSV, JSONL or Parquet file; text stays text ("NA" is a word, not a missing value).

    Every cell of a CSV or TSV file is the text that stands there: "007" keeps its zeros, and `typed` makes numbers of
    the columns that are meant as such.
    """
    if not path.is_file():
        raise UserError(f"{field}: there is no file {str(path)!r}")
    kind = path.suffix.lower()
    try:
        if kind in (".csv", ".tsv"):
            mark = "," if kind == ".csv" else "\t"
            frame = pd.DataFrame(pd.read_csv(path, sep=mark, encoding="utf-8", dtype=str, **_CELLS))
            frame.attrs[AS_WRITTEN] = True
            return frame
        if kind == ".jsonl":
            return pd.DataFrame(pd.read_json(path, lines=True, dtype=False, convert_dates=False, encoding="utf-8-sig"))
        if kind == ".parquet":
            return pd.DataFrame(pd.read_parquet(path))
    except (ValueError, OSError) as error:
        raise UserError(f"{field}: {str(path)!r} cannot be read: {_first_line(error)}") from error
    raise UserError(f"{field}: {path.name!r} ends in {kind!r}; readable are {', '.join(READERS)}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
