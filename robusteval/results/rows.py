"""The row: one measured number, with all that says what was measured. Tables and figures see nothing else."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from robusteval.errors import UserError
from robusteval.results.metrics import Aspect, Metric
from robusteval.results.older import from_prose
from robusteval.settings.codec import content_hash, from_dict
from robusteval.storage.reading import complete_lines, parse_json

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


def read_rows(path: Path) -> list[Row]:
    """The rows of a rows.jsonl file, without a torn last line; UserError where they are not as they were written."""
    return list(read_journal(path).every)


@dataclass(frozen=True)
class Journal:
    """What a rows.jsonl holds: the rows of each finished stage, then that stage's marker.

    every: all rows; rows: those of finished stages; markers: {"stage": name} or {"done": true}, and in it `files`, the
    sha256 of each file that belongs to the stage, `metrics`, what its suite declares of them, and `seal`, which binds
    all of it to what stands before.
    kept: the bytes up to the last marker; rest: what follows them; seal: the last one, "" before the first;
    sealed: whether the last marker bears one; unsealed: the bytes after the last seal, up to the last marker.
    """

    every: tuple[Row, ...] = ()
    rows: tuple[Row, ...] = ()
    markers: tuple[Mapping[str, Any], ...] = ()
    kept: bytes = b""
    rest: bytes = b""
    seal: str = ""
    sealed: bool = True
    unsealed: bytes = b""

    @property
    def declared(self) -> dict[str, Metric]:
        """The metrics that suites of the user's own declared, by name."""
        found = (from_dict(Metric, each) for marker in self.markers for each in marker.get("metrics", ()))
        return {metric.name: metric for metric in found}

    @property
    def done(self) -> bool:
        return bool(self.markers) and self.markers[-1].get("done") is True


def seal_of(previous: str, lines: bytes, marker: Mapping[str, Any]) -> str:
    """The seal of a marker after `lines`, those since the `previous` seal; it guards against damage, not forgery."""
    digest = hashlib.sha256(f"{previous}\n".encode() + lines)
    digest.update(content_hash({key: value for key, value in marker.items() if key != "seal"}).encode())
    return digest.hexdigest()


def read_journal(path: Path) -> Journal:
    """What the rows.jsonl `path` holds; nothing where there is none.

    UserError, with file and line, where a line is neither a row nor a marker, or not what was written.
    """
    texts, torn = complete_lines(path)
    every: list[Row] = []
    finished, markers = 0, []
    kept, pending, unsealed, seal, sealed = b"", b"", b"", "", True
    for number, text in enumerate(texts, 1):
        pending += text + b"\n"
        where = f"{path}: line {number}"
        line = parse_json(text, where) if text else {}
        if not isinstance(line, dict):
            raise UserError(f"{where} is no object with fields")
        if text and "stage" not in line and "done" not in line:
            every.append(line_row(line, where))
        elif text:
            marker = from_dict(_Marker, line, f"{where}: ")
            if not marker.done and not marker.stage:
                raise UserError(f"{where} is neither a row nor the end of a test")
            sealed = bool(marker.seal)
            before = unsealed + pending[: -len(text) - 1]
            if sealed and marker.seal != seal_of(seal, before, line):
                raise UserError(f"{path}: the lines up to line {number} are not those that were written")
            kept, unsealed, pending = kept + pending, b"" if sealed else unsealed + pending, b""
            seal, finished = marker.seal or seal, len(every)
            markers.append(line)
    rows = tuple(every)
    return Journal(rows, rows[:finished], tuple(markers), kept, pending + torn, seal, sealed, unsealed)


@dataclass(frozen=True)
class _Marker:
    """A line of rows.jsonl that ends a stage or the run."""

    stage: str = ""
    done: bool = False
    kept: bool = False
    files: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    seal: str = ""
