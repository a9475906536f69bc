"""Attacks: the same results as stock TextAttack, whatever the order, the interruption or the process."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import math
import random
import string
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from robusteval.attacks.queries.batched import BatchedPredict, Predict
from robusteval.attacks.queries.wrapper import PredictWrapper, not_mistaken_for_probabilities
from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.attacks.resources.offline import load_textattack, offline
from robusteval.attacks.runner import attack_examples
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.results.attack_lines import AttackLine
from robusteval.results.attack_summary import summarise
from robusteval.runtime.generators import seeded
from robusteval.runtime.seeds import derive
from robusteval.tasks.base import Examples
from support.places import NO_WORDNET, wordnet_folder
from support.processes import carried_out
from support.victims import LABELS

SENTENCES = (
    "a warm , funny and engaging film",
    "the plot is dull and the jokes fall flat",
    "it never quite finds its rhythm",
    "smart writing carries this small story",
    "an hour too long and twice too loud",
)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """The model is so small that threads cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """A tiny BERT with random weights and a WordPiece vocabulary of the words above and single characters."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    pieces = list(string.ascii_lowercase + string.digits + string.punctuation)
    words = sorted({word for sentence in SENTENCES for word in sentence.split()} - set(pieces))
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, *words, *(f"##{c}" for c in pieces)]
    file = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    file.write_text("\n".join(vocabulary))
    tokenizer = BertTokenizerFast(vocab_file=str(file), model_max_length=48)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.4,
    )
    with seeded(3):
        model = BertForSequenceClassification(config).eval()
    return model, tokenizer


@pytest.fixture(scope="module")
def predict(victim: tuple[Any, Any]) -> Predict:
    return Predictor(*victim, max_length=48).logits


def examples_of(columns: Sequence[Sequence[str]], gold: Sequence[int]) -> Examples:
    ids = tuple(f"row-{row}" for row in range(len(gold)))
    return Examples(tuple(tuple(column) for column in columns), np.array(gold), ids, fingerprint="")


def shuffled(examples: Examples, order: Sequence[int]) -> Examples:
    return replace(
        examples,
        texts=tuple(tuple(column[row] for row in order) for column in examples.texts),
        labels=examples.labels[list(order)],
        ids=tuple(examples.ids[row] for row in order),
    )


@pytest.fixture(scope="module")
def examples(predict: Predict) -> Examples:
    """Five sentences with the label that the model gives them, except the last: it has the other."""
    gold = predict([(sentence,) for sentence in SENTENCES]).argmax(axis=1)
    gold[-1] = 1 - gold[-1]
    return examples_of([SENTENCES], [int(label) for label in gold])


def without(lines: Sequence[AttackLine], *fields: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in fields} for line in lines]


def keyword(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
    """Positive where the last column says good."""
    return np.array([[0, 2 if "good" in text[-1].split() else -2] for text in texts], np.float32)


@pytest.mark.parametrize("recipe", ["deepwordbug", "pruthi", "input-reduction"])
def test_results_equal_those_of_the_stock_wrapper(
    recipe: str, victim: tuple[Any, Any], predict: Predict, examples: Examples
) -> None:
    textattack = load_textattack()
    ours = attack_examples(predict, examples, LABELS, recipe, seed=5).lines
    with offline():
        wrapper = textattack.models.wrappers.HuggingFaceModelWrapper(*victim)
        attack = recipe_entry(recipe).load().build(wrapper)
        for row, line in enumerate(ours):
            attack.clear_cache()
            with seeded(derive(5, "attack", recipe, examples.ids[row])):
                text = OrderedDict([("text", examples.texts[0][row])])
                stock = attack.attack(textattack.shared.AttackedText(text), int(examples.labels[row]))
            name = type(stock).__name__
            before, after = stock.original_result, stock.perturbed_result
            assert (
                line["outcome"]
                == {
                    "SuccessfulAttackResult": "succeeded",
                    "FailedAttackResult": "failed",
                    "SkippedAttackResult": "skipped",
                    "MaximizedAttackResult": "succeeded",
                }[name]
            )
            assert line["perturbed"] == [after.attacked_text.text]
            assert line["queries"] == stock.num_queries
            assert line["predicted_after"] == LABELS[int(after.output)]
            assert line["scores_before"] is not None
            assert line["scores_after"] is not None
            np.testing.assert_allclose(line["scores_before"], before.raw_output, atol=1e-5)
            np.testing.assert_allclose(line["scores_after"], after.raw_output, atol=1e-5)
            assert 0 < line["model_rows"] <= line["queries"]
    assert ours[-1]["outcome"] == "skipped"
    assert {line["outcome"] for line in ours[:-1]} & {"succeeded"}


def test_order_and_count_do_not_change_a_line(predict: Predict, examples: Examples) -> None:
    straight = attack_examples(predict, examples, LABELS, "deepwordbug", seed=1).lines
    order = [3, 0, 4, 2, 1]
    other = attack_examples(predict, shuffled(examples, order), LABELS, "deepwordbug", seed=1).lines
    expected = without([straight[row] for row in order], "seconds", "index")
    assert without(other, "seconds", "index") == expected
    first = attack_examples(predict, examples, LABELS, "deepwordbug", count=2, seed=1).lines
    assert without(first, "seconds") == without(straight[:2], "seconds")
    reseeded = attack_examples(predict, examples, LABELS, "deepwordbug", seed=2).lines
    assert without(reseeded, "seconds", "seed") != without(straight, "seconds", "seed")


def test_global_random_states_are_left_alone(predict: Predict, examples: Examples) -> None:
    with seeded(9):
        expected = random.random(), np.random.random(), torch.rand(1).item()
    with seeded(9):
        attack_examples(predict, examples, LABELS, "deepwordbug", count=1)
        assert (random.random(), np.random.random(), torch.rand(1).item()) == expected


def test_a_torn_file_is_resumed_to_the_uninterrupted_one(predict: Predict, examples: Examples, tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    attack_examples(predict, examples, LABELS, "deepwordbug", out=whole)
    lines = whole.read_bytes().splitlines(keepends=True)
    torn.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    seen: list[tuple[int, int]] = []
    result = attack_examples(
        predict,
        examples,
        LABELS,
        "deepwordbug",
        out=torn,
        progress=lambda done, total, line: seen.append((done, total)),
    )
    assert (result.resumed, seen) == (2, [(3, 5), (4, 5), (5, 5)])
    read = [[json.loads(line) for line in path.read_text().splitlines()] for path in (whole, torn)]
    # a line's seal is over its seconds too
    assert without(read[0], "seconds", "seal") == without(read[1], "seconds", "seal")
    assert without(result.lines, "seconds", "seal") == without(read[0], "seconds", "seal")
    assert attack_examples(predict, examples, LABELS, "deepwordbug", out=torn).resumed == 5


def test_a_file_of_something_else_is_refused(predict: Predict, examples: Examples, tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    attack_examples(predict, examples, LABELS, "deepwordbug", count=1, out=out)
    other_text = examples_of([("another text", *SENTENCES[1:])], [int(label) for label in examples.labels])
    for changed, label_names, seed, field in (
        (other_text, LABELS, 0, "original"),
        (examples, ("good", "bad"), 0, "gold"),
        (examples, LABELS, 1, "seed"),
    ):
        with pytest.raises(UserError, match=rf"lines\.jsonl: .*'row-0' has {field}"):
            attack_examples(predict, changed, label_names, "deepwordbug", count=1, seed=seed, out=out)
    with pytest.raises(UserError, match=r"'row-0' has text_columns \['text'\], but this run has \['review'\]"):
        attack_examples(predict, examples, LABELS, "deepwordbug", count=1, text_columns=("review",), out=out)
    out.write_text("no json\n")
    with pytest.raises(UserError, match=r"lines\.jsonl: line 1 is not JSON"):
        attack_examples(predict, examples, LABELS, "deepwordbug", out=out)


def test_an_exception_becomes_the_error_line_of_its_example(tmp_path: Path) -> None:
    def failing(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        if any("boom" in text[0] for text in texts):
            raise RuntimeError("out of memory")
        return keyword(texts)

    out = tmp_path / "lines.jsonl"
    texts = ["a good film", "a good boom", "one <SPLIT> good", "really good"]
    result = attack_examples(failing, examples_of([texts], [1] * 4), LABELS, "deepwordbug", out=out)
    assert [line["outcome"] for line in result.lines] == ["succeeded", "error", "error", "succeeded"]
    assert result.lines[1]["message"] == "RuntimeError: out of memory"
    assert result.lines[1]["scores_before"] is None
    assert "<SPLIT>" in result.lines[2]["message"]
    assert (result.summary.errors, result.summary.evaluated) == (2, 2)
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == [f"row-{n}" for n in range(4)]

    def interrupted(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attack_examples(interrupted, examples_of([texts], [1] * 4), LABELS, "deepwordbug")


@pytest.mark.parametrize("recipe", ["deepwordbug", "pruthi", "input-reduction"])
@pytest.mark.parametrize("text", ["", " ", "...", "the of", "I"])
def test_texts_with_little_to_change_have_a_defined_outcome(recipe: str, text: str) -> None:
    lines = attack_examples(keyword, examples_of([[text, text]], [0, 1]), LABELS, recipe).lines
    assert lines[0]["outcome"] in ("failed", "succeeded")
    assert lines[1]["outcome"] == "skipped"
    if not any(character.isalnum() for character in text):
        assert (lines[0]["outcome"], lines[0]["message"]) == ("failed", "no word to change")
        assert (lines[0]["queries"], lines[0]["perturbed"]) == (1, [text])


@pytest.mark.parametrize(("columns", "changed"), [(None, None), (["second"], 1), (["first"], 0)])
def test_only_the_chosen_columns_change(columns: list[str] | None, changed: int | None) -> None:
    def pair(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        """Entailed as long as both sides are whole."""
        whole = ["film" in first.split() and "good" in second.split() for first, second in texts]
        return np.array([[0, 2 if one else -2] for one in whole], np.float32)

    pairs = examples_of([["I saw a film", "this film"], ["it was good , I think", "good"]], [1, 1])
    lines = attack_examples(pair, pairs, LABELS, "deepwordbug", text_columns=("first", "second"), columns=columns).lines
    assert [line["outcome"] for line in lines] == ["succeeded"] * 2
    assert [line["columns"] for line in lines] == [columns or ["first", "second"]] * 2
    assert [line["text_columns"] for line in lines] == [["first", "second"]] * 2
    assert [line["resources"] for line in lines] == [{"textattack": importlib.metadata.version("textattack")}] * 2
    for line in lines:
        assert line["perturbed"] is not None
        assert line["perturbed"] != line["original"]
        if changed is not None:
            assert line["perturbed"][1 - changed] == line["original"][1 - changed]


def test_what_cannot_be_attacked_is_refused_before_any_query() -> None:
    def never(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        raise AssertionError("queried")

    good = examples_of([["a good film"]], [1])
    pair = examples_of([["one"], ["two"]], [1])
    scores = replace(good, labels=np.array([2.5], np.float32))
    refused: list[tuple[str, Callable[[], object]]] = [
        ("no labels", lambda: attack_examples(never, scores, (), "deepwordbug")),
        ("outside 0..1", lambda: attack_examples(never, scores, LABELS, "deepwordbug")),
        ("did you mean 'deepwordbug'", lambda: attack_examples(never, good, LABELS, "deepwordbugs")),
        ("missing resources", lambda: attack_examples(never, good, LABELS, "a2t")),
        ("count: -1", lambda: attack_examples(never, good, LABELS, "deepwordbug", count=-1)),
        (
            "did you mean 'premise'",
            lambda: attack_examples(
                never, pair, LABELS, "deepwordbug", text_columns=("premise", "hypothesis"), columns=["premis"]
            ),
        ),
        ("text_columns", lambda: attack_examples(never, pair, LABELS, "deepwordbug", text_columns=("one",))),
    ]
    for message, call in refused:
        with pytest.raises(UserError, match=message):
            call()


def test_a_wrong_number_of_labels_ends_the_run() -> None:
    with pytest.raises(UserError, match=r"predict: returned shape \(1, 2\), not \(1, 3\)"):
        attack_examples(keyword, examples_of([["a good film"]], [1]), ("a", "b", "c"), "deepwordbug")


def test_equal_rows_of_one_call_are_computed_once() -> None:
    asked: list[Sequence[tuple[str, ...]]] = []

    def recording(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        asked.append(texts)
        return keyword(texts)

    batched = BatchedPredict(recording, 2)
    wrapper = PredictWrapper(lambda texts: batched([texts])[0])
    logits = wrapper(["good", "bad", "good"])
    assert logits.tolist() == [[0, 2], [0, -2], [0, 2]]
    assert asked == [[("good",), ("bad",)]]
    assert (wrapper.rows, wrapper.cached_rows) == (2, 0)
    assert (batched.rows, batched.calls) == (2, 1)


def test_logits_that_sum_to_one_are_not_mistaken_for_probabilities() -> None:
    logits = np.array([[3.0, -2.0]], np.float32)
    shifted = not_mistaken_for_probabilities(logits)
    assert abs(shifted.sum() - 1) > 0.1
    before, after = (torch.softmax(torch.from_numpy(one), dim=1) for one in (logits, shifted))
    torch.testing.assert_close(before, after)
    plain = np.array([[3.0, -1.0]], np.float32)
    assert not_mistaken_for_probabilities(plain) is plain


PWWS_WORD = "funny"


def pwws_lines(resources_dir: Path) -> list[AttackLine]:
    texts = ("a warm , funny and engaging film", "the plot is dull and the jokes fall flat")
    known = {word for text in texts for word in text.split()}

    def predict(rows: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        """Falls with every word that is replaced, whatever takes its place: of all candidates the first is taken.

        WordNet's words come as a set; that their order does not matter is due to TextAttack, which sorts the texts.
        """
        return np.array([[0.0, 1.0 + len(known.intersection(row[0].split()))] for row in rows], np.float32)

    return attack_examples(predict, examples_of([texts], [1, 1]), LABELS, "pwws", resources_dir=resources_dir).lines


def tell_pwws_lines(resources_dir: Path) -> None:
    """For a process of its own."""
    print(json.dumps([hash(PWWS_WORD), pwws_lines(resources_dir)]))


def test_pwws_does_not_depend_on_the_hash_seed() -> None:
    folder = wordnet_folder()
    if folder is None:
        pytest.skip(NO_WORDNET)
    done = carried_out(functools.partial(tell_pwws_lines, folder))
    assert done.returncode == 0, done.stderr
    its_hash, its_lines = json.loads(done.stdout)
    assert its_hash != hash(PWWS_WORD)
    lines = pwws_lines(folder)
    assert without(its_lines, "seconds") == without(lines, "seconds")
    assert all(line["outcome"] == "failed" and line["words_changed"] > 2 for line in lines)


def line_of(outcome: str, before: str, after: str, queries: int, rows: int, changed: int, words: int) -> Any:
    return {
        "outcome": outcome,
        "gold": "good",
        "predicted_before": before,
        "predicted_after": after,
        "queries": queries,
        "model_rows": rows,
        "words_changed": changed,
        "words": words,
    }


def test_summary_by_hand() -> None:
    lines = [
        line_of("succeeded", "good", "bad", 20, 16, 1, 4),  # 25 %
        line_of("succeeded", "good", "bad", 40, 32, 3, 4),  # 75 %
        line_of("failed", "good", "good", 60, 48, 4, 4),
        line_of("skipped", "bad", "bad", 1, 1, 0, 9),
        {"outcome": "error", "gold": "good", "predicted_before": None, "queries": 7, "model_rows": 7, "message": "x"},
    ]
    summary = summarise(lines)
    assert (summary.examples, summary.evaluated, summary.attacked) == (5, 4, 3)
    assert (summary.succeeded, summary.failed, summary.skipped, summary.errors) == (2, 1, 1, 1)
    assert summary.clean_accuracy == 3 / 4
    assert summary.accuracy_under_attack == 1 / 4
    assert summary.attack_success_rate == 2 / 3
    assert (summary.mean_queries, summary.mean_model_rows) == (40, 32)
    assert summary.mean_words_changed_percent == 50
    assert ("attack_success_rate", 2 / 3, 3) in summary.metrics()
    assert ("errors", 1.0, 5) in summary.metrics()


def test_a_rate_without_a_denominator_is_nan() -> None:
    skipped_only = summarise([line_of("skipped", "bad", "bad", 1, 1, 0, 9)])
    assert skipped_only.clean_accuracy == 0
    assert math.isnan(skipped_only.attack_success_rate)
    assert math.isnan(skipped_only.mean_queries)
    assert math.isnan(summarise([]).clean_accuracy)
