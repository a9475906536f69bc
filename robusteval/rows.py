"""The row: one measured number, with all that says what was measured. Tables and figures see nothing else."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robusteval.files import append_lines, read_lines


@dataclass(frozen=True)
class Row:
    """One measured number.

    run: folder name of the run; suite, suite_value: the test and its setting (mask, "0.1");
    split: the rows it was measured on; value: the number itself; n: its denominator;
    seconds: what measuring it took; note: what a reader must know ("selected on dev", "collapsed").
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


DONE = {"done": True}


def write_rows(path: Path, rows: list[Row]) -> None:
    """Append rows, fsynced. A number that is not finite is written as null."""
    append_lines(path, ({**asdict(row), "value": _finite(row.value)} for row in rows))


def mark_done(path: Path) -> None:
    """The last line of a finished run; nothing is reported as done without it."""
    append_lines(path, [DONE])


def read_rows(path: Path) -> tuple[list[Row], bool]:
    """The rows of a run and whether it is finished; a torn last line is dropped."""
    lines = read_lines(path)
    done = bool(lines) and lines[-1] == DONE
    rows = [_row(line) for line in lines if line != DONE]
    return rows, done


def _row(line: dict[str, Any]) -> Row:
    value = line["value"]
    return Row(**{**line, "value": math.nan if value is None else value})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
