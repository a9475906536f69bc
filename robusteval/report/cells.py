"""The cells of a table, and its lines: what one test found of each method, seed by seed."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from robusteval.report.statistics import Interval, Summary, summarise
from robusteval.results.metrics import Aspect, Metric
from robusteval.runtime.terminal import RAISED


@dataclass(frozen=True)
class Cell:
    """One method on one test.

    values: by seed, of the runs that are there; NaN where the number has no denominator (an attack with nothing to
    attack). asked: how many seeds it was to have. collapsed: seeds whose run predicts one class throughout.
    delta: mean difference to the baseline over the seeds that both have; drop: to the same method without the scenario.
    spread: the value on every random set of every seed. in_domain: whether the test is text like that of the training.
    """

    values: Mapping[int, float] = field(default_factory=dict)
    asked: int = 0
    collapsed: frozenset[int] = frozenset()
    delta: Interval | None = None
    drop: float | None = None
    spread: tuple[float, ...] = ()
    in_domain: bool = False

    @cached_property
    def summary(self) -> Summary:
        return summarise(self.values.values())

    @cached_property
    def sound(self) -> Summary:
        """Of the runs that did not collapse."""
        if not self.collapsed:
            return self.summary
        return summarise([value for seed, value in self.values.items() if seed not in self.collapsed])

    @property
    def whole(self) -> bool:
        """Whether every seed that was asked for has a value."""
        return self.summary.n >= self.asked

    def kept(self, seeds: Collection[int]) -> dict[int, float]:
        """The values without those of `seeds`."""
        return {seed: value for seed, value in self.values.items() if seed not in seeds}


@dataclass(frozen=True)
class Line:
    """One test of models of one name, trained on one task in one scenario; n: smallest and largest denominator.

    aspect: what it speaks of; summary: whether it sums up other lines; over: the tasks whose average it is.
    """

    model: str
    task: str
    scenario: str
    suite: str
    value: str
    split: str
    metric: Metric
    n: tuple[int, int]
    cells: Mapping[str, Cell]
    aspect: Aspect
    summary: bool = False
    over: tuple[str, ...] = ()

    @property
    def test(self) -> str:
        """In words: "mask 0.2", "attack deepwordbug", "advglue adv_sst2"."""
        return f"{self.suite} {self.value}".strip()

    @property
    def name(self) -> str:
        """Test and metric, as a declared family names them: "mask 0.2 accuracy"."""
        return f"{self.test} {self.metric.name}"

    @property
    def compared(self) -> bool:
        """Whether models are compared by it."""
        about = self.metric
        tested = self.aspect not in ("cost", "size") and not self.summary
        return tested and about.role == "main" and about.direction != "neither"

    @property
    def count(self) -> str:
        low, high = self.n
        return str(low) if low == high else f"{low}–{high}"


def cell_text(cell: Cell, metric: Metric, *, star: bool = False, group: str = "") -> str:
    """mean ± std, group, (Δ), {drop}, and in brackets what is not as it seems; what is not there is left out."""
    found = cell.summary
    if not found.n:
        return "–" if not cell.asked else "n/a" if len(cell.values) >= cell.asked else f"0/{cell.asked}"
    text = spread_text(found, metric) + superscript(group)
    if cell.delta is not None and not math.isnan(cell.delta.mean):
        text += f" ({signed(cell.delta.mean, metric)}{'*' if star else ''})"
    if cell.drop is not None:
        text += f" {{{signed(cell.drop, metric)}}}"
    if not cell.whole:
        text += f" [{found.n}/{cell.asked}]"
    if lost := found.n - cell.sound.n:
        rest = f"; others {spread_text(cell.sound, metric)}" if cell.sound.n else ""
        text += f" [{lost}/{found.n} collapsed{rest}]"
    return text + (" [in domain]" if cell.in_domain else "")


def spread_text(summary: Summary, metric: Metric) -> str:
    """mean ± std, without the deviation of a single seed."""
    mean = metric.text(summary.mean)
    return mean if math.isnan(summary.std) else f"{mean} ± {metric.text(summary.std)}"


def signed(value: float, metric: Metric) -> str:
    text = metric.text(abs(value))
    return ("−" if value < 0 and float(text) else "+") + text


def interval_text(interval: Interval, metric: Metric) -> str:
    """Like "−0.12 to +1.30"; a dash where too little was measured."""
    if math.isnan(interval.low):
        return "–"
    return f"{signed(interval.low, metric)} to {signed(interval.high, metric)}"


def superscript(letters: str) -> str:
    """Letters as they stand behind a number: raised."""
    return "".join(RAISED.get(letter, letter) for letter in letters)


def seeds_text(seeds: Iterable[int]) -> str:
    """Like "0, 1, 2", and "0–9" for an unbroken row of more than three."""
    found = sorted(seeds)
    if len(found) > 3 and found == list(range(found[0], found[-1] + 1)):
        return f"{found[0]}–{found[-1]}"
    return ", ".join(map(str, found))
