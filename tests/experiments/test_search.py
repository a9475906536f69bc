"""A search finds settings before the runs: on rows held out from the training set, resumable, and told in the table."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from robusteval.cli.search import run_search
from robusteval.cli.session import run_session
from robusteval.errors import UserError
from robusteval.experiments.engine import run_jobs
from robusteval.experiments.plan import Plan, make_plan, start
from robusteval.experiments.search import find
from robusteval.report.experiment import finished_table
from robusteval.results.experiment import Experiment
from robusteval.results.reading import Run
from robusteval.results.search import Choice, read_choices
from robusteval.settings.codec import from_dict, to_dict
from robusteval.settings.data import DataConfig
from robusteval.settings.spec import ExperimentSpec, to_text
from robusteval.settings.work import WorkConfig
from robusteval.storage.reading import read_yaml
from robusteval.tasks.base import Examples
from robusteval.tasks.load import load_task
from support.small_experiment import options, written_spec

GRID = {"over": {"learning_rate": "1e-5/1e-2", "match": {"temperature": "1/2"}}, "share": 0.25}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A model and rows, as a spec names them; every text is of one file alone."""
    from support import tiny

    place = tmp_path_factory.mktemp("search")
    texts, labels = tiny.sentences(80, seed=0)
    for name, rows in (("train", slice(0, 60)), ("dev", slice(60, 80))):
        verdicts = ["good" if label else "bad" for label in labels[rows]]
        marked = [f"{text} {name[0]}" for text in texts[rows]]
        pd.DataFrame({"review": marked, "verdict": verdicts}).to_csv(place / f"{name}.csv", index=False)
    data = {"train_file": str(place / "train.csv"), "dev_file": str(place / "dev.csv"), "text_columns": "review"}
    return {"models": str(tiny.save(place / "model")), "data": {**data, "label_column": "verdict"}}


def spec(files: dict[str, Any], search: Any = GRID, **changes: Any) -> ExperimentSpec:
    asked = {"methods": "vanilla,match", "seeds": 1, "train": {"max_steps": 3, "batch_size": 8, "max_length": 32}}
    return written_spec(files, **{**asked, "search": search, **changes})


def sitting(asked: ExperimentSpec, out: Path, *, dry_run: bool = False) -> tuple[Plan | None, str]:
    """One sitting with an experiment; its plan once all is chosen, and what was said."""
    said, work = io.StringIO(), options(out)
    console = Console(file=said, width=10_000, emoji=False)
    plan = run_search(make_plan(asked, work), work, console, dry_run=dry_run)
    if plan is not None and not dry_run:
        assert run_session(plan, work, console) == 0, said.getvalue()
    return plan, said.getvalue()


@pytest.fixture(scope="module")
def grid(files: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("grid") / "out"
    return out, sitting(spec(files), out)[1]


def test_each_method_has_the_best_of_its_own_candidates(files: dict[str, Any], grid: tuple[Path, str]) -> None:
    out, said = grid
    vanilla, match = read_choices(out)
    assert [each.label for each in vanilla.candidates] == ["vanilla:learning_rate=1e-05", "vanilla:learning_rate=0.01"]
    assert len(match.candidates) == 4 and match.values.keys() == {"learning_rate", "temperature"}
    assert "search: 6 runs come first" in said
    for choice in (vanilla, match):
        best = max(each.score for each in choice.candidates)
        first = next(each for each in choice.candidates if each.score == best)
        assert (choice.best, choice.values) == (first.label, first.values)
        rest = [each.label for each in choice.candidates if each.score == best and each is not first]
        assert list(choice.tied) == rest
        for name in rest:
            assert name in choice.told(model=False, task=False)
    experiment = Experiment.open(out)
    trained = {run.spec.method.label: run.spec for run in experiment.runs if run.spec}
    assert trained["vanilla"].train.learning_rate == vanilla.values["learning_rate"]
    assert trained["match"].train.learning_rate == match.values["learning_rate"]
    assert dict(trained["match"].method.parts)["match"]["temperature"] == match.values["temperature"]
    for table_notes in (finished_table(experiment).notes, [(out / "report" / "table.md").read_text()]):
        told = "\n".join(table_notes)
        assert "match: chosen learning_rate" in told and "4 runs" in told
        assert "by accuracy on 0.25 of the training rows, held out" in told


def test_no_candidate_sees_a_dev_row_nor_is_trained_on_what_it_is_chosen_on(
    files: dict[str, Any], grid: tuple[Path, str]
) -> None:
    out, _ = grid
    folders = [each for each in (out / "search" / "runs").iterdir() if each.is_dir()]
    assert len(folders) == 6
    asked = Run(folders[0]).spec
    assert asked is not None and asked.data.held_out == 0.25
    whole = load_task(asked.task, from_dict(DataConfig, spec(files).data))
    part = load_task(asked.task, asked.data)
    assert texts(part.train).isdisjoint(texts(part.dev)) and texts(part.dev).isdisjoint(texts(whole.dev))
    assert texts(part.train) | texts(part.dev) == texts(whole.train)
    shares = [np.mean(rows.labels) for rows in (whole.train, part.dev)]
    assert abs(shares[0] - shares[1]) < 0.06
    ids = set(map(str, part.dev.ids))
    for folder in folders:
        found = Run(folder).predictions("clean")
        assert set(found["id"].astype(str)) == ids and len(found) == len(part.dev)


def texts(rows: Examples) -> set[tuple[str, ...]]:
    return set(zip(*rows.texts, strict=True))


def test_a_finished_search_is_not_done_again(files: dict[str, Any], grid: tuple[Path, str]) -> None:
    out, _ = grid
    before = {path: path.stat().st_mtime_ns for path in out.rglob("train.jsonl")}
    held = read_choices(out)
    plan, said = sitting(spec(files), out, dry_run=True)
    assert plan is not None and len(plan.finished) == len(plan.jobs) == 2
    assert "search: 6 runs, 6 finished before" in said
    sitting(spec(files, methods="vanilla,match", seeds=2), out)
    after = {path: path.stat().st_mtime_ns for path in out.rglob("train.jsonl")}
    assert before.items() <= after.items() and len(after) == len(before) + 2
    assert read_choices(out) == held


def searched(asked: ExperimentSpec, out: Path, most: int = 1000) -> tuple[list[str], list[Choice] | None]:
    """A search alone, which is stopped after so many runs: the runs that it did, and what it chose."""
    did: list[str] = []

    def do(plan: Plan, work: WorkConfig) -> dict[str, str] | None:
        jobs = [job for job in plan.jobs if job.name not in plan.finished]
        now = jobs[: most - len(did)]
        start(plan, work)
        assert not run_jobs(now, work, lambda job, message: None, plan.data)
        did.extend(job.name for job in now)
        return {} if len(now) == len(jobs) else None

    found = find(make_plan(asked, options(out)), options(out), do)
    return did, found and [timeless(each) for each in found[1]]


def timeless(choice: Choice) -> Choice:
    untimed = tuple(dataclasses.replace(each, seconds=0.0) for each in choice.candidates)
    return dataclasses.replace(choice, candidates=untimed)


def test_an_interrupted_grid_goes_on_and_chooses_the_same(
    files: dict[str, Any], grid: tuple[Path, str], tmp_path: Path
) -> None:
    shutil.copytree(grid[0] / "search", tmp_path / "search")
    (tmp_path / "search" / "chosen.json").unlink()
    names = [each.runs[0] for choice in read_choices(grid[0]) for each in choice.candidates]
    for name in names[1:3]:
        shutil.rmtree(tmp_path / "search" / "runs" / name)
    assert "search: 6 runs, 4 finished before" in sitting(spec(files), tmp_path, dry_run=True)[1]
    assert not (tmp_path / "search" / "chosen.json").exists()
    did, none = searched(spec(files), tmp_path, 1)
    assert none is None and did == names[1:2]
    did, chosen = searched(spec(files), tmp_path)
    assert did == names[2:3] and chosen == [timeless(each) for each in read_choices(grid[0])]


def test_a_candidate_that_fails_is_not_chosen_and_named(
    files: dict[str, Any], grid: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(grid[0] / "search", tmp_path / "search")
    best = {each.method: each for each in read_choices(grid[0])}["vanilla"]
    (fails,) = (each for each in best.candidates if each.label == best.best)
    (other,) = (each for each in best.candidates if each.label != best.best)

    def broken(*labels: str) -> str:
        """What is said where the runs of these candidates fail."""
        for folder in (name for each in best.candidates if each.label in labels for name in each.runs):
            shutil.rmtree(tmp_path / "search" / "runs" / folder, ignore_errors=True)
        monkeypatch.setattr(
            "robusteval.cli.search.run_jobs",
            lambda jobs, *_: [(job, "the loss is nan") for job in jobs if job.spec.method.label in labels],
        )
        return sitting_of_the_search(files, tmp_path)

    said = broken(fails.label)
    found = {each.method: each for each in read_choices(tmp_path)}["vanilla"]
    assert found.best == other.label and found.values == other.values and found.tied == ()
    assert [(each.failed, each.scores) for each in found.candidates if each.label == fails.label] == [
        ("the loss is nan", ())
    ]
    assert "failed: search: " in said and f"; failed, and so not compared: {fails.label}" in said
    with pytest.raises(UserError, match="search: all 2 candidates for vanilla on my-data .* failed: the loss is nan"):
        broken(fails.label, other.label)


def sitting_of_the_search(files: dict[str, Any], out: Path) -> str:
    said = io.StringIO()
    run_search(make_plan(spec(files), options(out)), options(out), Console(file=said, width=10_000), dry_run=False)
    return said.getvalue()


def test_optuna_chooses_the_same_when_interrupted(files: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is not installed")
    search = {"over": {"learning_rate": {"low": 1e-5, "high": 1e-1, "log": True}}, "trials": 3, "share": 0.25}
    asked = spec(files, search, methods="vanilla")
    one = tmp_path / "one"
    done, none = searched(asked, one, 2)
    assert none is None and len(set(done)) == 2
    shutil.copytree(one, tmp_path / "other")  # as it was when it was interrupted
    last, chosen = searched(asked, one)
    assert len(last) == 1 and chosen is not None
    assert searched(asked, tmp_path / "other") == (last, chosen)
    shutil.rmtree(one / "search" / "runs" / done[0])
    assert searched(asked, one) == (done[:1], chosen)
    (choice,) = chosen
    tried = [each.values["learning_rate"] for each in choice.candidates]
    assert len(set(tried)) == 3 and all(1e-5 <= each <= 1e-1 for each in tried)
    assert "1e-05..0.1 of learning_rate, 3 trials of Optuna, 3 runs" in choice.told(model=False, task=False)


def test_choosing_on_dev_is_said(files: dict[str, Any], tmp_path: Path) -> None:
    search = {"over": {"learning_rate": "1e-3/1e-2"}, "select_on": "dev"}
    asked = spec(files, search, methods="vanilla")
    sitting(asked, tmp_path)
    assert any(
        "on the dev rows that it is also tested on" in each for each in finished_table(Experiment.open(tmp_path)).notes
    )
    (found,) = {
        len(Run(each).predictions("clean")) for each in (tmp_path / "search" / "runs").iterdir() if each.is_dir()
    }
    assert found == 20


def test_a_plan_whose_search_is_not_done_is_not_begun(files: dict[str, Any], tmp_path: Path) -> None:
    plan = make_plan(spec(files), options(tmp_path))
    with pytest.raises(UserError, match="search: its values are not chosen yet"):
        start(plan, options(tmp_path))


def test_settings_of_a_part_of_the_grid_hold_for_its_candidates(files: dict[str, Any], tmp_path: Path) -> None:
    parts = [{"method": "match", "train": {"weight_decay": 0.5}}]
    asked = spec(files, settings=parts, methods="vanilla,match:learning_rate=1e-4")
    plans: list[Plan] = []
    find(make_plan(asked, options(tmp_path)), options(tmp_path), lambda plan, work: plans.append(plan))
    (plan,) = plans
    held = {job.spec.method.label: job.spec.train for job in plan.jobs}
    assert len(held) == 4  # the rate that a column's own text gives is not searched
    for name, train in held.items():
        assert train.weight_decay == (0.5 if name.startswith("match") else 0.01)
        assert train.learning_rate == (1e-4 if name.startswith("match") else float(name.partition("=")[2]))


def test_a_spec_with_a_search_is_read_as_it_was_written(files: dict[str, Any], tmp_path: Path) -> None:
    asked = spec(files, {**GRID, "seeds": 2})
    (tmp_path / "spec.yaml").write_text(to_text(asked))
    again = ExperimentSpec.read(read_yaml(tmp_path / "spec.yaml"))
    assert to_dict(again) == to_dict(asked) and again.search == asked.search
    assert asked.search is not None and asked.search.seeds == (0, 1)
    assert "search:" not in to_text(spec(files, None))


RATE = {"learning_rate": "1e-5/1e-4"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "search.over: it names no setting"),
    ({"over": {"learning_rat": "1/2"}}, "'learning_rat'; did you mean 'learning_rate'"),
    ({"over": {"learning_rate": 1e-5}}, "leaves nothing to choose"),
    ({"over": {"learning_rate": "1e-5/1e-5"}}, "learning_rate"),
    ({"over": {"learning_rate": "1e-4..1e-5"}, "trials": 3}, "is no range"),
    ({"over": {"learning_rate": {"low": 0, "high": 1, "log": True}}, "trials": 3}, "begins above 0"),
    ({"over": {"learning_rate": {"low": 1e-5, "hihg": 1e-4}}}, "'hihg'; did you mean 'high'"),
    ({"over": {"learning_rate": "1e-5..1e-4"}}, "search.trials: not given"),
    ({"over": {"optimizer": "1..2"}, "trials": 3}, "optimizer"),
    ({"over": {"batch_size": "1.5..4"}, "trials": 3}, "batch_size"),
    ({"over": {"learning_rate": "fast/slow"}}, "learning_rate"),
    ({"over": {"mach": {"temperature": "1/2"}}}, "'mach'; did you mean 'match'"),
    ({"over": {"match": {"temprature": "1/2"}}}, "did you mean 'temperature'"),
    ({"over": {"match": {"temperature": "1/-2"}}}, "temperature"),
    ({"over": RATE, "select_on": "test"}, "select_on"),
    ({"over": RATE, "share": 1.5}, "search.share"),
    ({"over": RATE, "share": 0.01}, "search.share: held_out: 0.01 of 60"),
    ({"over": RATE, "seeds": 0}, "seeds"),
    ({"over": RATE, "metric": "acuracy"}, "did you mean 'accuracy'"),
    ({"over": RATE, "trails": 3}, "did you mean 'search.trials'|did you mean 'trials'"),
]


@pytest.mark.parametrize(("search", "told"), WRONG, ids=[told[:40] for _, told in WRONG])
def test_what_cannot_be_searched_is_told_before_anything_is_trained(
    files: dict[str, Any], checked: Plan, search: dict[str, Any], told: str, tmp_path: Path
) -> None:
    def ask() -> None:
        plan = dataclasses.replace(checked, spec=spec(files, search))
        find(plan, options(tmp_path), lambda plan, work: pytest.fail("runs were begun"))

    with pytest.raises(UserError, match=told) as caught:
        ask()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def checked(files: dict[str, Any]) -> Plan:
    return make_plan(spec(files), options(Path("never-made")))


def test_optuna_that_is_missing_is_told(
    files: dict[str, Any], checked: Plan, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    plan = dataclasses.replace(checked, spec=spec(files, {"over": {"learning_rate": "1e-5..1e-4"}, "trials": 2}))
    with pytest.raises(UserError, match=r"pip install 'robusteval\[search\]'"):
        find(plan, options(tmp_path), lambda plan, work: {})


def test_scores_are_held_out_without_classes(tmp_path: Path) -> None:
    from support import tiny

    texts, _ = tiny.sentences(20)
    frame = pd.DataFrame({"review": [f"{text} {n}" for n, text in enumerate(texts)], "label": np.linspace(0, 5, 20)})
    frame.to_csv(tmp_path / "train.csv", index=False)
    frame.assign(review=frame["review"] + " d").to_csv(tmp_path / "dev.csv", index=False)
    data = load_task("mine", DataConfig(
        train_file=str(tmp_path / "train.csv"), dev_file=str(tmp_path / "dev.csv"), text_columns=("review",),
        label_type="score", held_out=0.2,
    ))  # fmt: skip
    assert (len(data.train), len(data.dev)) == (16, 4) and data.task.dev == "held-out"
