"""What may be said of differences: between methods over seeds, and between two checkpoints over examples.

Methods are compared over seeds, paired: the same seed gives both the same order, batches and starting weights. Where a
table speaks of many comparisons, the family that is corrected for (Holm) is declared before. Two checkpoints are
compared over examples, which says nothing of the methods that made them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LEVEL = 0.05
CONFIDENCE = 1 - LEVEL
# up to this many seeds every pattern of signs is gone through; beyond, this many drawn ones
EXACT_SEEDS, DRAWN_PATTERNS = 16, 20_000
# patterns and comparisons that are gone through at once
_PATTERNS, _ROWS = 2048, 1024


@dataclass(frozen=True)
class Summary:
    """Values over seeds. std: sample standard deviation, NaN of fewer than two; all of them NaN where there is none."""

    n: int
    mean: float
    std: float
    low: float
    high: float


def summarise(values: Iterable[float]) -> Summary:
    """Mean, sample standard deviation, smallest and largest of the values that are not NaN."""
    found = [value for value in values if not math.isnan(value)]
    n = len(found)
    if not n:
        return Summary(0, math.nan, math.nan, math.nan, math.nan)
    mean = math.fsum(found) / n
    std = math.sqrt(math.fsum((value - mean) ** 2 for value in found) / (n - 1)) if n > 1 else math.nan
    return Summary(n, mean, std, min(found), max(found))


def paired(values: Mapping[int, float], others: Mapping[int, float]) -> dict[int, float]:
    """The difference of each seed that has a value on both sides, in order of the seeds."""
    both = {seed: values[seed] - others[seed] for seed in sorted(values.keys() & others.keys())}
    return {seed: each for seed, each in both.items() if not math.isnan(each)}


@dataclass(frozen=True)
class Interval:
    """A mean difference, and the ends of its 95 % interval; NaN where too little was measured.

    n: how many differences, or clusters of them, it is over.
    """

    mean: float
    low: float
    high: float
    n: int


def paired_intervals(differences: npt.ArrayLike) -> list[Interval]:
    """The t interval of each row of paired differences [k, n], in which NaN is no pair."""
    rows = np.asarray(differences, float)
    sound = ~np.isnan(rows)
    count = sound.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(sound, rows, 0.0).sum(axis=1) / count
        squares = np.square(np.where(sound, rows - mean[:, None], 0.0)).sum(axis=1)
        half = _quantile(count) * np.sqrt(squares / (count - 1) / count)
    return _as_intervals(mean, half, count)


def paired_interval(per_example_difference: npt.ArrayLike, cluster: npt.ArrayLike | None = None) -> Interval:
    """The t interval of a mean of paired differences [N]; those that are NaN are left out.

    cluster: [N] whose rows belong together, as several perturbed texts of one original do: they count as one for the
    deviation (the cluster-robust one of Liang and Zeger, 1986, with G / (G - 1)) and the degrees of freedom, G - 1.
    ValueError where the two are of different lengths.
    """
    difference = np.asarray(per_example_difference, float).ravel()
    if cluster is None:
        return paired_intervals(difference[None])[0]
    own = np.asarray(cluster).ravel()
    if len(own) != len(difference):
        raise ValueError(f"{len(difference)} differences, but {len(own)} rows have a cluster")
    sound = ~np.isnan(difference)
    difference, own = difference[sound], own[sound]
    if not len(difference):
        return Interval(math.nan, math.nan, math.nan, 0)
    _, place = np.unique(own, return_inverse=True)
    sums = np.bincount(place, weights=difference - difference.mean())
    count = np.array([len(sums)])
    with np.errstate(invalid="ignore", divide="ignore"):
        half = _quantile(count) * np.sqrt(count / (count - 1) * np.square(sums).sum()) / len(difference)
    return _as_intervals(np.array([difference.mean()]), half, count)[0]


def _quantile(count: npt.NDArray[Any]) -> Floats:
    """By how many standard errors the interval of so many goes to each side; NaN of fewer than two."""
    from scipy import special

    return np.asarray(special.stdtrit(np.where(count > 1, count - 1.0, np.nan), 1 - LEVEL / 2))


def _as_intervals(mean: Floats, half: Floats, count: npt.NDArray[Any]) -> list[Interval]:
    ends = (mean.tolist(), (mean - half).tolist(), (mean + half).tolist(), count.tolist())
    return [Interval(*each) for each in zip(*ends, strict=True)]


@dataclass(frozen=True)
class McNemar:
    """Examples that both, only the first, only the second and neither of two checkpoints has right; p: two-sided."""

    both: int
    only_a: int
    only_b: int
    neither: int
    p: float


def mcnemar(right_a: npt.ArrayLike, right_b: npt.ArrayLike) -> McNemar:
    """The exact test of McNemar (1947): whether two checkpoints are right equally often on the same examples [N].

    It compares these two checkpoints, not the methods that trained them. ValueError where the lengths differ.
    """
    from scipy import stats

    a, b = np.asarray(right_a, bool).ravel(), np.asarray(right_b, bool).ravel()
    if len(a) != len(b):
        raise ValueError(f"{len(a)} examples of one checkpoint, but {len(b)} of the other")
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    p = float(stats.binomtest(only_a, only_a + only_b, 0.5).pvalue) if only_a + only_b else 1.0
    return McNemar(int((a & b).sum()), only_a, only_b, int((~a & ~b).sum()), p)


def smallest_p(n: int) -> float:
    """The smallest two-sided p that the sign-flip test can reach with n pairs: 2 / 2^n."""
    return min(1.0, 2.0 ** (1 - n)) if n <= EXACT_SEEDS else 1 / DRAWN_PATTERNS


def fewest_pairs(comparisons: int = 1) -> int:
    """How many pairs let the sign-flip test find a difference in a family of that many comparisons; 6 for one."""
    return math.ceil(math.log2(2 * max(comparisons, 1) / LEVEL))


def sign_flip_test(differences: npt.ArrayLike) -> Floats:
    """Two-sided p of the sign-flip (permutation) test of each row of paired differences [..., n] -> [...].

    Under the null hypothesis each difference is as likely to have the other sign: p is the share of the 2^n patterns of
    signs whose sum is at least as far from 0 as the one measured. NaN is no pair, as a difference of 0 changes nothing;
    p is NaN where there is no pair. Beyond 16 seeds the patterns are drawn, always the same ones (`DRAWN_PATTERNS`).
    """
    given = np.asarray(differences, float)
    rows = given.reshape(math.prod(given.shape[:-1]), given.shape[-1])
    sound = ~np.isnan(rows)
    rows = np.where(sound, rows, 0.0)
    # sums that are equal but for rounding are equal
    least = np.abs(rows.sum(axis=1)) - 1e-12 * np.abs(rows).sum(axis=1)
    far, patterns = np.zeros(len(rows)), 0
    for signs in _signs(rows.shape[1]):
        patterns += len(signs)
        for start in range(0, len(rows), _ROWS):
            part = slice(start, start + _ROWS)
            far[part] += (np.abs(rows[part] @ signs.T) >= least[part, None]).sum(axis=1)
    return np.asarray(np.where(sound.any(axis=1), far / patterns, np.nan).reshape(given.shape[:-1]))


def _signs(n: int) -> Iterator[Floats]:
    """Patterns of signs, many [.., n] at a time, with one sign fixed: a pattern and its mirror image count alike."""
    count = 2 ** max(n - 1, 0) if n <= EXACT_SEEDS else DRAWN_PATTERNS
    generator = np.random.default_rng(0)
    for start in range(0, count, _PATTERNS):
        places = np.arange(start, min(start + _PATTERNS, count))
        if n <= EXACT_SEEDS:
            yield np.asarray(1.0 - 2.0 * ((places[:, None] >> np.arange(n)) & 1))
            continue
        # one bit of every 32, which is what `generator.choice` draws of two, in a tenth of its time
        words = generator.bit_generator.random_raw(len(places) * n // 2).astype("<u8").view("<u4")
        drawn = np.asarray(2.0 * (words >> 31).reshape(len(places), n) - 1.0)
        drawn[places == 0] = 1.0  # the pattern that was measured is one of them, so that p is never 0
        yield drawn


def holm(p: npt.ArrayLike) -> Floats:
    """The p of a family of comparisons [m], adjusted by Holm's (1979) step-down method.

    A comparison whose p is NaN could not be made: it stays so, and counts in the family as one that found nothing.
    """
    given = np.asarray(p, float)
    order = np.argsort(given, kind="stable")
    factors = len(given) - np.arange(len(given))
    adjusted = np.empty_like(given)
    filled = np.where(np.isnan(given), 1.0, given)[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(filled * factors), 1.0)
    return np.asarray(np.where(np.isnan(given), np.nan, adjusted))


def effect_size(differences: npt.ArrayLike) -> float:
    """Hedges' g of paired differences [n]: mean / standard deviation, with the exact correction for few pairs.

    Hedges (1981): Γ(f / 2) / (√(f / 2) Γ((f - 1) / 2)) with f = n - 1. NaN of fewer than three pairs, and where all
    differences are equal.
    """
    from scipy import special

    found = np.asarray(differences, float)
    found = found[~np.isnan(found)]
    freedom = len(found) - 1
    if freedom < 2 or np.ptp(found) <= 1e-12 * np.abs(found).max():
        return math.nan
    log = special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2) - 0.5 * math.log(freedom / 2)
    return float(math.exp(log) * found.mean() / found.std(ddof=1))


@dataclass(frozen=True)
class Better:
    """Which numbers of a test are better, and the smallest mean difference that tells anything apart."""

    higher: bool = True
    least: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """A method against the baseline, paired by seed. p: of the sign-flip test; adjusted: by Holm, in its family."""

    interval: Interval
    p: float
    adjusted: float
    effect: float

    @property
    def clear(self) -> bool:
        return self.adjusted <= LEVEL


def compare_family(differences: Sequence[Sequence[float]]) -> list[Comparison]:
    """Every comparison of a declared family, each given by its paired differences over seeds, NaN where there is none.

    Fewer than 6 pairs have an interval and no p that could be small enough (`smallest_p`).
    """
    width = max(map(len, differences), default=0)
    rows = np.full((len(differences), max(width, 1)), np.nan)
    for row, found in zip(rows, differences, strict=True):
        row[: len(found)] = found
    p = sign_flip_test(rows)
    return [
        Comparison(interval, float(one), float(adjusted), effect_size(row))
        for row, interval, one, adjusted in zip(rows, paired_intervals(rows), p, holm(p), strict=True)
    ]


def letters(tables: Sequence[Sequence[Sequence[float]]], better: Sequence[Better]) -> list[list[str]]:
    """The compact letter displays of several tests [tests][methods][seeds]; within a test seeds are paired.

    Each two methods of a test are compared with the sign-flip test, Holm over the pairs of all tests. Two methods that
    share a letter were not told apart; "a" goes with the best mean. A method without a value has no letter.
    """
    values = [np.asarray(table, float) for table in tables]
    orders = [_ranked(table, each.higher) for table, each in zip(values, better, strict=True)]
    pairs = [(test, a, b) for test, order in enumerate(orders) for a, b in itertools.combinations(order, 2)]
    differences = [values[test][a] - values[test][b] for test, a, b in pairs]
    apart: list[set[tuple[int, int]]] = [set() for _ in values]
    for (test, a, b), compared in zip(pairs, compare_family([row.tolist() for row in differences]), strict=True):
        if compared.clear and abs(compared.interval.mean) >= better[test].least:
            apart[test].add((a, b))
    found = []
    for table, order, told in zip(values, orders, apart, strict=True):
        groups = _groups(order, told) if order else []
        names = [(_letter(place), group) for place, group in enumerate(groups)]
        found.append(["".join(name for name, group in names if row in group) for row in range(len(table))])
    return found


def _ranked(table: Floats, higher: bool) -> list[int]:
    """The rows that have a value, the best mean first."""
    means = {row: float(np.nanmean(values)) for row, values in enumerate(table) if not np.isnan(values).all()}
    return sorted(means, key=lambda row: -means[row] if higher else means[row])


def _groups(order: Sequence[int], apart: set[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The largest groups of which no two are apart, the best first: insert and absorb (Piepho, 2004)."""
    columns = [frozenset(order)]
    for a, b in apart:
        split = [each - {one} if {a, b} <= each else each for each in columns for one in (a, b)]
        unique = list(dict.fromkeys(split))
        columns = [each for each in unique if not any(each < other for other in unique)]
    ranked = [tuple(sorted(column, key=order.index)) for column in columns if column]
    return sorted(ranked, key=lambda group: [order.index(number) for number in group])


def _letter(place: int) -> str:
    """a to z, then a1, b1 and so on."""
    return chr(ord("a") + place % 26) + (str(place // 26) if place >= 26 else "")
