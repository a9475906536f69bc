"""Properties of every perturbation, and of the encoding it works on."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from robusteval.encoding import Collator, Encoded, encode
from robusteval.errors import UserError
from robusteval.perturbations import PERTURBATIONS

MASK = tiny.tokenizer().mask_token_id
texts = st.lists(
    st.lists(st.sampled_from(tiny.NEUTRAL + tiny.GOOD + ["zebra"]), min_size=1, max_size=12).map(" ".join),
    min_size=1,
    max_size=8,
)
KINDS = PERTURBATIONS.names()


def encoded_of(first: list[str], paired: bool) -> Encoded:
    columns = [first, list(reversed(first))] if paired else [first]
    return encode(tiny.tokenizer(), columns, max_length=32)


@pytest.mark.parametrize("kind", KINDS)
@given(first=texts, paired=st.booleans(), seed=st.integers(0, 99), rate=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_special_tokens_and_lengths_never_change(
    kind: str, first: list[str], paired: bool, seed: int, rate: float
) -> None:
    before = encoded_of(first, paired)
    after = PERTURBATIONS[kind](before, rate, np.random.default_rng(seed), MASK)
    assert (after.offsets == before.offsets).all()
    assert (after.ids[before.special] == before.ids[before.special]).all()
    again = PERTURBATIONS[kind](before, rate, np.random.default_rng(seed), MASK)
    assert (after.ids == again.ids).all()
    nothing = PERTURBATIONS[kind](before, 0.0, np.random.default_rng(seed), MASK)
    assert (nothing.ids == before.ids).all()


@given(first=texts, paired=st.booleans(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_rate_one_touches_every_eligible_token(first: list[str], paired: bool, seed: int) -> None:
    before = encoded_of(first, paired)
    masked = PERTURBATIONS["mask"](before, 1.0, np.random.default_rng(seed), MASK)
    assert (masked.ids[~before.special] == MASK).all()
    replaced = PERTURBATIONS["replace"](before, 1.0, np.random.default_rng(seed), None)
    for row in range(len(before)):
        own = slice(before.offsets[row], before.offsets[row + 1])
        eligible = ~before.special[own]
        assert set(replaced.ids[own][eligible]) <= set(before.ids[own][eligible])


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_binomial_and_seeds_differ(kind: str) -> None:
    # every token of a row is another one, so that a replacement shows unless it drew the token itself
    rows = [" ".join(np.random.default_rng(n).permutation(tiny.LETTERS)) for n in range(200)]
    before = encode(tiny.tokenizer(), [rows], max_length=64)
    eligible = int((~before.special).sum())
    assert eligible == 200 * 26
    for rate in (0.1, 0.5):
        after = PERTURBATIONS[kind](before, rate, np.random.default_rng(1), MASK)
        other = PERTURBATIONS[kind](before, rate, np.random.default_rng(2), MASK)
        changed = int((after.ids != before.ids).sum())
        expected = rate if kind == "mask" else rate * 25 / 26
        low, high = stats.binom.interval(1 - 1e-6, eligible, expected)
        assert low <= changed <= high
        assert (after.ids != other.ids).any()


def test_a_model_without_a_mask_token_is_refused() -> None:
    with pytest.raises(UserError, match="needs a tokenizer with a mask token"):
        PERTURBATIONS["mask"](encoded_of(["good"], False), 0.5, np.random.default_rng(0), None)


def test_encoding_by_hand() -> None:
    tokenizer = tiny.tokenizer()
    encoded = encode(tokenizer, [["good film"], ["bad"]], np.asarray([1]), max_length=32)
    words = [tiny.WORDS[token] for token in encoded.ids]
    assert words == ["[CLS]", "good", "film", "[SEP]", "bad", "[SEP]"]
    assert encoded.column.tolist() == [-1, 0, 0, -1, 1, -1]
    assert encoded.types is not None
    assert encoded.types.tolist() == [0, 0, 0, 0, 1, 1]


def test_long_texts_are_cut_and_counted() -> None:
    encoded = encode(tiny.tokenizer(), [["good " * 30, "bad"]], max_length=8)
    assert encoded.lengths.tolist() == [8, 3]
    assert encoded.truncated == 1


@pytest.mark.parametrize("kind", ["bert", "xlnet"])
def test_batches_are_padded_on_the_tokenizers_side(kind: str) -> None:
    tokenizer = tiny.tokenizer(kind)
    rows = ["good film", "bad", "the very good story"]
    encoded = encode(tokenizer, [rows], np.asarray([1, 0, 1]), max_length=32)
    batch = Collator(tokenizer)(encoded, np.asarray([2, 1]))
    reference = tokenizer.pad(
        {"input_ids": [tokenizer(rows[2])["input_ids"], tokenizer(rows[1])["input_ids"]]}, return_tensors="np"
    )
    assert (batch.inputs["input_ids"].numpy() == reference["input_ids"]).all()
    assert (batch.inputs["attention_mask"].numpy() == reference["attention_mask"]).all()
    assert batch.labels.tolist() == [1, 0]
    assert batch.special.sum() == 4 + 3
    assert [len(part) for part in batch.split(2)] == [1, 1]
    assert Collator(tokenizer, multiple=8)(encoded, np.asarray([0])).inputs["input_ids"].shape == (1, 8)
