"""Writing and reading files: modes, leftovers, locks, and errors of the disk that are told from all others."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.torch import save_file

from robusteval.attacks.queries.cache import LogitsCache
from robusteval.errors import UserError
from robusteval.experiments import attempt
from robusteval.models.saving import save_checkpoint
from robusteval.storage.files import clear_leftovers, disk_trouble, errno_of, is_leftover, replacing, write_atomic
from robusteval.storage.locks import locked
from robusteval.training.state import DamagedState, load_state, save_state
from support import tiny
from support.small_experiment import done, left_behind, small_plan, timeless


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_files_have_the_modes_of_the_users_umask(
    umask: None, tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    save_state(tmp_path / "state.safetensors", {"a": np.float64(1.5)})
    save_checkpoint(tiny.model(), tiny.tokenizer(), tmp_path / "model", {"confidence": tiny.model().classifier})
    assert done(small_plan(tiny_folder, csv_files), tmp_path / "out")[0] == 0
    for path in tmp_path.rglob("*"):
        if path not in csv_files:
            assert oct(path.stat().st_mode & 0o777) == ("0o750" if path.is_dir() else "0o640"), path


def test_a_block_that_ends_badly_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "held").touch()

    def write(name: str, error: type[BaseException]) -> None:
        with replacing(tmp_path / name) as new:
            if name == "folder":
                new.mkdir()
                (new / "half").touch()
            else:
                new.write_text("half")
            raise error

    for error in (KeyboardInterrupt, ValueError):
        for name in ("file", "folder", "new"):
            with pytest.raises(error):
                write(name, error)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "held"]
    assert (tmp_path / "file").read_text() == "old"


def test_only_leftovers_are_cleared(tmp_path: Path) -> None:
    ours = (".robusteval-0123456789abcdef.tmp", ".state.safetensors.123.tmp", ".model.123.tmp", ".model.123.old")
    others = (".lock", ".hidden.tmp", "notes.tmp", "state.123.tmp", ".robusteval-short.tmp", "rows.jsonl")
    for name in (*ours[:2], *others):
        (tmp_path / name).touch()
    for name in ours[2:]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").touch()
    assert [is_leftover(name) for name in (*ours, *others)] == [True] * 4 + [False] * 6
    with locked(tmp_path):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted(others)


def test_what_another_process_is_writing_is_not_cleared(tmp_path: Path) -> None:
    with locked(tmp_path), replacing(tmp_path / "file") as new:
        new.write_text("half")
        with pytest.raises(UserError, match="another process is working on"), locked(tmp_path):
            pass
        assert new.exists()
    assert (tmp_path / "file").read_text() == "half"
    clear_leftovers(tmp_path / "not-there")


def test_a_disk_without_locks_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")

    def flock(*arguments: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError, match="No locks available; choose a folder on a disk that"), locked(tmp_path):
        pass


def test_errors_of_the_disk_are_told_from_others() -> None:
    full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    arrow = OSError("Error writing bytes to file. Detail: [errno 28] No space left on device")
    assert [errno_of(error) for error in (full, arrow, OSError(errno.EIO, "x"))] == [28, 28, errno.EIO]
    assert errno_of(OSError("Can't load tokenizer for 'x'")) is None
    assert disk_trouble(OSError(errno.ENOENT, "x"), Path("x")) is None
    assert disk_trouble(ValueError("no (os error)"), Path("x")) is None
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG):
        said = disk_trouble(OSError(code, "x", "/some/file"), Path("x"))
        assert said is not None and said.startswith("out: '/some/file' cannot be written: ") and "\n" not in said


@pytest.mark.parametrize("limit", [0, 200, 5000, 50_000])
def test_a_limit_on_the_size_of_files(limit: int, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    model, before = tiny.model(), resource.getrlimit(resource.RLIMIT_FSIZE)
    writes = {
        "text": lambda: write_atomic(tmp_path / "text", "a" * 200_000),
        "state": lambda: save_state(tmp_path / "state", dict(model.state_dict())),
        "model": lambda: save_checkpoint(model, tiny.tokenizer(), tmp_path / "model"),
    }
    for name, write in writes.items():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(UserError, match=rf"{name}' cannot be written: File too large; raise the limit"):
                write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert os.listdir(tmp_path) == []
    writes["model"]()
    assert os.listdir(tmp_path) == ["model"]


def test_a_state_whose_content_was_changed_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    state = {"weights": tiny.model().state_dict()["classifier.weight"], "step": 3}
    save_state(path, state)
    assert load_state(path)["step"] == 3
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedState, match="its content is not what was written"):
        load_state(path)
    save_file({}, path)
    with pytest.raises(DamagedState):
        load_state(path)


def test_a_cache_that_cannot_be_written_or_was_damaged_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, logits = tmp_path / "logits.sqlite", np.array([[1.0, 2.0]], np.float32)
    with LogitsCache(path, "model") as cache:
        cache.put([("a",)], logits)
        (value,) = cache._database.execute("SELECT value FROM logits").fetchone()
        flipped = [value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :] for place in (0, 15)]
        for damaged in (*flipped, value[:8], b"", "text", None):
            cache._database.execute("UPDATE logits SET value = coalesce(?, 3)", [damaged])
            assert cache.get([("a",)], 2) == {}
        cache._database.execute("UPDATE logits SET value = ?", [value])
        assert cache.get([("a",)], 2)[("a",)].tolist() == [1.0, 2.0]
        cache._database.execute("PRAGMA max_page_count = 1")
        for number in range(3):
            many = [(f"{number} {each}",) for each in range(300)]
            cache.put(many, np.repeat(logits, 300, axis=0))
        assert cache.get([("a",)], 2)[("a",)].tolist() == [1.0, 2.0]
    assert [record.getMessage() for record in caplog.records] == [
        f"cache: {str(path)!r} cannot be used (database or disk is full); it can be deleted at no loss but time; "
        "the attack goes on without it"
    ]


def test_a_report_that_cannot_be_written_is_said_on_the_screen(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def broken(*arguments: Any) -> None:
        raise RuntimeError("a bug")

    def full(path: Path, content: str) -> None:
        raise UserError(f"out: {str(path)!r} cannot be written: No space left on device")

    plan = small_plan(tiny_folder, csv_files)
    monkeypatch.setattr(attempt, "execute", broken)
    code, said = done(plan, tmp_path / "out")
    assert code == 2 and "RuntimeError: a bug (all of it in " in said
    monkeypatch.setattr(attempt, "write_atomic", full)
    code, said = done(plan, tmp_path / "out")
    assert code == 2 and "RuntimeError: a bug (all of it above; out: " in said
    assert "raise RuntimeError" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_while_it_writes(tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path) -> None:
    plan = small_plan(tiny_folder, csv_files, ("match", "tdt"))
    assert done(plan, tmp_path / "whole")[0] == 0
    out, real = tmp_path / "out", os.fsync
    for writes in (0, 1, 9, 13):
        child = os.fork()
        if child == 0:
            left = [writes]

            def fsync(descriptor: int, left: list[int] = left) -> None:
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                real(descriptor)

            os.fsync = fsync
            done(plan, out)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert left_behind(out) != []
    assert done(plan, out)[0] == 0
    assert timeless(plan, out) == timeless(plan, tmp_path / "whole")
    assert left_behind(out) == []


def test_what_a_kill_left_in_a_finished_run_is_cleared_at_the_next_start(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    plan, out = small_plan(tiny_folder, csv_files), tmp_path / "out"
    assert done(plan, out)[0] == 0
    folder = plan.jobs[0].folder(out)
    for name in ("state.safetensors", "attacks/logits.sqlite", "attacks/logits.sqlite-wal", "error.txt"):
        (folder.path / name).touch()
    for name in (".robusteval-0123456789abcdef.tmp", "predictions/.robusteval-0123456789abcdef.tmp"):
        (folder.path / name).mkdir()
    (out / ".experiment.yaml.99.tmp").touch()
    before = time.time()
    assert done(plan, out)[0] == 0
    assert left_behind(out) == []
    # it was kept when the run was finished, and a kept model stays
    assert folder.model.is_dir() and folder.rows_path.stat().st_mtime < before
