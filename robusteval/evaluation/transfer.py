"""Transfer: what adversarial texts that were made against one model do to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.errors import UserError
from robusteval.results.finite import check_finite
from robusteval.storage.files import write_atomic

Predict = Callable[[Sequence[tuple[str, ...]]], npt.NDArray[np.float32]]
"""n texts (each a tuple of one string per text column) -> logits [n, K]."""

# Column of the matrix -> its denominator, and what both are in words.
MEASURES = {
    "accuracy": ("n", "accuracy on the adversarial texts"),
    "transfer_rate": ("right_before", "success rate of transfer, where the target was right on the original"),
}


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


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Average matrices that have the columns recipe, scenario and seed beside those of `transfer_matrix`.

    Columns: recipe, scenario, source, target, seeds (how many), n, accuracy, accuracy_std, right_before,
    transfer_rate, transfer_rate_std. Shares are means over the seeds that have one, *_std their sample standard
    deviation (NaN for a single seed); n and right_before are sums.
    """
    return (
        frame.groupby(["recipe", "scenario", "source", "target"], sort=False)
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


@dataclass(frozen=True)
class Grid:
    """One measure of one recipe as text: a row per source, a column per target."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def grids(averages: pd.DataFrame) -> Iterator[Grid]:
    """The averages of `over_seeds` as grids: per recipe and scenario, one for each measure."""
    for (recipe, scenario), part in averages.groupby(["recipe", "scenario"], sort=False):
        under = "" if scenario == "none" else f" under {scenario}"
        targets = list(dict.fromkeys(part["target"]))
        cells: dict[Any, Mapping[Any, Any]] = {(row["source"], row["target"]): row for row in part.to_dict("records")}
        for measure, (denominator, words) in MEASURES.items():
            rows = [
                (str(source), *(_cell(cells.get((source, target)), measure, denominator) for target in targets))
                for source in dict.fromkeys(part["source"])
            ]
            yield Grid(f"{recipe}{under}: {words}", ("source \\ target", *targets), tuple(rows))


def _cell(row: Mapping[Any, Any] | None, measure: str, denominator: str) -> str:
    """Like "12.5 ± 3.1 (24)", or a dash where nothing was to be measured."""
    if row is None or math.isnan(row[measure]):
        return "–"
    mean, deviation = row[measure], row[f"{measure}_std"]
    spread = "" if math.isnan(deviation) else f" ± {100 * deviation:.1f}"
    return f"{100 * mean:.1f}{spread} ({int(row[denominator])})"


def caption(frame: pd.DataFrame) -> str:
    """How to read the grids of a frame that `over_seeds` takes."""
    seeds = sorted(set(frame["seed"]))
    spread = "± is the sample standard deviation over seeds" if len(seeds) > 1 else "one seed, no spread"
    pairs = frame.groupby(["recipe", "scenario", "source", "target"]).size()
    uneven = "" if (pairs == len(seeds)).all() else " Runs are missing: not every cell has every seed (transfer.csv)."
    return (
        "Row: the method whose model the successful adversarial texts were made against; column: the method whose "
        f"model reads them. Shares times 100, mean over {len(seeds)} seed{'s' if len(seeds) > 1 else ''} "
        f"({', '.join(map(str, seeds))}); {spread}; in brackets the denominator, summed over seeds. On the diagonal a "
        "model reads the texts that fooled it: accuracy 0 and success rate 100 by construction, except for recipes "
        "whose success is no wrong label (input-reduction, kuleshov) and methods that predict differently in other "
        f"batches (match:eval=batch).{uneven}"
    )


def markdown(frame: pd.DataFrame) -> str:
    """The grids of a frame that `over_seeds` takes, with their caption."""
    parts = ["# Transfer of adversarial texts", caption(frame)]
    for grid in grids(over_seeds(frame)):
        lines = [grid.header, ["---"] * len(grid.header), *grid.rows]
        parts.append(f"## {grid.title}")
        parts.append("\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


def write_transfer(frame: pd.DataFrame, folder: Path) -> None:
    """transfer.md, and transfer.csv with the averages as raw numbers, in `folder`."""
    write_atomic(folder / "transfer.md", markdown(frame))
    write_atomic(folder / "transfer.csv", over_seeds(frame).to_csv(index=False))
