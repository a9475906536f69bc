"""The worked example of docs/adding-a-method.md, run as it stands there."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import test_methods
import torch
from method_case import Case

from robusteval import methods

TEXT = (Path(__file__).resolve().parent.parent / "docs" / "adding-a-method.md").read_text()
FILE, REGISTRATION, ROW = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def case() -> Iterator[Case]:
    """The example's module, registration line and table row, as a reader would add them."""
    name = "robusteval.methods.label_smoothing"
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(FILE, name, "exec"), module.__dict__)
    exec(REGISTRATION, {"_register": methods._register})
    yield eval(ROW, {"Case": Case})
    del sys.modules[name], methods.METHODS._entries["label-smoothing"]


def test_the_equation_by_hand(case: Case) -> None:
    smoothed = sys.modules["robusteval.methods.label_smoothing"].smoothed
    # cross entropy .313262; mean of -log p over both classes (.313262 + 1.313262) / 2 = .813262
    value = smoothed(torch.tensor([[1.0, 0.0]]), torch.tensor([0]), 0.1)
    assert value.item() == pytest.approx(0.9 * 0.313262 + 0.1 * 0.813262, abs=1e-6)


def test_the_example_passes_the_shared_checks(case: Case, tmp_path: Path) -> None:
    test_methods.test_strength_zero_equals_vanilla_bit_for_bit(case, tmp_path / "a")
    test_methods.test_it_acts_and_repeats_exactly(case, tmp_path / "b")
    test_methods.test_padding_changes_nothing(case, tmp_path / "c")
    test_methods.test_resuming_is_exact(case, 1, tmp_path / "d")
    test_methods.test_regression_trains(case, False, tmp_path / "e")
    test_methods.test_accumulation(case, tmp_path / "f")
