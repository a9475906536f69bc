"""Scenarios and suites through the whole of an experiment: counts, rows, files, and mistakes found before training."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from safetensors import safe_open

from robusteval.errors import UserError
from robusteval.experiments.grid import expand
from robusteval.experiments.outcome import finished_runs
from robusteval.experiments.plan import make_plan, start
from robusteval.experiments.run import execute
from robusteval.report.experiment import experiment_table
from robusteval.report.render import markdown
from robusteval.report.sheets import report
from robusteval.results.rows import Row
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import RunSpec
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.work import WorkConfig
from support import tiny
from support.field_cases import Done
from support.specs import spec_of

SUITES = ("clean", "delete", "swap", "typos", "ordered-drop", "calibration", "sensitivity:rows=12",
          "flatness:directions=1:points=3:rows=8:power_iterations=2")  # fmt: skip


def spec(
    model: Path,
    files: tuple[Path, Path],
    scenarios: tuple[str, ...],
    *,
    methods: tuple[str, ...] = ("vanilla",),
    suites: tuple[str, ...] = ("clean",),
    attack: AttackConfig | None = None,
    **evaluation: Any,
) -> Any:
    base = RunSpec(
        model=str(model),
        task="mine",
        data=DataConfig(
            train_file=str(files[0]), dev_file=str(files[1]), text_columns=("review",), label_column="verdict"
        ),
        evaluation=EvalConfig(suites=suites, rates=(0.3,), sets=2, **evaluation),
        attack=attack or AttackConfig(recipes=()),
    )
    settings = {"max_steps": 4, "batch_size": 8, "max_length": 32, "learning_rate": 1e-3}
    return spec_of(base, methods, (0,), settings, scenarios)


def by_key(rows: list[Row]) -> dict[tuple[str, str, str, str], Row]:
    return {(row.scenario, row.suite, row.suite_value, row.metric): row for row in rows}


def test_scenarios_and_suites_from_plan_to_table(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    scenarios = ("none", "label-noise:rate=0.125/0.25", "minority:label=good:keep=0.5")
    options = WorkConfig(tmp_path / "out", device="cpu", quiet=True)
    plan = make_plan(spec(tiny_folder, csv_files, scenarios, suites=SUITES), options)
    dev = pd.read_csv(csv_files[1])["verdict"].value_counts()
    assert len(plan.jobs) == 4
    assert any("label-noise:rate=0.125" in notice and "flipped 12" in notice for notice in plan.notices)
    tests = plan.parts[0].tests
    assert tests[:2] == ("clean", "delete: at 0.3, 2 sets each")
    assert "ordered-drop: confidence, gradient, random at 0.3, 2 sets each" in tests
    assert tests[-1] == f"classes: bad {dev['bad']}, good {dev['good']}"
    folders = [execute(run, options, plan.parts[0].data) for run in plan.jobs]
    rows = by_key([row for folder in folders for row in folder.rows()])
    assert rows["label-noise:rate=0.25", "scenario", "flipped", "rows"].value == 24
    assert rows["label-noise:rate=0.25", "clean", "", "accuracy"].scenario_value == 0.25
    assert rows["none", "clean", "", "accuracy"].scenario_value is None
    # the minority scenario brings the suite that measures its class, to every run of the experiment
    assert {key[0] for key in rows if key[1:] == ("classes", "good", "accuracy")} == {
        job.spec.scenario.label for job in plan.jobs
    }
    wanted = [job.wanted for job in plan.jobs]
    table = experiment_table(plan.spec, finished_runs(plan, options), wanted, plan.notices)
    drops = {line.scenario: line.cells["vanilla"].drop for line in table.lines if line.suite == "classes"}
    assert drops["none"] is None
    assert isinstance(drops["minority:label=good:keep=0.5"], float)
    kept = pd.read_csv(csv_files[0])["verdict"].value_counts()
    assert rows["minority:label=good:keep=0.5", "train", "", "steps"].n == kept["bad"] + round(kept["good"] / 2)
    assert len(rows["none", "delete", "0.3", "accuracy"].spread) == 2
    predictions = pd.read_parquet(folders[0].path / "predictions" / "swap.parquet")
    assert set(predictions["set"]) == {0, 1}
    assert len(predictions) == 2 * 24
    for name in ("calibration", "sensitivity", "flatness"):
        assert len(pd.read_parquet(folders[0].path / "analysis" / f"{name}.parquet")) > 0
    text = markdown(report(table))
    assert "| scenario | test | metric | n | vanilla |" in text
    assert "{" in text
    assert "worst_case_accuracy" not in text


def test_the_confidence_layer_lies_beside_the_checkpoint(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    options = WorkConfig(tmp_path / "out", device="cpu", quiet=True)
    asked = spec(
        tiny_folder, csv_files, ("none",), methods=("tdt", "match+tdt"), suites=("ordered-drop", "representations")
    )
    plan = make_plan(asked, options)
    for run in plan.jobs:
        folder = execute(run, options, plan.parts[0].data)
        with safe_open(folder.model / "confidence.safetensors", "pt") as file:  # type: ignore[no-untyped-call]
            assert sorted(file.keys()) == ["bias", "start_bias", "start_weight", "weight"]
            assert file.metadata()["pre_position"] == "false"
        values = {row.suite_value for row in folder.rows() if row.suite == "ordered-drop"}
        assert values == {f"{order} {way} 0.3" for order in ("confidence", "gradient") for way in (
            "descending", "ascending")} | {"random 0.3"}  # fmt: skip
        kept = pd.read_parquet(folder.path / "analysis" / "representations.parquet").set_index("version")
        assert list(kept.index.unique()) == ["original", "positive", "negative"]
        moved = zip(*(kept.loc["original", f"token_confidence{when}"] for when in ("_before", "")), strict=True)
        assert all(len(before) == len(after) and (before != after).any() for before, after in moved)


@pytest.mark.parametrize(
    ("scenarios", "suites", "evaluation", "message"),
    [
        (("label-nois:rate=0.1",), ("clean",), {}, "did you mean 'label-noise'"),
        (("label-noise:rate=1.5",), ("clean",), {}, "rate: 1.5"),
        (("label-noise:share=0.1",), ("clean",), {}, "'share'"),
        (("minority:label=goood:keep=0.5",), ("clean",), {}, "did you mean 'good'"),
        (("minority:keep=0",), ("clean",), {}, "keep"),
        (("low-resource:examples=5000",), ("clean",), {}, "96"),
        (("groups",), ("clean",), {}, "pair"),
        (("none", "none"), ("clean",), {}, "given twice"),
        (("none",), ("flatness:direction=3",), {}, "did you mean 'directions'"),
        (("none",), ("generalisation:tasks=colla",), {}, "did you mean 'cola'"),
        (("none",), ("mask", "mask"), {}, "given twice"),
        (("none",), ("mask",), {"columns": ("verdict",)}, "columns"),
        (("none",), ("clean", "ordered-drop:orders=confidence"), {}, "'vanilla' has none; give scores=FOLDER"),
    ],
)
def test_mistakes_are_found_before_training(
    scenarios: tuple[str, ...],
    suites: tuple[str, ...],
    evaluation: dict[str, Any],
    message: str,
    tiny_folder: Path,
    csv_files: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match=message):
        make_plan(
            spec(tiny_folder, csv_files, scenarios, suites=suites, **evaluation),
            WorkConfig(tmp_path / "o", device="cpu"),
        )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("asked", "scenarios", "expected"),
    [
        (("clean",), ("none", "label-noise:rate=0.1"), ("clean",)),
        (("clean",), ("none", "minority:keep=0.3/0.5"), ("clean", "classes")),
        (("classes", "clean"), ("minority:keep=0.3",), ("classes", "clean")),
        (("clean",), ("label-noise+groups", "minority:keep=0.3"), ("clean", "groups", "classes")),
        # one that was asked for keeps its settings
        (("groups: words=no",), ("groups", "groups:words=never"), ("groups: words=no",)),
    ],
)
def test_every_run_has_the_suites_of_all_scenarios(
    asked: tuple[str, ...], scenarios: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    base = RunSpec(evaluation=EvalConfig(suites=asked))
    spec = spec_of(base, ("vanilla",), (0,), {}, scenarios)
    assert {run.evaluation.suites for run in expand(spec)} == {expected}


def test_scenarios_that_bring_one_suite_in_two_ways_are_refused() -> None:
    message = "one brings the suite 'groups:words=no' and another 'groups', .* name one of the two in suites"
    with pytest.raises(UserError, match=message):
        expand(spec_of(RunSpec(), ("vanilla",), (0,), {}, ("groups:words=no", "none", "groups")))


def test_a_suite_without_rows_is_an_error_where_it_was_named_and_left_out_where_not(
    tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "glue" / "sst2").mkdir(parents=True)
    for name, seed in (("train", 0), ("validation", 5)):
        texts, labels = tiny.sentences(16, seed=seed)
        frame = pd.DataFrame({"sentence": texts, "label": labels})
        frame.to_parquet(tmp_path / "glue" / "sst2" / f"{name}.parquet")
    held = {"models": str(tiny_folder), "tasks": "sst2", "data": {"data_dir": str(tmp_path)}, "seeds": 1}
    asked = ExperimentSpec.read({**held, "train": {"max_length": 32}})
    options = WorkConfig(tmp_path / "o", device="cpu")
    named = dataclasses.replace(asked, evaluation={"suites": ["clean", "mask", "replace", "advglue"]})
    with pytest.raises(UserError, match="'advglue' has nothing to test 'sst2' on"):
        make_plan(named, options)
    plan = make_plan(asked, options)
    assert plan.parts[0].base.evaluation.suites == ("clean", "mask", "replace")
    assert [job.spec.evaluation.suites for job in plan.jobs] == [("clean", "mask", "replace")]
    assert any("'advglue' has nothing to test" in notice for notice in plan.notices)


def test_other_resources_of_an_attack_make_another_run(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    asked = spec(tiny_folder, csv_files, ("none",), attack=AttackConfig(("pwws",)))
    out, names = tmp_path / "o", []
    for folder, content in (("one", "a"), ("same", "a"), ("other", "b")):
        wordnet = tmp_path / folder / "corpora" / "wordnet"
        (wordnet / "lexnames").mkdir(parents=True)
        (wordnet / "data.noun").write_text(content)
        work = WorkConfig(out, device="cpu", resources_dir=tmp_path / folder)
        plan = make_plan(asked, work)
        (job,) = plan.jobs
        names.append(job.name)
        if folder == "one":  # what a run leaves that has attacked with these
            start(plan, work)
            job.folder(out).path.mkdir(parents=True)
            job.folder(out).finish_stage("attack/pwws", [], facts=job.tests["attack/pwws"])
    assert names[0] == names[1] != names[2]


def test_a_dry_run_tells_rows_and_runs(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    done = invoke(
        "train-and-attack", "--no-page", "--model", str(tiny_folder), "--train-file",
        str(csv_files[0]), "--dev-file", str(csv_files[1]), "--text-columns", "review", "--label-column", "verdict",
        "--scenario", "none,label-noise:rate=0.1/0.2", "--methods", "vanilla", "--seeds", "2", "--dry-run", "--out",
        str(tmp_path / "out"), "--max-length", "32",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "6 runs" in done.stdout
    assert "label-noise:rate=0.2: trained on 96 rows, flipped 19" in done.stdout
    assert not (tmp_path / "out").exists()


def test_counts_are_told_once_or_by_seed(tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path) -> None:
    scenarios = ("none", "minority:label=good:keep=0.5", "label-noise:rate=0.125")
    asked = dataclasses.replace(spec(tiny_folder, csv_files, scenarios), seeds=(3, 5))
    plan = make_plan(asked, WorkConfig(tmp_path / "out", device="cpu"))
    told = [notice for notice in plan.notices if ": trained on" in notice]
    kept = pd.read_csv(csv_files[0])["verdict"].value_counts()
    half = round(kept["good"] / 2)
    rows = kept["bad"] + half
    assert told[0] == f"{scenarios[1]}: trained on {rows} rows, removed {kept['good'] - half}, kept good {half}"
    noise = [re.fullmatch(rf"{scenarios[2]}: trained on 96 rows, flipped 12, (.*) \(seed (\d)\)", n) for n in told[1:]]
    assert [match[2] for match in noise if match] == ["3", "5"]
    assert noise[0] and noise[1] and noise[0][1] != noise[1][1]


def test_groupdro_says_that_classes_stand_in_for_groups(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    said = "groupdro: the scenario brings no groups, so the classes are the groups"
    options = WorkConfig(tmp_path / "out", device="cpu", quiet=True)
    methods = ("groupdro", "match+groupdro", "groupdro:groups=labels", "groupdro:groups=none")
    plan = make_plan(spec(tiny_folder, csv_files, ("none",), methods=methods), options)
    for run in plan.jobs:
        execute(run, options, plan.parts[0].data)
    wanted = [job.wanted for job in plan.jobs]
    notes = experiment_table(plan.spec, finished_runs(plan, options), wanted, plan.notices).notes
    assert [note for note in notes if said in note] == [f"groupdro seed 0, match+groupdro seed 0: {said}"]


def test_groupdro_is_silent_where_the_scenario_brings_groups(tiny_folder: Path, tmp_path: Path) -> None:
    paths = []
    for name, seed in (("train", 0), ("dev", 5)):
        texts, labels = tiny.sentences(24, seed=seed)
        second = ["no" if row % 2 else "yes" for row in range(24)]
        pd.DataFrame({"left": texts, "right": second, "verdict": labels}).to_csv(tmp_path / f"{name}.csv", index=False)
        paths.append(tmp_path / f"{name}.csv")
    asked = spec(tiny_folder, (paths[0], paths[1]), ("groups", "none"), methods=("groupdro",))
    asked = dataclasses.replace(asked, data={**asked.data, "text_columns": ["left", "right"]})
    options = WorkConfig(tmp_path / "out", device="cpu", quiet=True)
    plan = make_plan(asked, options)
    for run in plan.jobs:
        rows = execute(run, options, plan.parts[0].data).rows()
        notes = {note.text for row in rows if row.suite == "train" for note in row.notes}
        assert any("so the classes are the groups" in note for note in notes) == (run.spec.scenario.label == "none")


def test_a_recipe_from_a_file_is_attacked_with_under_a_name_of_its_own(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    code = "from textattack.attack_recipes import DeepWordBugGao2018 as Mine\n"
    (tmp_path / "recipes.py").write_text(code)
    given = f"{tmp_path / 'recipes.py'}:Mine"
    asked = spec(tiny_folder, csv_files, ("none",), attack=AttackConfig((given, "deepwordbug"), examples=3))
    options = WorkConfig(tmp_path / "out", device="cpu", quiet=True)
    plan = make_plan(asked, options)
    folder = execute(plan.jobs[0], options, plan.parts[0].data)
    own, known = sorted((folder.path / "attacks").glob("*.jsonl"), key=lambda path: path.stem == "deepwordbug")
    assert own.stem.startswith("recipes.Mine.")
    values = {row.suite_value for row in folder.rows() if row.suite == "attack"}
    assert values == {own.stem, known.stem}
    # the logits that both recipes met were kept for resuming alone
    assert not list((folder.path / "attacks").glob("*.sqlite*"))
