"""The row: one measured number, with all that says what was measured. Tables and figures see nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from robusteval.errors import UserError
from robusteval.results.metrics import Aspect
from robusteval.results.older import from_prose
from robusteval.settings.codec import from_dict

NoteKind = Literal["run", "test"]


@dataclass(frozen=True)
class Note:
    """What a reader must know of a number, as prose.

    kind: "run", what this run met; "test", what holds for this test of every run.
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
    seconds: what measuring it took; notes: what else a reader must know;
    scenario: what was done to the training set, as the user wrote it, scenario_value: its strength;
    spread: the value on each random set, where `value` is their mean.
    model: the starting model, or the tested checkpoint, as the user named it; "" in rows of an earlier version.
    aspect: what the number speaks of, None where its metric says so. sets: random sets that it was measured on.
    summary: whether it sums up other rows of its suite. in_domain: whether its rows are text like that of the training.
    collapsed: the class that the run predicts throughout, None where it predicts several.
    selected_on_dev: whether the checkpoint was chosen on the dev split.
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
    model: str = ""
    aspect: Aspect | None = None
    sets: int = 1
    summary: bool = False
    in_domain: bool = False
    collapsed: str | None = None
    selected_on_dev: bool = False

    @property
    def remarks(self) -> tuple[Note, ...]:
        """All that a table says under its lines of this number: first what the fields tell, then the notes."""
        told = [] if self.collapsed is None else [Note(f"collapsed to {self.collapsed!r}")]
        told += [Note(f"{self.suite_value} is in domain", "test")] if self.in_domain else []
        told += [Note(f"mean of {self.sets} sets", "test")] if self.sets > 1 else []
        return (*told, *self.notes)


def row_line(row: Row) -> dict[str, Any]:
    """A row as a JSON object; a number that is not finite is written as null."""
    spread = [each if math.isfinite(each) else None for each in row.spread]
    return {**asdict(row), "value": row.value if math.isfinite(row.value) else None, "spread": spread}


def line_row(line: Mapping[str, Any], where: str = "row") -> Row:
    """The row that `row_line` wrote, or one of an earlier version.

    UserError, which begins with `where`, where it is none.
    """
    spread = line.get("spread", ())
    if isinstance(spread, list):
        spread = [math.nan if each is None else each for each in spread]
    value = math.nan if line.get("value", 0) is None else line.get("value")
    fields = {**line, "value": value, "spread": spread}
    row = from_dict(Row, fields if "aspect" in fields else from_prose(fields), f"{where}: ")
    if math.inf in map(abs, (row.value, row.seconds, *row.spread)) or row.n < 0:
        raise UserError(f"{where}: its numbers are out of range")
    return row
