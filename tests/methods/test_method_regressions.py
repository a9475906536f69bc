"""Mistakes that methods once made, and guards around their fixes."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from robusteval.components.update_rules import adamax_direction, with_rule
from robusteval.errors import UserError
from robusteval.methods import METHODS, cutoff, post_training
from robusteval.methods.base import Context, Method, TrainingData
from robusteval.methods.childtuning import ChildD
from robusteval.methods.compose import attach, build_method
from robusteval.methods.mixout import Mixout
from robusteval.models.encoding import Batch, Collator
from robusteval.models.loading import LoadedModel
from robusteval.settings.codec import from_dict
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from support import tiny
from support.fitting import CPU, differing, fit, weights, with_mlm_head
from support.method_case import Case


def ready(text: str, *, dropout: float = 0.0, **settings: Any) -> tuple[Any, LoadedModel, Batch]:
    """A method after `setup`, its model in training mode, and one batch."""
    column = MethodConfig.parse(text)
    config = from_dict(TrainConfig, {"learning_rate": 1e-3, "batch_size": 8, **column.train, **settings})
    loaded, data = tiny.loaded(dropout=dropout), tiny.encoded(8)
    method: Method[Any] = build_method(column)
    method.bind(Context(CPU, 10, False, 7, lambda loss: loss.backward(), learning_rate=1e-3))
    attach(method, loaded.model)
    batch = Collator(loaded.tokenizer)(data, np.arange(8))
    method.setup(loaded.model, TrainingData(loaded.tokenizer, data, lambda epoch: iter([batch]), config))
    loaded.model.train()
    return method, loaded, batch


def overflowing_step(method: Any, loaded: LoadedModel, step: int, *, overflows: bool) -> None:
    """What the trainer does up to the optimizer, with gradients of 1, or of NaN where they overflow."""
    method.context.step, method.context.overflowed = step, overflows
    for parameter in loaded.model.parameters():
        parameter.grad = torch.full_like(parameter, math.nan if overflows else 1.0)
    method.before_step(step)
    if not overflows:
        method.after_step(step)


# ---- fp16 overflow ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["dps:ratio=0.2", "dps-mix:ratio=0.2", "dps:ratio=0.2:threshold=global"])
def test_an_overflowed_step_scores_nothing_in_dps(text: str) -> None:
    method, loaded, batch = ready(text)
    method.loss(loaded.model, batch)
    overflowing_step(method, loaded, 0, overflows=True)
    method.loss(loaded.model, batch)
    overflowing_step(method, loaded, 1, overflows=False)
    state = method.state_dict()
    assert all(torch.isfinite(score).all() for score in state["scores"].values())
    assert all(mask.any() for mask in state["masks"].values())
    if "counts" in state:
        assert max(int(count.max()) for count in state["counts"].values()) == 1


def test_decoupled_decay_waits_for_a_step_without_overflow() -> None:
    method, loaded, _ = ready("prior-wd:mode=decoupled:lam=10")
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(1.0)
    before = weights(loaded)
    overflowing_step(method, loaded, 0, overflows=True)
    assert differing(before, weights(loaded)) == []
    overflowing_step(method, loaded, 1, overflows=False)
    assert differing(before, weights(loaded)) != []


@pytest.mark.parametrize("text", ["bidrop:refresh=4", "bidrop:refresh=4:per_tensor=true", "bidrop:mask_scope=update"])
def test_bidrop_finds_its_threshold_after_an_overflow(text: str) -> None:
    method, loaded, batch = ready(text, dropout=0.1)
    method.backward(loaded.model, batch)
    overflowing_step(method, loaded, 0, overflows=True)
    before = weights(loaded)
    loaded.model.zero_grad()
    method.backward(loaded.model, batch)
    method.context.step, method.context.overflowed = 1, False
    method.before_step(1)
    method.after_step(1)
    assert all(torch.isfinite(threshold) for threshold in method.state_dict()["thresholds"])
    assert abs(float(method.logged["kept"]) - 0.3) < 0.02
    assert differing(before, weights(loaded)) == []


@pytest.mark.parametrize("text", ["child-f:mask_scope=update", "dps:mask_scope=update:ratio=0.1", "child-d"])
def test_what_an_overflowed_step_held_is_not_put_back_later(text: str) -> None:
    """The trainable weights of the next step move freely; nothing goes back to where it was two steps ago."""
    method, loaded, _ = ready(text)
    for step, overflows in ((0, False), (1, True)):
        overflowing_step(method, loaded, step, overflows=overflows)
    with torch.no_grad():
        loaded.model.classifier.weight.add_(1.0)
    moved = weights(loaded)
    overflowing_step(method, loaded, 2, overflows=False)
    assert differing(moved, weights(loaded)) == []


def test_own_rules_pass_an_overflowed_step_over() -> None:
    theta = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.AdamW([theta], lr=0.1)
    rule_ran: list[int] = []
    with_rule(optimizer, [theta], lambda p, state, group: rule_ran.append(len(adamax_direction(p, state, group))))
    theta.grad = torch.full((3,), math.nan)
    vars(optimizer)["found_inf"] = torch.ones(())
    for hook in optimizer._optimizer_step_pre_hooks.values():
        hook(optimizer, (), {})
    assert rule_ran == []
    assert optimizer.state[theta] == {}


# ---- setups, orders and ends -----------------------------------------------------------------------


class Shift(Method[Any]):
    """Stands in for a setup that moves the weights, like NoisyTune or post-training."""

    Settings = METHODS["vanilla"].Settings

    def setup(self, model: Any, data: TrainingData) -> None:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(1.0)


def test_child_d_keeps_what_later_setups_did() -> None:
    loaded = tiny.loaded()
    before = weights(loaded)
    fit("child-d+noisytune:lam=2", loaded=loaded, weight_decay=0.1)
    after = weights(loaded)
    blocks = [name for name in before if ".encoder.layer." in name and before[name].ndim > 1]
    untouched = sum(int((before[name] == after[name]).sum()) for name in blocks)
    assert untouched < 0.01 * sum(before[name].numel() for name in blocks)


def test_child_d_holds_the_weights_of_the_first_step() -> None:
    method, loaded, _ = ready("child-d")
    Shift().setup(loaded.model, None)  # type: ignore[arg-type]
    shifted = weights(loaded)
    overflowing_step(method, loaded, 0, overflows=False)
    assert differing(shifted, weights(loaded)) == []


@pytest.mark.parametrize("text", ["child-d+noisytune", "child-d:decay_masked=true+noisytune", "top-k:layers=1+child-d"])
def test_child_d_resumes_exactly_in_a_composition(text: str, tmp_path: Path) -> None:
    whole = fit(text, folder=tmp_path / "whole", max_steps=6, weight_decay=0.1)
    broken = build_method(MethodConfig.parse(text))
    step_of = broken.after_step

    def stop(step: int) -> None:
        step_of(step)
        if step == 3:
            raise KeyboardInterrupt

    broken.after_step = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        fit(text, folder=tmp_path / "parts", method=broken, max_steps=6, weight_decay=0.1)
    resumed = fit(text, folder=tmp_path / "parts", max_steps=6, weight_decay=0.1)
    assert differing(weights(whole), weights(resumed)) == []


def test_child_d_chooses_from_what_is_trained() -> None:
    method, _, _ = ready("top-k:layers=1+child-d:p=0.5")
    child = method.parts[1]
    assert isinstance(child, ChildD)
    masks = child.state_dict()["masks"]
    assert masks
    assert all(".layer.1." in name for name in masks)
    share = sum(int(mask.sum()) for mask in masks.values()) / sum(mask.numel() for mask in masks.values())
    assert abs(share - 0.5) < 0.01
    fit("top-k:layers=0+child-d", max_steps=2)


@pytest.mark.parametrize("order", ["rdrop+mixout:head_dropout=0.5", "mixout:head_dropout=0.5+rdrop"])
def test_rdrop_sees_the_dropout_that_mixout_sets(order: str) -> None:
    passes = []
    method, loaded, batch = ready(order)
    loaded.model.register_forward_hook(lambda module, inputs, output: passes.append(len(output.logits)))
    method.loss(loaded.model, batch)
    assert passes == [16]
    assert method.notices == []


@pytest.mark.parametrize("text", ["rdrop", "rdrop+noisytune", "bidrop", "bidrop+noisytune", "bidrop-random"])
def test_no_dropout_is_said(text: str) -> None:
    for dropout, count in ((0.0, 1), (0.1, 0)):
        method, loaded, batch = ready(text, dropout=dropout)
        for _ in range(2):
            method.backward(loaded.model, batch)
        assert len(method.notices) == count
        assert all("no dropout" in notice for notice in method.notices)


@pytest.mark.parametrize("name", METHODS.names())
def test_finish_is_safe_at_any_time(name: str) -> None:
    """Before setup, and twice after it; the model ends as a plain one."""
    if name == "post-training":
        return
    build_method(MethodConfig.parse(name)).finish(tiny.loaded().model)
    model = tiny.model()
    trained = [parameter.requires_grad for parameter in model.parameters()]
    text = f"{name}:layers=1:frozen_eval=true" if name == "top-k" else name
    method, loaded, _ = ready(text, dropout=0.1, **({"learning_rate": 1e-4} if name == "recadam" else {}))
    for _ in range(2):
        method.finish(loaded.model)
    assert [parameter.requires_grad for parameter in loaded.model.parameters()] == trained
    assert all("forward" not in vars(module) for module in loaded.model.modules())
    # the hook of a method that replaces the pooled vector is the trainer's to remove
    assert name == "match" or not any(module._forward_pre_hooks for module in loaded.model.modules())


def test_a_failed_setup_leaves_a_plain_model() -> None:
    loaded = tiny.loaded(dropout=0.2)
    with pytest.raises(UserError, match="masked-language-model head"):
        fit("mixout+top-k:layers=1+post-training", loaded=loaded)
    assert all("forward" not in vars(module) for module in loaded.model.modules())
    assert all(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.model.dropout.p == 0.2


# ---- rates, counts and schedules -------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.9, 0.99, 0.1])
@pytest.mark.parametrize("mask", ["column", "element"])
def test_the_mean_of_a_mixed_weight_is_the_weight(p: float, mask: str) -> None:
    method, _, _ = ready(f"mixout:p={p}:mask={mask}")
    assert isinstance(method, Mixout)
    method._anchors["wide"] = torch.zeros(1, 4_000_000)
    mixed = method._mixed("wide", torch.ones(1, 4_000_000))
    assert abs(float(mixed.mean()) - 1) < 4 * math.sqrt(p / (1 - p) / 4_000_000)


def test_the_columns_of_dps_mix_keep_their_mean() -> None:
    method, _, _ = ready("dps-mix:keep=0.1")
    method._anchors["wide"] = torch.zeros(1, 4_000_000)
    mixed = method._mixed("wide", torch.ones(1, 4_000_000))
    assert abs(float(mixed.mean()) - 1) < 4 * math.sqrt(9 / 4_000_000)


def test_mixout_of_nothing_is_vanilla() -> None:
    runs = [weights(fit(text, dropout=0.0)) for text in ("mixout:p=0", "vanilla")]
    assert differing(*runs) == []


@pytest.mark.parametrize("mode", ["token", "span", "dim"])
def test_cutoff_at_ratio_0_cuts_nothing(mode: str) -> None:
    assert cutoff.cut_count(torch.tensor([3, 30]), 0.0).tolist() == [0, 0]
    assert cutoff.cut_count(torch.tensor([3, 30]), 0.01).tolist() == [1, 1]
    method, loaded, batch = ready(f"cutoff:ratio=0:mode={mode}:js_weight=3")
    torch.testing.assert_close(method.loss(loaded.model, batch), 2 * Method.loss(method, loaded.model, batch))


def test_r3f_every_counts_steps() -> None:
    """Both passes of Bi-Drop and all micro-batches of a step are regularised, or none."""
    for text in ("bidrop+r3f:every=2", "r3f:every=2"):
        method, loaded, batch = ready(text)
        rows: list[int] = []
        loaded.model.register_forward_hook(lambda module, inputs, output, rows=rows: rows.append(len(output.logits)))
        for step in range(4):
            method.context.step = step
            for micro in batch.split(2):
                method.backward(loaded.model, micro)
            method.before_step(step)
        passes = len(rows) // 4
        assert rows == [4] * passes + [8] * passes + [4] * passes + [8] * passes


def test_the_schedule_of_post_training_reaches_its_peak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    set_rate = post_training.set_learning_rate

    def noted(optimizer: Any, rate: float) -> None:
        rates.append(rate)
        set_rate(optimizer, rate)

    monkeypatch.setattr(post_training, "set_learning_rate", noted)
    case = Case("post-training", "vanilla", needs_mlm=True)
    fit("post-training:steps=10:rate=1e-3:rise=0.5", loaded=with_mlm_head(case, tmp_path), max_steps=1)
    assert rates == pytest.approx([k / 5 * 1e-3 for k in (0, 1, 2, 3, 4, 5, 4, 3, 2, 1)])


def test_every_epoch_of_post_training_has_its_own_order() -> None:
    epochs: list[int] = []

    def batches(epoch: int, seed: int | None) -> Iterator[Batch]:
        epochs.append(epoch)
        yield from ()
        if epoch == 3:
            raise StopAsyncIteration

    data = TrainingData(None, None, batches, TrainConfig())  # type: ignore[arg-type]
    with pytest.raises(StopAsyncIteration):
        next(post_training._forever(data, None))
    assert epochs == [0, 1, 2, 3]


# ---- settings and notices --------------------------------------------------------------------------


def test_no_setting_is_shadowed_by_a_training_setting() -> None:
    """In `name:key=value` a key of TrainConfig is training's; a method's setting of that name could not be set."""
    training = {field.name for field in dataclasses.fields(TrainConfig)}
    for name in METHODS.names():
        assert not training & {field.name for field in dataclasses.fields(METHODS[name].Settings)}, name


@pytest.mark.parametrize("text", ["groupdro", "rdrop:kl_reduction=sum", "tdt:hinge=batch", "tdt-hard:hinge=batch"])
def test_a_coupled_batch_under_accumulation_is_said(text: str) -> None:
    for accumulation, count in ((1, 0), (2, 1)):
        method, _, _ = ready(text, dropout=0.1, accumulation=accumulation)
        assert len([notice for notice in method.notices if "2 of which make a batch" in notice]) == count
    for harmless in ("groupdro:groups=none", "rdrop", "tdt", "tdt:hinge=batch:beta=0"):
        assert ready(harmless, dropout=0.1, accumulation=2)[0].notices == []


def test_dps_mask_scope_update_leaves_masked_weights_in_place() -> None:
    """With weight decay, masked weights move in Stage II unless the update itself is masked."""

    name = "bert.encoder.layer.0.output.dense.weight"
    for scope, share in (("grad", 0.0), ("update", 0.3)):
        # stages of one step: step 0 scores, step 1 trains by the mask
        method = build_method(MethodConfig.parse(f"dps:ratio=0.25:mask_scope={scope}"))
        assert method.claims() == {"before_step"} | ({"after_step"} if scope == "update" else set())
        loaded, seen, before_step = tiny.loaded(dropout=0.0), [], method.before_step

        def look(
            step: int, loaded: Any = loaded, seen: list[Tensor] = seen, hook: Callable[[int], None] = before_step
        ) -> None:
            seen.append(weights(loaded)[name])
            hook(step)

        method.before_step = look  # type: ignore[method-assign]
        fit("dps", loaded=loaded, method=method, max_steps=4, warmup=0.0, weight_decay=0.5)
        still = [float((first == second).float().mean()) for first, second in itertools.pairwise(seen)]
        assert still == pytest.approx([0.0, share, 0.0], abs=0.01)


def test_child_f_may_mask_after_clipping() -> None:
    """The clipped gradient has norm 1; masking it then and dividing by p leaves entries times 1 / p or 0, once."""
    for optimizer_name in ("adamw", "adamax"):
        method, loaded, batch = ready("child-f:p=0.5:mask_before_clip=false", optimizer=optimizer_name)
        assert method.claims() == {"optimizer"}
        groups = [{"params": list(loaded.model.parameters()), "weight_decay": 0.0}]
        optimizer = method.optimizer(groups, from_dict(TrainConfig, {"optimizer": optimizer_name}))
        for step in range(2):
            method.context.step = step
            loaded.model.zero_grad()
            method.backward(loaded.model, batch)
            torch.nn.utils.clip_grad_norm_(loaded.model.parameters(), 1.0)
            before = [parameter.grad.clone() for parameter in loaded.model.parameters()]
            optimizer.step()
            kept = total = 0
            for one, parameter in zip(before, loaded.model.parameters(), strict=True):
                assert torch.equal(parameter.grad, torch.where(parameter.grad != 0, 2 * one, 0))
                kept += int((parameter.grad != 0).sum())
                total += int((one != 0).sum())
            assert abs(kept / total - 0.5) < 0.02
    with pytest.raises(UserError, match="both claim the optimizer hook"):
        build_method(MethodConfig.parse("child-f:mask_before_clip=false+sage"))
