"""What a process keeps for everybody is after a training as the caller left it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState

from robusteval.methods.compose import build_method
from robusteval.models.encoding import encode
from robusteval.models.loading import load_model
from robusteval.runtime import stopping
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.storage.reading import read_lines
from robusteval.training.trainer import TrainResult, train
from support.fitting import CPU

LABELS = np.asarray([0, 1] * 6)


@pytest.fixture(autouse=True)
def as_in_a_new_process() -> Iterator[None]:
    """Other tests leave what accelerate keeps for the process, as a program may."""
    forget()
    yield
    forget()


def forget() -> None:
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def trained(folder: Path, out: Path | None = None, steps: int = 2, seconds: float = 120) -> TrainResult:
    loaded = load_model(str(folder), labels=("bad", "good"), seed=0)
    rows = encode(loaded.tokenizer, [["a dull film", "a good film"] * 6], LABELS, max_length=16)
    config = TrainConfig(max_steps=steps, batch_size=4, accumulation=2)
    method = build_method(MethodConfig.parse("vanilla"))
    return train(
        loaded, rows, config, method, seed=1, device=CPU, folder=out, quiet=True, checkpoint_seconds=seconds
    )  # fmt: skip


def test_the_settings_of_accelerate_are_the_callers(tiny_folder: Path) -> None:
    own = Accelerator(cpu=True, mixed_precision="bf16", gradient_accumulation_steps=3)
    try:
        trained(tiny_folder)
        assert own.mixed_precision == "bf16" and own.state.mixed_precision == "bf16"
        assert own.gradient_accumulation_steps == 3
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()


def test_what_the_caller_accumulates_holds_no_step_back(tiny_folder: Path, tmp_path: Path) -> None:
    """A training in the middle of the caller's own accumulation moves the weights as any other does."""
    trained(tiny_folder, tmp_path / "alone")
    own = Accelerator(cpu=True, gradient_accumulation_steps=3)
    try:
        with own.accumulate(torch.nn.Linear(1, 1)):
            assert not own.sync_gradients
            trained(tiny_folder, tmp_path / "inside")
            assert not own.sync_gradients
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
    losses = [[line["loss"] for line in read_lines(tmp_path / name / "train.jsonl")] for name in ("alone", "inside")]
    assert losses[0] == losses[1]


def test_generators_are_the_callers_also_after_going_on(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "asked", lambda: True)
    with pytest.raises(KeyboardInterrupt):
        trained(tiny_folder, tmp_path, steps=4)
    monkeypatch.undo()
    assert (tmp_path / "state.safetensors").exists()
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[union-attr]
    assert trained(tiny_folder, tmp_path, steps=4).steps == 4
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # type: ignore[union-attr]
    assert after == before
