"""Where rows come from: the hub, a folder of files, a file of the user's, or a built-in generator.

Every source gives a Table and a record of its origin; `examples.py` checks and converts it.
"""

from __future__ import annotations

import importlib
import os
import shlex
from pathlib import Path

import pandas as pd

from robusteval.errors import UserError, first_line, nearest
from robusteval.settings.dialect import Dialect
from robusteval.tasks.arrow import DAMAGED, concatenated, dataset_frame
from robusteval.tasks.base import Task
from robusteval.tasks.files import read_table
from robusteval.tasks.folders import find_splits, places, shard_of, split_files
from robusteval.tasks.table import Table

Source = tuple[Table, dict[str, str]]


class RowsMissing(UserError):
    """Rows that are not there, as opposed to rows that are wrong: a test set may be missing, with a notice."""


def generated(task: Task, split: str, cue: float) -> Source:
    """Rows of a task that makes them; of a built-in one, the cue's strength matters to the training split only."""
    generate = task.generator
    if isinstance(generate, str):
        module, _, name = generate.partition(":")
        generate = getattr(importlib.import_module(module), name)
    return Table(pd.DataFrame(generate(task.name, split, cue=cue))), {"origin": "generated", "split": split}


def from_file(path: str, field: str, dialect: Dialect) -> Source:
    """Rows of a file of the user's own; field: the option that named it."""
    table = read_table(Path(os.path.expanduser(path)), field, dialect)
    return table, {"origin": f"file {Path(path).name}", **table.record}


def from_folder(task: Task, split: str, data_dir: Path, dialect: Dialect, option: str = "") -> Source:
    """Rows of <data_dir>/<family>/<task>/<split>.parquet, or of the shards that a hub repository has instead.

    option: how the user would name another split ("--train-split "), for the error.
    Raises RowsMissing that names the splits which are there: a sample never stands in for a split unasked.
    """
    try:
        if not data_dir.is_dir():
            raise UserError(f"data_dir: there is no folder {str(data_dir)!r}")
        splits = find_splits(task, data_dir)
        above = [] if splits else [folder for folder in data_dir.resolve().parents[:2] if find_splits(task, folder)]
    except OSError as error:
        raise UserError(f"data_dir: {error.filename!r} cannot be read: {error.strerror}") from error
    paths = split_files(splits, split)
    expected = places(task, data_dir)[0]
    if not paths:
        if not splits:
            file = (expected / f"{split}.parquet").relative_to(data_dir).as_posix()
            meant = f"; did you mean --data-dir {shlex.quote(str(above[0]))}?" if above else ""
            raise RowsMissing(f"data_dir: {str(data_dir)!r} has no {file}{meant}")
        close = nearest(split, splits, 1)
        hint = f" (say {option}{close[0]})" if option and close else ""
        have = ", ".join(sorted(splits))
        raise RowsMissing(f"data_dir: {str(expected)!r} has no split {split!r}; it has {have}{hint}")
    tables = [read_table(path, "data_dir", dialect) for path in paths]
    files = [path.relative_to(data_dir).as_posix() for path in paths]
    frame = concatenated([table.frame for table in tables], files, "data_dir")
    decisions = [clause for each in tables for clause in each.decisions]
    table = Table(frame, tuple(files), tuple(filter(None, [shard_of(split), *decisions])))
    return table, {"origin": "folder", "split": split, **table.record}


def from_hub(task: Task, split: str, revision: str) -> Source:
    """Rows of a hub data set's Parquet files; the commit that `revision` meant is in the record.

    Raises RowsMissing where the hub has no such rows or is out of reach, UserError where they are damaged.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    file = f"{task.family}/{task.folder or task.name}/{split}.parquet"
    if not task.hub:
        raise RowsMissing(f"task: {task.name!r} has no hub source; give --data-dir with {file}")
    where = f"task: {task.name!r} could not be loaded from the hub ({task.hub}, revision {revision!r})"
    try:
        frame = dataset_frame(load_dataset(task.hub, task.config or None, split=split, revision=revision))
    except (ConnectionError, TimeoutError, FileNotFoundError, HfHubHTTPError) as error:
        raise RowsMissing(f"{where}: {first_line(error)}; give --data-dir with {file}") from error
    except (DatasetsError, *DAMAGED) as error:
        if str(error).startswith("Unknown split"):
            raise RowsMissing(f"task: {task.name!r} has no split {split!r} on the hub: {first_line(error)}") from error
        raise UserError(f"{where}: {first_line(error)}; what is there, or in the cache, is wrong") from error
    record = {"origin": f"hub {task.hub}/{task.config}", "split": split, "revision": revision}
    return Table(frame), record | _commit(task.hub, revision)


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
