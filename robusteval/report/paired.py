"""Two models on the same rows: their answers side by side, and what differs by how much, over originals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.errors import UserError
from robusteval.report.statistics import Interval, mcnemar, paired_interval, sign_flip_test
from robusteval.results.metrics import Array, Metric

Floats = npt.NDArray[np.float64]

# Of a metric that is no mean over rows, so many groups of originals are left out in turn.
GROUPS = 30
# What is right or wrong row by row, so that its difference is a mean over rows.
SHARES = ("accuracy", "accuracy_under_attack")


@dataclass(frozen=True)
class Paired:
    """What two models answered on the same N rows, each in S random versions.

    ids, gold: [N]; a, b: the answers [S, N], of A and of B in the classes of A; original: [N], a number for what each
    row was made from.
    """

    ids: tuple[str, ...]
    gold: Array
    a: Array
    b: Array
    original: npt.NDArray[np.int64]

    @property
    def single(self) -> bool:
        """Whether the rows are independent of each other: each is an original of its own, in one version."""
        return len(self.a) == 1 and len(np.unique(self.original)) == len(self.ids)

    @property
    def right(self) -> tuple[Floats, Floats]:
        """In which share of the versions of a row A, and B, is right [N]."""
        return (self.a == self.gold).mean(axis=0), (self.b == self.gold).mean(axis=0)

    def discordant(self) -> tuple[int, int]:
        """On how many originals A is right more often than B, and B more often than A."""
        a, b = self.right
        gain = np.bincount(self.original, weights=b - a)
        return int((gain < -1e-12).sum()), int((gain > 1e-12).sum())

    def values(self, function: Callable[[Array, Array], float], rows: Any = slice(None)) -> tuple[float, float]:
        """A metric of A and of B: its mean over the versions."""
        a, b = (float(np.mean([function(self.gold[rows], each[rows]) for each in side])) for side in (self.a, self.b))
        return a, b


def pair(a: pd.DataFrame, b: pd.DataFrame, original: Mapping[str, str], where: str, labels: Any = ((), ())) -> Paired:
    """The rows that two predicted frames (set, id, gold, predicted) have in common.

    original: id -> what the row was made from; itself for all where empty. labels: class names of A and of B; what B
    calls otherwise is matched by the gold labels of the rows.
    UserError, which begins with `where`, where no row is common, or a row has another gold label on either side.
    """
    merged = a.merge(b, on=["set", "id"], suffixes=("_a", "_b"))
    if merged.empty:
        raise UserError(f"{where}: A and B have no row in common: ids {_ids(a)} there and {_ids(b)} here")
    classes = _classes(merged["gold_a"], merged["gold_b"], where, labels)
    for column in ("gold_b", "predicted_b") if classes else ():
        merged[column] = [_called(each, classes) for each in merged[column]]
    sets = [part.set_index("id") for _, part in merged.groupby("set")]
    ids = sets[0].index
    lacking = [each for each in ids if original and each not in original]
    if lacking:
        raise UserError(f"{where}: the row {lacking[0]!r} is not among those of the cluster column")
    _, number = np.unique([original.get(each, each) for each in ids], return_inverse=True)
    answers = ([part[name].reindex(ids).to_numpy() for part in sets] for name in ("predicted_a", "predicted_b"))
    first, second = (np.stack(list(each)) for each in answers)
    return Paired(tuple(ids), sets[0]["gold_a"].to_numpy(), first, second, number.astype(np.int64))


def _ids(frame: pd.DataFrame) -> str:
    return ", ".join(frame["id"].drop_duplicates()[:3]) + ", ..."


def _called(each: Any, classes: Mapping[Any, Any]) -> Any:
    """A class of B's as A calls it; one that is no row's gold label must not pass for another one of A's."""
    if each in classes or isinstance(each, str):
        return classes.get(each, each)
    return -1 - each if each in classes.values() else each


def _classes(a: pd.Series[Any], b: pd.Series[Any], where: str, labels: Any) -> dict[Any, Any]:
    """B's class -> A's, where they differ: the rows say which is which, and names that both have must agree."""
    if a.dtype.kind == "f":
        other = int((~np.isclose(a, b)).sum())
        if other:
            raise UserError(f"{where}: {other} of {len(a)} common rows have another gold score: these are other rows")
        return {}
    counts = pd.crosstab(b, a)
    if ((counts > 0).sum(axis=1) > 1).any() or ((counts > 0).sum(axis=0) > 1).any():
        other = int((a.to_numpy() != b.to_numpy()).sum())
        raise UserError(
            f"{where}: the gold labels of A and B contradict each other ({other} of {len(a)} common rows differ): "
            "these are other rows"
        )
    found: dict[Any, Any] = {
        left: counts.columns[int(np.argmax(row))] for left, row in zip(counts.index, counts.to_numpy(), strict=True)
    }
    ours, theirs = ([each.casefold() for each in side] for side in labels)
    if ours and sorted(ours) == sorted(theirs) and not isinstance(counts.index[0], str):
        named: dict[Any, Any] = {index: ours.index(name) for index, name in enumerate(theirs)}
        wrong = [left for left, right in found.items() if named[left] != right]
        if wrong:
            raise UserError(
                f"{where}: rows that are {labels[0][found[wrong[0]]]!r} for A are {labels[1][wrong[0]]!r} for B: one "
                "was tested with a wrong label map"
            )
        found = named
    return {} if all(left == right for left, right in found.items()) else found


def function_of(metric: Metric) -> Callable[[Array, Array], float] | None:
    """What makes the metric's number of gold and predicted; None where it is no function of those alone."""
    return _share if metric.name in SHARES else metric.function


def _share(gold: Array, predicted: Array) -> float:
    return float(np.mean(gold == predicted))


def over_originals(paired: Paired, metric: Metric) -> tuple[Interval, float]:
    """The interval of B - A over originals, and the p of their being equal; NaN where too few originals say.

    A share of right answers: the cluster-robust interval, and McNemar's exact test where rows are independent. Any
    other metric, and dependent rows: the pseudo-values of a jackknife that leaves out groups of originals (Tukey, 1958;
    Kott, 1998) give the interval and a sign-flip test.
    """
    share, function = metric.name in SHARES, function_of(metric)
    assert function is not None
    right_a, right_b = paired.right
    if share and paired.single:
        return paired_interval(right_b - right_a), mcnemar(right_a > right_b, right_b > right_a).p
    pseudo, whole = _pseudo_values(paired, function)
    p = float(sign_flip_test(pseudo)) if len(pseudo) > 1 and not np.isnan(pseudo).any() else np.nan
    if share:
        return paired_interval(right_b - right_a, paired.original), p
    found = paired_interval(pseudo)
    if np.isnan(pseudo).any() or found.n < 2:
        return Interval(whole, np.nan, np.nan, found.n), p
    shift = whole - found.mean
    return Interval(whole, found.low + shift, found.high + shift, int(paired.original.max()) + 1), p


def _pseudo_values(paired: Paired, function: Callable[[Array, Array], float]) -> tuple[Floats, float]:
    """G times the difference less G - 1 times the difference without a group, for each of G groups; the difference."""
    groups = paired.original % GROUPS
    count = int(groups.max()) + 1
    a, b = paired.values(function)
    found = []
    for group in range(count) if count > 1 else ():
        left_a, left_b = paired.values(function, groups != group)
        found.append(count * (b - a) - (count - 1) * (left_b - left_a))
    return np.asarray(found, float), b - a
