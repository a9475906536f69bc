"""The rows that two answer differently."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from robusteval.report.paired import Paired, pair
from robusteval.results.outcomes import Known, Probe, Side


@dataclass(frozen=True)
class Example:
    """A row that A and B answer differently.

    a, b: the answer, or how often each was given over random sets and seeds. right_a, right_b: how often it was right,
    from 0 to 1; NaN for scores. texts: one per text column; nothing where the rows are not at hand.
    """

    probe: Probe
    id: str
    gold: str
    a: str
    b: str
    right_a: float
    right_b: float
    texts: tuple[str, ...] = ()


def differing(probe: Probe, a: Side, b: Side, known: Known, these: Paired | None) -> Iterator[Example]:
    """The rows that the two answer differently: first those that A alone has right, the clearest before the others."""
    seeds = set(a.outcomes[probe]["seed"]) & set(b.outcomes[probe]["seed"]) if these is None else set()
    if these is None and not seeds:
        return
    these = these or _all_seeds(a.outcomes[probe], b.outcomes[probe], sorted(seeds), probe)
    if these is None:
        return
    scores = these.gold.dtype.kind == "f"
    right_a, right_b = these.right
    if scores:
        errors = (np.abs(np.subtract(each, these.gold)).mean(axis=0) for each in (these.a, these.b))
        gain = np.subtract(*errors)
        right_a = right_b = np.full(len(these.ids), math.nan)
    else:
        gain = right_b - right_a
    differ = np.flatnonzero((these.a != these.b).any(axis=0))
    labels = known.labels or a.labels(probe)
    for row in differ[np.lexsort((gain[differ], -np.abs(gain[differ])))]:
        gold, ours, theirs = (_answers(each[:, row], labels) for each in (these.gold[None], these.a, these.b))
        name, shares = these.ids[row], (float(right_a[row]), float(right_b[row]))
        yield Example(probe, name, gold, ours, theirs, *shares, known.texts.get(name, ()))


def _all_seeds(a: pd.DataFrame, b: pd.DataFrame, seeds: Sequence[int], probe: Probe) -> Paired | None:
    """Each seed's answers as one more version of the rows; None where seeds did not read the same rows."""
    found = []
    for seed in seeds:
        ours, theirs = (frame[frame["seed"] == seed].drop(columns="seed") for frame in (a, b))
        found.append(pair(ours, theirs, {}, f"{probe.name} seed {seed}"))
    if any(each.ids != found[0].ids for each in found):
        return None
    stacked = [np.concatenate([getattr(each, name) for each in found]) for name in ("a", "b")]
    return Paired(found[0].ids, found[0].gold, stacked[0], stacked[1], found[0].original)


def _answers(given: Any, labels: Sequence[str]) -> str:
    """The answers to a row in words, the commonest first: "positive", "positive 2 of 3, negative"."""
    if given.dtype.kind == "f":
        return f"{float(given.mean()):.3g}"
    counts = pd.Series(given).value_counts(sort=True)
    names = [
        str(each) if isinstance(each, str) else labels[each] if 0 <= each < len(labels) else f"class {each}"
        for each in counts.index
    ]
    if len(names) == 1:
        return names[0]
    return f"{names[0]} {counts.iloc[0]} of {len(given)}, {', '.join(names[1:])}"
