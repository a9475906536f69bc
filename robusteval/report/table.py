"""The comparison table: a line per test, a column per method, mean ± deviation over seeds, difference to the first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from robusteval.results.metrics import Aspect, Metric, metric
from robusteval.results.rows import Note, Row


@dataclass(frozen=True)
class Cell:
    """One method on one test.

    values: one per seed that has a value, in seed order; undefined: seeds whose number has no denominator (an
    attack with nothing to attack). delta: mean difference to the baseline over seeds that both have; drop: to the
    same method without the scenario. spread: the value on every random set of every seed.
    """

    values: tuple[float, ...]
    delta: float | None
    note: str = ""
    undefined: int = 0
    drop: float | None = None
    spread: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        return float(np.mean(self.values)) if self.values else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation over seeds; NaN for a single seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else math.nan


@dataclass(frozen=True)
class Line:
    """One test of models trained in one scenario; n: smallest and largest denominator over runs.

    aspect: what it speaks of; summary: whether it sums up other lines.
    """

    scenario: str
    suite: str
    value: str
    split: str
    metric: Metric
    n: tuple[int, int]
    cells: dict[str, Cell]
    aspect: Aspect
    summary: bool = False


@dataclass(frozen=True)
class Table:
    """Lines in the order they were measured; columns are method labels, the first one the baseline."""

    task: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...]

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenarios of the lines, in order."""
        return tuple(dict.fromkeys(line.scenario for line in self.lines))

    @property
    def caption(self) -> str:
        seeds = ", ".join(str(seed) for seed in self.seeds)
        spread = "± is the sample standard deviation over seeds" if len(self.seeds) > 1 else "one seed, no spread"
        dropped = any(cell.drop is not None for line in self.lines for cell in line.cells.values())
        drop = "; {} is the mean per-seed difference to the same method without the scenario" if dropped else ""
        return (
            f"{self.task}: mean over {len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''} ({seeds}); {spread}; "
            f"Δ is the mean per-seed difference to {self.methods[0]}{drop}; shares and correlations are times 100; "
            "n is the denominator"
        )


def build_table(
    rows: Sequence[Row],
    methods: Sequence[str],
    notes: Sequence[str] = (),
    declared: Mapping[str, Metric] = MappingProxyType({}),
) -> Table:
    """Arrange the rows of one task. A method without a row for a test has an empty cell.

    declared: metrics that suites of the user's own said more of.
    """
    tests: dict[tuple[str, str, str, str, str], dict[str, dict[int, Row]]] = {}
    for row in rows:
        key = (row.scenario, row.suite, row.suite_value, row.split, row.metric)
        tests.setdefault(key, {}).setdefault(row.method, {})[row.seed] = row
    lines = []
    for (scenario, *test), by_method in tests.items():
        suite, value, split, name = test
        about = metric(name, declared)
        measured = [row for runs in by_method.values() for row in runs.values()]
        aspect = next((row.aspect for row in measured if row.aspect is not None), about.aspect)
        falls = scenario != "none" and aspect not in ("cost", "size")
        plain = tests.get(("none", suite, value, split, name), {}) if falls else {}
        baseline = by_method.get(methods[0], {})
        cells = {m: _cell(by_method.get(m, {}), baseline if m != methods[0] else {}, plain.get(m, {})) for m in methods}
        counts = [row.n for row in measured]
        summary = any(row.summary for row in measured)
        lines.append(Line(scenario, suite, value, split, about, (min(counts), max(counts)), cells, aspect, summary))
    order = list(dict.fromkeys(line.scenario for line in lines))
    lines.sort(key=lambda line: (order.index(line.scenario), line.aspect in ("cost", "size")))
    seeds = tuple(sorted({row.seed for row in rows}))
    task = rows[0].task if rows else ""
    return Table(task, tuple(methods), seeds, tuple(lines), (*notes, *_row_notes(rows)))


def _cell(runs: dict[int, Row], baseline: dict[int, Row], plain: dict[int, Row]) -> Cell:
    ordered = [runs[seed] for seed in sorted(runs)]
    values = tuple(row.value for row in ordered if not math.isnan(row.value))
    in_domain = "in domain" if any(row.in_domain for row in ordered) else ""
    note = "collapsed" if any(row.collapsed is not None for row in ordered) else in_domain
    return Cell(
        values, _difference(runs, baseline), note, len(ordered) - len(values),
        _difference(runs, plain), tuple(each for row in ordered for each in row.spread if not math.isnan(each)),
    )  # fmt: skip


def _difference(runs: dict[int, Row], others: dict[int, Row]) -> float | None:
    """Mean difference over the seeds that both have; None where there are none."""
    found = [runs[seed].value - others[seed].value for seed in sorted(runs) if seed in others]
    found = [each for each in found if not math.isnan(each)]
    return float(np.mean(found)) if found else None


def _row_notes(rows: Sequence[Row]) -> list[str]:
    """Notes that rows carry, each once, with the runs they belong to."""
    found: dict[Note, list[str]] = {}
    for row in rows:
        for note in row.remarks:
            under = "" if row.scenario == "none" else f" under {row.scenario}"
            who = "" if note.kind == "test" else f"{row.method} seed {row.seed}{under}"
            if who not in found.setdefault(note, []):
                found[note].append(who)
    return [f"{', '.join(who)}: {note.text}" if who[0] else note.text for note, who in found.items()]


def verdict(table: Table) -> list[str]:
    """One sentence per method: on how many tests of robustness it is above the baseline, and how clearly.

    Only the first metric of each test that models are compared by counts, and no line that sums up others. A method is
    compared in those scenarios only in which neither it nor the baseline collapsed to one class in any run.
    """
    lines, seen = [], set()
    for line in table.lines:
        key = (line.scenario, line.suite, line.value, line.split)
        compares = line.metric.role == "main" and line.metric.direction != "neither"
        if line.aspect == "robustness" and compares and not line.summary and key not in seen:
            lines.append(line)
            seen.add(key)
    collapsed = {(line.scenario, m) for line in table.lines for m in table.methods if line.cells[m].note == "collapsed"}
    baseline = table.methods[0]
    sentences = []
    for method in table.methods[1:]:
        sound = [line for line in lines if not collapsed & {(line.scenario, method), (line.scenario, baseline)}]
        gains = [_gain(line, line.cells[method], line.cells[baseline]) for line in sound]
        gains = [(gain, spread) for gain, spread in gains if not math.isnan(gain)]
        if not gains:
            continue
        better, worse = sum(gain > 0 for gain, _ in gains), sum(gain < 0 for gain, _ in gains)
        clear = sum(abs(gain) > spread for gain, spread in gains)
        side = "more robust" if better > worse else "less robust" if worse > better else "neither more nor less robust"
        beyond = f"; {clear} of these differences exceed the spread over seeds" if len(table.seeds) > 1 else ""
        sentences.append(
            f"{method} is {side} than {baseline} here: better on {better} and worse on {worse} of "
            f"{len(gains)} perturbed, shifted and attacked tests{beyond}."
        )
    for method in table.methods if lines else ():
        where = [scenario for scenario in table.scenarios if (scenario, method) in collapsed]
        under = "" if where == ["none"] else f" under {', '.join(where)}"
        if where:
            sentences.append(
                f"{method} collapsed to one class in at least one run{under} and is not compared there: a constant "
                "answer cannot be attacked, and that is no robustness."
            )
    if sentences:
        sentences.append(f"With {len(table.seeds)} seed(s) this is a description, not a significance test.")
    return sentences


def _gain(line: Line, cell: Cell, baseline: Cell) -> tuple[float, float]:
    """By how much a cell is better than the baseline's, NaN where that is not known; and the spread of both."""
    delta = math.nan if cell.delta is None else cell.delta
    return (delta if line.metric.direction == "higher" else -delta), math.hypot(cell.std, baseline.std)


def cell_text(cell: Cell, metric: Metric) -> str:
    """mean ± std (Δ) {drop}, with what is not there left out."""
    if not cell.values:
        return "n/a" if cell.undefined else "–"
    text = metric.text(cell.mean)
    if not math.isnan(cell.std):
        text += f" ± {metric.text(cell.std)}"
    if cell.delta is not None:
        text += f" ({_signed(cell.delta, metric)})"
    if cell.drop is not None:
        text += f" {{{_signed(cell.drop, metric)}}}"
    if cell.undefined:
        text += f" [{len(cell.values)} of {len(cell.values) + cell.undefined} seeds]"
    return text + (f" [{cell.note}]" if cell.note else "")


def _signed(value: float, metric: Metric) -> str:
    return ("−" if value < 0 else "+") + metric.text(abs(value))


def line_name(line: Line) -> str:
    """The test of a line in words: "mask 0.2", "attack deepwordbug", "advglue adv_sst2"."""
    return f"{line.suite} {line.value}".strip()


def count_text(line: Line) -> str:
    low, high = line.n
    return str(low) if low == high else f"{low}–{high}"
