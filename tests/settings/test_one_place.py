"""A new training setting is one line in one file: --help, its check, YAML, docs and the run's name follow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import robusteval
from robusteval.settings.runs import RunSpec

LINE = '    smoothing: float = setting(0.0, "Share of a label for all classes.", low=0, high=0.5, later=True)\n'
NEXT = "    bucket: bool = setting("
SPOKEN = """
from dataclasses import replace
import yaml
from robusteval.settings.codec import to_dict
from robusteval.settings.runs import MethodConfig, RunSpec
from robusteval.settings.train import TrainConfig
smooth = RunSpec(train=TrainConfig(smoothing=0.1))
print(RunSpec().name(), smooth.name(), MethodConfig.parse("match:smoothing=0.1").train["smoothing"])
print(yaml.safe_dump(to_dict(smooth)))
"""


@pytest.fixture(scope="module")
def wider(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package, whose record of training settings has one line more."""
    folder = tmp_path_factory.mktemp("wider")
    package = Path(robusteval.__file__).parent
    shutil.copytree(package, folder / "robusteval", ignore=shutil.ignore_patterns("__pycache__"))
    record = folder / "robusteval" / "settings" / "train.py"
    text = record.read_text(encoding="utf-8")
    assert text.count(NEXT) == 1
    record.write_text(text.replace(NEXT, LINE + NEXT), encoding="utf-8")
    return folder


def said(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    return done.stdout + done.stderr


def test_it_is_an_option(wider: Path) -> None:
    (line,) = [
        line
        for line in said(wider, "-m", "robusteval.cli", "train-and-attack", "--help").splitlines()
        if "--smoothing" in line
    ]
    assert "<float>" in line or "FLOAT" in line
    assert "Share of a label for all classes. [default: 0.0]" in line
    told = said(wider, "-m", "robusteval.cli", "train-and-attack", "--smoothing", "0.6")
    assert told == "error: smoothing: 0.6 is out of range; it must be >= 0 and <= 0.5\n"


def test_it_is_in_the_docs(wider: Path) -> None:
    page = said(wider, "-m", "robusteval.settings.reference")
    line = (
        "| `--smoothing` | `smoothing` | `0.0` | number, at least 0, at most 0.5 | Share of a label for all classes. |"
    )
    assert line in page.splitlines()


def test_it_is_in_yaml_and_in_the_name_of_a_run(wider: Path) -> None:
    first, text = said(wider, "-c", SPOKEN).split("\n", 1)
    plain, smooth, of_a_method = first.split()
    assert yaml.safe_load(text)["train"]["smoothing"] == 0.1
    assert float(of_a_method) == 0.1
    # runs that were made without it are found again
    assert plain == RunSpec().name()
    assert smooth != plain
