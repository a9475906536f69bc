"""Statistics: each equals scipy's or statsmodels', or what a hand computes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests

from robusteval.report.statistics import (
    Better,
    Interval,
    compare_family,
    effect_size,
    fewest_pairs,
    holm,
    letters,
    mcnemar,
    paired,
    paired_interval,
    sign_flip_test,
    smallest_p,
    summarise,
)

NAN = math.nan
PATTERNS = np.array(list(itertools.product((1, -1), repeat=10)))


def draws(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_summary_by_hand() -> None:
    found = summarise([0.8, NAN, 0.9, 0.7])
    assert (found.n, found.low, found.high) == (3, 0.7, 0.9)
    assert (found.mean, found.std) == (pytest.approx(0.8), pytest.approx(0.1))
    assert math.isnan(summarise([0.5]).std) and summarise([0.5]).mean == 0.5
    nothing = summarise([NAN])
    assert nothing.n == 0 and math.isnan(nothing.mean)


def test_pairs_are_of_one_seed() -> None:
    found = paired({3: 0.5, 0: 0.9, 1: NAN, 7: 0.2}, {0: 0.7, 1: 0.1, 3: 0.6, 5: 1.0})
    assert list(found) == [0, 3]
    assert list(found.values()) == [pytest.approx(0.2), pytest.approx(-0.1)]
    assert paired({0: 1.0}, {1: 1.0}) == {}


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_is_that_of_scipy(seed: int) -> None:
    a, b = draws(seed).normal(size=(2, 2 + seed))
    theirs = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert paired_interval(a - b) == Interval(
        pytest.approx(np.mean(a - b)), pytest.approx(theirs.low), pytest.approx(theirs.high), len(a)
    )


@pytest.mark.parametrize("seed", range(10))
def test_rows_of_one_original_count_as_one(seed: int) -> None:
    rng = draws(seed)
    cluster = rng.integers(0, 12, 60)
    difference = rng.integers(-1, 2, 60) + 0.5 * (cluster % 3)
    theirs = sm.OLS(difference, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": cluster}, use_t=True)
    low, high = theirs.conf_int()[0]
    found = paired_interval(difference, cluster)
    assert (found.mean, found.low, found.high) == pytest.approx((theirs.params[0], low, high))
    assert found.n == len(set(cluster))
    # clusters of one size: the interval of their means
    whole = np.arange(60) // 5
    means = paired_interval(difference.reshape(12, 5).mean(axis=1))
    assert paired_interval(difference, whole) == Interval(
        pytest.approx(means.mean), pytest.approx(means.low), pytest.approx(means.high), 12
    )
    # five copies of every row are no more than the rows
    copies = paired_interval(np.repeat(difference, 5), np.repeat(np.arange(60), 5))
    assert (copies.low, copies.high) == (
        pytest.approx(paired_interval(difference).low), pytest.approx(paired_interval(difference).high)
    )  # fmt: skip


def test_an_interval_of_too_little() -> None:
    assert paired_interval([]).n == 0 and math.isnan(paired_interval([]).mean)
    one = paired_interval([0.3, NAN])
    assert (one.mean, one.n) == (0.3, 1) and math.isnan(one.low)
    lone = paired_interval([0.3, 0.5], ["a", "a"])
    assert (lone.mean, lone.n) == (0.4, 1) and math.isnan(lone.high)
    assert paired_interval([0.0, 0.0, 0.0]) == Interval(0.0, 0.0, 0.0, 3)
    with pytest.raises(ValueError, match="2 differences, but 3 rows"):
        paired_interval([1, 2], [1, 2, 3])


@pytest.mark.parametrize("seed", range(20))
def test_mcnemar_is_that_of_statsmodels(seed: int) -> None:
    rng = draws(seed)
    a, b = rng.random(40) < 0.7, rng.random(40) < 0.5
    found = mcnemar(a, b)
    table = [[found.both, found.only_a], [found.only_b, found.neither]]
    assert table == [[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    assert found.p == pytest.approx(their_mcnemar(table, exact=True).pvalue)
    assert found.p == mcnemar(b, a).p


def test_mcnemar_by_hand() -> None:
    # five discordant examples, all on one side: 2 / 2^5
    assert mcnemar([1] * 5 + [1, 0], [0] * 5 + [1, 0]).p == pytest.approx(2 / 32)
    assert mcnemar([1, 0], [1, 0]).p == 1.0
    assert mcnemar([], []).p == 1.0
    with pytest.raises(ValueError, match="2 examples of one checkpoint, but 1"):
        mcnemar([1, 0], [1])


def theirs(difference: Any) -> float:
    found = stats.permutation_test((difference,), np.mean, permutation_type="samples", n_resamples=np.inf)
    return float(found.pvalue)


@pytest.mark.parametrize("n", [2, 3, 5, 6, 8])
def test_the_sign_flip_test_is_that_of_scipy(n: int) -> None:
    rows = draws(n).normal(0.3, 1, size=(8, n))
    assert sign_flip_test(rows) == pytest.approx([theirs(row) for row in rows])
    # differences of shares: many patterns have the same sum, but for rounding
    shares = draws(n).integers(-3, 4, size=(12, n)) / 30
    assert sign_flip_test(shares) == pytest.approx([theirs(row) for row in shares])
    assert sign_flip_test(rows.reshape(2, 4, n)).shape == (2, 4)


def test_the_sign_flip_test_by_hand() -> None:
    # of the 8 patterns of (3, 2, -1), sum 4: |6|, |4|, |2|, |0| twice each
    assert sign_flip_test([3.0, 2.0, -1.0]) == 0.5
    assert sign_flip_test([1.0] * 6) == smallest_p(6) == 0.03125
    assert sign_flip_test([1.0] * 5) == smallest_p(5) > 0.05
    assert sign_flip_test([0.5]) == smallest_p(1) == 1.0
    assert sign_flip_test([0.0] * 7) == 1.0
    assert sign_flip_test([1.0, -1.0] * 3) == 1.0
    # a pair that is missing is no pair, and one without a difference decides nothing
    assert sign_flip_test([1.0, NAN, 1.0, 0.0, 1.0]) == sign_flip_test([1.0] * 3) == 0.25
    assert np.isnan(sign_flip_test([NAN, NAN]))
    assert np.isnan(sign_flip_test(np.empty((2, 0)))).all()
    # 0.1 + 0.2 and 0.3 are one sum
    assert sign_flip_test([0.1, 0.2, -0.3]) == 1.0


def test_many_seeds_are_drawn_from() -> None:
    rows = draws(0).normal(0.4, 1, size=(5, 24))
    found = sign_flip_test(rows)
    normal = stats.norm.sf(np.abs(rows.sum(axis=1)) / np.sqrt(np.square(rows).sum(axis=1))) * 2
    assert found == pytest.approx(normal, abs=0.02)
    assert (found == sign_flip_test(rows)).all()
    assert 0 < sign_flip_test(np.ones(40)) <= smallest_p(40) < 0.001


@pytest.mark.parametrize("n", [17, 24])
def test_drawn_patterns_are_those_of_the_generators_choice(n: int) -> None:
    generator, row = np.random.default_rng(0), draws(1).normal(0.3, 1, size=n)
    signs = np.concatenate([generator.choice([-1.0, 1.0], (rows, n)) for rows in [2048] * 9 + [1568]])
    signs[0] = 1
    assert sign_flip_test(row) == np.mean(np.abs(signs @ row) >= abs(row.sum()) - 1e-12)


def test_how_many_pairs_a_family_needs() -> None:
    assert [fewest_pairs(family) for family in (0, 1, 2, 5, 10)] == [6, 6, 7, 8, 9]
    for family in range(1, 40):
        assert smallest_p(fewest_pairs(family)) * family <= 0.05 < smallest_p(fewest_pairs(family) - 1) * family


@pytest.mark.parametrize("seed", range(0, 20, 3))
def test_holm_is_that_of_statsmodels(seed: int) -> None:
    p = np.round(draws(seed).random(1 + seed) ** 3, 2)  # some are equal
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_a_comparison_that_could_not_be_made_counts() -> None:
    assert list(holm([0.01, 0.04, 0.03])) == pytest.approx([0.03, 0.06, 0.06])
    found = holm([0.01, NAN, 0.03])
    assert [found[0], found[2]] == pytest.approx([0.03, 0.06])
    assert math.isnan(found[1])
    assert len(holm([])) == 0


def test_the_effect_size_by_hand() -> None:
    # mean 2, deviation 1; the correction of 2 degrees of freedom is 1 / sqrt(pi)
    assert effect_size([1.0, 2.0, 3.0, NAN]) == pytest.approx(2 / math.sqrt(math.pi))
    # of 9 degrees of freedom it is 0.9139 (about 1 - 3 / (4 * 9 - 1))
    ten = np.arange(10.0)
    assert effect_size(ten) == pytest.approx(0.9139 * 4.5 / np.std(ten, ddof=1), rel=1e-4)
    assert math.isnan(effect_size([1.0, 2.0])) and math.isnan(effect_size([0.1, 0.1, 0.1]))
    assert math.isnan(effect_size([0.0] * 6))


def test_a_family_is_what_its_parts_are() -> None:
    rows = draws(4).normal(1, 1, size=(3, 7))
    rows[1, 4:] = NAN
    found = compare_family([rows[0].tolist(), rows[1, :4].tolist(), rows[2].tolist()])
    p = sign_flip_test(rows)
    assert [each.p for each in found] == pytest.approx(p)
    assert [each.adjusted for each in found] == pytest.approx(multipletests(p, method="holm")[1])
    assert [each.interval for each in found] == [paired_interval(row) for row in rows]
    assert [each.interval.n for each in found] == [7, 4, 7]
    assert found[0].clear == (found[0].adjusted <= 0.05)
    few = compare_family([[5.0, 5.1, 5.2, 5.1, 5.0]])[0]
    assert few.interval.low > 4.9 and few.p == smallest_p(5) and not few.clear
    assert compare_family([]) == []
    [nothing] = compare_family([[]])
    assert math.isnan(nothing.p) and not nothing.clear


def letters_of(values: Any, better: Better = Better()) -> list[str]:  # noqa: B008
    return letters([values], [better])[0]


def test_letters_by_hand() -> None:
    noise = draws(1).normal(0, 0.1, size=(4, 10))
    a, b, c, d = noise + np.array([[3.0], [3.0], [1.0], [2.0]])
    assert letters_of([a, b, c, d]) == ["a", "a", "c", "b"]
    assert letters_of([a, b, c, d], Better(higher=False)) == ["c", "c", "a", "b"]
    # with 6 seeds and 6 pairs nothing can be told apart, nor by less than what counts
    assert letters_of(np.stack([a, b, c, d])[:, :6]) == ["a"] * 4
    assert letters_of([a, b, c, d], Better(least=1.5)) == ["a", "a", "b", "ab"]
    assert letters_of([a, [NAN] * 10, c]) == ["a", "", "b"]
    assert letters([], []) == [] and letters_of([[0.5]]) == ["a"] and letters_of([[NAN]]) == [""]
    # the pairs of several tests are one family: 7 seeds are enough for 3 pairs, not for 6
    three = np.stack([a, c, d])[:, :8]
    assert letters([three, three], [Better(), Better(higher=False)]) == [["a", "c", "b"], ["c", "a", "b"]]
    assert letters_of(three[:, :7]) == ["a", "c", "b"]
    assert letters([three[:, :7]] * 2, [Better()] * 2) == [["a"] * 3] * 2


def test_the_middle_of_three_shares_both_letters() -> None:
    common = np.arange(12.0)
    high, low = common + 1.0, common - 1.0
    middle = common + np.where(np.arange(12) % 2, 1.5, -1.5)
    assert letters_of([high, middle, low]) == ["a", "ab", "b"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_two_share_a_letter_unless_told_apart(seed: int, methods: int) -> None:
    rng = draws(seed)
    values = rng.normal(0, 1, size=(methods, 10)) + rng.normal(0, 2, size=(methods, 1))
    found = letters_of(values)
    pairs = list(itertools.combinations(range(methods), 2))
    sums = np.abs(np.array([values[a] - values[b] for a, b in pairs]) @ PATTERNS.T)
    p = holm((sums >= sums[:, :1] - 1e-9).mean(axis=1))
    for (a, b), each in zip(pairs, p, strict=True):
        assert bool(set(found[a]) & set(found[b])) == (each > 0.05)
    assert "a" in found[int(np.argmax(values.mean(axis=1)))]
