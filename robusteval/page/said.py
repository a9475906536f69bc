"""The first screen: which method is better where, by how much, how sure that is, and at what cost.

Nothing is computed here: numbers, intervals, tests and groups are the table's.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from robusteval.page.costs import cost_of
from robusteval.report.averages import AVERAGE
from robusteval.report.cells import Cell, Line, interval_text, seeds_text, signed, spread_text
from robusteval.report.comparisons import Claim, Family, on_collapsed, on_seeds
from robusteval.report.statistics import fewest_pairs, paired
from robusteval.report.table import Table
from robusteval.results.metrics import Metric

# Tests that the first screen has room for, and seeds that a cell tells; tables and rows have all.
MOST_TESTS, MOST_SEEDS = 5, 20
_TOO_FEW, _NO_DIFFERENCE, _NOTHING = "too few seeds", "no clear difference", "not measured"


@dataclass(frozen=True)
class Bar:
    """A difference and its interval, as shares (0 to 1) of a scale that has 0 in its middle."""

    low: float
    mean: float
    high: float


@dataclass(frozen=True)
class Mark:
    """A method on a test. text: mean ± deviation; delta, interval: to the baseline; verdict: what the test over seeds
    says, "" where none was declared; side: "better" or "worse" where that is clear; seeds: seed by seed; lacking: how
    many seeds there are, where not all, and how many collapsed."""

    text: str
    delta: str = ""
    interval: str = ""
    verdict: str = ""
    side: str = ""
    bar: Bar | None = None
    seeds: str = ""
    lacking: str = ""


@dataclass(frozen=True)
class Sentence:
    """What may be said. of: the test that it is about, "" where it is about all."""

    text: str
    of: str = ""


@dataclass(frozen=True)
class Test:
    """A test as the first screen shows it. where: model, task and scenario; about: which numbers are better, and that
    it has no verdict where it is not of the family; label: all of it in a line."""

    name: str
    metric: str
    where: str
    about: str
    label: str


@dataclass(frozen=True)
class Standing:
    """A method: its marks by test, and what its runs took."""

    method: str
    baseline: bool
    marks: tuple[Mark, ...]
    cost: tuple[str, ...]


@dataclass(frozen=True)
class Screen:
    """sentences: what the tests support; sure: what it rests on; left_out: how many tests it has no room for."""

    sentences: tuple[Sentence, ...]
    sure: tuple[str, ...]
    tests: tuple[Test, ...]
    standings: tuple[Standing, ...]
    left_out: int


def screen(table: Table) -> Screen:
    """The first screen of a table."""
    lines = chosen(table)
    first = by_weight(lines, table)[:MOST_TESTS]
    shown = [line for line in lines if any(line is each for each in first)]
    marks = [_marks(line, table) for line in shown]
    standings = tuple(
        Standing(method, method == table.baseline, tuple(of[method] for of in marks), cost_of(table, method))
        for method in table.methods
    )
    sure = on_seeds(table.family) if table.family.pairs > 1 else []
    if any(_few_texts(claim) for claim in table.family.claims if table.family.pairs >= table.family.needed):
        sure.append(
            f"Under {fewest_pairs()} texts: the seeds agree, but so small a difference can be the choice of texts"
        )
    return Screen(
        (*headline(table), *_of_these_runs(shown, table)),
        (*sure, *on_collapsed(table.lines)),
        tuple(_test(line, table) for line in shown),
        standings,
        len(lines) - len(shown),
    )


def chosen(table: Table) -> list[Line]:
    """The lines of the family, then of other tests those of quality and robustness that models are compared by; an
    average stands for its tasks."""
    averaged = {(line.model, line.scenario, line.test, task) for line in table.lines for task in line.over}
    family = table.family.lines
    here = {(line.model, line.scenario, line.test) for line in family}
    others = [
        line
        for line in table.lines
        if line.compared
        and line.aspect in ("quality", "robustness")
        and (line.model, line.scenario, line.test, line.task) not in averaged
        and (line.model, line.scenario, line.test) not in here
    ]
    # of a test with several metrics the first
    first = {(line.model, line.task, line.scenario, line.test): line for line in reversed(others)}
    return [*family, *reversed(first.values())]


def by_weight(lines: Sequence[Line], table: Table) -> list[Line]:
    """The lines of the family, then tests of robustness, then others; of these, one of each suite before the second
    of any, and a suite's last first, which is the strongest where it has a strength."""
    seen: Counter[str] = Counter()
    rank: dict[int, tuple[int, int, int]] = {}
    for place, line in reversed(list(enumerate(lines))):
        kind = 0 if declared(line, table) else 1 if line.aspect == "robustness" else 2
        rank[place] = (kind, seen[line.suite] if kind else 0, place)
        seen[line.suite] += kind > 0
    return [lines[place] for place in sorted(rank, key=lambda each: rank[each])]


def declared(line: Line, table: Table) -> bool:
    return any(line is each for each in table.family.lines)


def headline(table: Table) -> list[Sentence]:
    """What may be said of the methods, a sentence for each test of the family."""
    family = table.family
    if len(table.methods) == 1:
        return [Sentence(f"{table.methods[0]} is the only method here: there is nothing to compare it with")]
    if not family.claims:
        return [Sentence("No test here compares the methods")]
    if family.pairs < family.needed:
        return [Sentence(_too_few(table))]
    return [_on_line(line, table) for line in family.lines]


def _too_few(table: Table) -> str:
    pairs, count = table.family.pairs, len(table.family.claims)
    if pairs < 1:
        return f"No seed has both {table.baseline} and another method yet: nothing can be compared"
    if pairs < 2:
        return (
            "There is one seed to compare the methods by, so nothing can be said of them: the numbers describe these "
            "runs alone"
        )
    many = f"{count} comparisons" if count > 1 else "one comparison"
    return f"With {pairs} seeds no difference can be called clear: for {many} that takes {table.family.needed} seeds"


def _of_these_runs(shown: Sequence[Line], table: Table) -> list[Sentence]:
    """What holds of every seed that was run, where there are too few to say more; runs that collapsed are left out."""
    if not 2 <= table.family.pairs < table.family.needed:
        return []
    told, neither = list[str](), list[str]()
    for method in (each for each in table.methods if each != table.baseline):
        sides: dict[str, list[str]] = {"better": [], "worse": []}
        for line in shown:
            if side := _in_every_seed(line.cells[method], line.cells[table.baseline], line.metric):
                sides[side].append(heading(line, table))
        parts = [f"{side} than {table.baseline} on {', '.join(on)}" for side, on in sides.items() if on]
        if parts:
            told.append(f"{method} is {' and '.join(parts)}")
        else:
            neither.append(method)
    told += [f"neither on any test: {', '.join(neither)}"] if neither else []
    return [Sentence(f"With every seed that was run, which is no verdict: {'; '.join(told)}")]


def _in_every_seed(own: Cell, base: Cell, metric: Metric) -> str:
    """The side on which a method is with each of at least two seeds, "" for none."""
    lost = own.collapsed | base.collapsed
    found = paired(own.kept(lost), base.kept(lost)).values()
    sign = -1 if metric.direction == "lower" else 1
    sides = {"better" if sign * each > 0 else "worse" if sign * each < 0 else "" for each in found}
    return sides.pop() if len(sides) == 1 and len(found) > 1 else ""


def _on_line(line: Line, table: Table) -> Sentence:
    claims = [claim for claim in table.family.claims if claim.line is line]
    parts = []
    for side in ("better", "worse"):
        clear = [_numbers(claim) for claim in claims if claim.clear and claim.side == side]
        parts += [f"clearly {side} than {table.baseline}: {', '.join(clear)}"] if clear else []
    absent = [claim.method for claim in claims if not claim.comparison.interval.n]
    rest = [
        claim.method + _few_texts(claim, " ({})") for claim in claims if not (claim.clear or claim.method in absent)
    ]
    if rest:
        parts.append(f"no clear difference to {table.baseline}: {', '.join(rest)}")
    parts += [f"not measured: {', '.join(absent)}"] if absent else []
    return Sentence(f"{'; '.join(parts)}. {at_the_top(line, table)}", heading(line, table))


def at_the_top(line: Line, table: Table) -> str:
    """Who is first: the one method that is apart from all others, or those that cannot be told apart at the top."""
    groups = {method: table.family.group(line, method) for method in table.methods}
    first = [method for method, letters in groups.items() if "a" in re.findall(r"[a-z]\d*", letters)]
    if not first:
        return "There is no ranking: each compared with each, no two methods can be told apart"
    if len(first) == 1:
        return f"Each compared with each, {first[0]} is ahead of all others"
    return f"Each compared with each, these cannot be told apart at the top: {', '.join(first)}"


def _numbers(claim: Claim) -> str:
    metric, interval = claim.line.metric, claim.comparison.interval
    return f"{claim.method} {signed(interval.mean, metric)} ({interval_text(interval, metric)})"


def _few_texts(claim: Claim, form: str = "{}") -> str:
    """Why a difference is not clear that the seeds tell apart."""
    if claim.clear or not claim.comparison.clear:
        return ""
    return form.format(f"under {fewest_pairs()} of {claim.line.n[0]} texts")


def heading(line: Line, table: Table) -> str:
    """A test in words, with model, task and scenario where the table has several."""
    where = where_of(line, table)
    return f"{line.test} {line.metric.shown}" + (f" ({where})" if where else "")


def where_of(line: Line, table: Table) -> str:
    told = []
    if line.over:
        told.append(f"{AVERAGE} of {', '.join(line.over)}")
    elif len(table.tasks) > 1:
        told.append(line.task)
    told += [line.model] if len(table.models) > 1 else []
    told += [line.scenario] if line.scenario != "none" else []
    return ", ".join(told)


def _test(line: Line, table: Table) -> Test:
    better = {"higher": "higher is better", "lower": "lower is better"}.get(line.metric.direction, "")
    about = "; ".join(filter(None, (f"n {line.count}", better, "" if declared(line, table) else "no verdict")))
    return Test(line.test, line.metric.shown, where_of(line, table), about, heading(line, table))


def _marks(line: Line, table: Table) -> dict[str, Mark]:
    """The marks of all methods on a test, their bars on one scale."""
    ends = [
        abs(end)
        for cell in line.cells.values()
        if cell.delta is not None
        for end in (cell.delta.low, cell.delta.mean, cell.delta.high)
        if math.isfinite(end)
    ]
    scale = max(ends, default=0.0)
    return {method: _mark(line, method, table, scale) for method in table.methods}


def _mark(line: Line, method: str, table: Table, scale: float) -> Mark:
    cell, metric = line.cells[method], line.metric
    text = spread_text(cell.summary, metric) if cell.summary.n else "–"
    claim = table.family.claim(line, method)
    verdict, side = _verdict(claim, table.family)
    found = cell.delta
    plain = Mark(text, verdict=verdict, side=side, seeds=by_seed(cell, metric), lacking=_lacking(cell))
    if found is None or math.isnan(found.mean):
        return plain
    bar = None
    if scale:
        low, mean, high = (0.5 + 0.48 * each / scale for each in (found.low, found.mean, found.high))
        bar = Bar(mean if math.isnan(low) else low, mean, mean if math.isnan(high) else high)
    interval = "" if math.isnan(found.low) else interval_text(found, metric)
    return replace(plain, delta=signed(found.mean, metric), interval=interval, bar=bar)


def _lacking(cell: Cell) -> str:
    there, lost = cell.summary.n, cell.summary.n - cell.sound.n
    told = [] if cell.whole or not there else [f"{there} of {cell.asked} seeds"]
    return ", ".join([*told, *([f"{lost} collapsed"] if lost else [])])


def _verdict(claim: Claim | None, family: Family) -> tuple[str, str]:
    """In words, and the side where it is clear."""
    if claim is None:
        return "", ""
    if not claim.comparison.interval.n:
        return _NOTHING, ""
    if family.pairs < family.needed:
        return _TOO_FEW, ""
    if claim.clear:
        return f"clearly {claim.side}", claim.side
    return _few_texts(claim) or _NO_DIFFERENCE, ""


def by_seed(cell: Cell, metric: Metric) -> str:
    """A cell seed by seed, a line each; what is missing, and the interval of the difference."""
    told = [
        f"seed {seed}: {metric.text(value)}" + (" (collapsed)" if seed in cell.collapsed else "")
        for seed, value in sorted(cell.values.items())[:MOST_SEEDS]
    ]
    more = len(cell.values) - MOST_SEEDS
    told += [f"and {more} more seeds"] if more > 0 else []
    absent = cell.asked - len(cell.values)
    told += [f"no result of {absent} of {cell.asked} seeds"] if absent > 0 else []
    found = cell.delta
    if found is not None and not math.isnan(found.low):
        told.append(f"Δ {signed(found.mean, metric)}, 95 % interval {interval_text(found, metric)}, {found.n} pairs")
    return "\n".join(told)


def scope(table: Table, seeds: Sequence[int]) -> str:
    """What was run, in a line: methods, tasks, models, seeds."""
    several = len(seeds) > 1
    told = [f"{len(table.methods)} method{'s' if len(table.methods) > 1 else ''}", ", ".join(table.tasks)]
    told += [", ".join(model for model in table.models if model)] if any(table.models) else []
    told += [f"seed{'s' if several else ''} {seeds_text(seeds)}"] if seeds else []
    return " · ".join(told)
