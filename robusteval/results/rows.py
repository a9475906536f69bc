"""The row: one measured number, with all that says what was measured. Tables and figures see nothing else."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from robusteval.errors import UserError
from robusteval.settings.codec import content_hash, from_dict
from robusteval.storage.reading import complete_lines, parse_json

NoteKind = Literal["run", "test", "selected", "collapsed", "in domain"]


@dataclass(frozen=True)
class Note:
    """What a reader must know of a number, as prose, and what a table makes of it.

    kind: "run", what this run met; "test", what holds for this test of every run; "in domain", the same of a test that
    is none of robustness; "collapsed", the run predicts one class; "selected", the checkpoint was chosen on these rows.
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


def line_row(line: Mapping[str, Any], where: str = "row") -> Row:
    """The row that `row_line` wrote, or an older one with all its notes in one text.

    UserError, which begins with `where`, where it is none.
    """
    spread = line.get("spread", ())
    if isinstance(spread, list):
        spread = [math.nan if each is None else each for each in spread]
    value = math.nan if line.get("value", 0) is None else line.get("value")
    fields = {**line, "value": value, "spread": spread}
    if "note" in fields:
        fields["notes"] = joined_notes(str(fields.pop("note")))
    row = from_dict(Row, fields, f"{where}: ")
    if math.inf in map(abs, (row.value, row.seconds, *row.spread)) or row.n < 0:
        raise UserError(f"{where}: its numbers are out of range")
    return row


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
    """The rows of a rows.jsonl file, without a torn last line; UserError where they are not as they were written."""
    return list(read_journal(path).every)


@dataclass(frozen=True)
class Journal:
    """What a rows.jsonl holds: the rows of each finished stage, then that stage's marker.

    every: all rows; rows: those of finished stages; markers: {"stage": name} or {"done": true}, and in it `files`, the
    sha256 of each file that belongs to the stage, and `seal`, which binds both to all that stands before.
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
    seal: str = ""
