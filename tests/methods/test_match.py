"""MATCH-TUNING beyond the hand-computed numbers: precision, degenerate masks, its forewarning."""

from __future__ import annotations

import math

import pytest
import torch

from robusteval.errors import UserError
from robusteval.methods.base import Context
from robusteval.methods.compose import build_method
from robusteval.methods.match import composite, mass_warning, matching_matrix, neighbour_mask
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.training.trainer import train
from support import tiny


def test_the_matrix_is_fp32_under_mixed_precision() -> None:
    torch.manual_seed(0)
    h = torch.randn(16, 256)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, inside = matching_matrix(h, 20.0), composite(h, 20.0)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, matching_matrix(h, 20.0))
    assert torch.equal(inside, composite(h, 20.0))
    assert composite(h.bfloat16()).dtype == torch.bfloat16


def test_a_row_without_neighbours_keeps_itself() -> None:
    labels = torch.tensor([1, 1, 0])
    mask = neighbour_mask(labels[:2], "negative", keep_self=False)
    h = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert torch.equal(matching_matrix(h, 1.0, mask, renormalize=True), torch.eye(2))
    # renormalised positive neighbours: rows sum to 1 and other labels have no mass
    matrix = matching_matrix(torch.randn(3, 4), 1.0, neighbour_mask(labels, "positive"), renormalize=True)
    torch.testing.assert_close(matrix.sum(1), torch.ones(3))
    assert matrix[0, 2] == 0
    with pytest.raises(UserError, match="cannot go with literal=true"):
        build_method(MethodConfig.parse("match:literal=true:renormalize=true"))


def test_the_masses_that_are_logged_by_hand() -> None:
    """Labels 1, 0, 1 and dot products of 1 between the first two alone: rows of (e, e, 1) and (1, 1, e)."""
    method = build_method(MethodConfig.parse("match"))
    method.bind(Context(torch.device("cpu"), 1, False, 0, lambda loss: None))
    method.context.labels = torch.tensor([1, 0, 1])
    h = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    method.representation(h, h)
    near, far = 2 * math.e + 1, math.e + 2
    assert {name: float(value) for name, value in method.log().items()} == {
        "mass_self": pytest.approx((2 * math.e / near + math.e / far) / 3),
        "mass_same": pytest.approx((1 / near + 1 / far) / 3),
        "mass_other": pytest.approx((math.e / near + (math.e + 1) / near + 1 / far) / 3),
    }


def test_a_matrix_that_cannot_work_is_foretold() -> None:
    assert "almost the batch mean" in str(mass_warning(0.06, 16))
    assert "no effect" in str(mass_warning(0.9999, 16))
    assert mass_warning(0.3, 16) is None
    method = build_method(MethodConfig.parse("match:temperature=1e6"))
    config = TrainConfig(max_steps=1, batch_size=8, accumulation=2, learning_rate=1e-3)
    result = train(tiny.loaded(), tiny.encoded(16), config, method, seed=0, device=torch.device("cpu"), quiet=True)
    notices = " ".join(result.notices)
    assert "matched within a micro-batch, 2 of which make a batch" in notices
    assert "almost the batch mean" in notices


def test_an_interrupted_training_leaves_the_model_usable() -> None:
    loaded = tiny.loaded()
    before = loaded.model(**loaded.tokenizer("good film", return_tensors="pt")).logits
    method = build_method(MethodConfig.parse("match"))

    def stop(step: int) -> None:
        raise KeyboardInterrupt

    method.before_step = stop  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        train(
            loaded, tiny.encoded(16), TrainConfig(max_steps=1), method, seed=0, device=torch.device("cpu"), quiet=True
        )
    assert not loaded.model.training
    assert torch.equal(loaded.model(**loaded.tokenizer("good film", return_tensors="pt")).logits, before)
