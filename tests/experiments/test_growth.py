"""An experiment grows in its folder: what is finished is never done again, and its rows are as if asked for at once."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from robusteval.evaluation import SUITES
from robusteval.experiments.plan import Plan, make_plan
from robusteval.methods import METHODS
from robusteval.registry import CustomEntry
from robusteval.results.asked import keep_asked, read_asked
from robusteval.results.experiment import Experiment
from robusteval.settings.work import WorkConfig
from support import tiny
from support.small_experiment import CLOCKS, done, options, own_rows, written_spec


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A model and rows, as a spec names them."""
    place = tmp_path_factory.mktemp("growth")
    return {"models": str(tiny.save(place / "model")), "data": own_rows(place, 48, 12)}


def asked(files: dict[str, Any], out: Path, **changes: Any) -> Plan:
    return make_plan(written_spec(files, **{"methods": "vanilla,match", "seeds": 2, **changes}), options(out))


def rows(out: Path) -> list[dict[str, Any]]:
    """All rows of an experiment in the order of its table, without clocks."""
    found = Experiment.open(out)
    assert not found.damaged and not found.unfinished
    every = [dataclasses.asdict(row) for row in found.records if row.metric not in CLOCKS]
    return [{key: value for key, value in row.items() if key != "seconds"} for row in every]


def stamps(out: Path) -> dict[Path, int]:
    """When each file that a stage left was written."""
    places = ("predictions/clean.parquet", "train.jsonl", "model/model.safetensors")
    return {path: path.stat().st_mtime_ns for place in places for path in out.glob(f"runs/*/{place}")}


MORE: dict[str, Any] = {"methods": "vanilla,match,r3f,rdrop", "seeds": 3}
ATTACKED: dict[str, Any] = {"attack": {"recipes": "deepwordbug", "examples": 2}}


def test_seeds_methods_a_suite_and_an_attack_are_added(files: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "grown"
    assert done(asked(files, out), out)[0] == 0
    before = stamps(out)
    assert len(before) == 3 * 4
    more: dict[str, Any] = {**MORE, **ATTACKED, "evaluation": {"suites": "clean,classes"}}
    plan = asked(files, out, **more)
    assert len(plan.jobs) == 12 and not any("beside" in notice for notice in plan.notices)
    code, said = done(plan, out)
    assert code == 0, said
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((out / "runs").iterdir())) == 12
    assert done(asked(files, tmp_path / "once", **more), tmp_path / "once")[0] == 0
    assert rows(out) == rows(tmp_path / "once")
    # and once more: nothing is left to do
    code, said = done(asked(files, out, **more), out)
    assert code == 0 and said.count("finished before") == 12
    # with fewer, the part that is asked for is shown, and nothing is lost
    code, said = done(asked(files, out, seeds=1), out)
    assert code == 0 and said.count("finished before") == 2 and "deepwordbug" not in said and "rdrop" not in said
    assert sorted(map(str, rows(out))) == sorted(map(str, rows(tmp_path / "once")))
    assert len(read_asked(out)) == 3


def test_a_changed_setting_is_a_run_beside_and_said_so(files: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert done(asked(files, out, methods="vanilla", seeds=1, **ATTACKED), out)[0] == 0
    longer = {"train": {"max_steps": 3, "batch_size": 8, "max_length": 32, "learning_rate": 1e-3}}
    plan = asked(files, out, methods="vanilla", seeds=1, **ATTACKED, **longer)
    assert any("1 of 1 runs are in" in notice and "done beside them" in notice for notice in plan.notices)
    assert done(plan, out)[0] == 0
    found = Experiment.open(out)
    assert [run.spec.train.max_steps for run in found.runs if run.spec] == [3]
    assert len(found.others) == 1
    # the setting of a finished test: the run stays as it is, another is done beside it
    wider = {"attack": {"recipes": "deepwordbug", "examples": 3}}
    plan = asked(files, out, methods="vanilla", seeds=1, **longer, **wider)
    told = "a finished run has attack/deepwordbug with examples 2, not 3: it stays, and a new one is done beside it"
    assert told in plan.notices
    assert done(plan, out)[0] == 0
    assert len(list((out / "runs").iterdir())) == 3
    # what was asked for first is still there, and finished
    code, said = done(asked(files, out, methods="vanilla", seeds=1, **longer, **ATTACKED), out)
    assert code == 0 and "finished before" in said


def test_more_own_tests_are_added_and_a_changed_one_is_a_run_beside(files: dict[str, Any], tmp_path: Path) -> None:
    out, one, two = tmp_path / "out", tmp_path / "one.csv", tmp_path / "two.csv"
    lines = Path(files["data"]["dev_file"]).read_text().splitlines(keepends=True)
    one.write_text("".join(lines[:5]))
    two.write_text("".join(lines[:3]))

    def plan(*tests: Path) -> Plan:
        own = {**files["data"], "tests": [f"{path.stem}={path}" for path in tests]}
        return asked({**files, "data": own}, out, methods="vanilla", seeds=1)

    assert done(plan(one), out)[0] == 0
    before = stamps(out)
    assert done(plan(one, two), out)[0] == 0
    assert stamps(out) == before
    found = [row.suite_value for row in Experiment.open(out).records if row.suite == "test"]
    assert list(dict.fromkeys(found)) == ["one", "two"]
    one.write_text("".join(lines[:6]))
    changed = plan(one, two)
    assert any(notice.startswith("a finished run has test with test one ") for notice in changed.notices)
    assert done(changed, out)[0] == 0
    assert {row.suite_value: row.n for row in Experiment.open(out).records if row.suite == "test"} == {
        "one": 5,
        "two": 2,
    }
    assert len(list((out / "runs").iterdir())) == 2


def test_a_suite_with_other_settings_is_a_run_beside(files: dict[str, Any], tmp_path: Path) -> None:
    """One run, and one table, has each suite but once: the rows of both would bear the same name."""
    out = tmp_path / "out"

    def plan(bins: int, seeds: int = 1) -> Plan:
        return asked(files, out, methods="vanilla", seeds=seeds, evaluation={"suites": f"calibration:bins={bins}"})

    assert done(plan(5, seeds=2), out)[0] == 0
    told = "a finished run has calibration:bins=5, not calibration:bins=9: it stays, and a new one is done beside it"
    assert [notice for notice in plan(9).notices if "beside" in notice] == [told]
    assert done(plan(9), out)[0] == 0
    found = Experiment.open(out)
    assert [(run.whose["seed"], run.path.name) for run in found.runs] == [(0, plan(9).jobs[0].name)]
    assert len(found.others) == 2 and not found.damaged
    for bins in (5, 9):  # each as it was left
        assert not any("beside" in notice for notice in plan(bins).notices)
        code, said = done(plan(bins), out)
        assert code == 0 and "finished before" in said


def test_a_new_column_with_code_of_others_leaves_the_others_as_they_are(
    files: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version of a package is a fact of what it offers alone."""
    before = asked(files, tmp_path, methods="vanilla", seeds=1).jobs[0]
    for registry, name in ((METHODS, "r3f"), (SUITES, "classes")):
        entry = registry.entry(name)
        known = {each.name: getattr(entry, each.name) for each in dataclasses.fields(entry)}
        own = {"kind": registry.kind, "accepts": registry._accepts, "version": "other 1.0"}
        monkeypatch.setitem(registry._entries, name, CustomEntry(**known, **own))
    more: dict[str, Any] = {"methods": "vanilla,r3f", "evaluation": {"suites": "clean,classes"}}
    vanilla, r3f = asked(files, tmp_path, seeds=1, **more).jobs
    assert (vanilla.name, vanilla.facts) == (before.name, before.facts)
    assert r3f.facts == {**before.facts, "method r3f": "other 1.0"}
    assert vanilla.tests == {"clean": {}, "classes": {"suite classes": "other 1.0"}}


def test_an_attack_that_was_stopped_may_go_on_with_other_settings(files: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"

    def plan(budget: int) -> Plan:
        given = {"recipes": "deepwordbug", "examples": 2, "query_budget": budget}
        return asked(files, out, methods="vanilla", seeds=1, attack=given)

    assert done(plan(5), out)[0] == 0
    (folder,) = (out / "runs").iterdir()
    lines = (folder / "rows.jsonl").read_bytes().splitlines(keepends=True)
    end = next(place for place, line in enumerate(lines) if b'"stage": "clean"' in line)
    (folder / "rows.jsonl").write_bytes(b"".join(lines[: end + 1]))
    assert done(plan(9), out)[0] == 0
    (run,) = Experiment.open(out).runs
    assert run.path == folder and {line["query_budget"] for line in run.attack_lines("deepwordbug")} == {9}


def test_a_model_that_was_not_kept_is_trained_again_and_is_the_same(
    files: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    assert done(asked(files, out, methods="vanilla", seeds=1), out, keep_models=False)[0] == 0
    (folder,) = (out / "runs").iterdir()
    assert not (folder / "model").exists()
    clean = (folder / "predictions" / "clean.parquet").stat().st_mtime_ns
    with caplog.at_level(logging.WARNING):
        assert done(asked(files, out, methods="vanilla", seeds=1, **ATTACKED), out, keep_models=False)[0] == 0
    assert "was not kept; it is trained again" in caplog.text and "another model" not in caplog.text
    assert (folder / "predictions" / "clean.parquet").stat().st_mtime_ns == clean
    assert done(asked(files, tmp_path / "once", methods="vanilla", seeds=1, **ATTACKED), tmp_path / "once")[0] == 0
    assert rows(out) == rows(tmp_path / "once")


def test_an_experiment_goes_on_where_its_last_write_failed(files: dict[str, Any], tmp_path: Path) -> None:
    """A grown run whose finish was lost is neither done nor damaged, and what it has stays."""
    out = tmp_path / "out"
    plan = asked(files, out, methods="vanilla", seeds=1)
    assert done(plan, out)[0] == 0
    (folder,) = (out / "runs").iterdir()
    journal = folder / "rows.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    before = stamps(out)
    assert not plan.jobs[0].done(out) and not plan.jobs[0].folder(out).damage()
    assert done(plan, out)[0] == 0 and plan.jobs[0].done(out)
    assert stamps(out) == before


def test_the_folder_of_an_experiment_remembers_what_it_was_asked_for(files: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    plan = asked(files, out)
    for _ in range(2):
        keep_asked(out, plan.spec, [job.wanted for job in plan.jobs])
    assert len(read_asked(out)) == 1
    wider = asked(files, out, seeds=3)
    keep_asked(out, wider.spec, [job.wanted for job in wider.jobs])
    narrow = asked(files, out, seeds="5,", methods="r3f")
    keep_asked(out, narrow.spec, [job.wanted for job in narrow.jobs])
    found = Experiment.open(out)
    assert {(run.method, run.seed) for run in found.asked} == {
        *((method, seed) for method in ("vanilla", "match") for seed in range(3)), ("r3f", 5),
    }  # fmt: skip
    assert found.spec.seeds == (5,) and len(found.unfinished) == 7
    shutil.rmtree(out)
    assert WorkConfig().keep_models
