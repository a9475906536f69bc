"""Dropping tokens by importance: the order itself, the scores that make it, and the suite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject
from robusteval.evaluation.confidence import load_confidence_layer, token_scores
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.token_drop import (
    OrderedDrop,
    drop,
    drop_order,
    gradient_scores,
)
from robusteval.methods.compose import build_method
from robusteval.methods.tdt import confidence_scores
from robusteval.models.architectures import submodules
from robusteval.models.encoding import Collator
from robusteval.perturbations.base import Source
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import TaskData
from robusteval.training.trainer import train
from support import tiny

RATES = st.floats(0, 1)


def source_of(*texts: list[str]) -> Source:
    task = Task("tiny", "test", ("first", "second")[: len(texts)], ("bad", "good"), ("accuracy",))
    count = len(texts[0])
    examples = Examples(tuple(map(tuple, texts)), np.arange(count) % 2, tuple(map(str, range(count))), "")
    return Source.of(tiny.tokenizer(), examples, task, max_length=64)


def words(ids: Any) -> list[str]:
    return [tiny.WORDS[index].replace("[MASK]", "_") for index in ids]


def test_by_hand() -> None:
    source = source_of(["a b c d", "x"], ["e", "y z"])
    # [CLS] a  b  c  d [SEP] e [SEP]; special tokens have the most extreme scores, and a tie is between b and d
    scores = np.asarray([9, 0.1, 0.5, 0.9, 0.5, -9, 0.2, 9, 9, 0.3, -9, 0.1, 0.2, 9])
    for rate, descending, expected in (
        # five tokens at rate .3: 1.5, rounded down; three: .9
        (0.3, True, "[CLS] a b _ d [SEP] e [SEP] [CLS] _ [SEP] y z [SEP]"),
        (0.3, False, "[CLS] _ b c d [SEP] e [SEP] [CLS] x [SEP] _ z [SEP]"),
        (0.4, True, "[CLS] a _ _ d [SEP] e [SEP] [CLS] _ [SEP] y z [SEP]"),
        (0.6, False, "[CLS] _ b c _ [SEP] _ [SEP] [CLS] x [SEP] _ _ [SEP]"),
        (1.0, True, "[CLS] _ _ _ _ [SEP] _ [SEP] [CLS] _ [SEP] _ _ [SEP]"),
    ):
        assert " ".join(words(drop(source, scores, rate, descending=descending).ids)) == expected
    shorter = drop(source, scores, 0.4, by="delete")
    assert " ".join(words(shorter.ids)) == "[CLS] a d [SEP] e [SEP] [CLS] x [SEP] y z [SEP]"
    assert shorter.offsets.tolist() == [0, 6, 12]
    # of each text the token that would have been dropped last stays
    for descending, expected in ((True, "a e x y"), (False, "c e x z")):
        left = drop(source, scores, 1.0, descending=descending, by="delete")
        assert " ".join(words(left.ids[~left.special])) == expected


@given(
    texts=st.lists(
        st.lists(st.sampled_from(tiny.LETTERS), min_size=1, max_size=9).map(" ".join), min_size=1, max_size=5
    ),
    seed=st.integers(0, 99),
    low=RATES,
    high=RATES,
    steps=st.sampled_from([1, 2, 1000]),
)
@settings(max_examples=100, deadline=None)
def test_orders_are_nested_disjoint_and_of_the_right_size(
    texts: list[str], seed: int, low: float, high: float, steps: int
) -> None:
    low, high = sorted((low, high))
    source = source_of(texts, texts[::-1])
    # few steps: many ties
    scores = np.random.default_rng(seed).integers(0, steps, len(source.eligible)).astype(float)
    hits = {}
    for descending in (True, False):
        less, more = (drop_order(source, scores, rate, descending=descending) for rate in (low, high))
        assert not (less & ~more).any()
        assert not (more & ~source.eligible).any()
        hits[descending] = less
        for row in range(len(texts)):
            own = (source.row == row) & source.eligible
            assert abs(int(more[own].sum()) - high * own.sum()) <= 0.5 + 1e-6
            kept = scores[own & ~more]
            if more[own].any() and len(kept):
                gone = scores[own & more]
                assert gone.min() >= kept.max() if descending else gone.max() <= kept.min()
    if low <= 0.5:
        assert not (hits[True] & hits[False]).any()


@pytest.mark.parametrize("kind", ["bert", "electra", "deberta-v2", "xlnet"])
def test_token_scores_equal_those_of_single_rows(kind: str) -> None:
    model, tokenizer, encoded = tiny.model(kind), tiny.tokenizer(kind), tiny.encoded(70, kind=kind, pairs=True)
    found = token_scores(encoded, tokenizer, torch.device("cpu"), lambda batch: gradient_scores(model, batch))
    for row in (0, 5, 69):
        alone = gradient_scores(model, Collator(tokenizer)(encoded, np.asarray([row])))[0]
        own = found[encoded.offsets[row] : encoded.offsets[row + 1]]
        np.testing.assert_allclose(own, alone.numpy(), rtol=1e-3, atol=1e-6)


def test_gradient_scores_against_small_steps() -> None:
    """Scaling one token's embedding by 1 + h moves the predicted class's logit by h times its score."""
    model, encoded = tiny.model().double(), tiny.encoded(3)
    batch = Collator(tiny.tokenizer())(encoded, np.arange(3))
    model.train()
    scores = gradient_scores(model, batch)
    assert model.training and all(each.grad is None for each in model.parameters())
    model.eval()

    def logit(token: int, h: float) -> float:
        def scale(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            scaled = output.clone()
            scaled[1, token] *= 1 + h
            return scaled

        handle = submodules(model).embeddings.register_forward_hook(scale)
        with torch.no_grad():
            value = float(model(**batch.inputs).logits[1, predicted])
        handle.remove()
        return value

    with torch.no_grad():
        predicted = int(model(**batch.inputs).logits[1].argmax())
    for token in range(3):
        slope = (logit(token, 1e-5) - logit(token, -1e-5)) / 2e-5
        assert float(scores[1, token]) == pytest.approx(abs(slope), rel=1e-4, abs=1e-8)


def layer_file(folder: Path, width: int = 32, outputs: int = 1, prefix: str = "", **metadata: str) -> Path:
    """A confidence layer of random weights beside a checkpoint."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    state = {prefix + "weight": torch.randn(outputs, width, generator=generator), prefix + "bias": torch.zeros(outputs)}
    save_file(state, folder / "confidence.safetensors", metadata)
    return folder


def subject(folder: Path | None = None, kind: str = "bert", **config: Any) -> Subject:
    texts, labels = tiny.sentences(20)
    task = tiny.TASK
    dev = examples_from_frame(pd.DataFrame({"text": texts, "label": labels}), task, "dev")
    predictor = Predictor(tiny.model(kind), tiny.tokenizer(kind), 32)
    return Subject(predictor, TaskData(task, dev.take([]), dev), EvalConfig(**config), folder)


def run(tested: Subject, **values: Any) -> list[Measurement]:
    suite = OrderedDrop.configure("ordered-drop", values)
    suite.check(tested.data, tested.predictor.tokenizer, tested.config)
    return list(suite.run(tested))


def test_the_suite(tmp_path: Path) -> None:
    recorded: list[tuple[str, int]] = []
    tested = subject(layer_file(tmp_path), rates=(0.0, 0.3), sets=2)
    tested.record = lambda suite, value, number, predictions: recorded.append((value, number))
    found = run(tested)
    directed = [f"{way} {rate}" for way in ("descending", "ascending") for rate in ("0", "0.3")]
    ordered = [f"{order} {each}" for order in ("confidence", "gradient") for each in directed]
    assert [each.value for each in found] == [*ordered, "random 0", "random 0.3"]
    assert {each.suite for each in found} == {"ordered-drop"}
    clean = (tested.clean.argmax(1) == tested.data.dev.labels).mean()
    assert all(each.metrics["accuracy"] == pytest.approx(clean) for each in found if each.value.endswith(" 0"))
    assert all(each.metrics["flip_rate"] == 0 for each in found if each.value.endswith(" 0"))
    assert [(each.sets, each.notes) for each in found] == [(1, ())] * 8 + [(2, ())] * 2
    random = [(value, number) for value in ("random 0", "random 0.3") for number in (0, 1)]
    assert recorded == [*((value, 0) for value in ordered), *random]
    assert run(tested)[-1].spread == found[-1].spread


def test_what_the_trained_layer_scores_highest_is_dropped_first(tmp_path: Path) -> None:
    tested = subject(layer_file(tmp_path), rates=(0.2,))
    dropped: list[np.ndarray] = []
    forward = tested.predictor.stream

    def stream(sets: Any, *names: Any) -> Any:
        for each in sets:
            dropped.append(each.ids)
            yield from forward([each], *names)

    tested.predictor.stream = stream  # type: ignore[method-assign]
    run(tested, orders="confidence")
    layer = nn.Linear(32, 1)
    generator = torch.Generator().manual_seed(0)
    layer.load_state_dict({"weight": torch.randn(1, 32, generator=generator), "bias": torch.zeros(1)})
    encoded, mask = tested.dev, tested.predictor.tokenizer.mask_token_id
    batch = Collator(tested.predictor.tokenizer)(encoded, np.arange(len(encoded)))
    scores = confidence_scores(tested.predictor.model, layer, batch).masked_fill(batch.special, -1).numpy()
    for row in range(len(encoded)):
        count = int((~batch.special[row]).sum())
        expected = np.argsort(-scores[row], kind="stable")[: round(0.2 * count)]
        own = slice(encoded.offsets[row], encoded.offsets[row + 1])
        assert set(np.flatnonzero(dropped[0][own] == mask)) == set(expected)
        assert not ((dropped[0][own] == mask) & (dropped[1][own] == mask)).any()


def test_a_named_checkpoint_scores_for_other_models(tmp_path: Path) -> None:
    """Models without token types, too: the scoring checkpoint tokenises for itself."""
    scorer = layer_file(tiny.save(tmp_path / "tdt", "electra", seed=3), width=24)
    sets = []
    for kind in ("bert", "roberta"):
        tested = subject(kind=kind, rates=(0.5,))
        suite = OrderedDrop("ordered-drop", OrderedDrop.Settings(scores=str(scorer)))
        scores = suite._confidence(tested)
        assert scores is not None
        sets.append(drop(tested.source, scores, 0.5).ids)
        values = [each.value for each in run(tested, scores=str(scorer), orders="confidence", drop="delete")]
        assert values == ["confidence descending 0.5", "confidence ascending 0.5"]
    assert (sets[0] == sets[1]).all()


def test_without_a_layer(tmp_path: Path) -> None:
    for folder in (None, tmp_path):
        found = run(subject(folder, rates=(0.2,), sets=1))
        assert [each.value for each in found] == ["gradient descending 0.2", "gradient ascending 0.2", "random 0.2"]
        assert [each.notes for each in found[1:]] == [(), ()]
        assert found[0].notes[0].text.startswith("without confidence: the checkpoint has no confidence.safetensors")
        with pytest.raises(UserError, match="'confidence' needs a trained confidence layer"):
            run(subject(folder), orders="confidence|random")


@pytest.mark.parametrize("text", ["tdt", "tdt-hard", "tdt:pre_position=true"])
def test_the_layer_of_a_training_gives_its_own_scores(text: str, tmp_path: Path) -> None:
    method, loaded, encoded = build_method(MethodConfig.parse(text)), tiny.loaded(), tiny.encoded()
    train(loaded, encoded, TrainConfig(max_steps=2), method, seed=0, device=torch.device("cpu"), quiet=True)
    # as docs/methods/tdt.md writes it
    metadata = {"pre_position": str("pre_position" in text).lower()}
    save_file(method.modules.state_dict(), tmp_path / "confidence.safetensors", metadata)
    layer = load_confidence_layer(tmp_path)
    batch = Collator(loaded.tokenizer)(encoded, np.arange(8))
    scores = confidence_scores(loaded.model, layer, batch, pre_position=layer.pre_position)
    assert torch.equal(scores, method.confidence(loaded.model, batch))  # type: ignore[attr-defined]
    assert scores[~batch.special].std() > 0


def test_files_that_are_no_layer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no confidence.safetensors; give the checkpoint folder"):
        load_confidence_layer(tmp_path)
    assert load_confidence_layer(layer_file(tmp_path, outputs=2, pre_position="true")).pre_position
    assert not load_confidence_layer(layer_file(tmp_path, prefix="confidence.")).pre_position
    with pytest.raises(UserError, match="holds .*'weight': \\(3, 32\\).* not weight \\(1 or 2, width\\)"):
        load_confidence_layer(layer_file(tmp_path, outputs=3))
    save_file({"weight": torch.zeros(1, 4)}, tmp_path / "confidence.safetensors")
    with pytest.raises(UserError, match="not weight"):
        load_confidence_layer(tmp_path)
    (tmp_path / "confidence.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match="is damaged"):
        load_confidence_layer(tmp_path)
    with pytest.raises(UserError, match="reads 16 numbers per token, but the model's embeddings have 32"):
        run(subject(layer_file(tmp_path, width=16)))


def test_another_scorer_is_another_fact(tmp_path: Path) -> None:
    folder = layer_file(tiny.save(tmp_path / "tdt"))
    data = subject().data

    def facts(**values: Any) -> dict[str, str]:
        return OrderedDrop.configure("ordered-drop", values).facts(data)

    before = facts(scores=str(folder))
    assert list(before) == ["ordered-drop scores"]
    assert facts() == facts(scores=str(folder), orders="gradient|random") == {}
    layer_file(folder, outputs=2)
    layer = facts(scores=str(folder))
    tiny.save(folder, seed=1)
    assert len({*before.values(), *layer.values(), *facts(scores=str(folder)).values()}) == 3


def test_settings_and_checkpoints_that_cannot_be(tmp_path: Path) -> None:
    for values, message in (
        ({"orders": "confidence|gradent"}, "orders: unknown name 'gradent'; did you mean 'gradient'"),
        ({"orders": "random|random"}, "orders: random is given twice"),
        ({"orders": ""}, "orders: unknown name ''"),
        ({"drop": "erase"}, "drop: unknown name 'erase'"),
        ({"scores": str(tmp_path / "nowhere")}, "has no confidence.safetensors"),
    ):
        with pytest.raises(UserError, match=message):
            run(subject(), **values)
    with pytest.raises(UserError, match="rates: none given"):
        run(subject(rates=()))
    tested = subject()
    tested.predictor.tokenizer.mask_token = None
    with pytest.raises(UserError, match="mask_token: masking needs one"):
        run(tested)
    assert run(tested, drop="delete", orders="random")
    folder = layer_file(tiny.save(tmp_path / "tdt"))
    # as many tokens, but not the same ones
    vocabulary = folder / "tokenizer.json"
    vocabulary.write_text(vocabulary.read_text().replace('"lovely"', '"zebra"'))
    with pytest.raises(UserError, match="is not the tested model's"):
        run(subject(), scores=str(folder))
