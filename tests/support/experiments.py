"""Whole experiments on the command line: their words, their process, and their rows without the clocks."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from robusteval.results.journal import read_rows
from support.processes import carried_out, command_line
from support.small_experiment import CLOCKS


def command(model: Path, csv_files: tuple[Path, Path], out: Path, *more: str) -> list[str]:
    return [
        sys.executable, "-m", "robusteval.cli", "train-and-attack", "--model", str(model),
        "--train-file", str(csv_files[0]), "--dev-file", str(csv_files[1]), "--text-columns", "review",
        "--label-column", "verdict", "--out", str(out), "--max-length", "32", "--learning-rate", "1e-3",
        "--rates", "0.2", "--sets", "2", "--device", "cpu", "--no-page", *more,
    ]  # fmt: skip


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own that imports next to nothing; where killing is at stake, take `Popen`."""
    assert arguments[1:3] == ["-m", "robusteval.cli"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", **environment}
    return carried_out(functools.partial(command_line, arguments[3:]), env)


def timeless(out: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of an experiment without what a clock or a memory meter put there."""
    return {
        folder.name: [
            {key: value for key, value in row.__dict__.items() if key != "seconds"}
            for row in read_rows(folder / "rows.jsonl")
            if row.metric not in CLOCKS
        ]
        for folder in sorted((out / "runs").iterdir())
    }
