"""A run on disk: stages that are finished stay finished, whatever happens next."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from robusteval.config import PLACES, ExperimentSpec, to_dict, to_yaml
from robusteval.errors import UserError
from robusteval.files import append_lines, locked, replacing, write_atomic, write_json, writing
from robusteval.reading import read_lines
from robusteval.rows import Row, line_row, row_line

# Beside the results of `evaluate`: what was tested, on which rows, and how.
EVALUATION = "evaluation.json"


class RunFolder:
    """The files of one run.

    rows.jsonl holds the rows of each finished stage, followed by that stage's marker; the last line of a
    finished run is {"done": true}. Rows without a marker stem from a writer that was killed and are dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows_path = path / "rows.jsonl"
        self.model = path / "model"

    @property
    def done(self) -> bool:
        lines = read_lines(self.rows_path)
        return bool(lines) and lines[-1] == {"done": True}

    def rows(self) -> list[Row]:
        """Rows of finished stages."""
        return [line_row(line) for line in self._finished_lines() if "value" in line]

    def stages(self) -> set[str]:
        return {line["stage"] for line in self._finished_lines() if "stage" in line}

    def _finished_lines(self) -> list[dict[str, Any]]:
        lines = read_lines(self.rows_path)
        last = max((n for n, line in enumerate(lines) if "value" not in line), default=-1)
        return lines[: last + 1]

    def recover(self) -> None:
        """Cut away what an interrupted writer left behind."""
        if not self.rows_path.exists():
            return
        finished = self._finished_lines()
        if len(finished) < len(read_lines(self.rows_path)):
            write_atomic(self.rows_path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in finished))

    def reset(self) -> None:
        """Forget every finished stage: what they were measured on is no longer there."""
        self.forget_tests()
        (self.path / "state.safetensors").unlink(missing_ok=True)
        shutil.rmtree(self.path / "attacks", ignore_errors=True)

    def forget_tests(self) -> None:
        """Remove what `evaluate` writes, and nothing else."""
        for name in ("rows.jsonl", "table.md", "table.csv", "table.tex"):
            (self.path / name).unlink(missing_ok=True)
        for name in ("predictions", "analysis"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def finish_stage(self, stage: str, rows: Sequence[Row]) -> None:
        append_lines(self.rows_path, [*(row_line(row) for row in rows), {"stage": stage}])

    def finish(self, *, keep_model: bool) -> None:
        """Mark the run as done, then drop what only resuming needed."""
        append_lines(self.rows_path, [{"done": True}])
        for path in (self.path / "state.safetensors", *(self.path / "attacks").glob("logits.sqlite*")):
            path.unlink(missing_ok=True)
        if not keep_model:
            shutil.rmtree(self.model, ignore_errors=True)

    def write_record(self, name: str, value: dict[str, Any]) -> None:
        write_json(self.path / name, value)

    def update_record(self, name: str, **values: Any) -> None:
        path = self.path / name
        try:
            held = json.loads(path.read_text())
        except (OSError, ValueError):
            held = {}
        write_json(path, {**held, **values})

    def environments(self) -> list[dict[str, Any]]:
        """What this run was measured with: first what trained it, then whatever else continued it."""
        try:
            held = json.loads((self.path / "environment.json").read_text())
        except (OSError, ValueError):
            return []
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

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process (`files.locked`); what a killed one left half-written is cleared."""
        with locked(self.path, "predictions", "analysis", "attacks"):
            yield


def check_output(out: Path, spec: ExperimentSpec) -> None:
    """Raise UserError unless `out` is new, empty, or holds this very experiment. Nothing is written.

    Another experiment's folder is refused by the first field that differs.
    """
    path = out / "experiment.yaml"
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise UserError(f"out: {str(nearest)!r} is a file")
    if not os.access(nearest, os.W_OK):
        raise UserError(f"out: {str(nearest)!r} cannot be written to")
    if path.exists():
        try:
            held = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            raise UserError(f"out: {str(path)!r} is not readable as YAML") from error
        if not isinstance(held, dict) or "base" not in held:
            raise UserError(f"out: {str(path)!r} describes no experiment; choose another --out folder")
        difference = _difference(held, to_dict(spec))
        if difference:
            raise UserError(f"out: {str(out)!r} holds another experiment: {difference}; choose another --out folder")
    elif out.is_dir() and any(out.iterdir()):
        raise UserError(f"out: {str(out)!r} is not empty and holds no experiment; choose another --out folder")


def check_evaluation(out: Path) -> None:
    """Raise UserError unless `out` is new, empty, or holds the results of `evaluate`, which the next ones replace."""
    if (out / EVALUATION).is_file() or not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"out: {str(out)!r} is a file")
    if any(path.name != ".lock" for path in out.iterdir()):
        raise UserError(f"out: {str(out)!r} is not empty and holds no evaluation; choose another --out folder")


def claim_output(out: Path, spec: ExperimentSpec) -> None:
    """Make `out` this experiment's folder; UserError as `check_output`, nothing is overwritten."""
    check_output(out, spec)
    if not (out / "experiment.yaml").exists():
        write_atomic(out / "experiment.yaml", to_yaml(spec))


def _difference(held: Any, asked: Any, path: str = "") -> str | None:
    """The first field in which two specs differ, with both values; where the rows lie does not count."""
    if isinstance(held, dict) and isinstance(asked, dict):
        for key in [*asked, *(key for key in held if key not in asked)]:
            if path == "base.data." and key in PLACES:
                continue
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
