"""Metrics against scikit-learn and scipy, prediction against plain forwards, suites and their notes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from scipy import stats
from sklearn import metrics as sk

from robusteval.config import EvalConfig
from robusteval.evaluation.metrics import METRICS, score
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.suites import SUITES, Subject, collapse_note
from robusteval.tasks.base import Task
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import TaskData

REFERENCES: dict[str, Any] = {
    "accuracy": sk.accuracy_score,
    "f1": sk.f1_score,
    "macro_f1": lambda gold, found: sk.f1_score(gold, found, average="macro"),
    "mcc": sk.matthews_corrcoef,
    "pearson": lambda gold, found: stats.pearsonr(gold, found)[0],
    "spearman": lambda gold, found: stats.spearmanr(gold, found)[0],
}


@pytest.mark.parametrize("name", list(METRICS))
@pytest.mark.parametrize("seed", range(3))
def test_metrics_equal_their_references(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    regression = name in ("pearson", "spearman")
    gold = generator.random(200) if regression else generator.integers(0, 2, 200)
    logits = generator.normal(size=(200, 1 if regression else 2)).astype(np.float32)
    found = logits[:, 0] if regression else logits.argmax(1)
    assert score([name], gold, logits, regression=regression)[name] == pytest.approx(REFERENCES[name](gold, found))


def test_metrics_by_hand() -> None:
    gold, found = np.asarray([1, 1, 0, 0, 1]), np.asarray([1, 0, 0, 1, 1])
    # tp 2, fp 1, fn 1, tn 1
    assert METRICS["f1"](gold, found) == pytest.approx(2 / 3)
    assert METRICS["mcc"](gold, found) == pytest.approx((2 * 1 - 1 * 1) / (3 * 3 * 2 * 2) ** 0.5)
    assert METRICS["mcc"](gold, np.ones(5, int)) == 0
    assert np.isnan(METRICS["spearman"](np.arange(4.0), np.ones(4)))


@pytest.mark.parametrize("kind", ["bert", "xlnet"])
def test_prediction_equals_one_forward_per_row(kind: str) -> None:
    model, tokenizer = tiny.model(kind), tiny.tokenizer(kind)
    texts = [(text,) for text in tiny.sentences(17)[0]] + [("good",), ("very " * 20,)]
    predictor = Predictor(model, tokenizer, 32, batch_tokens=60)
    found = predictor.logits(texts)
    with torch.no_grad():
        expected = [
            model(**tokenizer(t[0], return_tensors="pt", truncation=True, max_length=32)).logits[0].numpy()
            for t in texts
        ]
    np.testing.assert_allclose(found, np.stack(expected), atol=2e-6)
    assert predictor.rows == 19
    assert 1 < predictor.calls < 19
    assert predictor.logits([]).shape == (0, 2)


def test_prediction_leaves_the_mode_as_it_was() -> None:
    model = tiny.model().train()
    Predictor(model, tiny.tokenizer()).logits([("good",)])
    assert model.training


def subject(**settings: Any) -> Subject:
    texts, labels = tiny.sentences(30)
    task = Task("tiny", "test", ("text",), ("bad", "good"), ("accuracy", "f1"), out_of_domain="other")
    dev = examples_from_frame(pd.DataFrame({"text": texts, "label": labels}), task, "dev")
    data = TaskData(task, dev.take([]), dev, ood=dev.take(range(10)))
    return Subject(Predictor(tiny.model(), tiny.tokenizer(), 32), data, EvalConfig(**settings))


def test_suites_measure_what_they_say() -> None:
    tested = subject(rates=(0.0, 0.5), sets=2)
    (clean,) = SUITES["clean"](tested)
    assert clean.n == 30
    assert len(clean.sets) == 1
    for kind in ("mask", "replace"):
        nothing, half = SUITES[kind](tested)
        assert nothing.metrics == clean.metrics
        assert (nothing.value, half.value) == ("0", "0.5")
        assert half.note == "mean of 2 sets"
        first, second = half.sets
        assert not np.array_equal(first.logits, second.logits)
        gold = tested.data.dev.labels
        mean = np.mean([(each.logits.argmax(1) == gold).mean() for each in half.sets])
        assert half.metrics["accuracy"] == pytest.approx(mean)
        # the same sets for every model and every call
        assert all(
            np.array_equal(a.logits, b.logits)
            for a, b in zip(half.sets, list(SUITES[kind](tested))[1].sets, strict=True)
        )
    (ood,) = SUITES["ood"](tested)
    assert (ood.split, ood.n) == ("other", 10)
    assert list(SUITES["advglue"](tested)) == []


def test_a_collapsed_model_is_named() -> None:
    task = Task("tiny", "test", ("text",), ("bad", "good"), ("accuracy",))
    constant = np.tile(np.asarray([[0.0, 1.0]], np.float32), (5, 1))
    assert collapse_note(task, [constant]) == "collapsed to 'good'"
    mixed = constant.copy()
    mixed[0] = [1.0, 0.0]
    assert collapse_note(task, [mixed]) == ""
