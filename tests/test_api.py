"""The Python interface, by name and with objects in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
import tiny

import robusteval
from robusteval.config import DataConfig
from robusteval.errors import UserError
from robusteval.tasks.base import Task

TASK = Task("tiny", "test", ("text",), ("bad", "good"), ("accuracy",))


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
            "it has 3 outputs but the task 'tiny' needs 2",
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
