"""One road to a classifier's numbers: the method that it was trained with, and what is loaded how often."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import transformers

import robusteval
from robusteval.tasks import load
from robusteval.tasks.base import Task
from support import tiny
from support.field_cases import Done

TASK = Task("tiny", "test", ("text",), ("bad", "good"), ("accuracy",))
DEV_ROWS, BATCH, LENGTH = 20, 8, 32


def rows(count: int, seed: int) -> pd.DataFrame:
    texts, labels = tiny.sentences(count, seed=seed)
    return pd.DataFrame({"text": texts, "label": labels})


@pytest.fixture(scope="module")
def mixing() -> robusteval.api.Trained:
    """Trained to predict with its batch mates, of which nothing is in its weights."""
    return robusteval.train(
        tiny.model(), TASK, "match:eval=batch:temperature=3", tokenizer=tiny.tokenizer(),
        train_dataset=rows(64, 0), max_steps=20, batch_size=BATCH, learning_rate=1e-3, max_length=LENGTH,
        device="cpu", quiet=True,
    )  # fmt: skip


def by_hand(trained: Any, texts: list[str]) -> np.ndarray:
    """Logits of texts in groups as large as a training batch, the pooled vector mixed within each."""
    import torch

    model, found = trained.model.eval(), []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            inputs = trained.tokenizer(texts[start : start + BATCH], padding=True, return_tensors="pt")
            h = model.bert(**inputs).pooler_output
            similar = h @ h.T / 3
            found.append(model.classifier(torch.softmax(similar, dim=-1) @ h).numpy())
    return np.concatenate(found)


def evaluated(model: Any, trained: Any, dev: pd.DataFrame, told: list[str]) -> np.ndarray:
    seen: list[np.ndarray] = []
    robusteval.evaluate(
        model, TASK, tokenizer=trained.tokenizer, dataset=dev, suites=("clean",), max_length=LENGTH, device="cpu",
        record=lambda suite, value, number, each: seen.append(each.logits), notify=told.append,
    )  # fmt: skip
    return seen[0]


def test_a_model_in_memory_is_measured_as_its_method_predicts(mixing: Any) -> None:
    dev, told = rows(DEV_ROWS, 9), list[str]()
    expected = by_hand(mixing, list(dev["text"]))
    assert evaluated(mixing.model, mixing, dev, told) == pytest.approx(expected, abs=1e-5)
    assert not any("is measured here without that" in notice for notice in told)
    # the hook was of the evaluation alone
    inputs = mixing.tokenizer(list(dev["text"][:2]), padding=True, return_tensors="pt")
    alone = mixing.model(**{name: each[:1] for name, each in inputs.items()}).logits
    together = mixing.model(**inputs).logits[:1]
    assert alone.detach().numpy() == pytest.approx(together.detach().numpy(), abs=1e-5)


def test_what_train_gave_brings_tokenizer_task_and_length(mixing: Any) -> None:
    dev, told, seen = rows(DEV_ROWS, 9), list[str](), list[np.ndarray]()
    result = robusteval.evaluate(
        mixing, dataset=dev, suites=("clean",), device="cpu", notify=told.append,
        record=lambda suite, value, number, each: seen.append(each.logits),
    )  # fmt: skip
    assert result.task.name == TASK.name
    assert np.array_equal(seen[0], evaluated(mixing.model, mixing, dev, told))
    # texts that answer for each other are attacked one at a time
    line = robusteval.attack(mixing, dataset=dev, examples=1, parallel=4, device="cpu").lines[0]
    assert json.loads(line["model"])[2:] == [LENGTH, "cpu", "fp32", "match:eval=batch:temperature=3"]


def test_a_saved_model_is_measured_alone_and_says_so(mixing: Any, tmp_path: Path) -> None:
    dev, told = rows(DEV_ROWS, 9), list[str]()
    folder = mixing.save(tmp_path / "model")
    plain = evaluated(str(folder), dataclasses.replace(mixing, tokenizer=None), dev, told)
    assert plain != pytest.approx(by_hand(mixing, list(dev["text"])), abs=1e-3)
    assert any("is measured here without that" in notice for notice in told)


def test_two_recipes_load_task_and_model_once(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, invoke: Callable[..., Done]
) -> None:
    opened, loaded = [], []
    kind = transformers.AutoModelForSequenceClassification
    open_one, load_one = kind.from_pretrained, load.load_split
    monkeypatch.setattr(kind, "from_pretrained", lambda *given, **more: opened.append(1) or open_one(*given, **more))
    monkeypatch.setattr(load, "load_split", lambda *given: loaded.append(given[1]) or load_one(*given))
    done = invoke(
        "attack", str(tiny_folder), "--task", "demo-sentiment", "--eval-limit", "12", "--attack-examples", "2",
        "--attack", "deepwordbug,pruthi", "--query-budget", "20", "--max-length", "60", "--truncate", "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done
    assert "deepwordbug on model" in done.stdout.replace(tiny_folder.name, "model")
    assert (len(opened), loaded.count("validation")) == (1, 1)
