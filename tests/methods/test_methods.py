"""The checks that every method passes, driven by one table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robusteval.evaluation.predict import Predictor
from robusteval.storage.reading import read_lines
from support import method_checks as checks
from support import tiny
from support.fitting import fit
from support.method_case import Case
from support.method_table import CASES

EVERY = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


@EVERY
def test_strength_zero_equals_vanilla_bit_for_bit(case: Case, tmp_path: Path) -> None:
    checks.strength_zero_equals_vanilla(case, tmp_path)


@EVERY
def test_it_acts_and_repeats_exactly(case: Case, tmp_path: Path) -> None:
    checks.it_acts_and_repeats(case, tmp_path)


@EVERY
def test_padding_changes_nothing(case: Case, tmp_path: Path) -> None:
    checks.padding_changes_nothing(case, tmp_path)


@EVERY
def test_evaluation_is_independent_of_batch_mates(case: Case, tmp_path: Path) -> None:
    checks.evaluation_is_independent_of_batch_mates(case, tmp_path)


@EVERY
@pytest.mark.parametrize("at", [1, 4])
def test_resuming_is_exact(case: Case, at: int, tmp_path: Path) -> None:
    checks.resuming_is_exact(case, at, tmp_path)


@EVERY
@pytest.mark.parametrize("pairs", [False, True])
def test_regression_trains(case: Case, pairs: bool, tmp_path: Path) -> None:
    checks.regression_trains(case, pairs, tmp_path)


def test_the_loss_of_scores_is_the_mean_squared_error(tmp_path: Path) -> None:
    loaded, data = tiny.loaded(num_labels=1, dropout=0.0), tiny.encoded(8, regression=True)
    scores = Predictor(loaded.model, loaded.tokenizer).encoded(data).reshape(-1)
    fit("vanilla", loaded=loaded, rows=8, regression=True, dropout=0.0, max_steps=1, folder=tmp_path)
    assert read_lines(tmp_path / "train.jsonl")[0]["loss"] == pytest.approx(np.mean((scores - data.labels) ** 2))


@EVERY
def test_accumulation(case: Case, tmp_path: Path) -> None:
    checks.accumulation(case, tmp_path)


@EVERY
def test_the_saved_checkpoint_is_plain(case: Case, tmp_path: Path) -> None:
    checks.the_saved_checkpoint_is_plain(case, tmp_path)


@EVERY
@pytest.mark.parametrize("kind", [kind for kind in tiny.CONFIGS if kind != "bert"])
def test_every_architecture_trains(case: Case, kind: str, tmp_path: Path) -> None:
    checks.every_architecture_trains(case, kind, tmp_path)
