"""The tables of a transfer: which model reads the adversarial texts that were made against another, and how well."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from robusteval.report.grid import print_grid, print_sentence
from robusteval.storage.files import write_atomic

# Column of the matrix -> its denominator, and what both are in words.
MEASURES = {
    "accuracy": ("n", "accuracy on the adversarial texts"),
    "transfer_rate": ("right_before", "success rate of transfer, where the target was right on the original"),
}


@dataclass(frozen=True)
class Grid:
    """One measure of one recipe as text: a row per source, a column per target."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def grids(averages: pd.DataFrame) -> Iterator[Grid]:
    """One grid per model, task, recipe, scenario and measure.

    averages: model, task, recipe, scenario, source, target, seeds, n, accuracy, accuracy_std, right_before,
    transfer_rate and transfer_rate_std, as `robusteval.evaluation.transfer.over_seeds` gives them; shares from 0 to 1.
    """
    several = {name: averages[name].nunique() > 1 for name in ("model", "task")}
    for (model, task, recipe, scenario), part in averages.groupby(["model", "task", "recipe", "scenario"], sort=False):
        under = "" if scenario == "none" else f" under {scenario}"
        under += f" on {task}" if several["task"] else ""
        under += f" with {model}" if several["model"] else ""
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
    """How to read the grids of a frame.

    frame: what the averages are of: model, task, recipe, scenario, seed, source, target and the measures, one row for
    each seed.
    """
    seeds = sorted(set(frame["seed"]))
    spread = "± is the sample standard deviation over seeds" if len(seeds) > 1 else "one seed, no spread"
    pairs = frame.groupby(["model", "task", "recipe", "scenario", "source", "target"]).size()
    uneven = "" if (pairs == len(seeds)).all() else " Runs are missing: not every cell has every seed (transfer.csv)."
    return (
        "Row: the method whose model the successful adversarial texts were made against; column: the method whose "
        f"model reads them. Shares times 100, mean over {len(seeds)} seed{'s' if len(seeds) > 1 else ''} "
        f"({', '.join(map(str, seeds))}); {spread}; in brackets the denominator, summed over seeds. On the diagonal a "
        "model reads the texts that fooled it: accuracy 0 and success rate 100 by construction, except for recipes "
        "whose success is no wrong label (input-reduction, kuleshov) and methods that predict differently in other "
        f"batches (match:eval=batch).{uneven}"
    )


def markdown(frame: pd.DataFrame, averages: pd.DataFrame) -> str:
    """The grids of the averages, with the caption of the frame that they are of."""
    parts = ["# Transfer of adversarial texts", caption(frame)]
    for grid in grids(averages):
        lines = [grid.header, ["---"] * len(grid.header), *grid.rows]
        parts.append(f"## {grid.title}")
        parts.append("\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines))
    return "\n\n".join(parts) + "\n"


def print_transfer(frame: pd.DataFrame, averages: pd.DataFrame, console: Console) -> None:
    """What `markdown` writes, on the terminal."""
    for grid in grids(averages):
        print_grid(console, grid.header, grid.rows, title=grid.title)
    print_sentence(console, caption(frame))


def write_transfer(frame: pd.DataFrame, averages: pd.DataFrame, folder: Path) -> None:
    """transfer.md, and transfer.csv with the averages as raw numbers, in `folder`."""
    write_atomic(folder / "transfer.md", markdown(frame, averages))
    write_atomic(folder / "transfer.csv", averages.to_csv(index=False))
