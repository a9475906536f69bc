"""What a run has finished: the rows of each stage, then the marker that ends it, sealed over all that stands before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from robusteval.errors import UserError
from robusteval.results.metrics import Metric
from robusteval.results.rows import Row, line_row
from robusteval.settings.codec import content_hash, from_dict
from robusteval.storage.reading import complete_lines, parse_json

_MARKS = ("stage", "done", "undo")


@dataclass(frozen=True)
class Marker:
    """A line of rows.jsonl that ends a stage or the run, or takes stages back.

    undo: stages that count no longer; an empty list only opens a finished run again. kept: the checkpoint stays.
    files: sha256 of each file that belongs to the stage; facts: what besides the run decides its numbers, by name;
    metrics: what its suite declares of them; seconds: what it took. seal: binds all of it to what stands before.
    """

    stage: str = ""
    done: bool = False
    kept: bool = False
    undo: tuple[str, ...] | None = None
    files: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    seconds: float = 0.0
    seal: str = ""

    @classmethod
    def read(cls, line: Mapping[str, Any], where: str, *, sealed: bool) -> Marker:
        """From its line; one whose seal holds is as it was written, and is not looked at again."""
        if not sealed or not set(line) <= _FIELDS:
            marker = from_dict(cls, line, f"{where}: ")
        else:
            marker = cls(**{**line, "metrics": tuple(Metric(**each) for each in line.get("metrics", ()))})
        if not marker.done and not marker.stage and marker.undo is None:
            raise UserError(f"{where} is neither a row nor the end of a test")
        return marker


_FIELDS = {item.name for item in fields(Marker)}


@dataclass(frozen=True)
class Stage:
    """A finished stage. lines: number and text of each of its rows."""

    marker: Marker
    lines: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Journal:
    """What a rows.jsonl holds.

    stages: those that are finished, by name, in the order in which they were; end: the marker of a finished run.
    lines: number and text of every row, also of stages that are not finished or count no longer.
    kept: the bytes up to the last marker; rest: what follows them; seal: the last one, "" before the first;
    sealed: whether the last marker bears one; unsealed: the bytes after the last seal, up to the last marker.
    """

    path: Path
    stages: Mapping[str, Stage] = field(default_factory=dict)
    end: Marker | None = None
    lines: tuple[tuple[int, bytes], ...] = ()
    kept: bytes = b""
    rest: bytes = b""
    seal: str = ""
    sealed: bool = True
    unsealed: bytes = b""

    @property
    def done(self) -> bool:
        return self.end is not None

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows of finished stages."""
        return tuple(row for name in self.stages for row in self.rows_of(name))

    def rows_of(self, stage: str) -> tuple[Row, ...]:
        """The rows of a stage, in the order in which they were measured; none where it is not finished."""
        return self._read(self.stages[stage].lines) if stage in self.stages else ()

    @property
    def every(self) -> tuple[Row, ...]:
        """All rows, also those of stages that are not finished."""
        return self._read(self.lines)

    @property
    def declared(self) -> dict[str, Metric]:
        """The metrics that suites of the user's own declared, by name."""
        return {metric.name: metric for stage in self.stages.values() for metric in stage.marker.metrics}

    def _read(self, lines: Iterable[tuple[int, bytes]]) -> tuple[Row, ...]:
        where = [(text, f"{self.path}: line {number}") for number, text in lines]
        return tuple(line_row(parse_json(text, place), place) for text, place in where)


def seal_of(previous: str, lines: bytes, marker: Mapping[str, Any]) -> str:
    """The seal of a marker after `lines`, those since the `previous` seal; it guards against damage, not forgery."""
    digest = hashlib.sha256(f"{previous}\n".encode() + lines)
    digest.update(content_hash({key: value for key, value in marker.items() if key != "seal"}).encode())
    return digest.hexdigest()


def read_journal(path: Path) -> Journal:
    """What the rows.jsonl `path` holds; nothing where there is none.

    Rows under a seal that holds are what was written, and are read when they are asked for. UserError, with file and
    line, where a line is neither a row nor a marker, or not what was written.
    """
    texts, torn = complete_lines(path)
    rows: list[tuple[int, bytes]] = []
    stages: dict[str, Stage] = {}
    end: Marker | None = None
    begun, kept, pending, unsealed, seal, sealed = 0, b"", b"", b"", "", True
    for number, text in enumerate(texts, 1):
        pending += text + b"\n"
        if text.startswith(b'{"run"'):
            rows.append((number, text))
            continue
        where = f"{path}: line {number}"
        line = parse_json(text, where) if text else {}
        if not isinstance(line, dict):
            raise UserError(f"{where} is no object with fields")
        if not text:
            continue
        if not any(mark in line for mark in _MARKS):
            rows.append((number, text))
            continue
        seals, before = bool(line.get("seal")), unsealed + pending[: -len(text) - 1]
        holds = seals and line["seal"] == seal_of(seal, before, line)
        marker = Marker.read(line, where, sealed=holds)
        if seals and not holds:
            raise UserError(f"{path}: the lines up to line {number} are not those that were written")
        own, begun = tuple(rows[begun:]), len(rows)
        if not seals:  # nothing else says that these are as they were written
            Journal(path)._read(own)
        for name in marker.undo or ():
            stages.pop(name, None)
        if marker.stage:
            stages[marker.stage] = Stage(marker, own)
        end = marker if marker.done else None
        kept, unsealed, pending = kept + pending, b"" if seals else unsealed + pending, b""
        seal, sealed = marker.seal or seal, seals
    Journal(path)._read(rows[begun:])
    return Journal(path, stages, end, tuple(rows), kept, pending + torn, seal, sealed, unsealed)


def read_rows(path: Path) -> list[Row]:
    """The rows of a rows.jsonl file, without a torn last line; UserError where they are not as they were written."""
    return list(read_journal(path).every)
