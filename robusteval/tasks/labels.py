"""What a label cell says: the name of a class, that there is no gold label, or nothing that can be a class."""

from __future__ import annotations

import ast
import datetime
import decimal
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.errors import UserError
from robusteval.settings.grammar import mapping
from robusteval.tasks.base import Examples, Task

# how the hub's versions and the raw files of inference sets mark a row on whose label the annotators did not agree
NO_GOLD = ("-1", "-")
# a plan names so many classes, the largest of more
SHOWN = 8

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
# zeros in front make an identifier of a number, zeros behind the point do not
_INTEGER = re.compile(r"\s*\+?(-?(?:0|[1-9][0-9]*))(?:\.0*)?\s*")
_DECIMAL_COMMA = re.compile(r"\s*[+-]?[0-9]+,[0-9]+\s*")
_BRACKETS = {"[": "]", "(": ")", "{": "}"}


def label_cells(column: pd.Series[Any], where: str, names: Sequence[str] = ()) -> list[Any]:
    """The label of each row: a string, number or boolean, or None where the cell is missing.

    names: class names that the data itself gives to the integers of the column, in order; they are put in their place.
    Raises UserError for a cell that holds several labels or what cannot be one (bytes, a mapping).
    """
    cells = [plain(value) for value in column.tolist()]
    plain_texts: set[str] = set()  # of few classes there are many rows
    for row, value in zip(column.index, cells, strict=True):
        if isinstance(value, str):
            if value in plain_texts:
                continue
            plain_texts.add(value)
        if _several(value):
            raise UserError(
                f"{where}: row {row} holds several labels, {shown(value)}, which is not supported; a row has one class"
            )
        if value is not None and not isinstance(value, str | int | float | datetime.date):
            raise UserError(f"{where}: row {row} holds {shown(value)}, which is no text, number or boolean")
    if names:
        cells = [_named(value, names, f"{where}: row {row}") for row, value in zip(column.index, cells, strict=True)]
    return cells


def plain(value: Any) -> Any:
    """A cell without numpy's, pandas' and decimal's own types; None where it is missing."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, decimal.Decimal):
        value = float(value)
    missing = value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)
    return None if missing else value


def _several(value: Any) -> bool:
    """Whether a cell is a list, or text that spells one: "[1, 0, 1]", "['a' 'b']", "[0 1]"."""
    if not isinstance(value, str):
        return isinstance(value, list | tuple | set | frozenset | dict | np.ndarray)
    text = value.strip()
    if len(text) < 2 or _BRACKETS.get(text[0]) != text[-1]:
        return False
    if re.fullmatch(r"\[\s*\]|.[\s.,;+-]*[0-9][\s0-9.,;+-]*.", text):
        return text[0] == "[" or any(mark in text for mark in ",; ")
    try:
        return isinstance(ast.literal_eval(text), list | tuple | set | dict)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False


def shown(value: Any) -> str:
    """A cell as an error shows it."""
    text = repr(value.tolist() if isinstance(value, np.ndarray) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def _named(value: Any, names: Sequence[str], where: str) -> Any:
    """The class name behind an integer of a column that has class names; -1 has none."""
    if not isinstance(value, int) or isinstance(value, bool) or value == -1:
        return value
    if not 0 <= value < len(names):
        raise UserError(f"{where} holds the label {value}, but the data names only 0 to {len(names) - 1}")
    return names[value]


def label_name(value: Any) -> str:
    """A label value as the name of its class: 1, 1.0 and "1" are the same class."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)


def label_names(cells: Sequence[Any], *, as_written: bool) -> list[str | None]:
    """The class name of each label; None where there is none.

    as_written: the cells are the text of a file, in which a column of numbers or of true and false is meant as such.
    """
    if as_written:
        distinct = set(cells)
        filled = [text for text in distinct if text is not None and text.strip() not in ("", "-")]
        if filled and all(text.lower() in ("true", "false") for text in filled):
            meant = {text: text.capitalize() if text and text.isalpha() else text for text in distinct}
            cells = [meant[text] for text in cells]
        elif filled and all(_NUMBER.fullmatch(text) for text in filled):
            meant = {text: _integer(text) for text in distinct}
            cells = [meant[text] for text in cells]
    return [None if value is None or value == "" else label_name(value) for value in cells]


def _integer(text: Any) -> Any:
    """ "1.0" as "1", and "-0" as "0"; "01" is another name."""
    found = _INTEGER.fullmatch(text) if isinstance(text, str) else None
    return str(int(found[1])) if found else text


def spellings(name: str) -> tuple[str, ...]:
    """A label's name, and how another file may spell the same number or boolean."""
    number = str(_integer(name))
    return (
        (name, number, f"{number}.0", name.lower(), name.capitalize())
        if name.lower() in ("true", "false")
        else ((name, number, f"{number}.0"))
    )


def is_number(text: str) -> bool:
    """Whether a text is a number and nothing else."""
    return bool(_NUMBER.fullmatch(text))


def decimal_comma(cell: Any) -> bool:
    """Whether a cell is a number as half of the world writes it: "3,5"."""
    return isinstance(cell, str) and bool(_DECIMAL_COMMA.fullmatch(cell))


def unlabelled(names: Sequence[str | None], classes: Collection[str]) -> npt.NDArray[np.bool_]:
    """True at rows without a gold label [n]: an empty cell, and "-" or -1 unless it is one of the known classes."""
    marks = [mark for mark in NO_GOLD if mark not in classes]
    return np.asarray([name is None or not name.strip() or name.strip() in marks for name in names], bool)


def marked_classes(names: Iterable[str | None], *, drop: bool) -> set[str]:
    """Which of "-" and -1 are classes in a file that nothing else is known of.

    "-" is one beside "+"; -1 is one beside other negative numbers, and where all others are 0 and 1, unless rows
    without a gold label are to be dropped. Beside words or larger numbers it is none.
    """
    others = {name for name in names if name is not None and name.strip() not in ("", *NO_GOLD)}
    numbers = [int(found[1]) for name in others if (found := _INTEGER.fullmatch(name))]
    classes = {"-"} if "+" in others else set()
    if numbers and len(numbers) == len(others) and (min(numbers) < 0 or (max(numbers) <= 1 and not drop)):
        classes.add("-1")
    return classes


def check_labelled(
    missing: npt.NDArray[np.bool_], names: Sequence[str | None], rows: Sequence[Any], where: str, keep: str = ""
) -> None:
    """Raise UserError where a row has no gold label; keep: how to say that "-" or -1 is a class."""
    if missing.all():
        raise UserError(f"{where}: the split is unlabelled (no row has a gold label)")
    if missing.any():
        first = int(np.flatnonzero(missing)[0])
        mark = f" ({names[first]})" if names[first] else ""
        others = ", ".join(str(rows[row]) for row in np.flatnonzero(missing)[1:5])
        also = f" (also {others})" if others else ""
        raise UserError(
            f"{where}: row {rows[first]} has no label{mark}; {missing.sum()} of {len(missing)} rows have none{also}"
            f"; --drop-unlabelled leaves such rows out" + (f"; {keep}" if mark and keep else "")
        )


def near_duplicates(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Groups of names that differ in capitals, spaces, zeros or Unicode form only: "Pos" and "pos ", "01" and "1"."""
    groups: dict[Any, list[str]] = {}
    for name in names:
        groups.setdefault(_folded(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _folded(name: str) -> Any:
    text = unicodedata.normalize("NFKC", name).casefold()
    text = "".join(sign for sign in text if unicodedata.category(sign) not in ("Cf", "Cc") or sign.isspace())
    text = " ".join(text.split())
    return float(text) if _NUMBER.fullmatch(text) else text


def check_distinct_names(counts: Mapping[str, int], known: Collection[str], where: str) -> None:
    """Raise UserError where two classes seem to be one; known: names that the user gave, who wants them as they are."""
    for group in near_duplicates(counts):
        if set(group) <= set(known):
            continue
        rare, often = sorted(group, key=lambda name: counts[name])[:1][0], max(group, key=lambda name: counts[name])
        rare = rare if rare != often else next(name for name in group if name != often)
        shown = " and ".join(f"{name!r} ({counts[name]} rows)" for name in group)
        raise UserError(
            f"{where}: the labels {shown} look like one class; --label-map {mapping([(rare, often)])} merges "
            f"them, --labels with the names of all classes keeps them apart"
        )


def joined_labels(names: Collection[str]) -> str | None:
    """A name that puts other ones together, as "a,b" does where "a" and "b" are labels too; None where none does."""
    for name in names:
        for mark in (",", ";", "|"):
            parts = [part.strip() for part in name.split(mark)]
            if len(parts) > 1 and all(part in names for part in parts):
                return name
    return None


def distribution(examples: Examples, task: Task) -> str:
    """The classes with their rows and the share of the largest, or the range of the scores, in words."""
    if task.regression:
        low, high = (f"{value:g}" for value in (examples.labels.min(), examples.labels.max()))
        return f"scores {low} to {high}, mean {float(examples.labels.mean()):.3g}"
    counts = np.bincount(examples.labels.astype(np.int64), minlength=task.num_labels).tolist()
    order = sorted(range(len(counts)), key=lambda index: -counts[index])
    told = order[: SHOWN - 2] if len(counts) > SHOWN else sorted(order)
    each = ", ".join(f"{_cut(task.labels[index])} ({counts[index]})" for index in told)
    rest = [counts[index] for index in order[len(told) :]]
    if rest:
        each += f", {len(rest)} others ({min(rest)} to {max(rest)} each)"
    return f"{each}; majority {_cut(task.labels[order[0]])}, {100 * counts[order[0]] / len(examples):.1f} %"


def _cut(name: str) -> str:
    return name if len(name) <= 40 else name[:37] + "..."


def rare_classes(train: Examples, task: Task) -> tuple[str, ...]:
    """Notices: classes without a training row, or with a single one."""
    if task.regression or not len(train):
        return ()
    rows = Counter(train.labels.tolist())
    notices = []
    for count, words in ((0, "no training row"), (1, "a single training row")):
        names = [name for index, name in enumerate(task.labels) if rows[index] == count]
        more = f" and {len(names) - SHOWN} others" if len(names) > SHOWN else ""
        if names:
            notices.append(f"classes with {words}: {', '.join(names[:SHOWN])}{more}")
    return tuple(notices)
