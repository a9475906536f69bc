from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

# before anything imports the hub's client: tests must not depend on a network that may or may not be there
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest

# what the checks in it assert is told as in a test file
pytest.register_assert_rewrite("support")

import torch

from support import field_cases, tiny
from support.places import SHARED

# two threads of a tiny model only wait for each other
torch.set_num_threads(1)

CASE_PLACES = [Path(os.environ.get("ROBUSTEVAL_CASES", "")), SHARED / "cases"]
DATA_PLACES = [Path(os.environ.get("ROBUSTEVAL_DATA", "")), SHARED / "data"]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real data laid out <family>/<task>/<split>.parquet; name it in ROBUSTEVAL_DATA."""
    for place in DATA_PLACES:
        if (place / "glue").is_dir():
            return place
    pytest.skip("no real data: set ROBUSTEVAL_DATA to a folder <family>/<task>/<split>.parquet")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT checkpoint."""
    return tiny.save(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture
def csv_files(tmp_path: Path) -> tuple[Path, Path]:
    """A training and a dev file of tiny sentences with string labels."""
    import pandas as pd

    paths = []
    for name, count, seed in (("train", 96, 0), ("dev", 24, 5)):
        texts, labels = tiny.sentences(count, seed=seed)
        frame = pd.DataFrame({"review": texts, "verdict": ["good" if label else "bad" for label in labels]})
        path = tmp_path / f"{name}.csv"
        frame.to_csv(path, index=False)
        paths.append(path)
    return paths[0], paths[1]


@pytest.fixture(scope="session")
def cases() -> Path:
    """Cases from the field, a folder each; name their folder in ROBUSTEVAL_CASES."""
    for place in CASE_PLACES:
        if (place / "make_models.py").is_file():
            return place
    pytest.skip("no cases from the field: set ROBUSTEVAL_CASES to the folder that holds make_models.py")


@pytest.fixture(scope="session")
def case_models(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of the cases, made once."""
    return field_cases.make_models(cases, tmp_path_factory.mktemp("models"))


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., field_cases.Done]:
    """Call the command line in this process: the imports are paid once for all calls."""
    from robusteval.cli import main

    def call(*arguments: str) -> field_cases.Done:
        monkeypatch.setattr(sys, "argv", ["robusteval", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return field_cases.Done(int(end.value.code or 0), captured.out, captured.err)

    return call
