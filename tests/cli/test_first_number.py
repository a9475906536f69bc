"""A number is said as soon as there is one, not when its run has ended, and only once."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from robusteval.cli.session import run_session
from robusteval.experiments import run as runs
from support.small_experiment import options, small_plan


def test_the_first_number_is_said_while_its_run_goes_on(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    told = re.compile(r"^ +\d+ s  (\w+) seed 0: clean accuracy \d+\.\d\d, its other tests follow$", re.MULTILINE)

    def await_number(self: runs._Run, classifier: object) -> None:
        until = time.monotonic() + 60
        while not told.search(said.getvalue()) and time.monotonic() < until:
            time.sleep(0.05)

    plan = small_plan(tiny_folder, csv_files, ("vanilla", "match"))
    monkeypatch.setattr(runs._Run, "attack", await_number)
    run_session(plan, options(tmp_path / "out", quiet=False), Console(file=said, width=10_000))
    assert told.findall(said.getvalue()) == ["vanilla"]
    # a run that ends says its number itself
    assert len(re.findall("seed 0: done, clean accuracy", said.getvalue())) == 2
