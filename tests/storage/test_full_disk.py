"""A disk that is full, wherever that is met: one sentence, and afterwards the same numbers."""

from __future__ import annotations

import builtins
import errno
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from safetensors import SafetensorError

from robusteval.errors import UserError
from robusteval.results.asked import check_folder
from robusteval.storage import files
from robusteval.training import state
from support.small_experiment import done, left_behind, small_plan, timeless


class FullDisk:
    """Lets each place that is written to fail once, at its first write; `told` are those places, in order."""

    def __init__(self, out: Path, patch: pytest.MonkeyPatch, code: int) -> None:
        self.out, self.code, self.told, self.fired = out, code, [], False
        self._wrap(patch, os, "replace", lambda source, target: target)
        self._wrap(patch, os, "fsync", lambda descriptor: os.readlink(f"/proc/self/fd/{descriptor}"))
        self._wrap(patch, os, "open", lambda path, flags, *mode, **k: path if str(path).endswith(".lock") else "")
        self._wrap(patch, Path, "mkdir", lambda path, *a, **k: path if not path.exists() else "")
        self._wrap(patch, Path, "write_bytes", lambda path, data: path)
        rust = lambda: SafetensorError(f"Error while serializing: I/O error: {os.strerror(code)} (os error {code})")  # noqa: E731
        self._wrap(patch, state, "save_file", lambda tensors, path, *a, **k: path, rust)
        self._wrap(patch, pq.ParquetWriter, "write_table", lambda *a, **k: self.out / "table")
        patch.setattr(files, "open", self._open, raising=False)

    def fails(self, kind: str, path: Any) -> bool:
        place = os.path.relpath(path, self.out) if path else ".."
        if place.startswith("..") or self.fired:
            return False
        # the names of temporary places are drawn anew each time
        name = (kind, "/".join(part for part in place.split("/") if not part.endswith(".tmp")))
        if name in self.told:
            return False
        self.told.append(name)
        self.fired = True
        return True

    def _wrap(self, patch: pytest.MonkeyPatch, owner: Any, name: str, path_of: Any, make: Any = None) -> None:
        real = getattr(owner, name)

        def write(*arguments: Any, **named: Any) -> Any:
            if self.fails(name, path_of(*arguments, **named)):
                raise make() if make else OSError(self.code, os.strerror(self.code))
            return real(*arguments, **named)

        patch.setattr(owner, name, write)

    def _open(self, path: Any, mode: str = "r") -> Any:
        handle = builtins.open(path, mode)  # noqa: SIM115 (the caller closes it)
        return Torn(handle, self.code) if "a" in mode and self.fails("append", path) else handle


class Torn:
    """A file that takes half of what is written to it."""

    def __init__(self, handle: Any, code: int) -> None:
        self.handle, self.code = handle, code

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handle, name)

    def __enter__(self) -> Torn:
        return self

    def __exit__(self, *error: Any) -> None:
        self.handle.close()

    def write(self, data: bytes) -> None:
        self.handle.write(data[: len(data) // 2])
        raise OSError(self.code, os.strerror(self.code))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="files are found through /proc")
def test_a_disk_that_is_full_at_any_write(tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path) -> None:
    plan = small_plan(tiny_folder, csv_files)
    assert done(plan, tmp_path / "whole")[0] == 0
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        disk = FullDisk(out, patch, errno.ENOSPC)
        for _ in range(200):
            disk.fired = False
            try:
                code, said = done(plan, out, cache=False)
            except UserError as error:
                code, said = 2, f"error: {error}\n"
            if not disk.fired:
                break
            where = (disk.told[-1], said)
            sentences = [line for line in said.splitlines() if line.startswith(("failed:", "error:"))]
            assert code == 2, where
            assert len(sentences) == 1, where
            assert "cannot be written: No space left on device (" in said, where
            assert "MB are free" in said and "MB are needed); make room there, then the same command goes on" in said
            assert "Traceback" not in said, where
            assert not [path for path in out.rglob("*") if files.is_leftover(path.name)], where
            check_folder(out)
    assert code == 0
    kinds = {kind for kind, _ in disk.told}
    assert kinds == {"replace", "fsync", "open", "mkdir", "write_bytes", "save_file", "write_table", "append"}
    places = {place for _, place in disk.told}
    folder = f"runs/{plan.jobs[0].name}"
    names = ("config.json", "environment.json", "train.jsonl", "state.safetensors", "model", "rows.jsonl",
             "predictions/clean.parquet", "analysis/calibration.parquet", "attacks/deepwordbug.jsonl")  # fmt: skip
    assert {".", "experiment.yaml", "report/table.md", *(f"{folder}/{name}" for name in names)} <= places
    assert timeless(plan, out) == timeless(plan, tmp_path / "whole") != []
    assert left_behind(out) == []
