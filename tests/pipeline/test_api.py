"""The Python interface, by name and with objects in memory."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
import torch

import robusteval.api
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.models.hashes import checkpoint_sha256
from robusteval.models.saving import kept_modules
from robusteval.pipeline import rows as pipeline_rows
from robusteval.results.store import RunFolder
from robusteval.settings.data import DataConfig
from robusteval.tasks.load import TaskData
from support import tiny

TASK = tiny.TASK


def rows(count: int, seed: int) -> datasets.Dataset:
    texts, labels = tiny.sentences(count, seed=seed)
    return datasets.Dataset.from_dict({"text": texts, "label": labels.tolist()})


def small(**more: Any) -> dict[str, Any]:
    return {"max_steps": 150, "batch_size": 8, "learning_rate": 1e-3, "max_length": 32, "quiet": True, **more}


def test_train_evaluate_attack_in_memory(tmp_path: Path) -> None:
    trained = robusteval.train(
        tiny.model(), TASK, "match", tokenizer=tiny.tokenizer(), train_dataset=rows(200, 0), device="cpu", **small()
    )
    assert not trained.model.training
    dev = rows(40, 9)
    shared: dict[str, Any] = {"tokenizer": trained.tokenizer, "dataset": dev, "max_length": 32, "device": "cpu"}
    result = robusteval.evaluate(trained.model, TASK, suites=("clean", "mask"), rates=(0.3,), sets=2, **shared)
    assert result.scores["clean", "", "accuracy"] > 0.8
    assert result.scores["mask", "0.3", "accuracy"] < result.scores["clean", "", "accuracy"]
    attacked = robusteval.attack(trained.model, TASK, examples=5, **shared)
    assert attacked.summary.examples == 5
    # the saved checkpoint gives the same numbers
    folder = trained.save(tmp_path / "model")
    again = robusteval.evaluate(str(folder), TASK, suites=("clean",), dataset=dev, max_length=32, device="cpu")
    assert again.scores["clean", "", "accuracy"] == result.scores["clean", "", "accuracy"]


@pytest.fixture
def nli_folder(tmp_path: Path) -> str:
    return str(tiny.save(tmp_path / "nli", num_labels=3))


def nli(folder: str, **more: Any) -> robusteval.api.Evaluation:
    shared: dict[str, Any] = {"data": DataConfig(eval_limit=24), "sets": 2, "max_length": 64, "device": "cpu"}
    return robusteval.evaluate(folder, "demo-nli", **{**shared, **more})


def test_what_rows_and_suites_have_to_say_is_told_before_they_run(
    nli_folder: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from robusteval.evaluation.suites import Clean

    told: list[str] = []

    def run(self: Clean, subject: Any) -> Any:
        assert len(told) == 5
        return iter([subject.measure("clean", "", "dev", subject.data.dev, subject.clean)])

    monkeypatch.setattr(Clean, "check", lambda self, data, tokenizer, config: ["the suite has to say"])
    monkeypatch.setattr(Clean, "run", run)
    load = pipeline_rows.load_evaluation

    def loaded(*arguments: Any) -> TaskData:
        return dataclasses.replace(load(*arguments), notices=("the rows have to say",))

    monkeypatch.setattr(pipeline_rows, "load_evaluation", loaded)
    result = nli(nli_folder, suites=("clean",), max_length=16, notify=told.append)
    assert result.notices == tuple(told[:4])
    assert told[4] == "dev: entailment (10), neutral (8), contradiction (6); majority entailment, 41.7 %"
    assert told[0].startswith("the checkpoint does not name its labels; taken by position: 0 = ")
    assert told[1:3] == ["the rows have to say", "the suite has to say"]
    assert "dev texts are cut to 16 tokens (max_length)" in told[3]
    assert caplog.messages == []


def test_the_default_suites_suit_the_task(nli_folder: str, tiny_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert {suite for suite, _, _ in nli(nli_folder).scores} == {"clean", "mask", "replace", "ood"}
    assert "taken by position" in caplog.text
    # rows of one's own come without the sets that a registered task has elsewhere
    frame = pd.DataFrame({"sentence": ["good film", "bad film"], "label": [1, 0]})
    own = robusteval.evaluate(str(tiny_folder), "sst2", dataset=frame, max_length=32, device="cpu")
    assert {suite for suite, _, _ in own.scores} == {"clean", "mask", "replace"}


def test_sets_that_are_nowhere_are_missing_by_default_and_an_error_by_name(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "glue" / "sst2").mkdir(parents=True)
    frame = pd.DataFrame({"sentence": ["good film", "bad film"], "label": [1, 0]})
    frame.to_parquet(tmp_path / "glue" / "sst2" / "validation.parquet")
    shared: dict[str, Any] = {"data": DataConfig(data_dir=str(tmp_path)), "max_length": 32, "device": "cpu"}
    result = robusteval.evaluate(str(tiny_folder), "sst2", **shared)
    assert {suite for suite, _, _ in result.scores} == {"clean", "mask", "replace"}
    assert any("adv_sst2" in notice for notice in result.notices)
    with pytest.raises(UserError, match="adv_sst2"):
        robusteval.evaluate(str(tiny_folder), "sst2", suites=("advglue",), **shared)


def test_suites_that_measure_nothing_are_refused(nli_folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from robusteval.evaluation.suites import Clean

    with pytest.raises(UserError, match="suites: none given"):
        nli(nli_folder, suites=())
    monkeypatch.setattr(Clean, "run", lambda self, subject: iter(()))
    with pytest.raises(UserError, match="suites: clean measured nothing on 'demo-nli'; the checkpoint does not name"):
        nli(nli_folder, suites=("clean",))


def test_a_suite_that_needs_a_trained_module_is_refused_before_the_first_one_runs(
    nli_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import save_file

    monkeypatch.setattr(Predictor, "encoded", lambda *arguments: pytest.fail("a suite ran"))
    for name in ("model-00001-of-00002", "pytorch_model", "other"):
        save_file({"weight": torch.zeros(1)}, Path(nli_folder) / f"{name}.safetensors")
    assert kept_modules(Path(nli_folder)) == ("other",)
    with pytest.raises(UserError, match="'confidence' needs a trained confidence layer"):
        nli(nli_folder, suites=("clean", "ordered-drop:orders=confidence"))


def test_an_evaluation_is_kept_as_a_run_keeps_it(nli_folder: str, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", []
    more: dict[str, Any] = {"suites": ("clean", "mask", "ood", "calibration:bins=4"), "rates": (0.2,), "out": out}
    result = nli(nli_folder, record=lambda *each: seen.append(each[:3]), **more)
    kept = RunFolder(out)
    assert kept.done
    assert kept.stages() == set(more["suites"])
    found = {(row.suite, row.suite_value, row.metric): row for row in kept.rows()}
    assert {key: row.value for key, row in found.items()} == result.scores
    assert {row.method for row in kept.rows()} == {"nli"}
    assert len(found["mask", "0.2", "accuracy"].spread) == 2
    frame = pd.read_parquet(out / "predictions" / "mask.parquet")
    accuracy = frame.groupby("set").apply(lambda part: (part.gold == part.predicted).mean())
    assert tuple(accuracy) == pytest.approx(found["mask", "0.2", "accuracy"].spread)
    assert [each for each in seen if each[0] == "mask"] == [("mask", "0.2", 0), ("mask", "0.2", 1)]
    assert len(pd.read_parquet(out / "analysis" / "calibration.parquet")) == 4
    about = json.loads((out / "evaluation.json").read_text())
    assert about["checkpoint"]["sha256"] == checkpoint_sha256(Path(nli_folder))
    assert about["evaluation"]["rates"] == [0.2]
    assert about["notices"] == list(result.notices)
    # the next evaluation replaces it whole
    nli(nli_folder, suites=("clean",), out=out)
    assert {row.suite for row in kept.rows()} == {"clean"}
    assert [path.name for path in (out / "predictions").iterdir()] == ["clean.parquet"]
    assert not (out / "analysis").exists()
    # but nothing else is touched
    (out / "evaluation.json").unlink()
    with pytest.raises(UserError, match="is not empty and holds no evaluation"):
        nli(nli_folder, suites=("clean",), out=out)
    assert kept.done


def test_train_by_name(tiny_folder: Path) -> None:
    trained = robusteval.train(
        str(tiny_folder),
        "demo-similarity",
        data=DataConfig(train_limit=64, eval_limit=16),
        device="cpu",
        **small(max_steps=2),
    )
    assert trained.task.regression
    assert trained.training.steps == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: robusteval.train(tiny.model(), TASK, train_dataset=rows(8, 0)), "tokenizer: not given"),
        (lambda: robusteval.train("minilm", TASK), "train_dataset: not given"),
        (lambda: robusteval.evaluate("minilm", TASK), "dataset: not given"),
        (lambda: robusteval.train("minilm", "demo-sentiment", epoch=3), "train.field: unknown name 'epoch'"),
        (lambda: robusteval.evaluate("minilm", "demo-sentiment", suites=("clear",)), "suite: unknown name 'clear'"),
        (
            lambda: robusteval.train(
                tiny.model(num_labels=3), TASK, tokenizer=tiny.tokenizer(), train_dataset=rows(8, 0)
            ),
            "it has 3 outputs but the task needs 2",
        ),
        (
            lambda: robusteval.train(
                tiny.model(), TASK, tokenizer=tiny.tokenizer(), train_dataset=rows(8, 0), select="best"
            ),
            "'best' needs a dev_dataset",
        ),
    ],
)
def test_mistakes(call: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        call()
    assert message in str(error.value)


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trane'"):
        robusteval.trane  # noqa: B018
