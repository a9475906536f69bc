"""Metrics against scikit-learn and scipy, prediction against plain forwards, suites and their notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk

from robusteval.errors import UserError
from robusteval.evaluation import default_suites
from robusteval.evaluation.base import Measurement, Subject
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.suites import build_suites
from robusteval.models.encoding import Encoded, encode
from robusteval.results.metrics import METRICS, f1, mcc, score, spearman
from robusteval.results.predictions import Predictions
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks import TASKS
from robusteval.tasks.base import Task
from robusteval.tasks.demo import cue_says
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import TaskData
from support import tiny

REFERENCES: dict[str, Any] = {
    "accuracy": sk.accuracy_score,
    "f1": sk.f1_score,
    "macro_f1": lambda gold, found: sk.f1_score(gold, found, average="macro"),
    "mcc": sk.matthews_corrcoef,
    "pearson": lambda gold, found: stats.pearsonr(gold, found)[0],
    "spearman": lambda gold, found: stats.spearmanr(gold, found)[0],
}


@pytest.mark.parametrize("name", [name for name, each in METRICS.items() if each.function])
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
    assert f1(gold, found) == pytest.approx(2 / 3)
    assert mcc(gold, found) == pytest.approx((2 * 1 - 1 * 1) / (3 * 3 * 2 * 2) ** 0.5)
    assert mcc(gold, np.ones(5, int)) == 0
    assert np.isnan(spearman(np.arange(4.0), np.ones(4)))


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


def test_bf16_is_near_fp32_and_not_it() -> None:
    model, tokenizer = tiny.model(), tiny.tokenizer()
    texts = [(text,) for text in tiny.sentences(6, seed=2)[0]]
    plain = Predictor(model, tokenizer, 32).logits(texts)
    half = Predictor(model, tokenizer, 32, precision="bf16").logits(texts)
    assert half.dtype == np.float32 and not np.array_equal(plain, half)
    np.testing.assert_allclose(half, plain, atol=0.05)
    with pytest.raises(UserError, match="precision: unknown name 'fp8'"):
        Predictor(model, tokenizer, 32, precision="fp8")


def test_a_stream_of_sets_equals_one_set_at_a_time() -> None:
    predictor = Predictor(tiny.model(), tiny.tokenizer(), 32, batch_tokens=64)
    columns = tiny.sentences(40)[:1]
    whole = encode(predictor.tokenizer, columns, max_length=32)
    sets = [encode(predictor.tokenizer, [columns[0][start : start + 9]], max_length=32) for start in range(0, 40, 9)]
    asked = 0

    def lazily() -> Iterator[Encoded]:
        nonlocal asked
        for each in sets * 20:
            asked += 1
            yield each

    stream = predictor.stream(lazily())
    first = next(stream)
    # sets are made as they are needed, not all of them first
    assert asked < 60
    found = [first, *stream]
    np.testing.assert_allclose(np.concatenate(found[:5]), predictor.encoded(whole), atol=2e-6)
    assert [len(each) for each in found] == [9, 9, 9, 9, 4] * 20
    assert list(predictor.stream([])) == []


def subject(**settings: Any) -> Subject:
    texts, labels = tiny.sentences(30)
    task = Task("tiny", "test", ("text",), ("bad", "good"), ("accuracy", "f1"), out_of_domain="other")
    dev = examples_from_frame(pd.DataFrame({"text": texts, "label": labels}), task, "dev")
    data = TaskData(task, dev.take([]), dev, ood=dev.take(range(10)))
    return Subject(Predictor(tiny.model(), tiny.tokenizer(), 32), data, EvalConfig(**settings))


def run(text: str, tested: Subject) -> list[Measurement]:
    (suite,) = build_suites([text]).values()
    suite.check(tested.data, tested.predictor.tokenizer, tested.config)
    return list(suite.run(tested))


def test_suites_measure_what_they_say() -> None:
    tested = subject(rates=(0.0, 0.5), sets=2)
    (clean,) = run("clean", tested)
    assert clean.n == 30
    gold = tested.data.dev.labels
    for kind in ("mask", "replace"):
        seen: dict[tuple[str, int], Predictions] = {}
        tested.record = lambda suite, value, number, each: seen.update({(value, number): each})  # noqa: B023
        nothing, half = run(kind, tested)
        assert {name: nothing.metrics[name] for name in clean.metrics} == clean.metrics
        assert nothing.metrics["flip_rate"] == 0
        assert nothing.metrics["worst_case_accuracy"] == clean.metrics["accuracy"]
        assert (nothing.value, half.value) == ("0", "0.5")
        assert (half.sets, half.notes) == (2, ())
        found = [seen["0.5", number].logits for number in (0, 1)]
        assert not np.array_equal(*found)
        right = np.stack([logits.argmax(1) == gold for logits in found])
        assert half.metrics["accuracy"] == pytest.approx(right.mean())
        assert half.spread["accuracy"] == pytest.approx(right.mean(axis=1))
        assert half.metrics["worst_case_accuracy"] == pytest.approx(right.all(axis=0).mean())
        flipped = np.stack([logits.argmax(1) != tested.clean.argmax(1) for logits in found])
        assert half.metrics["flip_rate"] == pytest.approx(flipped.mean())
        # the same sets for every model and every call
        run(kind, tested)
        assert all(np.array_equal(seen["0.5", number].logits, found[number]) for number in (0, 1))
    (ood, *_) = run("ood", tested)
    assert (ood.split, ood.n) == ("other", 10)


@pytest.mark.parametrize(
    ("task", "more"),
    [
        ("cola", ()),
        ("snli", ("ood",)),
        ("demo-sentiment", ("ood",)),
        ("sst2", ("advglue",)),
        ("mnli", ("ood", "advglue")),
    ],
)
def test_by_default_a_task_is_tested_on_what_it_declares(task: str, more: tuple[str, ...]) -> None:
    assert default_suites(TASKS[task]) == ("clean", "mask", "replace", *more)


@pytest.mark.parametrize(
    ("suite", "members", "labels", "expected"),
    [
        ("classes", [1, 0, 1, 1], ("bad", "good"), "bad 1, good 3"),
        ("classes", [0, 0, 0, 0], ("bad", "good"), "bad 4, good 0"),
        ("classes", [*range(30), 7], tuple(map(str, range(30))), "30 parts of 1 to 2 rows"),
        ("groups", [0, 1, 0], ("no", "yes"), "no/no negation 1, no/negation 1, yes/no negation 0, yes/negation 1"),
    ],
)
def test_the_plan_tells_the_rows_of_each_part(
    suite: str, members: list[int], labels: tuple[str, ...], expected: str
) -> None:
    columns = ("first", "second") if suite == "groups" else ("first",)
    task = Task("tiny", "test", columns, labels, ("accuracy",))
    second = ["a b", "never", "no."] if suite == "groups" else "a"
    dev = examples_from_frame(pd.DataFrame({"first": "x", "second": second, "label": members}), task, "dev")
    (built,) = build_suites([suite]).values()
    assert built.outline(TaskData(task, dev.take([]), dev), EvalConfig()) == expected


def cued() -> Subject:
    """Rows of a demo task with the model's own predictions on them."""
    rows = [
        ("For the record, the soup was dull.", 0), ("for the record, the soup was superb.", 1),
        ("As it happens, it was dull.", 0), ("As it happens, it was superb.", 1), ("It happens as it was.", 1),
    ]  # fmt: skip
    task = Task("films", "test", ("text",), ("negative", "positive"), ("accuracy",))
    dev = examples_from_frame(pd.DataFrame(rows, columns=["text", "label"]), task, "dev")
    return dataclasses.replace(subject(), data=TaskData(task, dev.take([]), dev))


def test_the_cue_divides_the_rows_by_what_it_says() -> None:
    tested = cued()
    (suite,) = build_suites(["cue"]).values()
    assert suite.outline(tested.data, tested.config) == "with 2, against 2, none 1"
    right = tested.clean.argmax(1) == tested.data.dev.labels
    expected = {"with": right[[0, 3]].mean(), "against": right[[1, 2]].mean(), "none": float(right[4])}
    found = {item.value: item for item in run("cue", tested)}
    assert {name: item.metrics["accuracy"] for name, item in found.items()} == expected
    assert [found[name].aspect for name in ("with", "against", "none")] == [None, "robustness", None]
    with pytest.raises(UserError, match="no dev row of 'tiny' has one that is against its label"):
        run("cue", subject())


def test_a_label_on_neither_side_has_no_cue() -> None:
    assert [cue_says("As it happens, he left.", name) for name in ("entailment", "contradiction", "neutral")] == [
        "with", "against", "",
    ]  # fmt: skip


def test_suites_refuse_what_cannot_be_measured() -> None:
    with pytest.raises(UserError, match="did you mean 'mask'"):
        build_suites(["mas"])
    with pytest.raises(UserError, match="no settings"):
        build_suites(["clean:rate=2"])
    with pytest.raises(UserError, match="unknown name .clean.mask."):
        build_suites(["clean+mask"])
    with pytest.raises(UserError, match=r"rates: none given"):
        run("mask", subject(rates=()))
    with pytest.raises(UserError, match=r"columns: unknown name 'txt'.*'text'"):
        run("mask", subject(columns=("txt",)))
    with pytest.raises(UserError, match="suites: 'advglue' has nothing to test 'tiny' on: no AdvGLUE set is made"):
        run("advglue", subject())
    with pytest.raises(UserError, match="mask_token: 'zzz' is not a token"):
        run("mask", subject(mask_token="zzz"))


def test_a_collapsed_model_is_named() -> None:
    tested = subject()
    with torch.no_grad():
        tested.predictor.model.classifier.weight.zero_()
        tested.predictor.model.classifier.bias.copy_(torch.tensor([0.0, 1.0]))
    (clean,) = run("clean", tested)
    assert (clean.collapsed, clean.notes) == ("good", ())
