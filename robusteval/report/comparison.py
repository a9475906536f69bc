"""Two models over examples, or two methods over seeds: how far apart they are on every test, and what that supports."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from robusteval.errors import UserError, some, unknown_name
from robusteval.report.differing import Example, differing
from robusteval.report.paired import SHARES, Paired, function_of, over_originals, pair
from robusteval.report.statistics import LEVEL, Interval, effect_size, holm, paired, paired_interval, sign_flip_test
from robusteval.results.metrics import Aspect, Metric, metric
from robusteval.results.outcomes import Known, Probe, Side

Ask = Callable[[Probe], Known]
"""Gives what is known of a test's rows, nothing where nothing is."""

# what pairs the runs of two methods
PLACE = ("model", "task", "scenario", "seed")
UNKNOWN = Interval(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Line:
    """One metric of one test.

    a, b: the numbers of A and of B, raw; of methods their means over the seeds that both have.
    interval: of B - A, over originals or seeds; NaN where none can be told. n: rows, or seeds.
    only_a, only_b: originals on which that one is right more often, where answers are right or wrong.
    p: of no difference; adjusted: by Holm, over the `primary` lines alone. effect: Hedges' g over seeds.
    values: A's and B's number for each seed.
    """

    probe: Probe
    split: str
    metric: Metric
    aspect: Aspect
    a: float
    b: float
    n: int
    interval: Interval = UNKNOWN
    p: float = math.nan
    adjusted: float = math.nan
    primary: bool = False
    only_a: int | None = None
    only_b: int | None = None
    effect: float = math.nan
    values: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    summary: bool = False

    @property
    def difference(self) -> float:
        return self.b - self.a

    @property
    def name(self) -> str:
        """As a condition names it: "mask@0.2 accuracy"."""
        return f"{self.probe.name} {self.metric.name}"

    @property
    def verdict(self) -> str:
        """What the test supports; nothing where the line is not primary or neither direction is better."""
        if not self.primary or self.metric.direction == "neither":
            return ""
        if math.isnan(self.p):
            return "not testable"
        above = self.interval.low > 0
        if not (self.adjusted <= LEVEL and (above or self.interval.high < 0)):
            return "no clear difference"
        return "B is better" if above is (self.metric.direction == "higher") else "B is worse"


@dataclass(frozen=True)
class Comparison:
    """kind: what varies, models over examples or methods over seeds. a, b: as the user gave them.

    alone: the tests that one of the two has alone, by name, with "A" or "B". examples: worst for B first, test by test.
    """

    kind: Literal["models", "methods"]
    a: str
    b: str
    lines: tuple[Line, ...]
    examples: tuple[Example, ...]
    notes: tuple[str, ...]
    alone: Mapping[str, str] = field(default_factory=dict)

    @property
    def family(self) -> tuple[Line, ...]:
        """The lines that are corrected for together."""
        return tuple(line for line in self.lines if line.primary)


def compare(a: Side, b: Side, ask: Ask, primary: Sequence[str] = ()) -> Comparison:
    """A and B on every test that both have.

    ask: what is known of a test's rows. primary: the declared family, "SUITE [VALUE] METRIC" each; by
    default that of A's experiment, else the first main metric of each test. UserError where they have no test or no row
    in common, or other rows under the same ids.
    """
    methods = bool(a.method)
    numbers = _numbers(a), _numbers(b)
    alone = {key: "A" for key in numbers[0] if key not in numbers[1]}
    alone |= {key: "B" for key in numbers[1] if key not in numbers[0]}
    _check_tasks(a, b)
    if len(alone) == len(numbers[0] | numbers[1]):
        raise UserError(f"A and B have no test in common: {_tests(numbers[0])} there and {_tests(numbers[1])} here")
    declared, notes = {**b.declared, **a.declared}, [*_missing(alone), *_of_runs(a, b)]
    lines, pairs = [], dict[Probe, Paired]()
    for key in (each for each in numbers[0] if each not in alone):
        runs, others = numbers[0][key], numbers[1][key]
        first = next(iter(runs.values()))
        about = metric(key[1], declared)
        line = Line(key[0], first["split"], about, first["aspect"], math.nan, math.nan, 0, summary=first["summary"])
        if methods:
            lines.append(_over_seeds(line, runs, others))
            continue
        found, told = _over_examples(line, first, next(iter(others.values())), (a, b), ask, pairs)
        lines += [found] if found is not None else []
        notes += [each for each in told if each not in notes]
    lines.sort(key=_cost)  # what training cost stands last
    lines = _with_family(lines, primary or a.primary or _primary(lines))
    both = [
        probe for probe in dict.fromkeys(line.probe for line in lines) if probe in a.outcomes and probe in b.outcomes
    ]
    examples = [each for probe in both for each in differing(probe, a, b, ask(probe), pairs.get(probe))]
    return Comparison(
        "methods" if methods else "models", a.name, b.name, tuple(lines), tuple(examples), tuple(notes),
        {f"{probe.name} {name}": side for (probe, name), side in alone.items()},
    )  # fmt: skip


Numbers = dict[tuple[Probe, str], dict[int, dict[str, Any]]]


def _numbers(side: Side) -> Numbers:
    """The row of each seed, by test and metric."""
    found: Numbers = {}
    for row in side.rows.to_dict("records"):
        seed = row["seed"] if side.method else 0
        found.setdefault((row["probe"], row["metric"]), {})[seed] = {str(name): value for name, value in row.items()}
    return found


def _tests(numbers: Numbers) -> str:
    return some(list(dict.fromkeys(f"{probe.name} on {probe.task}" for probe, _ in numbers)))


def _check_tasks(a: Side, b: Side) -> None:
    """Raise UserError where the two were tested on other tasks, or one of them gives scores."""
    if not set(a.tasks) & set(b.tasks):
        raise UserError(f"A was tested on {', '.join(a.tasks)} and B on {', '.join(b.tasks)}")
    for probe in a.outcomes.keys() & b.outcomes.keys():
        scores = [side.outcomes[probe]["gold"].dtype.kind == "f" for side in (a, b)]
        if scores[0] is not scores[1]:
            raise UserError(f"{'A' if scores[0] else 'B'} gives scores and the other one classes")


def _missing(alone: Mapping[tuple[Probe, str], str]) -> list[str]:
    """A note for the tests of each side that the other one has not."""
    notes = []
    for side in ("A", "B"):
        names = list(dict.fromkeys(probe.name for (probe, _), whose in alone.items() if whose == side))
        notes += [f"measured for {side} alone: {some(names, 5)}"] if names else []
    return notes


def _of_runs(a: Side, b: Side) -> list[str]:
    """Notes for runs that collapsed, and for those of methods that are not compared."""
    notes = []
    for name, side, other in (("A", a, b), ("B", b, a)):
        collapsed = side.rows.loc[side.rows["collapsed"].notna(), ["run", "collapsed"]].drop_duplicates()
        for run, label in collapsed.itertuples(index=False):
            notes.append(f"{name} predicts {label!r} throughout" + (f" in {run}" if side.method else ""))
        if not side.method:
            continue
        if side.unfinished:
            notes.append(f"{name}: {side.unfinished} runs of its experiment are not finished, or damaged, and left out")
        places = [{tuple(run.whose[each] for each in PLACE) for run in each.runs} for each in (side, other)]
        seeds = [str(seed) for seed in sorted({seed for *_, seed in places[0] - places[1]})]
        notes += [f"of {name} alone, and not in its means: seeds {some(seeds)}"] if seeds else []
    return notes


def _over_seeds(line: Line, runs: Mapping[int, Any], others: Mapping[int, Any]) -> Line:
    """Paired by seed. The means are over the seeds that have a number on both sides."""
    a, b = ({seed: float(row["value"]) for seed, row in each.items()} for each in (runs, others))
    found = paired(b, a)
    differences = list(found.values())
    values = {seed: (a[seed], b[seed]) for seed in found}
    means = [float(np.mean(each)) for each in zip(*values.values(), strict=True)] if values else [math.nan] * 2
    return replace(
        line, a=means[0], b=means[1], n=len(found), interval=paired_interval(differences), values=values,
        p=float(sign_flip_test(differences)) if differences else math.nan, effect=effect_size(differences),
    )  # fmt: skip


def _over_examples(
    line: Line, row: Mapping[str, Any], other: Mapping[str, Any], sides: tuple[Side, Side], ask: Ask,
    pairs: dict[Probe, Paired],
) -> tuple[Line | None, list[str]]:  # fmt: skip
    """Row by row where both left their answers; else the two numbers alone. Second: what the user should know.

    pairs: the answers of tests that were met before, to which this one's are added.
    """
    probe, about, notes = line.probe, line.metric, list[str]()
    ours, theirs = (side.outcomes.get(probe) for side in sides)
    both = replace(line, a=float(row["value"]), b=float(other["value"]), n=int(min(row["n"], other["n"])))
    if ours is None or theirs is None:
        if row["n"] != other["n"] and not _cost(line):
            return None, [f"{probe.name} is left out: {row['n']} rows for A and {other['n']} for B, which are others"]
        return both, []
    if probe not in pairs:
        labels = [side.labels(probe) for side in sides]
        pairs[probe] = pair(ours, theirs, ask(probe).original, probe.name, labels)
    these = pairs[probe]
    whole = [frame["id"].nunique() for frame in (ours, theirs)]
    partial = max(whole) > len(these.ids)
    if partial:
        notes.append(f"{probe.name}: compared on {len(these.ids)} rows that both have, of {whole[0]} and {whole[1]}")
    originals = len(np.unique(these.original))
    if originals < len(these.ids):
        notes.append(f"{probe.name}: {len(these.ids)} rows of {originals} originals")
    function = function_of(about)
    if function is None:
        return (None if partial else both), notes
    a, b = these.values(function)
    interval, p = over_originals(these, about)
    only = these.discordant() if about.name in SHARES else (None, None)
    return replace(both, a=a, b=b, n=len(these.ids), interval=interval, p=p, only_a=only[0], only_b=only[1]), notes


def _cost(line: Line) -> bool:
    return line.aspect in ("cost", "size")


def _primary(lines: Sequence[Line]) -> list[str]:
    """The first main metric of each test that says which of two is better."""
    chosen: dict[Probe, Line] = {}
    for line in lines:
        compares = line.metric.role == "main" and line.metric.direction != "neither" and not line.summary
        if compares and not _cost(line) and not math.isnan(line.p):
            chosen.setdefault(line.probe, line)
    return [line.name for line in chosen.values()]


def _with_family(lines: Sequence[Line], primary: Sequence[str]) -> list[Line]:
    """The lines with what is corrected for together; UserError for a member that was not measured."""
    members = {id(line) for text in primary for line in matching(lines, text, "primary")}
    family = [line for line in lines if id(line) in members]
    adjusted = holm([line.p for line in family])
    told = {id(line): float(each) for line, each in zip(family, adjusted, strict=True)}
    return [replace(line, primary=id(line) in told, adjusted=told.get(id(line), math.nan)) for line in lines]


def matching(lines: Sequence[Line], text: str, field: str, alone: Mapping[str, str] | None = None) -> list[Line]:
    """The lines that "[SUITE[@VALUE]] METRIC" names; UserError with the nearest name where nothing measured is meant.

    alone: what was measured for one side only, for the error.
    """
    found = [line for line in lines if plain(text) in spellings(line.probe, line.metric)]
    if found:
        return found
    for name, side in (alone or {}).items():
        if plain(text) == plain(name):
            raise UserError(f"{field}: {text!r} was measured for {side} alone")
    raise unknown_name(field, text, {line.name for line in lines})


def plain(text: str) -> str:
    """A name of a test or metric without what people spell differently: capitals, - _ and @, zeros behind a number."""
    words = re.sub(r"[\s@_-]+", " ", text.casefold()).split()
    return " ".join(f"{float(word):g}" if re.fullmatch(r"\d+(\.\d*)?|\.\d+", word) else word for word in words)


def spellings(probe: Probe, about: Metric) -> set[str]:
    """What a user may call a line, as `plain` has it."""
    tests = ("", probe.suite, probe.name)
    return {plain(f"{test} {name}") for test in tests for name in (about.name, about.shown)}
