"""Rows as JSON: one object a line, an array of objects, or an object of columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from robusteval.errors import UserError
from robusteval.tasks.table import faults, make_frame


def read_json(text: str, where: str) -> tuple[pd.DataFrame, list[str]]:
    """Rows and what was decided. An object of lists is read where one of them alone holds rows.

    Raises UserError that counts the lines that are no JSON, or no object; or names the lists among which to choose.
    """
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" or _first_is_json(text):
            return _frame(_lines(text, where), where), ["one object a line"]
        raise UserError(f"{where} is no JSON: {error.msg} (line {error.lineno})") from error
    except RecursionError as error:
        raise UserError(f"{where} is no table: its JSON is nested too deeply") from error
    if isinstance(whole, list):
        return _frame(_objects([(f"row {row}", each) for row, each in enumerate(whole)], where), where), []
    if not isinstance(whole, dict):
        raise UserError(f"{where} holds {type(whole).__name__} alone; rows are objects, in an array or one a line")
    return _from_object(whole, where)


def read_json_lines(text: str, where: str) -> tuple[pd.DataFrame, list[str]]:
    """As `read_json`, of a file whose name says that it has one object a line."""
    if text.lstrip().startswith("["):
        frame, decisions = read_json(text, where)
        return frame, ["one JSON array, not one object a line", *decisions]
    return _frame(_lines(text, where), where), []


def _first_is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text.lstrip().partition("\n")[0]), dict)
    except (json.JSONDecodeError, RecursionError):
        return False


def _lines(text: str, where: str) -> list[dict[str, Any]]:
    # other signs that end a line for Python may stand inside a JSON string
    read, wrong, count = [], [], 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                read.append((f"line {number}", json.loads(line)))
            except (json.JSONDecodeError, RecursionError):
                wrong.append(f"line {number}")
                count += 1
    if wrong:
        raise UserError(f"{where}: lines that are no JSON: {faults(count, wrong[:5])}")
    return _objects(read, where)


def _objects(rows: Sequence[tuple[str, Any]], where: str) -> list[dict[str, Any]]:
    wrong = [f"{place} is a {type(row).__name__}" for place, row in rows if not isinstance(row, dict)]
    if wrong:
        raise UserError(f"{where}: rows that are no objects of named cells: {faults(len(wrong), wrong[:5])}")
    return [row for _, row in rows]


def _from_object(whole: dict[str, Any], where: str) -> tuple[pd.DataFrame, list[str]]:
    """Lists of rows of which one is not empty, columns (as lists, or by index as pandas writes them), or one row."""
    arrays = {name: value for name, value in whole.items() if isinstance(value, list) and value}
    if arrays and all(isinstance(value[0], dict) for value in arrays.values()):
        if len(arrays) > 1:
            counts = ", ".join(f"{name} ({len(rows)} rows)" for name, rows in arrays.items())
            raise UserError(
                f"{where} holds several lists of rows: {counts}; write the one that is meant to a file of its own, as "
                "an array or one object a line (.jsonl)"
            )
        (name,) = arrays
        rows = _objects([(f"row {row}", each) for row, each in enumerate(arrays[name])], where)
        return _frame(rows, where), [f"rows of {name!r}"]
    if not whole or any(not isinstance(value, list | dict) for value in whole.values()):
        return _frame([whole], where), []
    keys = [list(value) if isinstance(value, dict) else list(range(len(value))) for value in whole.values()]
    if any(each != keys[0] for each in keys):
        lengths = ", ".join(f"{name} {len(each)}" for name, each in list(zip(whole, keys, strict=True))[:5])
        raise UserError(f"{where}: its columns differ in their rows ({lengths})")
    columns = {name: list(value.values()) if isinstance(value, dict) else value for name, value in whole.items()}
    return _checked(columns, where), []


def _frame(rows: Sequence[dict[str, Any]], where: str) -> pd.DataFrame:
    names = dict.fromkeys(name for row in rows for name in row)
    return _checked({name: [row.get(name) for row in rows] for name in names}, where)


def _checked(columns: dict[str, list[Any]], where: str) -> pd.DataFrame:
    """A frame; UserError where text holds half of a surrogate pair, which JSON can spell and no file can hold."""
    for name, cells in columns.items():
        for row, cell in enumerate(cells):
            if isinstance(cell, str) and not cell.isascii():
                try:
                    cell.encode()
                except UnicodeEncodeError:
                    raise UserError(
                        f"{where}: column {name!r}: row {row} holds half of a surrogate pair, which is no letter"
                    ) from None
    return make_frame(columns)
