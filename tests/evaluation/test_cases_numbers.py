"""What is not a number is no prediction: counted and refused in every test of a model, and never class 0."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import robusteval
from robusteval.attacks.queries.batched import BatchedPredict, GradientOf
from robusteval.attacks.queries.cache import LogitsCache
from robusteval.attacks.queries.gradients import WordGradient
from robusteval.attacks.runner import attack_examples
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.transfer import transfer_matrix
from robusteval.results.finite import NotFinite
from robusteval.results.metrics import macro_f1, predictions, spearman
from robusteval.tasks.base import Task
from robusteval.tasks.examples import examples_from_frame
from support import tiny
from support.field_cases import Done, command_lines

TASK = Task("own", "file", ("text",), ("bad", "good"), ("accuracy", "macro_f1"))
SCORES = Task("scores", "file", ("text",), (), ("spearman", "pearson"))
TEXTS, LABELS = tiny.sentences(24, seed=4)
ROWS = pd.DataFrame({"text": TEXTS, "label": [TASK.labels[label] for label in LABELS]})
# a word that some rows hold, and how many
WORD = "film"
WITH = [index for index, text in enumerate(TEXTS) if WORD in text.split()]
SOME, ALL = f"{len(WITH)} of 24 dev rows have no finite logits", "24 of 24 dev rows have no finite logits"


def broken(*words: str, value: float = torch.nan, num_labels: int = 2) -> Any:
    """A classifier whose logits are not finite for texts with one of the words; for all texts without any word."""
    model = tiny.model("bert", num_labels)
    with torch.no_grad():
        for word in words:
            model.bert.embeddings.word_embeddings.weight[tiny.WORDS.index(word)] = value
        if not words:
            model.classifier.weight[0] = value
    return model


def evaluate(model: Any, *suites: str, task: Task = TASK, rows: pd.DataFrame = ROWS, **settings: Any) -> Any:
    return robusteval.evaluate(
        model, task, tokenizer=tiny.tokenizer(), dataset=rows, suites=suites, max_length=32, device="cpu", **settings
    )


def test_the_case_from_the_field(
    cases: Path, case_models: Path, invoke: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cases / "17-nan-logits"
    monkeypatch.chdir(folder)
    right, *wrong = command_lines(folder, MODELS=case_models, OUT=tmp_path)
    assert re.search(r"clean +accuracy +24 +100\.00", invoke(*right.robusteval).stdout)
    for line, count in zip(wrong, (7, 24, 7, 24), strict=True):
        done = invoke(*line.robusteval)
        assert done.refused, done
        assert f"{count} of 24 dev rows have no finite logits" in done.stderr
        assert "accuracy" not in done.stdout and "succeeded" not in done.stdout


@pytest.mark.parametrize("suite", ["clean", "calibration", "classes", "ordered-drop:orders=gradient", "flatness",
                                   "sensitivity", "representations", "mask"])  # fmt: skip
@pytest.mark.parametrize(
    ("model", "said"),
    [(broken(WORD), SOME), (broken(), ALL), (broken(value=torch.inf), ALL), (broken(WORD, value=3e38), SOME)],
    ids=["some", "all", "infinite", "overflow"],
)
def test_every_suite_refuses_with_the_count(model: Any, said: str, suite: str) -> None:
    with pytest.raises(UserError, match=said):
        evaluate(model, suite, rates=[0.2], sets=1)


def test_nothing_is_overwritten_and_the_first_rows_are_named(tmp_path: Path) -> None:
    evaluate(tiny.model(), "clean", out=tmp_path)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    named = ((broken(WORD), f"{SOME} (row {', '.join(map(str, WITH))})"), (broken(), "(row 0, 1, 2, 3, 4, ...)"))
    for model, said in named:
        with pytest.raises(NotFinite, match=re.escape(said)):
            evaluate(model, "clean", out=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept


@pytest.mark.parametrize("suite", ["mask", "ordered-drop:orders=random"])
def test_what_only_changed_text_brings_is_named_with_its_suite(suite: str) -> None:
    with pytest.raises(NotFinite, match=rf"of 24 {suite.partition(':')[0]} .*rows ha"):
        evaluate(broken("[MASK]"), "clean", suite, rates=[0.3], sets=2)


def test_scores_are_refused_alike_and_an_undefined_correlation_is_told() -> None:
    rows = pd.DataFrame({"text": TEXTS, "label": np.linspace(0, 5, 24)})
    with pytest.raises(NotFinite, match=SOME):
        evaluate(broken(WORD, num_labels=1), "clean", task=SCORES, rows=rows)
    constant = tiny.model("bert", 1)
    with torch.no_grad():
        constant.classifier.weight.zero_()
    found = evaluate(constant, "clean", "mask", task=SCORES, rows=rows, rates=[0.2], sets=2)
    assert all(np.isnan(value) for value in found.scores.values())
    said = "spearman and pearson not defined: all predictions, or all gold scores, are equal"
    assert all(said in [note.text for note in item.notes] for item in found.measurements)
    # a gold score that is no number is refused where rows are read
    for value in (np.nan, np.inf):
        with pytest.raises(UserError, match="row 3"):
            evaluate(
                constant, "clean", task=SCORES, rows=rows.assign(label=rows["label"].where(rows.index != 3, value))
            )


@pytest.mark.parametrize(("model", "said"), [(broken(WORD), SOME), (broken(), ALL)], ids=["some", "all"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_an_attack_is_refused_before_its_first_query(model: Any, said: str, precision: str, tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    with pytest.raises(NotFinite, match=said):
        robusteval.attack(
            model, TASK, tokenizer=tiny.tokenizer(), dataset=ROWS, examples=3, max_length=32, device="cpu", out=out,
            precision=precision,
        )  # fmt: skip
    assert not out.exists()


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_changed_text_without_finite_logits_is_an_error_of_its_example(parallel: int) -> None:
    # typing errors make letters of words; "[UNK]" is what no vocabulary holds
    model = broken("[UNK]", *(word for word in tiny.WORDS if word.startswith("##")))
    result = robusteval.attack(
        model,
        TASK,
        tokenizer=tiny.tokenizer(),
        dataset=ROWS,
        examples=6,
        max_length=32,
        device="cpu",
        parallel=parallel,
    )
    right = [line for line in result.lines if line["outcome"] != "skipped"]
    assert right and {line["outcome"] for line in right} == {"error"}
    assert all("no finite logits" in line["message"] for line in right)
    assert result.summary.errors == len(right) and result.summary.succeeded == 0


def test_one_text_spoils_no_other_question() -> None:
    def predict(texts: Any) -> np.ndarray[Any, Any]:
        return np.array([[np.nan, 1] if text == ("x",) else [0, 1] for text in texts], np.float32)

    first, second = BatchedPredict(predict, 2)([[("a",), ("b",)], [("c",), ("x",)]])
    assert np.array_equal(first.logits, [[0, 1], [0, 1]])  # type: ignore[union-attr]
    assert isinstance(second, NotFinite)
    # the same for a function that attacks are given
    examples = examples_from_frame(ROWS.head(2).assign(text="x"), TASK, "dev")
    result = attack_examples(predict, examples, TASK.labels, "deepwordbug")
    assert [line["outcome"] for line in result.lines] == ["error", "error"]


def test_transfer_and_metrics_take_no_such_logits() -> None:
    line = {"outcome": "succeeded", "gold": "bad", "original": [WORD], "perturbed": ["good"]}
    predict = Predictor(tiny.model(), tiny.tokenizer()).logits
    assert transfer_matrix({"a": [line]}, {"b": predict}, TASK.labels)["n"].tolist() == [1]
    with pytest.raises(NotFinite):
        transfer_matrix({"a": [line]}, {"b": Predictor(broken(WORD), tiny.tokenizer()).logits}, TASK.labels)
    with pytest.raises(NotFinite, match="1 of 2 texts of a has no finite logits"):
        transfer_matrix({"a": [line]}, {"b": lambda texts: np.float32([[0, 1], [np.nan, 0]])}, TASK.labels)
    for regression in (False, True):
        with pytest.raises(NotFinite, match="1 of 2 rows has"):
            predictions(np.float32([[0, 1], [np.inf, 0]]), regression=regression)
    # a class that is neither in gold nor predicted has no part in the mean; scikit-learn says so, too
    assert macro_f1(np.array([0, 2]), np.array([0, 2])) == 1.0
    assert np.isnan(spearman(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])))


def test_logits_of_another_shape_are_refused() -> None:
    model = tiny.model("bert", 3)
    model.classifier = torch.nn.Linear(32, 1)
    with pytest.raises(UserError, match=r"shape \(24, 1\), but its configuration says 3"):
        Predictor(model, tiny.tokenizer()).logits([(text,) for text in TEXTS])


def test_a_loss_that_overflows_around_the_weights_is_marked() -> None:
    model = tiny.model()
    # weights of this size overflow once they are moved; where they are, LayerNorm undoes their scale
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight.mul_(1e17)
    found = evaluate(model, "flatness:directions=2:points=3:radius=1e21:power_iterations=0").measurements[0]
    logits = torch.from_numpy(Predictor(model, tiny.tokenizer()).logits([(text,) for text in TEXTS]))
    expected = torch.nn.functional.cross_entropy(logits, torch.as_tensor(LABELS)).item()
    assert found.metrics["loss"] == pytest.approx(expected, rel=1e-5) and np.isnan(found.metrics["sharpness"])
    assert any("the loss is not finite at" in note.text for note in found.notes)


def test_a_cache_of_older_versions_answers_with_numbers_only(tmp_path: Path) -> None:
    with LogitsCache(tmp_path / "logits.sqlite", "model") as cache:
        cache.put([("a",), ("b",)], np.float32([[np.nan, 0], [1, 0]]))
        assert list(cache.get([("a",), ("b",)], 2)) == [("b",)]


def test_a_gradient_that_is_none_is_an_error_of_its_example() -> None:
    def predict(texts: Any) -> np.ndarray[Any, Any]:
        return np.zeros((len(texts), 2), np.float32)

    predict.gradient = lambda text: WordGradient((1,), ("a",), np.float32([[np.inf]]))  # type: ignore[attr-defined]
    (answer,) = BatchedPredict(predict, 2)([GradientOf(("a",))])
    assert isinstance(answer, ValueError)


@pytest.mark.parametrize("attacks", ["", "deepwordbug"])
def test_a_run_fails_with_the_sentence_and_the_others_go_on(
    attacks: str, tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    # weights that are not finite are refused before; these are, and overflow where they are met
    broken(WORD, value=3e38).save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    ROWS[~ROWS.index.isin(WITH)].to_csv(tmp_path / "train.csv", index=False)
    ROWS.to_csv(tmp_path / "dev.csv", index=False)
    done = invoke(
        "train-and-attack", "--model", str(tmp_path / "model"), "--train-file", str(tmp_path / "train.csv"),
        "--dev-file", str(tmp_path / "dev.csv"), "--text-columns", "text", "--max-steps", "1", "--max-length", "32",
        "--learning-rate", "1e-9", "--methods", "vanilla", "--seeds", "1", "--suites", "classes", "--attacks", attacks,
        "--attack-examples", "2", "--device", "cpu", "--no-page", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode != 0 and SOME in done.stdout + done.stderr, done
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("select", ["last", "best"])
def test_a_run_that_learns_nothing_finite_fails_with_the_sentence(select: str) -> None:
    model = broken(WORD)
    healthy = ROWS[~ROWS.index.isin(WITH)]
    run = lambda: robusteval.train(  # noqa: E731
        model, TASK, tokenizer=tiny.tokenizer(), train_dataset=healthy, dev_dataset=ROWS, max_steps=1, max_length=32,
        device="cpu", quiet=True, select=select, learning_rate=1e-9, weight_decay=0.0,
    )  # fmt: skip
    if select == "best":
        with pytest.raises(NotFinite, match=SOME):
            run()
    else:
        with pytest.raises(NotFinite, match=SOME):
            evaluate(run().model, "clean")
