"""A checkpoint's labels in another order than the task's: mapped by name, never by index."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

import robusteval
from robusteval.errors import UserError
from robusteval.models.architectures import submodules
from robusteval.models.label_order import match_labels
from robusteval.models.loading import load_model
from robusteval.models.saving import save_checkpoint
from robusteval.tasks.base import Task
from robusteval.tasks.examples import examples_from_frame
from support import tiny
from support.victims import attack_checkpoint

LABELS = ("agreement", "neutral", "contradiction")
THEIRS = ("CONTRADICTION", "agreement", "neutral")
TASK = Task("tiny-nli", "test", ("text",), LABELS, ("accuracy",))
MAPPED = (
    "labels mapped by name: the checkpoint orders them CONTRADICTION, agreement, neutral, "
    "the task agreement, neutral, contradiction"
)
SHARED: dict[str, Any] = {"max_length": 32, "device": "cpu"}


def named(kind: str = "bert", labels: tuple[str, ...] = LABELS) -> Any:
    """The tiny model with its outputs in the order of `labels`; whatever the order, an output answers its label."""
    model = tiny.model(kind, len(labels))
    order = [[own.lower() for own in LABELS].index(label.lower()) for label in labels]
    classifier = submodules(model).classifier
    with torch.no_grad():
        if classifier.bias is not None:
            classifier.bias.copy_(torch.arange(3.0) / 10)
        for parameter in classifier.parameters():
            parameter.copy_(parameter[order].clone())
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}
    return model


def save(folder: Path, kind: str = "bert", labels: tuple[str, ...] = LABELS) -> str:
    named(kind, labels).save_pretrained(folder)
    tiny.tokenizer(kind).save_pretrained(folder)
    return str(folder)


def logits(model: Any, kind: str = "bert") -> torch.Tensor:
    texts, _ = tiny.sentences(12)
    inputs = tiny.tokenizer(kind)(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        return model.eval()(**inputs).logits  # type: ignore[no-any-return]


def rows(count: int = 12) -> pd.DataFrame:
    texts, _ = tiny.sentences(count, seed=3)
    return pd.DataFrame({"text": texts, "label": [index % 3 for index in range(count)]})


@pytest.mark.parametrize("kind", list(tiny.CONFIGS))
def test_outputs_in_another_order_are_put_into_the_tasks(kind: str, tmp_path: Path) -> None:
    loaded = load_model(save(tmp_path / "theirs", kind, THEIRS), labels=LABELS, seed=0, keep_head=True)
    assert loaded.notices == (MAPPED,)
    expected = logits(named(kind), kind)
    assert torch.equal(logits(named(kind, THEIRS), kind), expected[:, [2, 0, 1]])
    assert torch.equal(logits(loaded.model, kind), expected)
    assert loaded.model.config.id2label == dict(enumerate(LABELS))
    # and so it is saved, for anybody
    save_checkpoint(loaded.model, loaded.tokenizer, tmp_path / "saved")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert again.config.label2id == {label: index for index, label in enumerate(LABELS)}
    assert torch.equal(logits(again, kind), expected)
    assert load_model(str(tmp_path / "saved"), labels=LABELS, seed=0, keep_head=True).notices == ()


def test_evaluate_gives_the_same_in_any_order(tmp_path: Path) -> None:
    scores = []
    for name, labels in (("ours", LABELS), ("theirs", THEIRS)):
        folder = save(tmp_path / name, labels=labels)
        result = robusteval.evaluate(folder, TASK, dataset=rows(), suites=("clean", "mask"), sets=2, **SHARED)
        assert result.notices == ((MAPPED,) if name == "theirs" else ())
        scores.append(result.scores)
    assert scores[0] == scores[1]
    assert 0 < scores[0]["clean", "", "accuracy"] < 1


def test_a_model_in_memory_is_mapped_and_left_as_it_is(tmp_path: Path) -> None:
    model, told = named(labels=THEIRS), []
    shared = {**SHARED, "tokenizer": tiny.tokenizer(), "dataset": rows(), "notify": told.append}
    mapped = robusteval.evaluate(model, TASK, suites=("clean",), **shared)
    assert told == [MAPPED, told[1]] and told[1].startswith("dev: ") and "; majority " in told[1]
    assert mapped.scores == robusteval.evaluate(named(), TASK, suites=("clean",), **shared).scores
    assert torch.equal(logits(model), logits(named(labels=THEIRS)))
    assert model.config.id2label == dict(enumerate(THEIRS))


def timeless(result: Any) -> list[dict[str, Any]]:
    # the name of the model, and scores that may differ in the last digit with the texts that share a batch
    inexact = ("seconds", "scores_before", "scores_after", "model", "model_rows", "cached_rows")
    return [{key: value for key, value in line.items() if key not in inexact} for line in result.lines]


def test_attacks_give_the_same_in_any_order_and_say_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = save(tmp_path / "ours"), save(tmp_path / "theirs", labels=THEIRS)
    shared: dict[str, Any] = {**SHARED, "dataset": rows(6)}
    expected = timeless(robusteval.attack(ours, TASK, **shared))
    told: list[str] = []
    cached = robusteval.attack(theirs, TASK, cache=tmp_path / "logits.sqlite", notify=told.append, **shared)
    assert told == [MAPPED, told[1]] and told[1].startswith("dev: ") and "; majority " in told[1]
    assert timeless(cached) == expected
    with caplog.at_level(logging.WARNING):
        assert timeless(robusteval.attack(theirs, TASK, **shared)) == expected
    assert MAPPED in caplog.messages


def test_the_cache_keeps_the_orders_of_one_checkpoint_apart(tmp_path: Path) -> None:
    folder, cache = Path(save(tmp_path / "theirs", labels=THEIRS)), tmp_path / "logits.sqlite"
    outcomes = []
    for labels in (LABELS, LABELS[::-1], LABELS):
        task = Task("tiny-nli", "test", ("text",), labels, ("accuracy",))
        frame = rows(6)
        frame["label"] = [labels.index(LABELS[label]) for label in frame["label"]]
        examples = examples_from_frame(frame, task, "dev")
        result = attack_checkpoint(folder, examples, labels, "deepwordbug", cache=cache)
        outcomes.append(timeless(result))
        asked = sum(line["model_rows"] for line in result.lines)
        assert (asked == 0) == (len(outcomes) == 3)
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_checkpoint_without_names_is_taken_by_position_with_a_notice(tmp_path: Path) -> None:
    folder = str(tiny.save(tmp_path, num_labels=3))
    loaded = load_model(folder, labels=LABELS, seed=0, keep_head=True)
    assert loaded.notices == (
        "the checkpoint does not name its labels; taken by position: 0 = agreement, 1 = neutral, 2 = contradiction",
    )
    # of a file of one's own the checkpoint's names are the classes: nothing is assumed
    own = ("LABEL_0", "LABEL_1", "LABEL_2")
    assert load_model(folder, labels=own, seed=0, keep_head=True).notices == ()


def test_what_cannot_be_mapped_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, labels=THEIRS)
    with pytest.raises(UserError, match="names its labels CONTRADICTION, agreement, neutral but the task names them a"):
        load_model(folder, labels=("a", "b", "neutral"), seed=0, keep_head=True)
    config = AutoConfig.from_pretrained(folder)
    config.model_type = "bart"
    with pytest.raises(UserError, match="cannot be put in order: where the last layer of the architecture 'bart' lies"):
        match_labels("some", config, LABELS)
    with pytest.raises(UserError, match="names its labels"):
        match_labels("twice", config, ("agreement", "neutral", "NEUTRAL"))
    wrapped = named(labels=THEIRS)
    wrapped.classifier = torch.nn.Sequential(wrapped.classifier)
    with pytest.raises(UserError, match="the last layer of 'BertForSequenceClassification' is not where it usually"):
        robusteval.evaluate(wrapped, TASK, tokenizer=tiny.tokenizer(), dataset=rows(), **SHARED)


def test_training_a_model_in_memory_names_its_outputs(tmp_path: Path) -> None:
    trained = robusteval.train(
        named(labels=THEIRS), TASK, tokenizer=tiny.tokenizer(), train_dataset=rows(24), device="cpu", max_steps=2,
        max_length=32, quiet=True,
    )  # fmt: skip
    folder = trained.save(tmp_path / "model")
    assert AutoConfig.from_pretrained(folder).id2label == dict(enumerate(LABELS))
    dev: dict[str, Any] = {"dataset": rows(), "suites": ("clean",), **SHARED}
    kept = robusteval.evaluate(folder, TASK, **dev)
    assert kept.notices == ()
    assert kept.scores == robusteval.evaluate(trained.model, TASK, tokenizer=trained.tokenizer, **dev).scores


def test_a_result_file_goes_on_with_any_number_of_workers_and_no_other_order(tmp_path: Path) -> None:
    folder, out = save(tmp_path / "theirs", labels=THEIRS), tmp_path / "lines.jsonl"
    shared: dict[str, Any] = {**SHARED, "out": out}
    first = robusteval.attack(folder, TASK, dataset=rows(6), **shared)
    again = robusteval.attack(folder, TASK, dataset=rows(6), cache=tmp_path / "logits.sqlite", **shared)
    assert again.resumed == len(first.lines)
    other = Task("tiny-nli", "test", ("text",), LABELS[::-1], ("accuracy",))
    turned = rows(6).assign(label=[2 - label for label in rows(6)["label"]])
    with pytest.raises(UserError):
        robusteval.attack(folder, other, dataset=turned, **shared)
