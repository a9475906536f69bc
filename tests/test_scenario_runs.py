"""Scenarios and suites through the whole of an experiment: counts, rows, files, and mistakes found before training."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tiny
from safetensors import safe_open

from robusteval.config import DataConfig, EvalConfig, RunSpec
from robusteval.errors import UserError
from robusteval.experiments.plan import make_plan, make_spec
from robusteval.experiments.run import Options, execute
from robusteval.experiments.session import experiment_table
from robusteval.report.render import markdown
from robusteval.rows import Row

SUITES = ("clean", "delete", "swap", "typos", "ordered-drop", "calibration", "sensitivity:rows=12",
          "flatness:directions=1:points=3:rows=8:power_iterations=2")  # fmt: skip


def spec(
    model: Path,
    files: tuple[Path, Path],
    scenarios: tuple[str, ...],
    *,
    methods: tuple[str, ...] = ("vanilla",),
    suites: tuple[str, ...] = ("clean",),
    **evaluation: Any,
) -> Any:
    base = RunSpec(
        model=str(model),
        task="mine",
        data=DataConfig(
            train_file=str(files[0]), dev_file=str(files[1]), text_columns=("review",), label_column="verdict"
        ),
        evaluation=EvalConfig(suites=suites, rates=(0.3,), sets=2, attacks=(), **evaluation),
    )
    settings = {"max_steps": 4, "batch_size": 8, "max_length": 32, "learning_rate": 1e-3}
    return make_spec(base, methods, (0,), settings, scenarios)


def by_key(rows: list[Row]) -> dict[tuple[str, str, str, str], Row]:
    return {(row.scenario, row.suite, row.suite_value, row.metric): row for row in rows}


def test_scenarios_and_suites_from_plan_to_table(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    scenarios = ("none", "label-noise:rate=0.125/0.25", "minority:label=good:keep=0.5")
    options = Options(tmp_path / "out", device="cpu", quiet=True, keep_models=True)
    plan = make_plan(spec(tiny_folder, csv_files, scenarios, suites=SUITES), options)
    assert len(plan.runs) == 4
    assert any("label-noise:rate=0.125" in notice and "flipped 12" in notice for notice in plan.notices)
    assert plan.tests[:2] == ["clean", "delete: at 0.3, 2 sets each"]
    assert "ordered-drop: confidence, gradient, random at 0.3, 2 sets each" in plan.tests
    assert plan.tests[-1] == "classes"
    folders = [execute(run, options, plan.facts, plan.data) for run in plan.runs]
    rows = by_key([row for folder in folders for row in folder.rows()])
    assert rows["label-noise:rate=0.25", "scenario", "flipped", "rows"].value == 24
    assert rows["label-noise:rate=0.25", "clean", "", "accuracy"].scenario_value == 0.25
    assert rows["none", "clean", "", "accuracy"].scenario_value is None
    # the minority scenario brings the suite that measures its class
    assert ("minority:label=good:keep=0.5", "classes", "good", "accuracy") in rows
    assert ("none", "classes", "good", "accuracy") not in rows
    kept = pd.read_csv(csv_files[0])["verdict"].value_counts()
    assert rows["minority:label=good:keep=0.5", "train", "", "steps"].n == kept["bad"] + round(kept["good"] / 2)
    assert len(rows["none", "delete", "0.3", "accuracy"].spread) == 2
    predictions = pd.read_parquet(folders[0].path / "predictions" / "swap.parquet")
    assert set(predictions["set"]) == {0, 1}
    assert len(predictions) == 2 * 24
    for name in ("calibration", "sensitivity", "flatness"):
        assert len(pd.read_parquet(folders[0].path / "analysis" / f"{name}.parquet")) > 0
    text = markdown(experiment_table(plan, options, []))
    assert "| scenario | test | metric | n | vanilla |" in text
    assert "{" in text
    assert "worst_case_accuracy" not in text


def test_the_confidence_layer_lies_beside_the_checkpoint(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    options = Options(tmp_path / "out", device="cpu", quiet=True, keep_models=True)
    asked = spec(tiny_folder, csv_files, ("none",), methods=("tdt", "match+tdt"), suites=("ordered-drop",))
    plan = make_plan(asked, options)
    for run in plan.runs:
        folder = execute(run, options, plan.facts, plan.data)
        with safe_open(folder.model / "confidence.safetensors", "pt") as file:  # type: ignore[no-untyped-call]
            assert sorted(file.keys()) == ["bias", "weight"]
            assert file.metadata()["pre_position"] == "false"
        values = {row.suite_value for row in folder.rows() if row.suite == "ordered-drop"}
        assert values == {f"{order} {way} 0.3" for order in ("confidence", "gradient") for way in (
            "descending", "ascending")} | {"random 0.3"}  # fmt: skip


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
        (("none",), ("clean", "ordered-drop:orders=confidence"), {}, "'vanilla' trains none; give scores=FOLDER"),
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
            spec(tiny_folder, csv_files, scenarios, suites=suites, **evaluation), Options(tmp_path / "o", device="cpu")
        )
    assert not (tmp_path / "o").exists()


def test_a_dry_run_tells_rows_and_runs(tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "robusteval.cli", "train-and-attack", "--model", str(tiny_folder), "--train-file",
        str(csv_files[0]), "--dev-file", str(csv_files[1]), "--text-columns", "review", "--label-column", "verdict",
        "--scenario", "none,label-noise:rate=0.1/0.2", "--methods", "vanilla", "--seeds", "2", "--dry-run", "--out",
        str(tmp_path / "out"), "--max-length", "32",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(tiny.__file__).parent.parent)
    assert done.returncode == 0, done.stderr
    assert "6 runs" in done.stdout
    assert "label-noise:rate=0.2: trained on 96 rows, flipped 19" in done.stdout
    assert not (tmp_path / "out").exists()


def test_a_recipe_from_a_file_is_attacked_with_under_a_name_of_its_own(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    code = "from textattack.attack_recipes import DeepWordBugGao2018 as Mine\n"
    (tmp_path / "recipes.py").write_text(code)
    asked = spec(tiny_folder, csv_files, ("none",), attack_examples=3)
    given = f"{tmp_path / 'recipes.py'}:Mine"
    evaluation = dataclasses.replace(asked.base.evaluation, attacks=(given, "deepwordbug"))
    asked = dataclasses.replace(asked, base=dataclasses.replace(asked.base, evaluation=evaluation))
    options = Options(tmp_path / "out", device="cpu", quiet=True)
    plan = make_plan(asked, options)
    folder = execute(plan.runs[0], options, plan.facts, plan.data)
    own, known = sorted((folder.path / "attacks").glob("*.jsonl"), key=lambda path: path.stem == "deepwordbug")
    assert own.stem.startswith("recipes.Mine.")
    values = {row.suite_value for row in folder.rows() if row.suite == "attack"}
    assert values == {own.stem, known.stem}
    # the logits that both recipes met were kept for resuming alone
    assert not list((folder.path / "attacks").glob("*.sqlite*"))
