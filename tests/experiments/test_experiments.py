"""Whole experiments on a tiny model: what lies on disk, what is never done twice, what a kill cannot harm."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from robusteval.errors import UserError
from robusteval.results.journal import read_rows
from robusteval.results.store import RunFolder
from robusteval.settings.codec import to_dict
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.train import TrainConfig
from robusteval.storage.reading import read_lines
from support.experiments import command, run, timeless
from support.places import ROOT

SHORT = ("--max-steps", "6", "--batch-size", "8", "--attack-examples", "4", "--seeds", "1",
         "--methods", "vanilla,match")  # fmt: skip


def test_a_whole_experiment_and_the_same_again(tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(command(tiny_folder, csv_files, out, *SHORT))
    assert first.returncode == 0, first.stderr
    assert "attack deepwordbug" in first.stdout
    number = r"clean accuracy \d+\.\d\d"
    assert re.search(rf"vanilla seed 0: done, {number} \(1 of 2, the rest in about \d+ s\)\n", first.stdout)
    assert re.search(rf"match seed 0: done, {number} \(2 of 2\)\n", first.stdout)
    folders = sorted((out / "runs").iterdir())
    assert [folder.name.rsplit(".", 1)[0] for folder in folders] == [
        "my-data.match.none.s0", "my-data.vanilla.none.s0",
    ]  # fmt: skip
    folder = folders[1]
    assert sorted(path.name for path in folder.iterdir() if path.name != ".lock") == [
        "attacks", "config.json", "environment.json", "model", "predictions", "rows.jsonl", "train.jsonl",
    ]  # fmt: skip
    assert read_lines(folder / "rows.jsonl")[-1]["done"] is True
    assert len(read_lines(folder / "train.jsonl")) == 6
    assert len(read_lines(folder / "attacks" / "deepwordbug.jsonl")) == 4
    environment = json.loads((folder / "environment.json").read_text())
    assert {"versions", "git_commit", "hardware", "model", "data", "checkpoint_sha256"} <= set(environment)
    # predictions are enough to recompute the metric
    frame = pd.read_parquet(folder / "predictions" / "mask.parquet")
    rows = {(row.suite, row.metric): row for row in read_rows(folder / "rows.jsonl")}
    assert len(frame) == 2 * 24
    accuracy = frame.groupby("set").apply(lambda part: (part.gold == part.predicted).mean()).mean()
    assert rows["mask", "accuracy"].value == pytest.approx(accuracy)
    assert rows["attack", "accuracy_under_attack"].n == 4
    assert (out / "report" / "table.md").exists()

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl")}
    second = run(command(tiny_folder, csv_files, out, *SHORT))
    assert second.returncode == 0, second.stderr
    assert second.stdout.count("finished before") >= 2
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.jsonl")} == before
    assert "textattack" not in second.stderr

    # with more seeds, these runs are a part of the experiment
    more = run(command(tiny_folder, csv_files, out, *SHORT, "--seeds", "2", "--dry-run"))
    assert more.returncode == 0, more.stderr
    assert "4 runs: methods vanilla, match; seeds 0, 1; 2 finished before" in more.stdout

    # the kept checkpoint is anybody's: evaluate and attack it on its own
    shared = ["--dev-file", str(csv_files[1]), "--text-columns", "review", "--label-column", "verdict",
              "--max-length", "32", "--device", "cpu"]  # fmt: skip
    checkpoint = str(folder / "model")
    base = [sys.executable, "-m", "robusteval.cli"]
    evaluated = run(
        [*base, "evaluate", checkpoint, *shared, "--rates", "0.2", "--sets", "2", "--out", str(tmp_path / "e")]
    )
    assert evaluated.returncode == 0, evaluated.stderr
    table = pd.read_csv(tmp_path / "e" / "table.csv")
    clean = table[(table.suite == "clean") & (table.metric == "accuracy")]["mean"].iloc[0]
    assert clean == pytest.approx(rows["clean", "accuracy"].value)
    # and leaves what the run left
    pd.testing.assert_frame_equal(frame, pd.read_parquet(tmp_path / "e" / "predictions" / "mask.parquet"))
    again = {(row.suite, row.metric): row for row in read_rows(tmp_path / "e" / "rows.jsonl")}
    assert {suite for suite, _ in again} == {"clean", "mask", "replace"}
    for key, row in again.items():
        # what a training that collapsed might try next is its own affair
        of_test = tuple(note for note in rows[key].notes if note.kind != "run")
        assert (row.value, row.spread, row.n, row.notes) == (rows[key].value, rows[key].spread, rows[key].n, of_test)
    attacked = run([*base, "attack", checkpoint, *shared, "--attack-examples", "4", "--out", str(tmp_path / "a.jsonl")])
    assert attacked.returncode == 0, attacked.stderr
    strip = lambda lines: [{k: v for k, v in line.items() if k not in ("seconds", "seal")} for line in lines]  # noqa: E731
    assert strip(read_lines(tmp_path / "a.jsonl")) == strip(read_lines(folder / "attacks" / "deepwordbug.jsonl"))


def kill_when(arguments: list[str], ready: Any) -> None:
    """Start, wait until `ready()`, and kill -9."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(arguments, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not ready():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the run never got there"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_kill_9_in_training_and_in_an_attack_changes_no_row(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    long = ("--max-steps", "60", "--batch-size", "8", "--attack-examples", "24", "--seeds", "1", "--methods", "match",
            "--checkpoint-seconds", "0.05", "--no-keep-models")  # fmt: skip
    whole = run(command(tiny_folder, csv_files, tmp_path / "whole", *long))
    assert whole.returncode == 0, whole.stderr

    out = tmp_path / "killed"
    arguments = command(tiny_folder, csv_files, out, *long)

    def in_training() -> bool:
        return any(out.glob("runs/*/state.safetensors"))

    kill_when(arguments, in_training)
    (folder,) = (out / "runs").iterdir()
    assert not RunFolder(folder).done
    assert RunFolder(folder).stages() == set()

    def in_attack() -> bool:
        found = list(out.glob("runs/*/attacks/deepwordbug.jsonl"))
        return bool(found) and len(read_lines(found[0])) >= 3

    kill_when(arguments, in_attack)
    assert "train" in RunFolder(folder).stages()
    assert "attack/deepwordbug" not in RunFolder(folder).stages()
    # and a writer torn in the middle of a row
    with open(folder / "rows.jsonl", "ab") as handle:
        handle.write(b'{"run": "half a row')

    resumed = run(arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert timeless(out) == timeless(tmp_path / "whole")
    assert not (folder / "state.safetensors").exists()
    assert not (folder / "model").exists()


def test_workers_give_the_same_rows(tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path) -> None:
    short = ("--max-steps", "4", "--batch-size", "8", "--attacks", "", "--seeds", "2", "--methods", "vanilla")
    for workers in ("1", "2"):
        done = run(command(tiny_folder, csv_files, tmp_path / workers, *short, "--workers", workers))
        assert done.returncode == 0, done.stderr
    assert timeless(tmp_path / "1") == timeless(tmp_path / "2")


def workers_of(pid: int) -> list[int]:
    """The worker processes of a running command, which are forked from one of its own; empty where it has ended."""

    def children(parent: int) -> list[int]:
        try:
            return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
        except FileNotFoundError:
            return []

    return [worker for child in children(pid) for worker in children(child)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="worker processes are found through /proc")
def test_workers_end_with_their_parent_and_a_run_whose_own_is_killed_is_done_once_more(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    long = ("--max-steps", "300", "--batch-size", "8", "--attacks", "", "--suites", "clean", "--seeds", "2",
            "--methods", "vanilla", "--workers", "2", "--checkpoint-seconds", "0.05")  # fmt: skip
    whole = run(command(tiny_folder, csv_files, tmp_path / "whole", *long))
    assert whole.returncode == 0, whole.stderr
    out = tmp_path / "killed"
    arguments = command(tiny_folder, csv_files, out, *long)

    def training() -> bool:
        # on a busy machine one worker may be done before the other begins
        return any(out.glob("runs/*/state.safetensors"))

    kill_when(arguments, training)
    patience = time.monotonic() + 20
    for folder in (out / "runs").iterdir():
        while True:
            try:
                with RunFolder(folder).lock():
                    break
            except UserError:
                assert time.monotonic() < patience, "a worker outlived its parent"
                time.sleep(0.05)
        assert not RunFolder(folder).done
        (folder / "state.safetensors").unlink(missing_ok=True)

    def kill_a_worker(process: subprocess.Popen[str]) -> None:
        while not training():
            assert process.poll() is None, "the run ended before a worker could be killed"
            time.sleep(0.002)
        os.kill(workers_of(process.pid)[-1], signal.SIGKILL)

    with subprocess.Popen(arguments, text=True, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        kill_a_worker(process)
        told, _ = process.communicate(timeout=200)
    assert process.returncode == 0, told
    assert "its worker process ended early (SIGKILL); it is done once more" in " ".join(told.split())
    assert "Traceback" not in told
    assert timeless(out) == timeless(tmp_path / "whole")


def test_the_spec_is_kept_and_readable(tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path) -> None:
    dry = run(command(tiny_folder, csv_files, tmp_path / "out", *SHORT, "--dry-run"))
    assert dry.returncode == 0, dry.stderr
    assert "2 runs: methods vanilla, match; seeds 0; 0 finished before" in dry.stdout
    assert "\ntest clean\n" in dry.stdout
    assert re.search(r"\nattack deepwordbug: \d+ rows\n", dry.stdout)
    assert not (tmp_path / "out").exists()
    short = ("--max-steps", "2", "--attacks", "", "--suites", "clean", "--seeds", "1", "--methods", "vanilla",
             "--select", "best")  # fmt: skip
    done = run(command(tiny_folder, csv_files, tmp_path / "out", *short))
    assert done.returncode == 0, done.stderr
    assert "selected on dev" in done.stdout
    spec = ExperimentSpec.read(yaml.safe_load((tmp_path / "out" / "experiment.yaml").read_text()))
    assert spec.train == {"max_steps": 2, "learning_rate": 1e-3, "select": "best", "max_length": 32}
    # what was not given has its value where the run is
    (run_folder,) = (tmp_path / "out" / "runs").iterdir()
    held = json.loads((run_folder / "config.json").read_text())["spec"]["train"]
    assert held == to_dict(TrainConfig(**spec.train))


def test_an_interruption_says_how_to_go_on(tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = command(tiny_folder, csv_files, out, "--epochs", "2000", "--seeds", "1", "--checkpoint-seconds", "0.1")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    process = subprocess.Popen(arguments, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while not any(out.glob("runs/*/state.safetensors")):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted: the same command continues where this one stopped" in errors
    assert "Traceback" not in errors
