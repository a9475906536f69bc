"""What a run has finished: the rows of each stage, then the marker that ends it, sealed over all that stands before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from robusteval.errors import UserError
from robusteval.results.metrics import Metric
from robusteval.results.rows import Row, line_row
from robusteval.settings.codec import content_hash, from_dict
from robusteval.storage.reading import parse_json, read_bytes

# how a row begins, and the fields of which a marker has one
_ROW = b'{"run"'
_MARKS = ("stage", "done", "undo")


@dataclass(frozen=True)
class Marker:
    """A line of rows.jsonl that ends a stage or the run, or takes stages back.

    undo: stages that count no longer; an empty list only opens a finished run again. kept: the checkpoint stays.
    files: sha256 of each file that belongs to the stage; facts: what besides the run decides its numbers, by name;
    metrics: what its suite declares of them; seconds: what it took. whole: of the end of a run, sha256 of all that
    stands before it. seal: binds all of it to what stands before.
    """

    stage: str = ""
    done: bool = False
    kept: bool = False
    undo: tuple[str, ...] | None = None
    files: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    seconds: float = 0.0
    whole: str = ""
    seal: str = ""

    @classmethod
    def read(cls, line: Mapping[str, Any], where: str, *, sealed: bool) -> Marker:
        """From its line; one whose seal holds is as it was written, and is not looked at again."""
        if not sealed or not line.keys() <= _FIELDS:
            marker = from_dict(cls, line, f"{where}: ")
        elif "metrics" in line:
            marker = cls(**{**line, "metrics": tuple(Metric(**each) for each in line["metrics"])})
        else:
            marker = cls(**line)
        if not marker.done and not marker.stage and marker.undo is None:
            raise UserError(f"{where} is neither a row nor the end of a test")
        return marker


_FIELDS = {item.name for item in fields(Marker)}


@dataclass(frozen=True)
class Stage:
    """A finished stage. texts: its rows as they are written; numbers: of their lines."""

    marker: Marker
    texts: Sequence[bytes]
    numbers: Sequence[int]


@dataclass(frozen=True)
class Journal:
    """What a rows.jsonl holds.

    stages: those that are finished, by name, in the order in which they were; end: the marker of a finished run.
    kept: the bytes up to the last marker; rest: what follows them; seal: the last one, "" before the first;
    sealed: whether the last marker bears one; unsealed: the bytes after the last seal, up to the last marker.
    """

    path: Path
    stages: Mapping[str, Stage] = field(default_factory=dict)
    end: Marker | None = None
    kept: bytes = b""
    rest: bytes = b""
    seal: str = ""
    sealed: bool = True
    unsealed: bytes = b""

    @property
    def done(self) -> bool:
        return self.end is not None

    def holds(self, tests: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether the run is finished with all these tests, and with these facts of each."""
        held = self.stages
        return (
            self.done
            and held.keys() >= {"train", *tests}
            and all(facts.items() <= held[name].marker.facts.items() for name, facts in tests.items())
        )

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows of finished stages."""
        return tuple(row for name in self.stages for row in self.rows_of(name))

    def lines_of(self, stages: Iterable[str]) -> list[bytes]:
        """The text of every row of these stages, in order."""
        return [text for stage in stages if stage in self.stages for text in self.stages[stage].texts]

    def rows_of(self, stage: str) -> tuple[Row, ...]:
        """The rows of a stage, in the order in which they were measured; none where it is not finished."""
        held = self.stages.get(stage)
        return () if held is None else self._read(zip(held.numbers, held.texts, strict=True))

    @property
    def lines(self) -> list[tuple[int, bytes]]:
        """Number and text of every row, also of stages that are not finished or count no longer."""
        texts = (self.kept + self.rest).split(b"\n")[:-1]
        return [(number, text) for number, text in enumerate(texts, 1) if text and not _is_marker(text)]

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


def _is_marker(text: bytes) -> bool:
    """Of a line that was read before, and is an object."""
    return not text.startswith(_ROW) and any(mark in json.loads(text) for mark in _MARKS)


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
    text = read_bytes(path) or b""
    whole, torn = text[: text.rfind(b"\n") + 1], text[text.rfind(b"\n") + 1 :]
    texts = whole.split(b"\n")[:-1]
    if (journal := _unbroken(path, whole, texts)) is not None:
        return replace(journal, rest=torn) if torn else journal
    rows: dict[int, bytes] = {}
    stages: dict[str, Stage] = {}
    end: Marker | None = None
    kept, pending, unsealed, seal, sealed = b"", b"", b"", "", True
    for number, text in enumerate(texts, 1):
        pending += text + b"\n"
        if text.startswith(_ROW):
            rows[number] = text
            continue
        where = f"{path}: line {number}"
        line = parse_json(text, where) if text else {}
        if not isinstance(line, dict):
            raise UserError(f"{where} is no object with fields")
        if not text:
            continue
        if not any(mark in line for mark in _MARKS):
            rows[number] = text
            continue
        seals, before = bool(line.get("seal")), unsealed + pending[: -len(text) - 1]
        holds = seals and line["seal"] == seal_of(seal, before, line)
        marker = Marker.read(line, where, sealed=holds)
        if seals and not holds:
            raise UserError(f"{path}: the lines up to line {number} are not those that were written")
        if not seals:  # nothing else says that these are as they were written
            Journal(path)._read(rows.items())
        for name in marker.undo or ():
            stages.pop(name, None)
        if marker.stage:
            stages[marker.stage] = Stage(marker, [*rows.values()], [*rows])
        end = marker if marker.done else None
        kept, unsealed, pending = kept + pending, b"" if seals else unsealed + pending, b""
        seal, sealed, rows = marker.seal or seal, seals, {}
    Journal(path)._read(rows.items())
    return Journal(path, stages, end, kept, pending + torn, seal, sealed, unsealed)


def _unbroken(path: Path, whole: bytes, texts: Sequence[bytes]) -> Journal | None:
    """The journal of a finished run whose end tells that all before it is as it was written; else None.

    One digest over the whole file takes the place of the seals, so that thousands of runs are read in seconds.
    whole: the file; texts: its lines.
    """
    if not texts or not texts[-1].startswith(b'{"done"'):
        return None
    try:
        marked = [(number, text) for number, text in enumerate(texts) if not text.startswith(_ROW)]
        lines = json.loads(b"[%b]" % b",".join(text for _, text in marked))
        *_, last, end = lines
        before = hashlib.sha256(memoryview(whole)[: -len(texts[-1]) - 1]).hexdigest()
        if end.get("whole") != before or end["seal"] != seal_of(last["seal"], b"", end):
            return None
        stages, begun = dict[str, Stage](), 0
        for (place, _), line in zip(marked, lines, strict=True):
            marker = Marker.read(line, str(path), sealed=True)
            for name in marker.undo or ():
                stages.pop(name, None)
            if marker.stage:
                stages[marker.stage] = Stage(marker, texts[begun:place], range(begun + 1, place + 1))
            begun = place + 1
    except (ValueError, TypeError, AttributeError, LookupError, UserError):  # the slow reading says what is wrong
        return None
    return Journal(path, stages, marker, whole, b"", end["seal"])


def read_rows(path: Path) -> list[Row]:
    """The rows of a rows.jsonl file, without a torn last line; UserError where they are not as they were written."""
    return list(read_journal(path).every)
