"""The declared family of comparisons of a table, the groups that cannot be told apart, and what may be said of both."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from robusteval.errors import nearest
from robusteval.report.cells import Line, interval_text, signed
from robusteval.report.statistics import (
    LEVEL,
    Better,
    Comparison,
    Interval,
    compare_family,
    fewest_pairs,
    letters,
    paired,
    paired_interval,
    smallest_p,
)
from robusteval.results.metrics import Metric

Groups = Mapping[str, str]


@dataclass(frozen=True)
class Claim:
    """One comparison of the family: a method against the baseline on one test.

    sound: the interval without the runs that collapsed, where one did. least: the smallest difference that the number
    of texts supports.
    """

    line: Line
    method: str
    comparison: Comparison
    least: float
    sound: Interval | None = None

    @property
    def clear(self) -> bool:
        """Whether the test over seeds tells the two apart, by more than the choice of texts could."""
        return self.comparison.clear and abs(self.comparison.interval.mean) >= self.least

    @property
    def side(self) -> str:
        higher = self.comparison.interval.mean > 0
        return "better" if higher is (self.line.metric.direction == "higher") else "worse"


@dataclass(frozen=True)
class Family:
    """The declared comparisons with the baseline, and of each of their lines the letters of the methods.

    groups: letters of the methods by the line's place and name, of lines in which any two are apart (`group`).
    """

    baseline: str
    claims: tuple[Claim, ...]
    groups: Mapping[tuple[str, ...], Groups] = field(default_factory=dict)

    @property
    def lines(self) -> list[Line]:
        return list({_place(claim.line): claim.line for claim in self.claims}.values())

    @property
    def pairs(self) -> int:
        """The most seeds that any comparison has."""
        return max((claim.comparison.interval.n for claim in self.claims), default=0)

    @property
    def needed(self) -> int:
        """How many seeds the sign-flip test needs to find anything in a family of this size."""
        return fewest_pairs(len(self.claims))

    @cached_property
    def by_cell(self) -> Mapping[tuple[Any, ...], Claim]:
        return {(_place(claim.line), claim.method): claim for claim in self.claims}

    def claim(self, line: Line, method: str) -> Claim | None:
        """The comparison of a cell, if it is one of the family."""
        return self.by_cell.get((_place(line), method))

    def clear(self, line: Line, method: str) -> bool:
        found = self.claim(line, method)
        return found is not None and found.clear

    def group(self, line: Line, method: str) -> str:
        """The letters of a cell; none in a line in which no two methods are apart."""
        return self.groups.get(_place(line), {}).get(method, "")


def declare(
    lines: Sequence[Line], methods: Sequence[str], baseline: str, primary: Sequence[str] = ()
) -> tuple[Family, list[str]]:
    """The family of the lines that `primary` names ("clean accuracy"), and what there is to say of that choice.

    By default it is each task's first line that compares models, in every scenario. Of several tasks the average is
    compared.
    """
    names = {" ".join(name.split()) for name in primary}
    measured = {line.name for line in lines if line.metric.direction != "neither"}
    chosen = _one_per_method([line for line in lines if line.name in names & measured] if names else _first(lines))
    told = []
    for name in sorted(names - measured):
        close = nearest(name, measured, 1)
        told.append(f"primary: no test {name!r} was measured" + (f"; did you mean {close[0]!r}?" if close else ""))
    others = [method for method in methods if method != baseline]
    places = [(line, method) for line in chosen for method in others]
    compared = compare_family([list(_differences(line, method, baseline).values()) for line, method in places])
    claims = tuple(
        Claim(line, method, each, least_difference(line.metric, line.n[0]), _sound(line, method, baseline))
        for (line, method), each in zip(places, compared, strict=True)
    )
    return Family(baseline, claims, _groups(chosen, methods) if others else {}), told


def least_difference(metric: Metric, n: int) -> float:
    """The smallest difference that n texts support: less can be the choice of texts.

    Of a share, six texts: even where all of them speak for the same side, McNemar's exact test tells fewer than six
    from chance no better than 2 / 2^5. Of another number at least six texts must have been measured.
    """
    fewest = fewest_pairs()
    if metric.unit == "%" and n:
        return fewest / n - 1e-12
    return 0.0 if n >= fewest else math.inf


def _first(lines: Sequence[Line]) -> list[Line]:
    """The first line of each model and task, and of their average, that says how good models are; in every scenario."""
    told = [line for line in lines if line.compared and line.aspect in ("quality", "robustness")]
    first: dict[tuple[str, str], str] = {}
    for line in told:
        first.setdefault((line.model, line.task), line.name)
    return [line for line in told if first[line.model, line.task] == line.name]


def _one_per_method(lines: Sequence[Line]) -> list[Line]:
    """The average stands for its tasks, so that each test is one comparison of a method."""
    averaged = {(line.model, line.scenario, line.suite, line.value, task) for line in lines for task in line.over}
    return [line for line in lines if (line.model, line.scenario, line.suite, line.value, line.task) not in averaged]


def _place(line: Line) -> tuple[str, ...]:
    return line.model, line.task, line.scenario, line.split, line.name


def _left_out(line: Line, methods: Collection[str]) -> frozenset[int]:
    """Seeds that are not compared: a run that answers the same throughout cannot be moved, and is not robust."""
    if line.aspect != "robustness":
        return frozenset()
    return frozenset().union(*(line.cells[method].collapsed for method in methods))


def _differences(line: Line, method: str, baseline: str) -> dict[int, float]:
    out = _left_out(line, (method, baseline))
    return paired(line.cells[method].kept(out), line.cells[baseline].kept(out))


def _sound(line: Line, method: str, baseline: str) -> Interval | None:
    """The interval without the runs that collapsed."""
    out = line.cells[method].collapsed | line.cells[baseline].collapsed
    if not out:
        return None
    return paired_interval(list(paired(line.cells[method].kept(out), line.cells[baseline].kept(out)).values()))


def _groups(lines: Sequence[Line], methods: Sequence[str]) -> dict[tuple[str, ...], Groups]:
    """The letters of the methods in each line in which any two are apart."""
    tables = []
    for line in lines:
        seeds = sorted({seed for cell in line.cells.values() for seed in cell.values} - _left_out(line, methods))
        tables.append([[line.cells[method].values.get(seed, math.nan) for seed in seeds] for method in methods])
    better = [Better(line.metric.direction == "higher", least_difference(line.metric, line.n[0])) for line in lines]
    found = {
        _place(line): dict(zip(methods, each, strict=True))
        for line, each in zip(lines, letters(tables, better), strict=True)
    }
    return {place: each for place, each in found.items() if len(set(filter(None, each.values()))) > 1}


def verdict(family: Family, lines: Sequence[Line] = ()) -> list[str]:
    """What the tests of the family support, a sentence each; nothing of methods where they cannot support anything.

    lines: all lines of the table, of whose runs it is told which collapsed.
    """
    return [*on_seeds(family), *_on_methods(family), *on_groups(family), *on_collapsed(lines)]


def on_seeds(family: Family) -> list[str]:
    """What the family is, how it is tested, and what so many seeds can find; nothing where there is no family."""
    count, pairs = len(family.claims), family.pairs
    if not count:
        return []
    if pairs < 2:
        return ["Nothing is said of the methods: that takes several seeds of each"]
    names = ", ".join(dict.fromkeys(line.name for line in family.lines))
    many = "comparisons" if count > 1 else "comparison"
    smallest = smallest_p(pairs)
    after = min(1.0, smallest * count)
    told = (
        f"Declared family: {count} {many} with {family.baseline} ({names}); sign-flip test, paired by seed, Holm. With "
        f"{pairs} seeds the smallest reachable p is {p_text(smallest)}"
    )
    told += f", {p_text(after)} after Holm" if count > 1 else ""
    if after > LEVEL:
        return [f"{told}; a difference can be called clear from {family.needed} seeds on"]
    return [told]


def _on_methods(family: Family) -> list[str]:
    """A sentence for each method, unless the seeds are too few for any."""
    if family.pairs < family.needed:
        return []
    told = []
    for method in dict.fromkeys(claim.method for claim in family.claims):
        claims = [claim for claim in family.claims if claim.method == method]
        parts = [_told(family, claim) for claim in claims if claim.comparison.clear]
        rest = sum(not claim.comparison.clear for claim in claims)
        if rest:
            of = f" in {rest} of {len(claims)} comparisons" if len(claims) > 1 else ""
            parts.append(f"no clear difference{of}")
        told.append(f"{method} against {family.baseline}: {'; '.join(parts)}")
    return told


def _told(family: Family, claim: Claim) -> str:
    metric, interval = claim.line.metric, claim.comparison.interval
    numbers = f"{signed(interval.mean, metric)}, 95 % interval {interval_text(interval, metric)}"
    where = where_text(claim.line, family.lines)
    if not claim.clear:
        texts = f"of {claim.line.n[0]} texts that is fewer than {fewest_pairs()}"
        return f"no clear difference in {where}: {numbers}, but {texts}"
    return f"{claim.side} in {where} ({numbers}, p {p_text(claim.comparison.adjusted)} after Holm)"


def on_groups(family: Family) -> list[str]:
    """How to read the letters; nothing where there are none."""
    if not family.groups:
        return []
    return ["Methods with the same raised letter cannot be told apart (sign-flip tests of all pairs, Holm)"]


def on_collapsed(lines: Sequence[Line]) -> list[str]:
    """Which methods collapsed under which scenario, in how many runs."""
    found: dict[str, dict[str, set[tuple[str, str, int]]]] = {}
    for line in lines:
        for method, cell in line.cells.items() if not line.over else ():
            for seed in cell.collapsed:
                found.setdefault(method, {}).setdefault(line.scenario, set()).add((line.model, line.task, seed))
    if not found:
        return []
    whose = "; ".join(f"{method} {_runs(scenarios)}" for method, scenarios in found.items())
    return [
        f"Collapsed to one class: {whose}. A constant answer cannot be attacked, and that is no robustness: such runs "
        "are in no comparison of robustness"
    ]


def _runs(scenarios: Mapping[str, Collection[Any]]) -> str:
    """Like "1 run" or "2 runs, 1 run under label-noise:rate=0.1"."""
    counted = [(f"{len(runs)} run{'s' if len(runs) > 1 else ''}", name) for name, runs in scenarios.items()]
    return ", ".join(count if name == "none" else f"{count} under {name}" for count, name in counted)


def where_text(line: Line, among: Sequence[Line]) -> str:
    """A line by its name, with task, model and scenario where the others have several."""
    parts = [line.name]
    for name, word in (("task", "of"), ("model", "with"), ("scenario", "under")):
        if len({getattr(each, name) for each in among}) > 1:
            parts.append(f"{word} {getattr(line, name)}")
    return " ".join(parts)


def p_text(p: float) -> str:
    return "–" if math.isnan(p) else f"{p:.2g}" if p >= 0.001 else "< 0.001"
