"""A run on disk: stages that are finished stay finished, whatever happens next, and what is damaged is named."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from robusteval.errors import UserError
from robusteval.results.journal import Journal, read_journal, seal_of
from robusteval.results.metrics import Metric
from robusteval.results.rows import Row, row_line
from robusteval.runtime.environment import check_environment
from robusteval.settings.codec import content_hash
from robusteval.storage.claims import Claim, claimed, is_claim
from robusteval.storage.files import (
    append_lines,
    check_place,
    is_leftover,
    json_line,
    replacing,
    write_atomic,
    write_json,
    writing,
)
from robusteval.storage.locks import LOCK
from robusteval.storage.reading import file_sha256, read_json

# Beside the results of `evaluate`: what was tested, on which rows, and how.
EVALUATION = "evaluation.json"
RECORDS = ("config.json", "environment.json", EVALUATION)
FOLDERS = ("predictions", "analysis", "attacks")


class RunFolder:
    """The files of one run.

    rows.jsonl holds the rows of each finished stage, followed by that stage's marker; the last line of a
    finished run is a marker, too. Rows without one stem from a writer that was killed and are dropped. Each marker
    bears the digests of the stage's files and a seal over all that stands before it (`journal.Journal`). A finished
    run that is asked for more tests is opened again, and what it has stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows_path = path / "rows.jsonl"
        self._claim: Claim | None = None

    @property
    def model(self) -> Path:
        return self.path / "model"

    def journal(self) -> Journal:
        """What rows.jsonl holds; UserError where that is not what was written."""
        return read_journal(self.rows_path)

    @property
    def done(self) -> bool:
        """Whether the run was finished; one whose rows.jsonl cannot be read is not (`check` says why)."""
        try:
            return self.journal().done
        except UserError:
            return False

    def rows(self) -> list[Row]:
        """Rows of finished stages."""
        return list(self.journal().rows)

    def stages(self) -> set[str]:
        return set(self.journal().stages)

    def holds(self, tests: Mapping[str, Mapping[str, str]]) -> bool:
        """Whether the run is finished with all these tests, and with these facts of each; one whose rows.jsonl cannot
        be read is not."""
        try:
            journal = self.journal()
        except UserError:
            return False
        return journal.holds(tests)

    def check(self, *, model: bool = False) -> None:
        """Raise UserError where a finished stage is not what it was when it was finished; says what, and what to do.

        model: also where the kept checkpoint is not; reading its files takes as long as they are large.
        """
        try:
            for name in (*RECORDS, "rows.jsonl", "train.jsonl", "state.safetensors", "error.txt"):
                check_place(self.path / name, folder=False)
            for name in (*FOLDERS, "model"):
                check_place(self.path / name, folder=True)
            journal = self.journal()
            if not (self.path / EVALUATION).exists():  # whose rows bear the checkpoint's name
                self._check_rows(journal)
            markers = [stage.marker for stage in journal.stages.values()]
            for marker in (*markers, *([journal.end] if journal.end else ())):
                for name, digest in marker.files.items():
                    self._check_file(name, digest, model)
            self.environments()
        except UserError as error:
            raise UserError(
                f"{error}; delete the folder {str(self.path)!r} and give the same command again: only this run is "
                "done anew"
            ) from error

    def _check_rows(self, journal: Journal) -> None:
        own = json_line({"run": self.path.name})[:-2]
        foreign = [number for number, text in journal.lines if not text.startswith(own)]
        if foreign:
            raise UserError(f"{self.rows_path}: line {foreign[0]} is a row of another run")

    def _check_file(self, name: str, digest: str, model: bool) -> None:
        path = self.path / name
        if path.parent == self.model and not (model and self.model.is_dir()):
            return
        if path.parent not in (self.path, self.model, *(self.path / folder for folder in FOLDERS)):
            raise UserError(f"{self.rows_path}: names a file {name!r}, which is none of a run's")
        if file_sha256(path) != digest:
            raise UserError(f"{path}: is not what the run wrote")

    def damage(self) -> str:
        """What `check` says; empty where the run is as it was left."""
        try:
            self.check()
        except UserError as error:
            return str(error)
        return ""

    def recover(self) -> None:
        """Cut away what an interrupted writer left behind."""
        journal = self.journal()
        if journal.rest:
            write_atomic(self.rows_path, journal.kept)

    def forget_attack(self, stage: str) -> None:
        """Remove the lines of an attack that is to be done anew; of another stage there is nothing to remove."""
        folder, _, name = stage.partition("/")
        if folder == "attack":
            with writing(self.path / "attacks"):
                (self.path / "attacks" / f"{name}.jsonl").unlink(missing_ok=True)

    def forget_tests(self) -> None:
        """Remove what `evaluate` writes, and nothing else."""
        for name in ("rows.jsonl", *(f"table.{ending}" for ending in ("md", "csv", "tex", "html", "json"))):
            with writing(self.path / name):
                (self.path / name).unlink(missing_ok=True)
        for name in ("predictions", "analysis"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def finish_stage(
        self,
        stage: str,
        rows: Sequence[Row],
        files: Iterable[Path] = (),
        declared: Iterable[Metric] = (),
        *,
        facts: Mapping[str, str] = MappingProxyType({}),
        seconds: float = 0.0,
    ) -> None:
        """Keep the rows of a stage for good.

        files: those that belong to it, where they are there; declared: metrics that its suite says more of; facts: what
        besides the run decides its numbers; seconds: what it took.
        """
        told = {"metrics": [metric.record() for metric in declared], "facts": dict(facts), "seconds": round(seconds, 3)}
        self._append(rows, {"stage": stage, **{name: value for name, value in told.items() if value}}, files)

    def reopen(self, *undone: str) -> None:
        """Open a finished run again, for more tests; undone: stages that are to be done anew."""
        self._append((), {"undo": [name for name in undone if name in self.stages()]}, ())

    def finish(self, *, keep_model: bool) -> None:
        """Mark the run as done, then drop what only resuming needed."""
        self._append((), {"done": True, "kept": keep_model}, (self.path / name for name in RECORDS))
        self._drop(self._needless(kept=keep_model))

    def _append(self, rows: Sequence[Row], marker: Mapping[str, Any], files: Iterable[Path]) -> None:
        journal = self.journal()
        lines = [row_line(row) for row in rows]
        digests = {path.relative_to(self.path).as_posix(): file_sha256(path) for path in files if path.exists()}
        whole = {"whole": hashlib.sha256(journal.kept).hexdigest()} if marker.get("done") and not journal.rest else {}
        sealed = {**marker, "files": digests, **whole}
        # a torn last line is dropped by the writer of the next ones
        before = journal.unsealed + journal.rest[: journal.rest.rfind(b"\n") + 1]
        before += b"".join(map(json_line, lines))
        if self._claim is not None:
            self._claim.check()
        append_lines(self.rows_path, [*lines, {**sealed, "seal": seal_of(journal.seal, before, sealed)}])

    def tidy(self) -> None:
        """Remove what a process that was killed left in this finished run, unless another one is at work in it."""
        end = self.journal().end
        kept = end is None or end.kept
        places = (self.path, *(self.path / name for name in FOLDERS))
        found = (path.name for place in places if place.is_dir() for path in place.iterdir())
        if self._needless(kept=kept) or any(is_leftover(name) or is_claim(name) for name in found):
            with suppress(UserError), self.lock():
                self._drop(self._needless(kept=kept))

    def _needless(self, *, kept: bool) -> list[Path]:
        """What a finished run does not need: `kept` is the model."""
        names = ("state.safetensors", "state.damaged", "error.txt", *(() if kept else ("model",)))
        found = [*(self.path / name for name in names), *(self.path / "attacks").glob("logits.sqlite*")]
        return [path for path in found if path.exists()]

    def _drop(self, paths: Iterable[Path]) -> None:
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def write_record(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a record with a seal of its own, by which `read_record` tells whether it was changed."""
        write_json(self.path / name, {**value, "seal": content_hash(value)})

    def read_record(self, name: str) -> dict[str, Any]:
        """What `write_record` wrote, nothing where there is no such file; UserError where it was changed."""
        held = read_json(self.path / name) or {}
        # records of an earlier version bear no seal
        if held.pop("seal", None) not in (None, content_hash(held)):
            raise UserError(f"{self.path / name}: is not what the run wrote")
        return held

    def update_record(self, name: str, **values: Any) -> None:
        self.write_record(name, {**self.read_record(name), **values})

    def environments(self) -> list[dict[str, Any]]:
        """What this run was measured with: first what trained it, then whatever else continued it."""
        held = self.read_record("environment.json")
        if not held:
            return []
        check_environment(held, str(self.path / "environment.json"))
        return [held, *held.get("continued", [])]

    def note_continuation(self, measured_with: dict[str, Any]) -> None:
        """Record what continues a run, where that is not what began it."""
        known = [{key: each.get(key) for key in measured_with} for each in self.environments()]
        if measured_with not in known:
            self.update_record("environment.json", continued=[*self.environments()[1:], measured_with])

    def write_frame(self, suite: str, frames: Sequence[pd.DataFrame]) -> None:
        """analysis/<suite>.parquet: what a suite measured beside its numbers."""
        path = self.path / "analysis" / f"{suite}.parquet"
        frame = pd.concat(frames, ignore_index=True)
        with replacing(path) as new, writing(path, int(frame.memory_usage().sum())):
            frame.to_parquet(new, index=False)

    def suite_files(self, suite: str) -> list[Path]:
        """Where the predictions and the table of a suite lie."""
        return [self.path / folder / f"{suite}.parquet" for folder in ("predictions", "analysis")]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Claim the run for this process (`claims.claimed`); what a killed one left half-written is cleared."""
        with claimed(self.path, *FOLDERS) as self._claim:
            try:
                yield
            finally:
                self._claim = None


def passes_by(name: str) -> bool:
    """Whether a file of this name says nothing of what a folder holds: that of a lock, a claim or a killed write."""
    return name == LOCK or is_claim(name) or is_leftover(name)


def check_evaluation(out: Path) -> None:
    """Raise UserError unless `out` is new, empty, or holds the results of `evaluate`, which the next ones replace."""
    check_place(out, folder=True)
    for name in (EVALUATION, LOCK, "rows.jsonl"):
        check_place(out / name, folder=False)
    for name in ("predictions", "analysis"):
        check_place(out / name, folder=True)
    if not out.exists() or all(passes_by(path.name) for path in out.iterdir()):
        return
    held = read_json(out / EVALUATION)
    if held is None:
        raise UserError(f"out: {str(out)!r} is not empty and holds no evaluation; choose another --out folder")
    if not {"checkpoint", "task", "evaluation"} <= set(held):
        raise UserError(f"out: {str(out / EVALUATION)!r} is none of this program's; choose another --out folder")
