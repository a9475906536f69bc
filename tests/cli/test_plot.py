"""`plot` on the command line: what is drawn of a whole and of a running experiment, and what it refuses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from robusteval.experiments.plan import make_plan
from robusteval.plots import PLOTS
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import RunSpec
from support import tiny
from support.field_cases import Done
from support.small_experiment import done, options
from support.specs import spec_of

Invoke = Callable[..., Done]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods, two seeds, five masked sets; the name of one class is one that drawing might stumble over."""
    folder = tmp_path_factory.mktemp("plot")
    tiny.save(folder / "model")
    for name, count in (("train", 48), ("dev", 24)):
        texts, gold = tiny.sentences(count, seed=count)
        verdict = ["$good_$" if label else "<b>" for label in gold]
        pd.DataFrame({"review": texts, "verdict": verdict}).to_csv(folder / f"{name}.csv", index=False)
    files = {"train_file": str(folder / "train.csv"), "dev_file": str(folder / "dev.csv")}
    base = RunSpec(
        model=str(folder / "model"), task="mine", attack=AttackConfig(recipes=()),
        data=DataConfig(**files, text_columns=("review",), label_column="verdict"),
        evaluation=EvalConfig(suites=("clean", "mask"), rates=(0.1, 0.3), sets=5),
    )  # fmt: skip
    settings = {"max_steps": 2, "batch_size": 8, "max_length": 32}
    plan = make_plan(spec_of(base, ("vanilla", "rdrop"), (0, 1), settings, ("none",)), options(Path("never-made")))
    assert done(plan, folder / "out")[0] == 0
    return folder / "out"


def test_pictures_are_files(whole: Path, invoke: Invoke, tmp_path: Path) -> None:
    ended = invoke("plot", str(whole), "violin", "--format", "png,svg", "--out", str(tmp_path), "--method", "vanilla")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"violin-vanilla.png", "violin-vanilla.svg"}
    assert "rdrop" not in (tmp_path / "violin-vanilla.svg").read_text()
    assert "note:" not in (ended.stdout + ended.stderr)


def test_without_names_all_are_drawn_that_were_measured(whole: Path, invoke: Invoke, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "own")
    ended = invoke("plot", str(tmp_path / "own"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    drawn = {path.stem for path in (tmp_path / "own" / "report" / "pictures").iterdir()}
    missing = set(re.findall(r"^no ([\w-]+): ", (ended.stdout + ended.stderr), re.MULTILINE))
    assert drawn | missing == set(PLOTS.names()) and not drawn & missing
    assert "violin" in drawn


def test_of_a_running_experiment_what_is_there_is_drawn_and_marked(whole: Path, invoke: Invoke, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "own")
    shutil.rmtree(next(iter(sorted((tmp_path / "own" / "runs").iterdir()))))
    ended = invoke("plot", str(tmp_path / "own"), "violin", "--format", "svg")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    state = "drawn from 3 of 4 runs: the others are not finished"
    assert f"note: {state}" in (ended.stdout + ended.stderr)
    assert state in (tmp_path / "own" / "report" / "pictures" / "violin.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{whole} violins", "'violins'.*violin"),
        ("{whole} violin --format gif", "format: .*'gif'"),
        ("{whole} violin --method vanila", "method: .*'vanila'.*vanilla"),
        ("{whole} --method vanila", "method: .*'vanila'.*vanilla"),
        ("{whole} --seed 9", "seed: .*'9'.*0, 1"),
        ("{whole} tsne,sensitivity", "picture: none can be drawn"),
        ("{whole} violin --task sst2", "task: .*'sst2'.*mine"),
        ("{empty} violin", "experiment: .* holds no experiment.yaml"),
        ("{empty}/nowhere violin", "experiment: .* holds no experiment.yaml"),
    ],
)
def test_mistakes_are_told(whole: Path, invoke: Invoke, tmp_path: Path, words: str, message: str) -> None:
    ended = invoke("plot", *words.format(whole=whole, empty=tmp_path).split())
    assert ended.returncode == 2 and re.search(message, (ended.stdout + ended.stderr)), ended.stdout + ended.stderr


def test_nothing_finished_or_not_measured_is_told(whole: Path, invoke: Invoke, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "own")
    for run in (tmp_path / "own" / "runs").iterdir():
        shutil.rmtree(run)
    ended = invoke("plot", str(tmp_path / "own"))
    assert (
        ended.returncode == 2
        and "no run in" in (ended.stdout + ended.stderr)
        and "is finished" in (ended.stdout + ended.stderr)
    )
