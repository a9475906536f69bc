"""Attacks that look inside the model: its gradient, and what becomes of those that have none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robusteval.attacks.queries.batched import BatchedPredict, Predict
from robusteval.attacks.queries.gradients import ModelGradient, WordGradient, gradient_of
from robusteval.attacks.queries.wrapper import MOST_WORDS, PredictWrapper, token_ids
from robusteval.attacks.resources.offline import load_textattack
from robusteval.attacks.runner import attack_examples
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.models.encoding import Collator, encode
from robusteval.tasks.base import Examples
from support import tiny
from support.victims import LABELS

TEXTS = (("the film was great and unknowable",), ("good",), ("",), ("good film", "a very dull plot"))
RECIPE = """
from textattack import Attack
from textattack.constraints.pre_transformation import RepeatModification
from textattack.goal_functions import UntargetedClassification
from textattack.search_methods import GreedyWordSwapWIR
from textattack.transformations import WordSwapQWERTY

def by_gradient(wrapper):
    search = GreedyWordSwapWIR("gradient")
    return Attack(UntargetedClassification(wrapper), [RepeatModification()], WordSwapQWERTY(), search)
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "inside.py"
    path.write_text(RECIPE)
    return f"{path}:by_gradient"


def examples_of(predictor: Predictor, count: int = 4) -> Examples:
    """Sentences that the model gets right."""
    texts, _ = tiny.sentences(count, seed=4)
    gold = predictor.logits([(text,) for text in texts]).argmax(axis=1)
    return Examples((tuple(texts),), gold, tuple(map(str, range(count))), "")


@pytest.mark.filterwarnings("ignore:Using a non-full backward hook")
@pytest.mark.parametrize("kind", ["bert", "distilbert", "electra"])
@pytest.mark.parametrize("text", TEXTS)
def test_the_gradient_is_that_of_textattacks_own_wrapper(kind: str, text: tuple[str, ...]) -> None:
    # theirs is taken in training mode
    model, tokenizer = tiny.model(kind, dropout=0.0), tiny.tokenizer(kind)
    given: Any = text if len(text) > 1 else text[0]
    theirs = load_textattack().models.wrappers.HuggingFaceModelWrapper(model, tokenizer)
    expected = theirs.get_grad(given)
    wrapper = PredictWrapper(lambda question: BatchedPredict(Predictor(model, tokenizer, 64).logits, 2)([question])[0])
    ours = wrapper.get_grad(given)
    length = ours["ids"].shape[1]
    assert torch.equal(ours["ids"], expected["ids"][:, :length])
    np.testing.assert_allclose(ours["gradient"], expected["gradient"][:length], atol=1e-5)
    assert not np.abs(expected["gradient"][length:]).any()
    for strip in (False, True):
        assert wrapper.tokenize([given], strip) == theirs.tokenize([given], strip)


@pytest.mark.parametrize("kind", list(tiny.CONFIGS))
def test_the_gradient_of_every_architecture_leaves_the_model_as_it_was(kind: str) -> None:
    model, tokenizer = tiny.model(kind, num_labels=3), tiny.tokenizer(kind)
    text = ("the film was great and unknowable",)
    batch = Collator(tokenizer)(encode(tokenizer, [text], max_length=64), np.arange(1)).inputs
    words = model.get_input_embeddings()(batch.pop("input_ids")).detach().requires_grad_()
    logits = model(inputs_embeds=words, **batch).logits
    torch.nn.functional.cross_entropy(logits, logits.argmax(1)).backward()
    model.zero_grad()
    model.requires_grad_(False).train()
    with torch.inference_mode():
        found = ModelGradient(model, tokenizer, 64)(text)
        cut = ModelGradient(model, tokenizer, 5)(text)
    np.testing.assert_allclose(found.values, words.grad[0].numpy(), atol=1e-6)  # type: ignore[index]
    assert len(found.ids) == len(found.tokens) == len(found.values) > len(cut.ids) == 5
    assert model.training and not model.get_input_embeddings()._forward_hooks
    assert all(each.grad is None and not each.requires_grad for each in model.parameters())


def test_words_are_found_among_sentencepiece_tokens() -> None:
    text = load_textattack().shared.AttackedText("A truly unknowable film")
    pieces = ("[CLS]", "\u2581a", "\u2581truly", "\u2581un", "knowable", "\u2581film", "[SEP]")
    answer = WordGradient(tuple(range(7)), pieces, np.ones((7, 2), np.float32))
    mapping = text.align_with_model_tokens(PredictWrapper(lambda question: answer))
    assert mapping == {0: [1], 1: [2], 2: [3, 4], 3: [5]}


def test_no_more_words_are_looked_at_than_the_model_reads() -> None:
    assert PredictWrapper(sees=token_ids(tiny.tokenizer(), 48)).max_length == 48
    assert PredictWrapper().max_length == MOST_WORDS


def test_a_bare_function_is_refused_before_it_is_asked(recipe: str) -> None:
    asked: list[Sequence[tuple[str, ...]]] = []
    predictor = Predictor(tiny.model(), tiny.tokenizer(), 64)
    for parallel in (1, 3):
        with pytest.raises(UserError, match="predict: this recipe asks for the model's gradient"):
            attack_examples(asked.append, examples_of(predictor), LABELS, recipe, parallel=parallel)  # type: ignore[arg-type]
    assert not asked
    # other recipes need none
    assert gradient_of(asked.append) is None
    lines = attack_examples(lambda texts: predictor.logits(texts), examples_of(predictor), LABELS, "deepwordbug").lines
    assert not any(line["message"] for line in lines)


def test_a_model_that_hides_its_words_is_refused(recipe: str) -> None:
    model = tiny.model()
    predictor = Predictor(model, tiny.tokenizer(), 64)
    rows = examples_of(predictor)
    model.get_input_embeddings = lambda: torch.nn.Embedding(2, 2)
    with pytest.raises(UserError, match="no gradient of BertForSequenceClassification"):
        attack_examples(predictor.logits, rows, LABELS, recipe)


def test_a_function_may_bring_its_own_gradient(recipe: str) -> None:
    predictor = Predictor(tiny.model(), tiny.tokenizer(), 64)
    rows = examples_of(predictor)
    inside = ModelGradient(predictor.model, predictor.tokenizer, 64)
    asked: list[tuple[str, ...]] = []

    def predict(texts: Sequence[tuple[str, ...]]) -> Any:
        return predictor.logits(texts)

    def gradient(text: tuple[str, ...]) -> WordGradient:
        asked.append(text)
        if text == rows.text(1):
            raise ZeroDivisionError("no gradient of this one")
        return inside(text)

    with_gradient: Any = predict
    with_gradient.gradient = gradient
    expected = attack_examples(predictor.logits, rows, LABELS, recipe, parallel=4).lines
    given: Predict = with_gradient
    lines = attack_examples(given, rows, LABELS, recipe, parallel=2).lines
    # one gradient an example, in no count of queries
    assert sorted(asked) == sorted(rows.text(row) for row in range(len(rows)))
    for row, line in enumerate(lines):
        if row == 1:
            assert line["outcome"] == "error" and "no gradient of this one" in line["message"]
        else:
            same = ("outcome", "perturbed", "queries", "model_rows")
            assert [line[name] for name in same] == [expected[row][name] for name in same]  # type: ignore[literal-required]
