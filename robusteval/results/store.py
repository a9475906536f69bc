"""A run on disk: stages that are finished stay finished, whatever happens next, and what is damaged is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from robusteval.errors import UserError
from robusteval.results.metrics import Metric
from robusteval.results.rows import Journal, Row, read_journal, row_line, seal_of
from robusteval.runtime.environment import check_environment
from robusteval.settings.codec import content_hash, to_dict, to_yaml
from robusteval.settings.runs import ExperimentSpec
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
from robusteval.storage.locks import LOCK, locked
from robusteval.storage.reading import file_sha256, read_json, read_yaml

# Beside the results of `evaluate`: what was tested, on which rows, and how.
EVALUATION = "evaluation.json"
RECORDS = ("config.json", "environment.json", EVALUATION)
FOLDERS = ("predictions", "analysis", "attacks")


class RunFolder:
    """The files of one run.

    rows.jsonl holds the rows of each finished stage, followed by that stage's marker; the last line of a
    finished run is a marker, too. Rows without one stem from a writer that was killed and are dropped. Each marker
    bears the digests of the stage's files and a seal over all that stands before it (`rows.Journal`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows_path = path / "rows.jsonl"
        self.model = path / "model"
        self._claim: Claim | None = None

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
        return {str(marker["stage"]) for marker in self.journal().markers if "stage" in marker}

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
            foreign = [row.run for row in journal.every if row.run != self.path.name]
            if foreign and not (self.path / EVALUATION).exists():  # whose rows bear the checkpoint's name
                raise UserError(f"{self.rows_path}: has rows of another run, {foreign[0]!r}")
            for marker in journal.markers:
                for name, digest in marker.get("files", {}).items():
                    self._check_file(name, digest, model)
            self.environments()
        except UserError as error:
            raise UserError(
                f"{error}; delete the folder {str(self.path)!r} and give the same command again: only this run is "
                "done anew"
            ) from error

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

    def reset(self) -> None:
        """Forget every finished stage: what they were measured on is no longer there."""
        self.forget_tests()
        (self.path / "state.safetensors").unlink(missing_ok=True)
        shutil.rmtree(self.path / "attacks", ignore_errors=True)

    def forget_tests(self) -> None:
        """Remove what `evaluate` writes, and nothing else."""
        for name in ("rows.jsonl", "table.md", "table.csv", "table.tex"):
            with writing(self.path / name):
                (self.path / name).unlink(missing_ok=True)
        for name in ("predictions", "analysis"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def finish_stage(
        self, stage: str, rows: Sequence[Row], files: Iterable[Path] = (), declared: Iterable[Metric] = ()
    ) -> None:
        """Keep the rows of a stage for good.

        files: those that belong to it, where they are there; declared: metrics that its suite says more of.
        """
        metrics = [metric.record() for metric in declared]
        self._append(rows, {"stage": stage, **({"metrics": metrics} if metrics else {})}, files)

    def finish(self, *, keep_model: bool) -> None:
        """Mark the run as done, then drop what only resuming needed."""
        self._append((), {"done": True, "kept": keep_model}, (self.path / name for name in RECORDS))
        self._drop(self._needless(kept=keep_model))

    def _append(self, rows: Sequence[Row], marker: Mapping[str, Any], files: Iterable[Path]) -> None:
        journal = self.journal()
        lines = [row_line(row) for row in rows]
        digests = {path.relative_to(self.path).as_posix(): file_sha256(path) for path in files if path.exists()}
        sealed = {**marker, "files": digests}
        # a torn last line is dropped by the writer of the next ones
        before = journal.unsealed + journal.rest[: journal.rest.rfind(b"\n") + 1]
        before += b"".join(map(json_line, lines))
        if self._claim is not None:
            self._claim.check()
        append_lines(self.rows_path, [*lines, {**sealed, "seal": seal_of(journal.seal, before, sealed)}])

    def tidy(self) -> None:
        """Remove what a process that was killed left in this finished run, unless another one is at work in it."""
        kept = self.journal().markers[-1].get("kept", True)
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


def check_output(out: Path, spec: ExperimentSpec) -> None:
    """Raise UserError unless `out` is new, empty, or holds this very experiment. Nothing is written.

    Another experiment's folder is refused by the first field that differs. A field that an experiment of an earlier
    version lacks has its default there. What a command that was stopped at its very start left is no hindrance.
    """
    held = check_folder(out)
    difference = held and _difference(to_dict(held, identity=True), to_dict(spec, identity=True))
    if difference:
        raise UserError(f"out: {str(out)!r} holds another experiment: {difference}; choose another --out folder")


def check_folder(out: Path) -> ExperimentSpec | None:
    """The experiment that `out` holds, None where it is new or empty; UserError where it is or holds anything else."""
    path = out / "experiment.yaml"
    check_place(out, folder=True)
    for name in ("experiment.yaml", LOCK):
        check_place(out / name, folder=False)
    for name in ("runs", "report"):
        check_place(out / name, folder=True)
    if path.is_file() and path.stat().st_size:
        try:
            return ExperimentSpec.read(read_yaml(path) or {})
        except UserError as error:
            raise UserError(
                f"out: {str(path)!r} describes no experiment ({error}); choose another --out folder"
            ) from error
    if out.is_dir() and not all(_is_ours(each) for each in out.iterdir()):
        raise UserError(f"out: {str(out)!r} is not empty and holds no experiment; choose another --out folder")
    return None


def _is_ours(path: Path) -> bool:
    """Whether this is all that a command leaves that is stopped before its experiment has begun."""
    return path.name == "experiment.yaml" or _passes(path.name)


def _passes(name: str) -> bool:
    """Whether a file of this name says nothing of what a folder holds: that of a lock, a claim or a killed write."""
    return name == LOCK or is_claim(name) or is_leftover(name)


def check_evaluation(out: Path) -> None:
    """Raise UserError unless `out` is new, empty, or holds the results of `evaluate`, which the next ones replace."""
    check_place(out, folder=True)
    for name in (EVALUATION, LOCK, "rows.jsonl"):
        check_place(out / name, folder=False)
    for name in ("predictions", "analysis"):
        check_place(out / name, folder=True)
    if not out.exists() or all(_passes(path.name) for path in out.iterdir()):
        return
    held = read_json(out / EVALUATION)
    if held is None:
        raise UserError(f"out: {str(out)!r} is not empty and holds no evaluation; choose another --out folder")
    if not {"checkpoint", "task", "evaluation"} <= set(held):
        raise UserError(f"out: {str(out / EVALUATION)!r} is none of this program's; choose another --out folder")


def claim_output(out: Path, spec: ExperimentSpec) -> None:
    """Make `out` this experiment's folder; UserError as `check_output`, nothing is overwritten."""
    check_output(out, spec)
    with locked(out, "report", wait=True):
        check_output(out, spec)
        path = out / "experiment.yaml"
        if not path.exists() or not path.stat().st_size:
            write_atomic(path, to_yaml(spec))


def _difference(held: Any, asked: Any, path: str = "") -> str | None:
    """The first field in which two specs differ, with both values."""
    if isinstance(held, dict) and isinstance(asked, dict):
        for key in [*asked, *(key for key in held if key not in asked)]:
            found = _difference(held.get(key), asked.get(key), f"{path}{key}.")
            if found:
                return found
        return None
    if held == asked:
        return None
    return f"{path.rstrip('.').removeprefix('base.')} is {_short(held)} there and {_short(asked)} here"


def _short(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        value = [item.get("label", item) for item in value]
    return repr(value)
