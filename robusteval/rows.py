"""The row: one measured number, with all that says what was measured. Tables and figures see nothing else."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robusteval.reading import read_lines


@dataclass(frozen=True)
class Row:
    """One measured number.

    run: folder name of the run; suite, suite_value: the test and its setting (mask, "0.1");
    split: the rows it was measured on; value: the number itself; n: its denominator;
    seconds: what measuring it took; note: what a reader must know ("selected on dev", "collapsed");
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
    note: str = ""
    spread: tuple[float, ...] = ()


def row_line(row: Row) -> dict[str, Any]:
    """A row as a JSON object; a number that is not finite is written as null."""
    spread = [each if math.isfinite(each) else None for each in row.spread]
    return {**asdict(row), "value": row.value if math.isfinite(row.value) else None, "spread": spread}


def line_row(line: dict[str, Any]) -> Row:
    """The row that `row_line` wrote."""
    value = line["value"]
    spread = tuple(math.nan if each is None else each for each in line.get("spread", ()))
    return Row(**{**line, "value": math.nan if value is None else value, "spread": spread})


def read_rows(path: Path) -> list[Row]:
    """The rows of a rows.jsonl file: lines that carry a value; markers and a torn last line are passed over."""
    return [line_row(line) for line in read_lines(path) if "value" in line]
