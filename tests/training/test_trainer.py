"""The training loop against transformers.Trainer, its schedule, selection, log and errors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from robusteval.components.optimizers import learning_rate_at, make_optimizer, set_learning_rate
from robusteval.errors import UserError
from robusteval.methods.base import task_loss
from robusteval.methods.compose import build_method
from robusteval.models.encoding import Collator
from robusteval.runtime.devices import pick_device
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.storage.reading import read_lines
from robusteval.training.order import BatchOrder
from robusteval.training.precision import pick_precision
from robusteval.training.state import load_state, save_state
from robusteval.training.trainer import train
from support import tiny
from support.fitting import CPU


def fit(config: TrainConfig, loaded: Any = None, **options: Any) -> Any:
    loaded = loaded or tiny.loaded()
    method = build_method(MethodConfig.parse("vanilla"))
    result = train(loaded, tiny.encoded(40), config, method, seed=1, device=CPU, quiet=True, **options)
    return loaded, result


class OurOrder(torch.utils.data.Sampler[list[int]]):
    """The batches of our trainer, for transformers.Trainer."""

    def __init__(self, order: BatchOrder, steps: int) -> None:
        self.batches = [order[step].tolist() for step in range(steps)]

    def __iter__(self) -> Any:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def test_losses_equal_those_of_transformers_trainer(tmp_path: Path) -> None:
    """Same data, batches, padding and settings, dropout off: 20 losses equal to 1e-5."""
    steps, data = 20, tiny.encoded(160)
    config = TrainConfig(max_steps=steps, batch_size=8, learning_rate=1e-3, warmup=0.1)
    ours = tiny.loaded(dropout=0.0)
    train(ours, data, config, build_method(MethodConfig()), seed=1, device=CPU, folder=tmp_path / "ours", quiet=True)
    losses = [line["loss"] for line in read_lines(tmp_path / "ours" / "train.jsonl")]

    collate = Collator(tiny.tokenizer())
    theirs = tiny.loaded(dropout=0.0).model
    recorded: list[float] = []

    class Recording(transformers.Trainer):
        def get_train_dataloader(self) -> Any:
            order = OurOrder(BatchOrder(data.lengths, 8, 1), steps)
            make = lambda rows: {**(b := collate(data, np.asarray(rows))).inputs, "labels": b.labels}  # noqa: E731
            return torch.utils.data.DataLoader(list(range(len(data))), batch_sampler=order, collate_fn=make)

        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            recorded.append(float(loss))
            return loss

    arguments = transformers.TrainingArguments(
        str(tmp_path / "theirs"), max_steps=steps, per_device_train_batch_size=8, learning_rate=1e-3, warmup_steps=2,
        weight_decay=0.01, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True, logging_steps=1000,
    )  # fmt: skip
    Recording(theirs, arguments, train_dataset=list(range(len(data)))).train()
    np.testing.assert_allclose(losses, recorded, atol=1e-5)


def test_schedule_by_hand() -> None:
    config = TrainConfig(warmup=0.2)
    rates = [learning_rate_at(step, 10, config, 1.0) for step in range(10)]
    assert rates == pytest.approx([0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    flat = TrainConfig(warmup=0.0)
    assert learning_rate_at(0, 4, flat, 2.0) == 2.0


def test_every_row_is_seen_once_per_epoch() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 1003)
    order = BatchOrder(lengths, 16, seed=5)
    for epoch in range(2):
        batches = order.epoch(epoch)
        assert sorted(np.concatenate(batches).tolist()) == list(range(1003))
        assert sorted({len(batch) for batch in batches}) == [11, 16]
    assert not np.array_equal(np.concatenate(order.epoch(0)), np.concatenate(order.epoch(1)))
    # any step can be asked for, in any order
    again = BatchOrder(lengths, 16, seed=5)
    assert np.array_equal(again[70], order[70])
    assert np.array_equal(again[3], order[3])
    # like lengths lie together: much less padding than a plain shuffle
    padded = lambda batches: sum(len(b) * lengths[b].max() for b in batches)  # noqa: E731
    plain = BatchOrder(lengths, 16, seed=5, bucket=False)
    assert padded(order.epoch(0)) < 0.7 * padded(plain.epoch(0))
    assert order.total_steps(1.5, None) == math.ceil(1.5 * 63)
    assert order.total_steps(1.5, 7) == 7


def test_the_log_has_a_line_per_step(tmp_path: Path) -> None:
    _, result = fit(TrainConfig(epochs=2, batch_size=8, learning_rate=1e-3), folder=tmp_path)
    lines = read_lines(tmp_path / "train.jsonl")
    assert [line["step"] for line in lines] == list(range(10))
    assert set(lines[0]) == {"step", "loss", "lr", "grad_norm", "seconds"}
    assert result.steps == 10
    assert result.peak_bytes > 0
    assert 0 < result.seconds_per_step < 10


def test_clipping_is_applied_before_the_step() -> None:
    settings: dict[str, Any] = {"max_steps": 2, "learning_rate": 1e-2, "optimizer": "adamax", "weight_decay": 0.0}
    free, _ = fit(TrainConfig(clip_norm=0, **settings))
    tight, _ = fit(TrainConfig(clip_norm=1e-9, **settings))
    start = tiny.model().state_dict()
    moved = [
        sum(float((value - start[name]).abs().sum()) for name, value in loaded.model.state_dict().items())
        for loaded in (free, tight)
    ]
    # Adamax divides by its running maximum, so only its eps of 1e-8 feels gradients this small
    assert moved[1] < 0.5 * moved[0]


def test_weight_decay_is_decoupled_for_both_optimizers() -> None:
    """theta = 2, g = 0.5, rate 0.1, decay 0.1: 2 - 0.1 * 0.1 * 2, then a first step of size rate (Adam and Adamax)."""
    for name in ("adamw", "adamax"):
        parameter = torch.nn.Parameter(torch.tensor([2.0]))
        optimizer = make_optimizer([{"params": [parameter], "weight_decay": 0.1}], TrainConfig(optimizer=name), CPU)
        set_learning_rate(optimizer, 0.1)
        parameter.grad = torch.tensor([0.5])
        optimizer.step()
        assert parameter.item() == pytest.approx(2 - 0.02 - 0.1, abs=1e-5)
        assert optimizer.param_groups[0]["weight_decay"] == 0.1


def test_select_best_keeps_the_best_dev_score(tmp_path: Path) -> None:
    scores = iter([0.2, 0.9, float("nan"), 0.5])
    seen: list[dict[str, torch.Tensor]] = []

    def dev_score(model: Any) -> float:
        seen.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return next(scores)

    config = TrainConfig(epochs=4, batch_size=8, learning_rate=1e-3, select="best")
    loaded, result = fit(config, dev_score=dev_score)
    assert (result.selected_step, result.selected_score) == (9, 0.9)
    assert all(torch.equal(tensor, seen[1][name]) for name, tensor in loaded.model.state_dict().items())
    with pytest.raises(UserError, match="select: 'best' needs a dev split"):
        fit(config)


def test_divergence_is_a_clear_error(tmp_path: Path) -> None:
    loaded = tiny.loaded()
    with torch.no_grad():
        loaded.model.classifier.weight.fill_(float("inf"))
    with pytest.raises(UserError, match=r"learning_rate: the loss is (nan|inf) at step 0"):
        fit(TrainConfig(max_steps=2), loaded, folder=tmp_path)


def test_devices_and_precisions() -> None:
    assert pick_device("cpu") == CPU
    with pytest.raises(UserError, match="device: 'gpu' is no device"):
        pick_device("gpu")
    assert pick_precision("auto", CPU) == "fp32"
    with pytest.raises(UserError, match="'fp16' needs a CUDA device"):
        pick_precision("fp16", CPU)
    with pytest.raises(UserError, match="track: unknown tracker 'board'"):
        fit(TrainConfig(max_steps=1), track="board")


def test_bf16_trains_in_mixed_precision() -> None:
    exact, _ = fit(TrainConfig(max_steps=3, learning_rate=1e-3))
    mixed, result = fit(TrainConfig(max_steps=3, learning_rate=1e-3, precision="bf16"))
    assert result.precision == "bf16"
    weights = mixed.model.classifier.weight
    assert weights.dtype == torch.float32
    assert not torch.equal(weights, exact.model.classifier.weight)
    # the model is left without the wrapper that casts
    assert mixed.model(**tiny.tokenizer()("good", return_tensors="pt")).logits.dtype == torch.float32


def test_losses_by_hand() -> None:
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert task_loss(logits, torch.tensor([0, 0])).item() == pytest.approx((0.313262 + 1.313262) / 2, abs=1e-6)
    assert task_loss(logits[:, :1], torch.tensor([0.0, 3.0])).item() == pytest.approx((1 + 9) / 2)
    assert task_loss(logits, torch.tensor([0, 1]), "none").shape == (2,)


def test_state_files_round_trip(tmp_path: Path) -> None:
    shared = torch.arange(3.0)
    state = {"a": shared, "b": [shared, (1, 2.5, None, "x", True)], 3: {"deep": torch.tensor(1, dtype=torch.uint8)}}
    save_state(tmp_path / "state.safetensors", state)
    back = load_state(tmp_path / "state.safetensors")
    assert torch.equal(back["a"], shared)
    assert back["b"][1] == (1, 2.5, None, "x", True)
    assert back[3]["deep"].dtype == torch.uint8
    with pytest.raises(TypeError, match="cannot hold a set"):
        save_state(tmp_path / "bad.safetensors", {"a": {1}})
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]
