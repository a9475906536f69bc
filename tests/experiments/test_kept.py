"""What a process keeps from run to run is what it would load, and no more than there is room for."""

from __future__ import annotations

from pathlib import Path

import pytest

from robusteval.experiments import kept
from robusteval.experiments.jobs import Job
from robusteval.models.hashes import checkpoint_sha256
from robusteval.settings.data import DataConfig
from robusteval.settings.runs import RunSpec
from robusteval.tasks.load import load_task


def job_of(files: tuple[Path, Path], limit: int | None = None) -> Job:
    data = DataConfig(
        train_file=str(files[0]), dev_file=str(files[1]), text_columns=("review",), label_column="verdict",
        train_limit=limit,
    )  # fmt: skip
    return Job(RunSpec(task="mine", data=data), "run", "a run", {"data": load_task("mine", data).fingerprint})


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_rows", type(kept._rows)())


def test_rows_are_loaded_once_and_anew_where_the_files_changed(csv_files: tuple[Path, Path]) -> None:
    job = job_of(csv_files)
    first = kept.rows_of(job)
    assert kept.rows_of(job) is first and first.fingerprint == job.facts["data"]
    assert kept.rows_of(job_of(csv_files, 8)) is not first
    assert kept.rows_of(job) is first
    with open(csv_files[0], "a") as file:
        file.write("a fine film,good\n")
    changed = job_of(csv_files)
    assert kept.rows_of(changed).fingerprint == changed.facts["data"] != first.fingerprint


def test_the_rows_that_were_met_longest_ago_make_room(
    csv_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [job_of(csv_files, limit) for limit in (80, 81, 82)]
    first = kept.rows_of(jobs[0])
    texts = sum(len(text) for split in (first.train, first.dev) for text in split.texts[0])
    size = kept._bytes(first)
    assert texts < size < texts + 200 * (len(first.train) + len(first.dev))
    monkeypatch.setattr(kept, "MOST", 2 * size + size // 2)
    second = kept.rows_of(jobs[1])
    assert kept.rows_of(jobs[0]) is first  # now the second is the oldest
    kept.rows_of(jobs[2])
    assert kept.rows_of(jobs[0]) is first and kept.rows_of(jobs[1]) is not second
    # rows for which there is never room are kept while they are at hand
    monkeypatch.setattr(kept, "MOST", 0)
    alone = kept.rows_of(jobs[2])
    assert kept.rows_of(jobs[2]) is alone and len(kept._rows) == 1


def test_a_checkpoint_that_changed_has_another_digest(tiny_folder: Path, tmp_path: Path) -> None:
    for file in tiny_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = checkpoint_sha256(tmp_path)
    assert checkpoint_sha256(tmp_path) == before == checkpoint_sha256(tiny_folder)
    weights = tmp_path / "model.safetensors"
    held = weights.read_bytes()
    weights.write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    assert checkpoint_sha256(tmp_path) != before
    weights.write_bytes(held)
    assert checkpoint_sha256(tmp_path) == before
