"""What comes with the package: the demo's spec is one, and its finished experiment is read by this version."""

from __future__ import annotations

import json
import os
import stat
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from robusteval.cli.asked import from_name
from robusteval.errors import UserError
from robusteval.experiments.examples import example
from robusteval.results.experiment import Experiment
from robusteval.settings.spec import ExperimentSpec
from support.field_cases import Done
from support.places import ROOT

PACKAGED = ROOT / "robusteval" / "examples" / "demo"
METHODS = ["vanilla", "match", "tdt", "pats", "bidrop"]
LARGEST = 1_000_000


def test_the_demo_is_a_spec_that_options_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()  # what is called alike does not stand in the way
    monkeypatch.chdir(tmp_path)
    asked = from_name("demo", "full", {})
    assert (asked.name, [each.label for each in asked.spec.methods]) == ("demo", METHODS)
    assert asked.spec.given("method_settings", method="match") != {}
    assert from_name("demo", "full", {"tasks": ["sst2"]}).spec.tasks == ("sst2",)


@pytest.fixture(scope="module")
def opened() -> Experiment:
    return Experiment.open(PACKAGED)


def test_every_run_of_the_example_is_whole(opened: Experiment) -> None:
    assert not opened.damaged and not opened.unfinished and not opened.others
    assert {(run.whose["method"], run.whose["seed"]) for run in opened.runs} == {
        (method, seed) for method in METHODS for seed in opened.spec.seeds
    }
    assert all(run.journal.sealed for run in opened.runs) and len(opened.spec.seeds) >= 3
    # by one state of this project
    records = [json.loads((run.folder.path / "environment.json").read_text()) for run in opened.runs]
    assert len({each["git_commit"] for each in records}) == 1 and records[0]["git_commit"]


def test_the_example_has_what_pictures_need(opened: Experiment) -> None:
    rows = opened.rows()
    assert {"clean", "cue", "mask", "ood", "attack"} <= set(rows["suite"])
    for suite in ("clean", "mask", "ood"):
        found = opened.predictions(suite)
        assert set(found["method"]) == set(METHODS) and len(found.columns) > 6
    attacked = opened.attacks()
    assert {"succeeded", "failed"} <= set(attacked["outcome"])
    assert {"mass_self", "loss"} <= set(opened.training().columns)


def test_the_example_was_made_from_the_demo(opened: Experiment) -> None:
    spec = from_name("demo", "full", {}).spec
    for axis in ("models", "tasks", "methods", "data", "train", "evaluation", "attack", "settings"):
        held, asked = (json.dumps(getattr(each, axis), default=vars) for each in (opened.spec, spec))
        assert held == asked, axis


def test_the_example_is_small_and_names_no_place_of_a_machine() -> None:
    files = [path for path in PACKAGED.rglob("*") if path.is_file()]
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) <= LARGEST  # as a wheel holds them
    assert not [path for path in files if path.suffix == ".safetensors" or path.name.startswith(".")]
    for path in files:
        if path.suffix in (".json", ".jsonl", ".yaml"):
            assert not [
                word for word in (b"/home/", b"/root", b"/work", b"/tmp", b"/Users/") if word in path.read_bytes()
            ]


def test_a_copy_is_used_again_and_nothing_else_is_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "mine"
    assert example(out) == out
    copied = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert copied == {path.relative_to(PACKAGED): path.read_bytes() for path in PACKAGED.rglob("*") if path.is_file()}
    assert all(os.stat(out / name).st_mode & stat.S_IWUSR for name in copied)
    (out / "report").mkdir()
    (out / "report" / "notes.txt").write_text("mine")
    example(out)
    assert (out / "report" / "notes.txt").read_text() == "mine"
    for name, content in (("experiment.yaml", "title: other"), ("letter.txt", "mine")):
        other = tmp_path / name
        other.mkdir()
        (other / name).write_text(content)
        with pytest.raises(UserError, match="holds something else than the example"):
            example(other)
        assert [path.name for path in other.iterdir()] == [name]


def test_its_table_is_shown_and_written(tmp_path: Path, invoke: Callable[..., Done]) -> None:
    out = tmp_path / "mine"
    done = invoke("report", "--example", "--out", str(out), "--format", "md")
    assert done.returncode == 0, done.stderr
    assert "cue against" in done.stdout and "texts as they are" in done.stdout.replace("\n", " ")
    assert (out / "report" / "table.md").is_file()
    assert not (PACKAGED / "report").exists()
    assert isinstance(Experiment.open(out).spec, ExperimentSpec)
