"""Pictures of rows: what they are drawn from, what brings it where it is not there, and input that is odd."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from robusteval import plots
from robusteval.plots import PLOTS
from robusteval.plots.base import NotMeasured, frame_of
from robusteval.plots.means import compared
from robusteval.results.experiment import Experiment
from robusteval.results.frames import rows_frame
from robusteval.storage.files import append_lines, write_atomic
from support.made_experiments import made
from support.picture_frames import DROPS, ODD, accuracy
from support.picture_frames import frame_of as rows
from support.pictures import lines, texts
from support.places import DOCS
from support.table_rows import row

METHODS = ("vanilla", "match:temperature=1", "match:temperature=2")
TRANSFER = """\
model,task,recipe,scenario,source,target,seeds,n,accuracy,accuracy_std,right_before,transfer_rate,transfer_rate_std
minilm,sst2,deepwordbug,none,vanilla,NA,2,8,0.5,,8,0.25,
"""


def measured(method: str, task: str, seed: int) -> dict[tuple[str, str, str], float]:
    base = 0.9 - 0.1 * METHODS.index(method) + 0.01 * seed
    return {
        ("train", "", "seconds_per_step"): 0.5 + 0.1 * METHODS.index(method), ("clean", "", "accuracy"): base,
        ("mask", "0.2", "accuracy"): base - 0.1, ("ordered-drop", "random 0.1", "accuracy"): base - 0.05,
        ("generalisation", "rte", "accuracy"): base - 0.3,
    }  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """Three methods, two seeds, all that these pictures are drawn from but training sets of several sizes."""
    out = made(tmp_path_factory.mktemp("whole") / "out", METHODS, (0, 1), measured, primary=["mask 0.2 accuracy"])
    for run in (out / "runs").iterdir():
        append_lines(run / "train.jsonl", [{"step": step, "loss": 1 / (step + 1), "lr": 0.1} for step in range(3)])
    write_atomic(out / "report" / "transfer.csv", TRANSFER)
    return Experiment.open(out, files=False)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """One method, one seed, one number."""
    out = tmp_path_factory.mktemp("bare") / "out"
    return Experiment.open(made(out, ("vanilla",), (0,), lambda *whose: {("clean", "", "ece"): 0.1}), files=False)


@pytest.mark.parametrize(
    ("name", "brings"),
    [
        ("violin-seeds", "--suites clean"), ("groups", "--methods vanilla,match"),
        ("cost", "--suites mask or --attacks deepwordbug"), ("training-loss", "train-and-attack"),
        ("drop-curve", "--suites ordered-drop"), ("ladder", "a/b/c"),
        ("train-size", "low-resource:examples=250/500/1000"), ("task-transfer", "--suites generalisation"),
        ("transfer-matrix", "robusteval transfer"),
    ],
)  # fmt: skip
def test_what_was_not_measured_is_said_with_what_brings_it(bare: Experiment, name: str, brings: str) -> None:
    with pytest.raises(NotMeasured, match=rf"^{name}: ") as met:
        PLOTS[name].data(bare)
    assert brings in str(met.value)


def test_an_experiment_without_runs_has_no_pictures_of_rows(tmp_path: Path) -> None:
    out = made(tmp_path / "out", ("vanilla",), (0,), measured, left_out=[("vanilla", 0)])
    for name in ("violin-seeds", "cost", "training-loss", "drop-curve", "ladder", "train-size", "task-transfer"):
        with pytest.raises(NotMeasured):
            PLOTS[name].data(Experiment.open(out))


def test_an_experiment_is_drawn_as_it_is(whole: Experiment) -> None:
    drawn = {name: PLOTS[name] for name in PLOTS.names()}
    figures = {}
    for name in ("violin-seeds", "suites", "groups", "cost", "training-loss", "drop-curve", "ladder", "task-transfer"):
        frame = frame_of(drawn[name], whole)
        assert (frame.attrs["methods"], frame.attrs["baseline"]) == (METHODS, "vanilla")
        figures[name] = drawn[name].draw(frame)
    mask = ("mask", "0.2", "accuracy")
    means = {method: 50 * sum(measured(method, "sst2", seed)[mask] for seed in (0, 1)) for method in METHODS}
    # the declared test, and no two methods told apart by two seeds
    groups = lines(figures["groups"].axes[0])
    assert {method: groups[f"mean {method}"][0, 0] for method in METHODS} == pytest.approx(means)
    assert groups["group a"][:, 1].tolist() == [0, 1, 2]
    # 2 / 2^n, times 3 pairs of methods, is below 0.05 from 7 seeds on
    small_print = "not told apart by 2 seeds (telling any two of all apart takes 7)"
    assert any(small_print in text for text in texts(figures["groups"]))
    suites = lines(figures["suites"].axes[0])
    assert suites["mean 1 vanilla"][0, 0] == pytest.approx(means["vanilla"])
    ladder = {axis.get_title(): lines(axis) for axis in figures["ladder"].axes}["mask 0.2"]
    assert ladder["match"][:, 1] == pytest.approx([means[method] for method in METHODS[1:]])
    assert ladder["vanilla"][:, 1] == pytest.approx([means["vanilla"]] * 2)
    cost = lines(figures["cost"].axes[0])
    assert cost["match:temperature=2"][0] == pytest.approx((0.7, means["match:temperature=2"]))
    assert lines(figures["training-loss"].axes[0])["vanilla"][:, 1] == pytest.approx([1, 1 / 2, 1 / 3])
    drops = lines(figures["drop-curve"].axes[0])["vanilla"]
    assert drops[:, 0].tolist() == [0, 0.1] and drops[:, 1] == pytest.approx([90.5, 85.5])


def test_a_method_may_be_called_na(whole: Experiment) -> None:
    frame = frame_of(PLOTS["transfer-matrix"], whole)
    assert frame["target"].tolist() == ["NA"] and math.isnan(frame["transfer_rate_std"][0])
    assert "NA" in texts(plots.transfer_matrix(frame))


def test_the_rows_that_a_run_was_trained_on() -> None:
    frames = []
    for scenario, size in (("none", 500), ("low-resource:examples=50", 50), ("low-resource:examples=50+groups", 9)):
        train = {"suite": "train", "metric": "steps", "n": size}
        found = rows(("vanilla", "pats"), [train, accuracy("clean")], scenario=scenario)
        frames.append(found.assign(run=found["run"] + scenario))
    frame = pd.concat(frames, ignore_index=True)
    experiment: Any = SimpleNamespace(rows=lambda: frame)
    found = PLOTS["train-size"].data(experiment)
    assert set(zip(found["scenario"], found["train_rows"], strict=True)) == {
        ("none", 500), ("low-resource:examples=50", 50),
    }  # fmt: skip


TESTS = [accuracy("clean"), accuracy("mask", "0.2")]


def steps(methods: tuple[str, ...], seeds: int) -> pd.DataFrame:
    frame = rows(methods, [accuracy("train")], seeds).rename(columns={"value": "loss"})
    return pd.concat([frame.assign(step=step) for step in range(3)], ignore_index=True)


DRAWN: dict[str, Callable[[tuple[str, ...], int], pd.DataFrame]] = {
    "violin-seeds": lambda methods, seeds: rows(methods, TESTS, seeds),
    "suites": lambda methods, seeds: rows(methods, TESTS, seeds),
    "groups": lambda methods, seeds: rows(methods, TESTS, seeds).assign(letters="a", needed=9),
    "cost": lambda methods, seeds: rows(methods, TESTS, seeds).assign(seconds_per_step=0.5),
    "training-loss": steps,
    "drop-curve": lambda methods, seeds: rows(methods, DROPS, seeds),
    "ladder": lambda methods, seeds: rows((*methods, "own:x=1", "own:x=2"), TESTS, seeds),
    "train-size": lambda methods, seeds: rows(methods, TESTS, seeds).assign(train_rows=10),
    "task-transfer": lambda methods, seeds: rows(methods, [accuracy("generalisation", "rte")], seeds),
}


@pytest.mark.parametrize("name", DRAWN)
def test_odd_input_is_drawn(name: str) -> None:
    """Twelve methods with odd names, one of them without a number; two tasks with two models; then one seed alone."""
    frame = DRAWN[name]((*ODD, "vanilla"), 2)
    value = "loss" if name == "training-loss" else "value"
    frame.loc[frame["method"].eq("own2"), value] = math.nan
    places = [frame.assign(task=task, model=model) for task, model in (("sst2", "a"), ("mrpc", "b" * 300))]
    figure = PLOTS[name].draw(pd.concat(places, ignore_index=True))
    shown = texts(figure)
    if name != "ladder":  # which shows what is on a ladder
        assert {"<b>x</b>", "a|b", "_hidden", "$x$ and $y", "中文方法", "own2"} <= shown
        assert len({text for text in shown if text.startswith("mmm")}) == 2
    titles = {axis.get_title().split(",")[0] for axis in figure.axes if axis.get_title()}
    assert len(titles) > 1 and all(len(line) <= 60 for title in titles for line in title.split("\n"))
    one = PLOTS[name].draw(DRAWN[name](("vanilla", "match"), 1))
    assert any("one seed" in text or "a seed" in text or "1 seed" in text for text in texts(one))


@pytest.mark.parametrize("name", DRAWN)
def test_a_frame_that_is_none_of_these_is_told(name: str) -> None:
    frame = DRAWN[name](("vanilla", "match"), 1)
    with pytest.raises(NotMeasured, match=rf"^{name}: the frame has no lines"):
        PLOTS[name].draw(frame.iloc[:0])
    with pytest.raises(Exception, match=rf"^{name}: the frame has no column"):
        PLOTS[name].draw(frame.drop(columns="method"))


def test_nothing_is_compared_in_no_rows() -> None:
    assert compared(pd.DataFrame(), ("quality",)).empty


def test_every_picture_has_its_line_in_the_docs() -> None:
    text = (DOCS / "pictures.md").read_text("utf-8")
    assert [name for name in PLOTS.names() if f"\n| `{name}` |" not in text] == []


def test_a_spread_over_something_else_than_sets_is_no_violin() -> None:
    masked = row("vanilla", 0, "mask", "accuracy", 0.8, sets=2, spread=(0.7, 0.9))
    flat = row("vanilla", 0, "flatness", "sharpness", 0.3, spread=(0.2, 0.4))
    measured: Any = SimpleNamespace(rows=lambda: rows_frame([masked, flat]))
    found = PLOTS["violin"].data(measured)
    assert list(found["suite"]) == ["mask"]
