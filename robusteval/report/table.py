"""The comparison table: a line per test, a column per method, mean ± deviation over seeds, difference to the first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from robusteval.rows import Row

# Metrics shown as they are; all others are shares or correlations and are shown times 100.
RAW = {"steps", "seconds_per_step", "peak_memory_mb", "mean_queries", "mean_words_changed_percent"}
LOWER_IS_BETTER = {"attack_success_rate", "seconds_per_step", "peak_memory_mb"}
# What a comparison of sturdiness rests on: scores on perturbed, shifted and attacked text.
STURDINESS = {"mask", "replace", "ood", "advglue", "attack"}


@dataclass(frozen=True)
class Cell:
    """One method on one test.

    values: one per seed that has a value, in seed order; undefined: seeds whose number has no denominator (an
    attack with nothing to attack). delta: mean difference to the baseline over seeds that both have.
    """

    values: tuple[float, ...]
    delta: float | None
    note: str = ""
    undefined: int = 0

    @property
    def mean(self) -> float:
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds; NaN for a single seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan


@dataclass(frozen=True)
class Line:
    """One test: suite, its value, split and metric; n: smallest and largest denominator over runs."""

    suite: str
    value: str
    split: str
    metric: str
    n: tuple[int, int]
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Table:
    """Lines in the order they were measured; columns are method labels, the first one the baseline."""

    task: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def caption(self) -> str:
        seeds = ", ".join(str(seed) for seed in self.seeds)
        spread = "± is the sample standard deviation over seeds" if len(self.seeds) > 1 else "one seed, no spread"
        return (
            f"{self.task}: mean over {len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''} ({seeds}); {spread}; "
            f"Δ is the mean per-seed difference to {self.methods[0]}; shares and correlations are times 100; "
            "n is the denominator"
        )


def build_table(rows: Sequence[Row], methods: Sequence[str], notes: Sequence[str] = ()) -> Table:
    """Arrange the rows of one task. A method without a row for a test has an empty cell."""
    tests: dict[tuple[str, str, str, str], dict[str, dict[int, Row]]] = {}
    for row in rows:
        key = (row.suite, row.suite_value, row.split, row.metric)
        tests.setdefault(key, {}).setdefault(row.method, {})[row.seed] = row
    lines = []
    for (suite, value, split, metric), by_method in tests.items():
        baseline = by_method.get(methods[0], {})
        cells = {m: _cell(by_method.get(m, {}), baseline if m != methods[0] else None) for m in methods}
        counts = [row.n for runs in by_method.values() for row in runs.values()]
        lines.append(Line(suite, value, split, metric, (min(counts), max(counts)), cells))
    lines.sort(key=lambda line: line.suite == "train")
    seeds = tuple(sorted({row.seed for row in rows}))
    task = rows[0].task if rows else ""
    return Table(task, tuple(methods), seeds, tuple(lines), (*notes, *_row_notes(rows)))


def _cell(runs: dict[int, Row], baseline: dict[int, Row] | None) -> Cell:
    ordered = [runs[seed] for seed in sorted(runs)]
    values = tuple(row.value for row in ordered if not math.isnan(row.value))
    differences = [runs[seed].value - baseline[seed].value for seed in sorted(runs) if baseline and seed in baseline]
    differences = [difference for difference in differences if not math.isnan(difference)]
    delta = float(np.mean(differences)) if differences else None
    collapsed = any(row.note.startswith("collapsed") for row in ordered)
    return Cell(values, delta, "collapsed" if collapsed else "", len(ordered) - len(values))


def _row_notes(rows: Sequence[Row]) -> list[str]:
    """Notes that rows carry, each once, with the runs they belong to."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for note in filter(None, row.note.split("; ")):
            if note.startswith("selected"):
                continue  # the table says for every column what was selected
            who = "" if note.startswith("mean of") else f"{row.method} seed {row.seed}"
            if who not in found.setdefault(note, []):
                found[note].append(who)
    return [f"{', '.join(who)}: {note}" if who[0] else note for note, who in found.items()]


def verdict(table: Table) -> list[str]:
    """One sentence per method: on how many tests of sturdiness it is above the baseline, and how clearly.

    Only the task's first metric of each test counts, and of an attack the accuracy under it.
    """
    lines, seen = [], set()
    for line in table.lines:
        key = (line.suite, line.value, line.split)
        wanted = line.metric == "accuracy_under_attack" if line.suite == "attack" else key not in seen
        if line.suite in STURDINESS and wanted:
            lines.append(line)
            seen.add(key)
    sentences = []
    for method in table.methods[1:]:
        deltas = [(line.cells[method], line.cells[table.methods[0]]) for line in lines]
        deltas = [(cell, base) for cell, base in deltas if cell.delta is not None and not math.isnan(cell.delta)]
        if not deltas:
            continue
        better = sum((cell.delta or 0) > 0 for cell, _ in deltas)
        worse = sum((cell.delta or 0) < 0 for cell, _ in deltas)
        clear = sum(abs(cell.delta or 0) > math.hypot(cell.std, base.std) for cell, base in deltas)
        side = "sturdier" if better > worse else "less sturdy" if worse > better else "neither sturdier nor weaker"
        beyond = f"; {clear} of these differences exceed the spread over seeds" if len(table.seeds) > 1 else ""
        sentences.append(
            f"{method} is {side} than {table.methods[0]} here: better on {better} and worse on {worse} of "
            f"{len(deltas)} perturbed, shifted and attacked tests{beyond}."
        )
    collapsed = [m for m in table.methods if any(line.cells[m].note == "collapsed" for line in table.lines)]
    if collapsed:
        sentences.append(
            f"{', '.join(collapsed)} collapsed to one class in at least one run; a constant answer cannot be attacked, "
            "and that is no sturdiness."
        )
    if sentences:
        sentences.append(f"With {len(table.seeds)} seed(s) this is a description, not a significance test.")
    return sentences


def number(value: float, metric: str) -> str:
    """A value as the table shows it."""
    if math.isnan(value):
        return "n/a"
    if metric == "seconds_per_step":
        return f"{value:.3f}"
    return f"{value:.1f}" if metric in RAW else f"{100 * value:.2f}"


def cell_text(cell: Cell, metric: str) -> str:
    """mean ± std (Δ), with what is not there left out."""
    if not cell.values:
        return "n/a" if cell.undefined else "–"
    text = number(cell.mean, metric)
    if not math.isnan(cell.std):
        text += f" ± {number(cell.std, metric)}"
    if cell.delta is not None and not math.isnan(cell.delta):
        sign = "−" if cell.delta < 0 else "+"
        text += f" ({sign}{number(abs(cell.delta), metric)})"
    if cell.undefined:
        text += f" [{len(cell.values)} of {len(cell.values) + cell.undefined} seeds]"
    return text + (f" [{cell.note}]" if cell.note else "")


def line_name(line: Line) -> str:
    """The test of a line in words: "mask 0.2", "attack deepwordbug", "advglue adv_sst2"."""
    return f"{line.suite} {line.value}".strip()


def count_text(line: Line) -> str:
    low, high = line.n
    return str(low) if low == high else f"{low}–{high}"
