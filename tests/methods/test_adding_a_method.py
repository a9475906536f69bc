"""The worked example of docs/adding-a-method.md, run as it stands there."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from robusteval import methods
from support import method_checks as checks
from support.method_case import Case
from support.places import DOCS

TEXT = (DOCS / "adding-a-method.md").read_text()
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
    checks.strength_zero_equals_vanilla(case, tmp_path / "a")
    checks.it_acts_and_repeats(case, tmp_path / "b")
    checks.padding_changes_nothing(case, tmp_path / "c")
    checks.resuming_is_exact(case, 1, tmp_path / "d")
    checks.regression_trains(case, False, tmp_path / "e")
    checks.accumulation(case, tmp_path / "f")
