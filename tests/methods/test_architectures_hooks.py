"""MATCH and TDT act where they should inside every architecture, and compute there what their equations say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import DebertaConfig

from robusteval.methods.base import Context, TrainingData
from robusteval.methods.compose import attach, build_method
from robusteval.methods.match import composite
from robusteval.models.architectures import OutputHook, submodules
from robusteval.models.encoding import Batch, Collator
from robusteval.models.loading import LoadedModel
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from support import tiny
from support.fitting import CPU

KINDS = [*tiny.CONFIGS, "deberta"]


@pytest.fixture(autouse=True)
def deberta_v1(monkeypatch: pytest.MonkeyPatch) -> None:
    config = lambda: DebertaConfig(  # noqa: E731
        **tiny._COMMON, **tiny._ENCODER, max_position_embeddings=64, relative_attention=True,
        pos_att_type=["p2c", "c2p"], type_vocab_size=2,
    )  # fmt: skip
    monkeypatch.setitem(tiny.CONFIGS, "deberta", config)


def ready(kind: str, text: str) -> tuple[Any, LoadedModel, Batch]:
    """A method after `setup`, the model in evaluation mode (no dropout), and a padded batch of pairs."""
    loaded = tiny.loaded(kind)
    data = tiny.encoded(8, kind=kind, pairs=True)
    method: Any = build_method(MethodConfig.parse(text))
    method.bind(Context(CPU, 10, False, 7, lambda loss: loss.backward()))
    attach(method, loaded.model)
    batch = Collator(loaded.tokenizer)(data, np.arange(8))
    assert not batch.inputs["attention_mask"].all()
    method.setup(loaded.model, TrainingData(loaded.tokenizer, data, lambda epoch: iter([batch]), TrainConfig()))
    return method, loaded, batch


def logits_of(model: Any, batch: Batch) -> Tensor:
    logits: Tensor = model(**batch.inputs).logits
    return logits


@pytest.mark.parametrize("kind", KINDS)
def test_match_is_the_head_of_the_composite(kind: str) -> None:
    method, loaded, batch = ready(kind, "match")
    parts = submodules(loaded.model)
    entering: list[Tensor] = []
    handle = parts.classifier.register_forward_pre_hook(lambda module, inputs: entering.append(inputs[0]))
    with torch.no_grad():
        plain = logits_of(loaded.model, batch)
        h = entering[-1]
        mixed = method.logits(loaded.model, batch.inputs, batch.labels)
        handle.remove()
        assert h.shape[0] == 8
        assert h.ndim == 2
        torch.testing.assert_close(mixed, parts.classifier(composite(h)), rtol=1e-5, atol=1e-6)
        assert (mixed - plain).abs().max() > 1e-4
        # two branches do not mix with each other
        twice = {name: torch.cat([tensor, tensor.flip(0)]) for name, tensor in batch.inputs.items()}
        both = method.logits(loaded.model, twice, batch.labels, branches=2)
        torch.testing.assert_close(both[:8], mixed, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(both[8:].flip(0), mixed, rtol=1e-5, atol=1e-6)


def embeddings_and_layout(model: Any, batch: Batch, *, words: bool = False) -> tuple[Any, Tensor, int]:
    """The module that gives the embeddings, what it gives [B, L, d], and the axis of its tokens."""
    parts = submodules(model)
    module = parts.word_embeddings if words else parts.embeddings
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    logits_of(model, batch)
    handle.remove()
    return module, seen[0].movedim(parts.token_axis, 1), parts.token_axis


def with_embeddings(model: Any, batch: Batch, module: Any, e: Tensor, axis: int) -> Tensor:
    with OutputHook(module, lambda output: e.movedim(1, axis)):
        return logits_of(model, batch)


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_tdt_branches_are_forwards_with_replaced_embeddings(kind: str, words: bool) -> None:
    method, loaded, batch = ready(kind, f"tdt:pre_position={str(words).lower()}:protect_special=true")
    layer = method.modules["confidence"]
    with torch.no_grad():
        layer.weight.normal_(0, 1, generator=torch.Generator().manual_seed(0))
        module, e, axis = embeddings_and_layout(loaded.model, batch, words=words)
        mask = batch.inputs["attention_mask"]
        c = torch.sigmoid(e @ layer.weight[0] + layer.bias)[:, :, None]
        mean = torch.stack([e[row][mask[row] == 1].mean(0) for row in range(8)])[:, None]
        special = batch.special[:, :, None]
        positive = torch.where(special, e, c * e + (1 - c) * mean)
        negative = torch.where(special, e, (1 - c) * e)
        by_hand = [logits_of(loaded.model, batch)]
        by_hand += [with_embeddings(loaded.model, batch, module, each, axis) for each in (positive, negative)]
        ours, scores = method.branches(loaded.model, batch, 3)
        for one, other in zip(ours, by_hand, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        for first, second in ((0, 1), (0, 2), (1, 2)):
            assert (ours[first] - ours[second]).abs().max() > 1e-4
        torch.testing.assert_close(scores, c.squeeze(-1), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(method.confidence(loaded.model, batch), scores * mask)


@pytest.mark.parametrize("kind", KINDS)
def test_tdt_hard_puts_the_mask_token_in_place_of_dropped_ones(kind: str) -> None:
    """The positive variant is the text with [MASK] at dropped tokens, positions included."""
    method, loaded, batch = ready(kind, "tdt-hard")
    with torch.no_grad():
        ours, c = method.branches(loaded.model, batch, 2)
        real = batch.inputs["attention_mask"].bool()
        assert set(c[real].tolist()) == {0.0, 1.0}
        masked = dict(batch.inputs)
        masked["input_ids"] = batch.inputs["input_ids"].masked_fill((c == 0) & real, loaded.tokenizer.mask_token_id)
        torch.testing.assert_close(ours[1], loaded.model(**masked).logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ["r3f:eps=0.5", "cutoff:ratio=0.5", "freelb:magnitude=3", "smart:noise=0.5:radius=0.5"]
)
def test_edited_embeddings_reach_the_prediction(kind: str, text: str) -> None:
    """Without dropout, only the edit can change the loss."""
    method, loaded, batch = ready(kind, text)
    plain = torch.nn.functional.cross_entropy(logits_of(loaded.model, batch), batch.labels)
    assert abs(float((method.backward(loaded.model, batch) - plain).detach())) > 1e-4
    # and nothing stays behind
    after = torch.nn.functional.cross_entropy(logits_of(loaded.model, batch), batch.labels)
    assert torch.equal(plain, after)
