"""Hand-computed numbers and stated facts of the methods that change the loss or the representation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from robusteval.components.divergence import jensen_shannon, kl, log_odds_distance
from robusteval.components.embeddings import per_token
from robusteval.errors import UserError
from robusteval.methods import METHODS, cutoff, freelb, groupdro, match, r3f, rdrop, smart, tdt
from robusteval.methods.base import Context, Method, TrainingData, task_loss
from robusteval.methods.compose import attach, build_method
from robusteval.models.encoding import Batch, Collator
from robusteval.models.loading import LoadedModel
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from support import tiny
from support.fitting import CPU, differing, fit, weights
from support.places import DOCS


def t(*values: Any) -> Tensor:
    return torch.tensor(values)


P, Q = t([1.0, 0.0]), t([0.0, 0.0])
ZERO = t(0)


def r3f_numbers(**settings: Any) -> dict[str, Any]:
    return {"ce": task_loss(P, ZERO), "kl": kl(P, Q), "lk": kl(Q, P), "loss": r3f.r3f_loss(P, Q, ZERO, **settings)}


def rdrop_numbers(**settings: Any) -> dict[str, Any]:
    twice = [logits.repeat(2, 1) for logits in (P, Q)]
    return {
        "loss": rdrop.r_drop_loss(P, Q, ZERO, **settings),
        "of two rows": rdrop.r_drop_loss(*twice, ZERO.repeat(2), **settings),
        "of scores": rdrop.r_drop_loss(t([1.0]), t([3.0]), t(2.0), **settings),
    }


def cutoff_numbers(**settings: Any) -> dict[str, Any]:
    return {"js": jensen_shannon(P, Q, **settings), "tokens": cutoff.cut_count(t(11, 30, 9), 0.1)}


def freelb_numbers(**settings: Any) -> dict[str, Any]:
    delta = freelb.ascend(torch.zeros(1, 1, 2), t([[3.0, 4.0]]), **settings)
    return {"delta": delta.flatten(), "again": freelb.ascend(delta, t([[3.0, 4.0]]), **settings).flatten()}


def smart_numbers(**settings: Any) -> dict[str, Any]:
    delta, gradient = t([[0.0, 0.05]]), t([[3.0, -4.0]])
    return {"delta": smart.ascend(delta, gradient, **settings).flatten()}


def stable_numbers() -> dict[str, Any]:
    """Log-odds of softmax((1, 0)) are 1 and -1, of the uniform 0: 2 (0.731059 - 0.268941) but for the eps."""
    twice = [logits.repeat(2, 1) for logits in (P, Q)]
    return {
        "divergence": log_odds_distance(P, Q),
        "sum": smart.climbed(*twice, ascent="stable"),
        "detached": smart.divergence(P, Q, detach=True),
    }


def groupdro_numbers(**settings: Any) -> dict[str, Any]:
    means = groupdro.group_losses(t(1.0, 2.0, 1.0), t(0, 1, 0), 2)
    q = groupdro.update_weights(t(0.5, 0.5), means, **settings)
    return {"q": q, "loss": q @ means, "absent": groupdro.group_losses(t(1.0, 3.0), t(2, 2), 3)}


def tdt_numbers(**settings: Any) -> dict[str, Any]:
    c, e, mu0 = t(0.25, 0.75), t([1.0, 0.0], [3.0, 2.0]), t(2.0, 1.0)
    logits, positive, negative = t([2.0, 0.0]), t([1.0, 0.0]), t([0.0, 0.0])
    return {
        "e+": tdt.distilled(e, c, mu0).flatten(),
        "e-": tdt.negative(e, c).flatten(),
        "norm": tdt.penalty(t([0.6, 0.8, 5.0]), t([True, True, False])),
        "rms": tdt.penalty(t([0.6, 0.8, 5.0]), t([True, True, False]), "rms"),
        "P+ P": kl(positive, logits),
        "P- P": kl(negative, logits),
        "P- P+": kl(negative, positive),
        "loss": tdt.triplet_loss(logits, positive, negative, **settings),
    }


def hinge_numbers(**settings: Any) -> dict[str, Any]:
    """Scores, for which d is a squared difference: the arguments of the hinge are 1 and -3."""
    same, apart = t([0.0], [0.0]), t([0.0], [math.sqrt(2)])
    return {"loss": tdt.triplet_loss(same, same, apart, 1.0, **settings)}


def match_numbers(h: Tensor, labels: Tensor | None = None, keep: str = "all", **settings: Any) -> dict[str, Any]:
    reading = {key: settings.pop(key) for key in ("literal", "keep_self") if key in settings}
    mask = None if labels is None else match.neighbour_mask(labels, keep, **reading)
    matrix = match.matching_matrix(h, mask=mask, **settings)
    return {"row": matrix[0], "z": (matrix @ h)[0]}


TWO, THREE, Y = t([1.0, 0.0], [0.0, 1.0]), t([1.0, 0.0], [0.0, 1.0], [1.0, 1.0]), t(0, 1, 0)

# (what computes it, settings, facts)
NUMBERS: list[tuple[Callable[..., dict[str, Any]], dict[str, Any], dict[str, Any]]] = [
    (r3f_numbers, {}, {"ce": 0.313262, "kl": 0.110944, "lk": 0.120115, "loss": 0.544320}),
    (r3f_numbers, {"weight": 0.0}, {"loss": 0.313262}),
    (rdrop_numbers, {}, {"loss": 1.121938, "of two rows": 1.121938, "of scores": 1 + 1 + 4}),
    (rdrop_numbers, {"ce_scale": 0.5}, {"loss": 0.618734}),
    (rdrop_numbers, {"kl_reduction": "sum"}, {"loss": 1.121938, "of two rows": 1.121938 + 0.115529}),
    # the released code for BERT and for RoBERTa, whose divergence is a sum; for scores it is a mean
    (rdrop_numbers, {"alpha": 0.5, "kl_reduction": "sum"}, {"loss": 1.064174, "of two rows": 1.121938}),
    (
        rdrop_numbers,
        {"ce_passes": "first", "ce_scale": 0.5, "alpha": 0.7, "kl_reduction": "sum"},
        {"loss": 0.237501, "of two rows": 0.318372},
    ),
    (rdrop_numbers, {"ce_passes": "first", "ce_scale": 0.5, "alpha": 0.8}, {"of scores": 0.5 + 0.8 * 4}),
    (cutoff_numbers, {}, {"js": 0.028535, "tokens": [1, 3, 1]}),
    (cutoff_numbers, {"reverse": True}, {"js": 0.029229}),
    (freelb_numbers, {"adv_lr": 0.1}, {"delta": [0.06, 0.08], "again": [0.12, 0.16]}),
    (freelb_numbers, {"adv_lr": 0.1, "max_norm": 0.05}, {"delta": [0.03, 0.04], "again": [0.03, 0.04]}),
    (stable_numbers, {}, {"divergence": 0.924234, "sum": 2 * 0.924234, "detached": 0.231059}),
    (smart_numbers, {"step_size": 0.1, "radius": 1.0}, {"delta": [0.075, -0.05]}),
    (smart_numbers, {"step_size": 0.1, "radius": 0.06}, {"delta": [0.06, -0.05]}),
    (smart_numbers, {"step_size": 0.1, "radius": 0.06, "unit": True}, {"delta": [0.3 / 0.350001, -0.35 / 0.350001]}),
    (groupdro_numbers, {"eta": 0.01}, {"q": [0.497500, 0.502500], "loss": 1.502500, "absent": [0, 0, 2]}),
    (groupdro_numbers, {"eta": 0.0}, {"q": [0.5, 0.5], "loss": 1.5}),
    (tdt_numbers, {"margin": 0.0}, {"e+": [1.75, 0.75, 2.75, 1.75], "e-": [0.75, 0, 0.75, 0.5], "norm": 1.0}),
    (tdt_numbers, {"margin": 0.0}, {"rms": 1 / math.sqrt(2), "loss": 0.0}),
    (tdt_numbers, {"margin": 2.0}, {"P+ P": 0.082608, "P- P": 0.433781, "P- P+": 0.120115, "loss": 1.528712}),
    (
        tdt_numbers,
        {"margin": 2.0, "kl_dir": "code", "neg_weight": 0.5, "mean_over_classes": True, "hinge": "batch"},
        {"loss": 1.923876},
    ),
    (hinge_numbers, {}, {"loss": 0.5}),
    (hinge_numbers, {"hinge": "batch"}, {"loss": 0.0}),
    (match_numbers, {"h": TWO}, {"row": [0.731059, 0.268941], "z": [0.731059, 0.268941]}),
    (match_numbers, {"h": TWO, "temperature": 2.0}, {"row": [0.622459, 0.377541]}),
    (match_numbers, {"h": t([3.0, -2.0])}, {"row": [1.0], "z": [3.0, -2.0]}),
    (match_numbers, {"h": THREE}, {"row": [0.422319, 0.155362, 0.422319], "z": [0.844638, 0.577681]}),
    (match_numbers, {"h": THREE, "labels": Y, "keep": "positive"}, {"z": [0.844638, 0.422319]}),
    (match_numbers, {"h": THREE, "labels": Y, "keep": "positive", "renormalize": True}, {"row": [0.5, 0, 0.5]}),
    (match_numbers, {"h": THREE, "labels": Y, "keep": "negative"}, {"z": [0.422319, 0.155362]}),
    (match_numbers, {"h": THREE, "labels": Y, "keep": "negative", "keep_self": False}, {"z": [0, 0.155362]}),
    (match_numbers, {"h": THREE, "labels": Y, "keep": "negative", "literal": True}, {"z": [-0.422319, -0.422319]}),
    # a low temperature is not the identity: the longest vector wins
    (match_numbers, {"h": t([1.0, 0.0], [3.0, 0.0]), "temperature": 0.01}, {"row": [0, 1], "z": [3, 0]}),
]


@pytest.mark.parametrize(("compute", "settings", "facts"), NUMBERS)
def test_numbers(compute: Callable[..., dict[str, Any]], settings: dict[str, Any], facts: dict[str, Any]) -> None:
    got = compute(**settings)
    for name, expected in facts.items():
        np.testing.assert_allclose(np.squeeze(got[name]), np.squeeze(expected), atol=2e-6, err_msg=name)


def ready(
    text: str, *, dropout: float | None = 0.0, regression: bool = False, rows: int = 8
) -> tuple[Any, LoadedModel, Batch]:
    """A method after `setup`, its model in training mode, and one batch."""
    loaded = tiny.loaded(num_labels=1 if regression else 2, dropout=dropout)
    data = tiny.encoded(16, regression=regression)
    method: Method[Any] = build_method(MethodConfig.parse(text))
    method.bind(Context(CPU, 10, regression, 7, lambda loss: loss.backward()))
    attach(method, loaded.model)
    batch = Collator(loaded.tokenizer)(data, np.arange(rows))
    method.setup(loaded.model, TrainingData(loaded.tokenizer, data, lambda epoch: iter([batch]), TrainConfig()))
    loaded.model.train()
    return method, loaded, batch


def gradients(text: str, **settings: Any) -> list[Tensor]:
    """The loss and every gradient of one step."""
    method, loaded, batch = ready(text, **settings)
    loss = method.backward(loaded.model, batch)
    return [loss, *(p.grad for p in loaded.model.parameters() if p.grad is not None)]


# (method, another method, factor): without dropout, one gives `factor` times the other's loss and gradient
SAME = [
    ("r3f:eps=0", "vanilla", 1.0),
    ("r3f:eps=0:shared_dropout=true", "vanilla", 1.0),
    ("rdrop", "vanilla", 2.0),
    ("rdrop:ce_scale=0.5", "vanilla", 1.0),
    ("rdrop:ce_passes=first", "vanilla", 1.0),
    ("cutoff:ratio=0:ce_weight=0", "vanilla", 1.0),
    ("cutoff:ratio=0:mode=span:clean_ce=false", "vanilla", 1.0),
    ("cutoff:ratio=0", "vanilla", 2.0),
    ("freelb:magnitude=0:adv_lr=0", "vanilla", 1.0),
    ("tdt:gamma=0", "tdt:gamma=0:norm=rms", 1.0),
]


@pytest.mark.parametrize(("text", "other", "factor"), SAME)
def test_neutral_settings(text: str, other: str, factor: float) -> None:
    for one, two in zip(gradients(text), gradients(other), strict=True):
        torch.testing.assert_close(one, factor * two, rtol=1e-4, atol=1e-6)


# (method, the fallback that is documented for scores)
SCORES = [
    ("r3f", "vanilla"),
    ("groupdro", "vanilla"),
    ("cutoff", "cutoff:js_weight=0"),
    ("tdt", "tdt:beta=0"),
    ("tdt:alpha=0", "vanilla"),
]


@pytest.mark.parametrize(("text", "fallback"), SCORES)
def test_fallbacks_for_scores_are_exact(text: str, fallback: str) -> None:
    runs = [weights(fit(each, regression=True, max_steps=3)) for each in (text, fallback)]
    assert differing(*runs) == []


def test_the_noise_of_r3f_alone_is_tiny_beside_dropout() -> None:
    """At eps 1e-5 the released form measures dropout; with shared dropout the divergence is of the noise."""
    values = []
    for text in ("r3f", "r3f:shared_dropout=true"):
        torch.manual_seed(1)
        method, loaded, batch = ready(text, dropout=0.1)
        plain = method.loss(loaded.model, batch)
        torch.manual_seed(1)
        method, loaded, batch = ready(f"{text}:weight=3", dropout=0.1)
        noised = method.loss(loaded.model, batch)
        values.append(float((noised - plain).detach()))
    assert abs(values[1]) < 1e-6 < 1e-4 < values[0]


def test_r3f_every_other_step() -> None:
    method, loaded, batch = ready("r3f:every=2:eps=0.3")
    plain = task_loss(loaded.model(**batch.inputs).logits, batch.labels).detach()
    losses = []
    for step in range(4):
        method.context.step = step
        losses.append(float(method.loss(loaded.model, batch).detach()))
    assert losses[0] == losses[2] == float(plain)
    assert losses[1] > losses[0]
    assert losses[3] > losses[0]


def test_noise_at_a_token_does_not_depend_on_padding() -> None:
    values = torch.arange(1.0, 9.0).reshape(1, 4, 2)
    short = per_token(values, t([True, True, True]))
    left = per_token(values, t([False, False, True, True, True]))
    assert torch.equal(short, values[:, :3])
    assert torch.equal(left[:, 2:], short)
    assert not left[:, :2].any()


def test_cut_tokens_are_distinct_and_eligible() -> None:
    eligible = t([False, True, True, True, True, False, False], [True] * 7)
    draws, counts = torch.rand(2, 7), t(3, 2)
    cut = cutoff.cut_tokens(draws, eligible, counts)
    assert cut.sum(1).tolist() == [3, 2]
    assert not (cut & ~eligible).any()
    loose = cutoff.cut_tokens(draws, eligible, counts, replacement=True)
    assert (loose.sum(1) <= counts).all()
    assert (loose.sum(1) >= 1).all()
    assert not (loose & ~eligible).any()
    for start, expected in ((0.0, [1, 2, 3]), (0.999, [2, 3, 4])):
        assert cutoff.cut_span(t(start, start), eligible, counts)[0].nonzero().flatten().tolist() == expected
    # all that may be cut is cut where more is asked for
    assert cutoff.cut_tokens(draws, eligible, t(9, 9)).equal(eligible)
    assert cutoff.cut_span(draws[:, 0], eligible, t(9, 9)).equal(eligible)


def test_groups_come_from_the_task_or_the_labels() -> None:
    method, loaded, batch = ready("groupdro:eta=0:adjustment=1")
    logits = loaded.model(**batch.inputs).logits
    each = task_loss(logits, batch.labels, "none")
    balanced = (each[batch.labels == 0].mean() + each[batch.labels == 1].mean()) / 2
    torch.testing.assert_close(method.loss(loaded.model, batch), balanced)
    method, loaded, batch = ready("groupdro:eta=1")
    before = method.state_dict()["q"]
    method.loss(loaded.model, batch)
    assert not torch.equal(method.state_dict()["q"], before)


def test_the_confidence_layer_stays_without_gradient_at_strength_zero() -> None:
    for text, trained in (
        ("tdt:alpha=0:beta=0:gamma=1", False),
        ("tdt:beta=0", True),
        ("tdt-hard:alpha=0:margin=2", True),
    ):
        method, loaded, batch = ready(text)
        method.backward(loaded.model, batch)
        assert [p.grad is not None for p in method.modules.parameters()] == [trained] * 2
        if trained:
            assert all(float(p.grad.abs().sum()) > 0 for p in method.modules.parameters())


def test_confidence_scores() -> None:
    """Between 0 and 1, 0 at padding, the same from the saved layer; the layer is no part of the checkpoint."""
    for text in ("tdt", "tdt-hard", "tdt:pre_position=true"):
        method, loaded, batch = ready(text, dropout=0.1)
        scores = method.confidence(loaded.model, batch)
        real = batch.inputs["attention_mask"].bool()
        assert scores.shape == real.shape
        assert loaded.model.training
        assert ((scores > 0) & (scores < 1) == real).all()
        assert torch.equal(scores, method.confidence(loaded.model, batch))
        kept = {f"confidence.{when}{name}" for when in ("", "start_") for name in ("weight", "bias")}
        assert set(method.modules.state_dict()) == kept
        assert len(list(method.modules.parameters())) == 2
        assert not any("confidence" in name for name in loaded.model.state_dict())


def test_the_mean_embedding_leaves_padding_out_unless_told() -> None:
    losses = {}
    for text in ("tdt:beta=0", "tdt:beta=0:include_pads=true"):
        for extra in (0, 9):
            method, loaded, batch = ready(text)
            batch.inputs = {key: torch.nn.functional.pad(value, (0, extra)) for key, value in batch.inputs.items()}
            batch.special = torch.nn.functional.pad(batch.special, (0, extra), value=True)
            losses[text, extra] = float(method.loss(loaded.model, batch).detach())
    assert losses["tdt:beta=0", 0] == pytest.approx(losses["tdt:beta=0", 9], abs=1e-6)
    coded = "tdt:beta=0:include_pads=true"
    assert losses[coded, 0] != pytest.approx(losses[coded, 9], abs=1e-5)


def test_gumbel_argmax_is_hard_and_has_a_gradient() -> None:
    logits = t([[4.0, -4.0], [-4.0, 4.0]]).requires_grad_()
    c = tdt.gumbel_argmax(logits, torch.full((1, 2, 2), 0.5))
    assert c.tolist() == [[0.0, 1.0]]
    c.sum().backward()
    assert logits.grad is not None
    assert (logits.grad[..., 1] > 0).all()
    drawn = tdt.gumbel_argmax(torch.zeros(4000, 2), torch.rand(4000, 2, generator=torch.Generator().manual_seed(0)))
    assert set(drawn.tolist()) == {0.0, 1.0}
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.03)


def test_match_composes_with_every_loss() -> None:
    """Each branch builds its own matrix; the divergence is then of composite predictions."""
    for text in (
        "match+r3f",
        "match+tdt",
        "match+freelb",
        "match+groupdro",
        "match+rdrop",
        "match+cutoff",
        "match+smart",
    ):
        ours, plain = (weights(fit(each, max_steps=2)) for each in (text, text.split("+")[1]))
        assert differing(ours, plain) != []
    with pytest.raises(UserError, match="both claim the loss hook"):
        build_method(MethodConfig.parse("tdt+r3f"))
    assert METHODS["double-batch"].TRAIN == {"batch_size": 32}


PAGES = ["vanilla", "match", "tdt", "tdt-hard", "r3f", "rdrop", "cutoff", "freelb", "smart", "groupdro", "double-batch"]


@pytest.mark.parametrize("name", PAGES)
def test_its_page_names_every_setting(name: str) -> None:
    page = (DOCS / "methods" / f"{name}.md").read_text(encoding="utf-8")
    for setting in dataclasses.fields(METHODS[name].Settings):
        assert f"`{setting.name}`" in page


WRONG = [
    "tdt:alpha=-1", "tdt:mu0=median", "tdt:norm=l3", "tdt-hard:tau=0", "tdt-hard:neg_fill=mask:mu0=vocab_mean",
    "r3f:eps=-1", "r3f:every=0", "rdrop:ce_scale=0", "rdrop:ce_passes=second", "cutoff:ratio=2", "cutoff:mode=word",
    "freelb:steps=0", "smart:projection=cube", "groupdro:eta=-1", "groupdro:groups=mine",
]  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_wrong_settings_are_named(text: str) -> None:
    name, setting, *_ = text.split(":")
    with pytest.raises(UserError, match=f"^{name}:{setting.split('=')[0]}"):
        build_method(MethodConfig.parse(text))
