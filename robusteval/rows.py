"""The row: one measured number, with all that says what was measured. Tables and figures see nothing else."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from robusteval.reading import read_lines

NoteKind = Literal["run", "test", "selected", "collapsed", "in domain"]


@dataclass(frozen=True)
class Note:
    """What a reader must know of a number, as prose, and what a table makes of it.

    kind: "run", what this run met; "test", what holds for this test of every run; "in domain", the same of a test that
    is none of sturdiness; "collapsed", the run predicts one class; "selected", the checkpoint was chosen on these rows.
    """

    text: str
    kind: NoteKind = "run"

    def __post_init__(self) -> None:
        if self.kind not in get_args(NoteKind):
            raise ValueError(f"{self.kind!r} is no kind of note")


@dataclass(frozen=True)
class Row:
    """One measured number.

    run: folder name of the run; suite, suite_value: the test and its setting (mask, "0.1");
    split: the rows it was measured on; value: the number itself; n: its denominator;
    seconds: what measuring it took; notes: what a reader must know;
    scenario: what was done to the training set, as the user wrote it, scenario_value: its strength;
    spread: the value on each random set, where `value` is their mean.
    """

    run: str
    task: str
    method: str
    scenario: str
    scenario_value: float | None
    seed: int
    suite: str
    suite_value: str
    split: str
    metric: str
    value: float
    n: int
    seconds: float
    notes: tuple[Note, ...] = ()
    spread: tuple[float, ...] = ()


def row_line(row: Row) -> dict[str, Any]:
    """A row as a JSON object; a number that is not finite is written as null."""
    spread = [each if math.isfinite(each) else None for each in row.spread]
    return {**asdict(row), "value": row.value if math.isfinite(row.value) else None, "spread": spread}


def line_row(line: dict[str, Any]) -> Row:
    """The row that `row_line` wrote, or an older one with all its notes in one text."""
    line = dict(line)
    value = line["value"]
    spread = tuple(math.nan if each is None else each for each in line.get("spread", ()))
    notes = joined_notes(line.pop("note")) if "note" in line else tuple(Note(**each) for each in line.get("notes", ()))
    return Row(**{**line, "value": math.nan if value is None else value, "spread": spread, "notes": notes})


def joined_notes(text: str) -> tuple[Note, ...]:
    """The notes of a row as they were written before notes had kinds: prose with "; " in between.

    >>> joined_notes("mean of 3 sets; selected on dev")
    (Note(text='mean of 3 sets', kind='test'), Note(text='selected on dev', kind='selected'))
    """
    return tuple(Note(part, _kind(part)) for part in text.split("; ") if part)


def _kind(text: str) -> NoteKind:
    if text.startswith("mean of"):
        return "test"
    if text.endswith("is in domain"):
        return "in domain"
    return "collapsed" if text.startswith("collapsed") else "selected" if text.startswith("selected") else "run"


def read_rows(path: Path) -> list[Row]:
    """The rows of a rows.jsonl file: lines that carry a value; markers and a torn last line are passed over."""
    return [line_row(line) for line in read_lines(path) if "value" in line]
