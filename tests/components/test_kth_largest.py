"""The k-th largest score: exact, in any chunks and by either way."""

from __future__ import annotations

import math

import pytest
import torch

from robusteval.components.kth_largest import _by_candidates, _by_digits, chunks, kth_largest
from support.fitting import differing, fit, weights


def test_threshold_is_the_kth_largest() -> None:
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        scores = torch.randn(1 + seed * 37, generator=generator) * 10.0 ** ((seed % 13) - 6)
        if seed % 3 == 0:
            scores = scores.round()
        if seed % 4 == 0:
            scores = scores.abs().log()
        count = 1 + seed * 37 * (seed % 5) // 5
        expected = scores.sort(descending=True).values[count - 1]
        # an accelerator's way gives the same on a CPU
        for way in (kth_largest, _by_candidates, _by_digits):
            assert way(list(scores.split(50)), count).item() == expected.item()


def test_threshold_of_ties_and_extremes() -> None:
    scores = torch.tensor([math.inf, math.inf, 1e-45, 0.0, -0.0, -1e-45, -3e38, -math.inf]).repeat(3)
    ordered = scores.sort(descending=True).values
    for way in (_by_candidates, _by_digits):
        assert [way([scores], count).item() for count in range(1, 25)] == ordered.tolist()


def test_pieces_are_views_of_the_same_rows() -> None:
    """Whatever the layout: what is written into a chunk arrives in the tensor."""
    wide, tall = torch.zeros(300, 500), torch.zeros(500, 300).t()
    found = list(chunks(wide, tall))
    assert len(found) > 1
    for number, (one, two) in enumerate(found):
        assert one.shape == two.shape
        one += number
        two += number
    assert torch.equal(wide, tall)
    assert wide.unique().tolist() == list(range(len(found)))
    assert [len(each) for each in chunks(torch.zeros(()), torch.ones(()))] == [2]


@pytest.mark.parametrize("text", ["bidrop", "bidrop:k=3", "bidrop:mask_scope=update", "bidrop-random"])
def test_bidrop_does_not_depend_on_the_pieces(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = weights(fit(text, max_steps=3))
    monkeypatch.setattr("robusteval.components.kth_largest._CHUNK_CPU", 100)
    assert differing(whole, weights(fit(text, max_steps=3))) == []
