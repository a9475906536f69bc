"""Results read as data frames: what a run, an experiment and an evaluation left, and what is said of damage."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robusteval.api import evaluate
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.models.opening import open_classifier
from robusteval.report.records import csv
from robusteval.report.table import build_table
from robusteval.results.attack_summary import summarise
from robusteval.results.experiment import Experiment
from robusteval.results.frames import rows_frame
from robusteval.results.metrics import METRICS
from robusteval.results.reading import WHOSE, Run
from robusteval.results.rows import Row, row_line
from robusteval.settings.data import DataConfig
from robusteval.tasks.load import load_task
from support import tiny
from support.small_experiment import done, small_plan


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> tuple[Path, DataConfig]:
    folder = tmp_path_factory.mktemp("reading")
    for name, count, seed in (("train", 48, 0), ("dev", 24, 1)):
        texts, labels = tiny.sentences(count, seed=seed)
        frame = pd.DataFrame({"review": texts, "verdict": ["good" if label else "bad" for label in labels]})
        frame.to_csv(folder / f"{name}.csv", index=False)
    out = folder / "out"
    plan = small_plan(tiny_folder, (folder / "train.csv", folder / "dev.csv"), ("vanilla", "match"))
    code, said = done(plan, out)
    assert code == 0, said
    return out, plan.parts[0].base.data


def test_every_file_of_an_experiment_is_a_frame(experiment: tuple[Path, DataConfig], tiny_folder: Path) -> None:
    out, data = experiment
    found = Experiment.open(out, model=True)
    assert [run.whose["method"] for run in found.runs] == ["vanilla", "match"]
    assert (found.damaged, found.unfinished, found.declared) == ({}, (), {})

    rows = found.rows()
    assert set(rows["model"]) == {str(tiny_folder)} and set(rows["task"]) == {"mine"}
    assert set(rows["metric"]) <= METRICS.keys() and {"train", "attack"} <= set(rows["suite"])
    accuracy = rows.query("suite == 'clean' and metric == 'accuracy' and method == 'match'").iloc[0]
    assert (accuracy["aspect"], accuracy["unit"], accuracy["direction"]) == ("quality", "%", "higher")

    predictions = found.predictions("clean").query("method == 'match'")
    assert list(predictions.columns) == [*WHOSE, "value", "set", "id", "gold", "predicted", "logits"]
    assert np.mean(predictions["gold"] == predictions["predicted"]) == accuracy["value"]
    # the same model, opened from its folder, says the same of the same rows
    task = load_task("mine", data)
    kept = open_classifier(found.runs[1].folder.model, labels=task.task.labels, keep_head=True)
    again = Predictor(kept.model, kept.tokenizer, 32).logits([(text,) for text in task.dev.texts[0]])
    assert np.allclose(np.stack(predictions["logits"].tolist()), again, atol=1e-5)

    curve = found.analysis("calibration").query("method == 'vanilla'")
    assert curve["count"].sum() == len(task.dev)
    steps = found.training()
    assert steps.groupby("method")["step"].apply(list).tolist() == [[0, 1, 2, 3]] * 2
    assert (steps["loss"] > 0).all() and (steps["seconds"] > 0).all()
    attacks = found.attacks()
    success = rows.query("metric == 'attack_success_rate'").set_index("method")["value"]
    for run in found.runs:
        (recipe,) = run.recipes
        told = summarise(run.attack_lines(recipe)).attack_success_rate
        assert told == success[run.whose["method"]] or math.isnan(told)
        assert len(attacks[attacks["run"] == run.path.name]) == 3
    assert not {"model", *WHOSE} - set(attacks.columns) and "victim" in attacks
    environment = found.environment()
    assert len(environment) == 2 and {"torch", "device", "git_commit"} <= set(environment.columns)


def test_what_is_not_there_is_said(experiment: tuple[Path, DataConfig], tmp_path: Path) -> None:
    run = Experiment.open(experiment[0]).runs[0]
    assert run.predicted_suites == ("clean",) and run.analysed_suites == ("calibration",)
    with pytest.raises(UserError, match="predictions: unknown name 'claen'; did you mean 'clean'"):
        run.predictions("claen")
    with pytest.raises(UserError, match="holds no rows.jsonl"):
        Run.open(tmp_path)
    with pytest.raises(UserError, match="holds no experiment.yaml"):
        Experiment.open(tmp_path)
    assert list(Experiment.open(experiment[0]).predictions("calibration").columns) == list(WHOSE)


def test_damage_is_named_and_in_no_frame(experiment: tuple[Path, DataConfig], tmp_path: Path) -> None:
    out = shutil.copytree(experiment[0], tmp_path / "out")
    match, vanilla = (next((out / "runs").glob(f"*.{name}.*")) for name in ("match", "vanilla"))
    file = vanilla / "predictions" / "clean.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    found = Experiment.open(out)
    assert list(found.damaged) == [vanilla.name]
    assert "clean.parquet: is not what the run wrote; delete the folder" in found.damaged[vanilla.name]
    assert set(found.rows()["method"]) == {"match"}
    with pytest.raises(UserError, match="is not what the run wrote"):
        Run.open(vanilla)
    # whoever takes it as sound is told by the file itself
    with pytest.raises(UserError, match="clean.parquet: cannot be read as a table"):
        Run(vanilla).predictions("clean")

    text = (match / "rows.jsonl").read_bytes().splitlines(keepends=True)
    (match / "rows.jsonl").write_bytes(b"".join(text[:-1]))
    assert Experiment.open(out).unfinished == (match.name,)
    lines = [json.loads(line) for line in text]
    twice = shutil.copytree(match, match.with_name("mine.match.none.s0.00000000"))
    for folder in (match, twice):
        kept = [{key: each for key, each in line.items() if key not in ("files", "seal")} for line in lines]
        kept = [{**line, "run": folder.name} if "run" in line else line for line in kept]
        (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    # a folder that nobody asked for is none of the experiment's; an earlier version did not keep what was asked for
    assert [run.path.name for run in Experiment.open(out).runs] == [match.name]
    shutil.rmtree(out / "asked")
    with pytest.raises(UserError, match="are the same run; remove the outdated one"):
        Experiment.open(out)


def test_an_evaluation_is_a_run_without_a_spec(experiment: tuple[Path, DataConfig], tmp_path: Path) -> None:
    model = Experiment.open(experiment[0]).runs[0].folder.model
    result = evaluate(
        model, "mine", data=experiment[1], suites=["clean", "mask"], rates=[0.3], sets=2, max_length=32, device="cpu",
        out=tmp_path / "out",
    )  # fmt: skip
    run = Run.open(tmp_path / "out")
    assert run.spec is None and run.whose["method"] == "model"
    rows = run.rows()
    assert set(rows["model"]) == {str(model)}
    assert rows["value"].tolist() == [each for item in result.measurements for each in item.metrics.values()]
    assert set(rows.loc[rows["suite"] == "mask", "aspect"]) == {"robustness"}
    assert set(run.predictions("mask")["set"]) == {0, 1}
    assert len(run.environment()) == 0 and len(run.training()) == 0


ROWS = st.lists(
    st.builds(
        Row,
        run=st.just("r"), task=st.just("sst2"), method=st.sampled_from(["vanilla", "match", "tdt"]),
        scenario=st.sampled_from(["none", "low-resource:count=500"]), scenario_value=st.none(),
        seed=st.integers(0, 3), suite=st.sampled_from(["clean", "mask", "mine"]),
        suite_value=st.sampled_from(["", "0.1"]), split=st.just("dev"),
        metric=st.sampled_from(["accuracy", "nll", "own"]),
        value=st.floats(-2, 2) | st.just(math.nan), n=st.integers(1, 9), seconds=st.just(1.0),
        spread=st.lists(st.floats(0, 1), max_size=3).map(tuple), aspect=st.sampled_from([None, "robustness"]),
    ),
    max_size=40, unique_by=lambda row: (row.method, row.scenario, row.seed, row.suite, row.suite_value, row.metric),
)  # fmt: skip


@settings(deadline=None, max_examples=50)
@given(ROWS)
def test_table_and_frame_agree(rows: list[Row]) -> None:
    methods = ["vanilla", "match", "tdt"]
    frame = rows_frame(rows)
    table = build_table(frame, methods)
    cells = [(line, method, cell) for line in table.lines for method, cell in line.cells.items() if cell.summary.n]
    if not rows:
        assert not cells and frame.empty
        return
    key = ["scenario", "suite", "suite_value", "metric", "method"]
    means = frame.dropna(subset="value").groupby(key)["value"].agg(["mean", "std", "count"])
    assert len(cells) == len(means)
    plain = frame.pivot_table(index=[*key[:-1], "seed"], columns="method", values="value", aggfunc="first")
    for line, method, cell in cells:
        of = (line.scenario, line.suite, line.value, line.metric.name)
        mean, deviation, count = means.loc[(*of, method)]
        assert (cell.summary.mean, cell.summary.n) == (pytest.approx(mean), count)
        assert cell.summary.std == pytest.approx(deviation, nan_ok=True)
        if method != "vanilla":
            both = plain.loc[of].reindex(columns=methods).dropna(subset=["vanilla", method])
            expected = (both[method] - both["vanilla"]).mean()
            assert (cell.delta and cell.delta.mean) == (None if math.isnan(expected) else pytest.approx(expected))
    assert csv(table).count("\n") - 1 == len(frame[key[:-1]].drop_duplicates()) * len(methods)


def test_a_frame_holds_what_the_rows_hold() -> None:
    row = Row("r", "sst2", "tdt", "none", None, 0, "mask", "0.1", "dev", "flip_rate", 0.25, 8, 1.5, model="bert")
    line = rows_frame([row]).iloc[0].to_dict()
    assert {name: line[name] for name in ("model", "value", "n", "seconds")} == {
        "model": "bert", "value": 0.25, "n": 8, "seconds": 1.5,
    }  # fmt: skip
    assert (line["shown"], line["unit"], line["scale"], line["direction"]) == ("flip rate", "%", 100, "lower")
    assert set(row_line(row)) == {field.name for field in dataclasses.fields(Row)}


def test_reading_and_drawing_need_neither_scikit_learn_nor_torch() -> None:
    code = (
        "import sys, robusteval.results.reading, robusteval.report.experiment, robusteval.report.render\n"
        "import robusteval.report.transfer, robusteval.report.attack, robusteval.report.transcripts\n"
        "print([name for name in ('sklearn', 'scipy', 'torch', 'transformers', 'textattack') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert METRICS["accuracy"].function is not None
    assert METRICS["accuracy"].function(np.array([0, 1]), np.array([0, 0])) == 0.5
