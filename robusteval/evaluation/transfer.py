"""Transfer: what adversarial texts that were made against one model do to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.errors import UserError
from robusteval.results.finite import check_finite

Predict = Callable[[Sequence[tuple[str, ...]]], npt.NDArray[np.float32]]
"""n texts (each a tuple of one string per text column) -> logits [n, K]."""


def transfer_matrix(
    sources: Mapping[str, Sequence[Mapping[str, Any]]], targets: Mapping[str, Predict], labels: Sequence[str]
) -> pd.DataFrame:
    """Every target on the successful examples of every source: one row per pair.

    sources: name -> result lines of the attack on it; targets: name -> its predictions; labels: K class names in
    the order of the logits.

    Columns: source, target, n (successful examples of the source), accuracy (target right on the adversarial
    text / n), right_before (how many of the n the target had right on the original text), transfer_rate (target
    wrong on the adversarial text / right_before, among those). A share of nothing is NaN. The target that is its
    own source has accuracy 0 and transfer rate 1 by construction, wherever success means a wrong label.
    UserError for a gold label outside `labels`.
    """
    return pd.DataFrame(
        [
            {"source": source, "target": target, **_carried_over(source, lines, predict, labels)}
            for target, predict in targets.items()
            for source, lines in sources.items()
        ]
    )


def _carried_over(
    source: str, lines: Sequence[Mapping[str, Any]], predict: Predict, labels: Sequence[str]
) -> dict[str, float]:
    hits = [line for line in lines if line["outcome"] == "succeeded"]
    if not hits:
        return {"n": 0, "accuracy": math.nan, "right_before": 0, "transfer_rate": math.nan}
    foreign = {line["gold"] for line in hits} - set(labels)
    if foreign:
        raise UserError(f"transfer: {source!r} has the gold label {min(foreign)!r}, outside {', '.join(labels)}")
    gold = np.array([labels.index(line["gold"]) for line in hits])
    texts = [tuple(line["perturbed"]) for line in hits] + [tuple(line["original"]) for line in hits]
    logits = predict(texts)
    check_finite(logits, f"texts of {source}")
    after, before = np.split(logits.argmax(axis=1), 2)
    right = before == gold
    fooled = right & (after != gold)
    return {
        "n": len(hits),
        "accuracy": float(np.mean(after == gold)),
        "right_before": int(right.sum()),
        "transfer_rate": float(fooled.sum() / right.sum()) if right.any() else math.nan,
    }


# the columns that say which models were tried on each other's texts
PLACE = ["model", "task", "recipe", "scenario"]


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Average matrices that have the columns model, task, recipe, scenario and seed beside those of `transfer_matrix`.

    Columns: model, task, recipe, scenario, source, target, seeds (how many), n, accuracy, accuracy_std, right_before,
    transfer_rate, transfer_rate_std. Shares are means over the seeds that have one, *_std their sample standard
    deviation (NaN for a single seed); n and right_before are sums.
    """
    return (
        frame.groupby([*PLACE, "source", "target"], sort=False)
        .agg(
            seeds=("seed", "nunique"),
            n=("n", "sum"),
            accuracy=("accuracy", "mean"),
            accuracy_std=("accuracy", "std"),
            right_before=("right_before", "sum"),
            transfer_rate=("transfer_rate", "mean"),
            transfer_rate_std=("transfer_rate", "std"),
        )
        .reset_index()
    )
