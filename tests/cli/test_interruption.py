"""Ctrl-C and SIGTERM: a command ends at once, with one sentence, no process left, and goes on to the same rows."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from robusteval.results.progress import FIRST_STEPS
from robusteval.runtime import stopping
from robusteval.storage.reading import read_lines
from support.experiments import command, run, timeless
from support.places import ROOT

MESSAGE = "interrupted: the same command continues where this one stopped"


def interrupt(arguments: list[str], ready: Callable[[], bool], *, number: int, group: bool) -> tuple[float, str]:
    """Start, wait until `ready()`, send the signal to the command or its group; seconds to the end, standard error."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    # a pipe that nobody reads meanwhile would hold the process back once it is full
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            arguments, env=env, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=told
        )
        last = time.monotonic() + 200
        while not ready():
            assert process.poll() is None and time.monotonic() < last, "the run never got there"
            time.sleep(0.005)
        began = time.monotonic()
        (os.killpg if group else os.kill)(process.pid, number)
        process.wait(timeout=60)
        seconds = time.monotonic() - began
        last = time.monotonic() + 5
        # helpers of Python that outlive the command may not have the last word either
        while left := members(process.pid):
            assert time.monotonic() < last, f"left behind: {left}"
            time.sleep(0.05)
        told.seek(0)
        errors = told.read()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors, errors
    assert errors.strip().splitlines()[-1] == MESSAGE
    return seconds, errors


def members(group: int) -> list[str]:
    """The living processes of a group, from Linux's /proc: a dead one may wait there for somebody who asks after it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group, *_ = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(its_group) == group and state not in "ZX":
            found.append(path.parent.name)
    return found


def test_two_workers_end_within_seconds_and_go_on_from_their_step(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    long = ("--max-steps", "200", "--batch-size", "8", "--attacks", "", "--suites", "clean", "--seeds", "2",
            "--methods", "vanilla")  # fmt: skip
    whole = run(command(tiny_folder, csv_files, tmp_path / "whole", *long))
    assert whole.returncode == 0, whole.stderr
    out = tmp_path / "out"
    arguments = command(tiny_folder, csv_files, out, *long)
    two = [*arguments, "--workers", "2"]
    # as a terminal does it: the whole group
    seconds, _ = interrupt(two, lambda: any(out.glob("runs/*/train.jsonl")), number=signal.SIGINT, group=True)
    assert seconds < 20  # benchmarks/interrupt.py measures the seconds; here nobody may wait for the work to end
    # the one that was training kept its step, though no state was due for two minutes
    steps = {path: len(read_lines(path.with_name("train.jsonl"))) for path in out.glob("runs/*/state.safetensors")}
    assert steps and all(0 < step <= 200 for step in steps.values())
    resumed = run(arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert timeless(out) == timeless(tmp_path / "whole")


def test_one_process_ends_at_a_step_and_imported_nothing_for_attacks(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = command(
        tiny_folder, csv_files, out, "--epochs", "2000", "--seeds", "1", "--methods", "vanilla", "--attacks", ""
    )
    arguments[1:1] = ["-X", "importtime"]
    seconds, errors = interrupt(
        arguments, lambda: any(out.glob("runs/*/train.jsonl")), number=signal.SIGTERM, group=False
    )
    assert seconds < 20  # benchmarks/interrupt.py measures the seconds; here nobody may wait for the work to end
    # what only attacks need is not waited for, nor the hub's client for rows
    assert "robusteval.training.trainer" in errors and "| textattack" not in errors and "| datasets\n" not in errors
    (state,) = out.glob("runs/*/state.safetensors")
    assert len(read_lines(state.with_name("train.jsonl"))) >= FIRST_STEPS


def test_within_boundaries_a_signal_only_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where work asks at its boundaries it is not torn; elsewhere it is, and handlers are put back afterwards."""
    assert stopping.WORKERS_GRACE < stopping.GRACE < 5  # what has not ended by then is killed
    monkeypatch.setattr(stopping, "_watch", lambda signals: signals.close())
    before = signal.getsignal(signal.SIGINT)
    with stopping.handled(), stopping.boundaries():
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping.asked()
        stopping._State.asked = False
    assert signal.getsignal(signal.SIGINT) == before
    with stopping.handled():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        stopping._State.asked = False
    assert signal.getsignal(signal.SIGINT) == before
