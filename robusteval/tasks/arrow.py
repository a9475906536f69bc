"""Tables that carry their types: Parquet, and what the datasets library holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robusteval.errors import UserError, first_line
from robusteval.tasks.table import make_frame

# what pyarrow and datasets raise for files that are not what they should be
DAMAGED = (pa.ArrowException, OSError, ValueError)


def parquet_frame(data: bytes, where: str) -> pd.DataFrame:
    """The rows of a Parquet file; UserError where it is damaged or no such file."""
    try:
        return arrow_frame(pq.read_table(pa.BufferReader(data)))
    except DAMAGED as error:
        raise UserError(f"{where} cannot be read as Parquet: {first_line(error)}") from error


def saved_frame(folder: Path, where: str) -> pd.DataFrame:
    """The rows of a folder that `datasets.save_to_disk` wrote; UserError for a folder of several splits, or of none."""
    if (folder / "dataset_dict.json").is_file():
        splits = sorted(path.parent.name for path in folder.glob("*/state.json"))
        raise UserError(f"{where} holds several splits: name the folder of one ({', '.join(splits)}) in it")
    if not (folder / "state.json").is_file():
        files = sorted(path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        has = f"; files in it: {', '.join(files[:5])}" if files else ""
        raise UserError(f"{where} is a folder, and not one that datasets.save_to_disk wrote{has}")
    from datasets import load_from_disk

    try:
        saved = load_from_disk(str(folder))
    except Exception as error:  # whatever is missing in its JSON files: KeyError, TypeError, ...
        raise UserError(f"{where} cannot be read as a saved data set: {first_line(error)}") from error
    return dataset_frame(saved)


def dataset_frame(dataset: Any) -> pd.DataFrame:
    """The rows of a `datasets.Dataset`, whatever format it was set to."""
    return arrow_frame(dataset.with_format("arrow")[:])


def arrow_frame(table: pa.Table) -> pd.DataFrame:
    """Cells as Python has them (dictionaries resolved, decimals as numbers); names of classes where the schema has any.

    A hole is None and turns no integer into a fraction.
    """
    names = table.column_names
    unique = [name if names.count(name) == 1 else f"{name} (column {place})" for place, name in enumerate(names, 1)]
    columns = {}
    for name, column in zip(unique, table.columns, strict=True):
        cells = column.to_pylist()
        columns[name] = list(map(_number, cells)) if pa.types.is_decimal(column.type) else cells
    return make_frame(columns, _class_names(table.schema.metadata or {}))


def concatenated(frames: Sequence[pd.DataFrame], files: Sequence[str], where: str) -> pd.DataFrame:
    """Shards as one frame; UserError where one has other columns or classes than the first."""
    first = frames[0]
    for frame, file in zip(frames, files, strict=True):
        if set(frame.columns) != set(first.columns) or frame.attrs != first.attrs:
            raise UserError(f"{where}: {file!r} has other columns or classes than {files[0]!r}, so they are no shards")
    if len(frames) == 1:
        return first
    whole = pd.concat([frame[first.columns] for frame in frames], ignore_index=True)
    whole.attrs = first.attrs
    return whole


def _number(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Column -> class names, as the datasets library writes its features beside the schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            column: list(map(str, feature["names"]))
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
        }
    except (ValueError, KeyError, TypeError, AttributeError):  # other writers may use the key as they like
        return {}
