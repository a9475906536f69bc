"""Conditions on a comparison that make a command fail: "mask@0.2 accuracy drop > 5"."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from robusteval.errors import UserError, unknown_name
from robusteval.report.comparison import Comparison, Line, matching, plain
from robusteval.report.statistics import Interval
from robusteval.results.metrics import METRICS

FORM = "[SUITE[@VALUE]] METRIC drop|gain|difference|value >|>=|<|<= NUMBER"
_FORM = re.compile(
    r"(.*\S)\s+(drop|gain|difference|value)\s*(>=|<=|>|<)\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*", re.IGNORECASE
)
_COMPARED = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}


@dataclass(frozen=True)
class Condition:
    """A condition that fails where it holds.

    test: what it names, "mask@0.2 accuracy". of: "drop" (A - B), "gain" (B - A), "difference" (either way) or "value"
    (of B); bound: as numbers are shown, in points of percent for shares.
    """

    text: str
    test: str
    of: str
    sign: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Condition:
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise UserError(f"fail_if: {text!r} is not {FORM}, as in 'mask@0.2 accuracy drop > 5'")
        return cls(text.strip(), found[1], found[2].lower(), found[3], float(found[4]))


@dataclass(frozen=True)
class Check:
    """A condition on one line. measured, and the ends of its interval: as numbers are shown, NaN where not known."""

    condition: Condition
    line: Line
    measured: float
    low: float
    high: float
    failed: bool


def check_names(
    conditions: Sequence[Condition], primary: Sequence[str], tests: Mapping[str, Sequence[str]], *, closed: bool
) -> None:
    """Raise UserError for a condition, or a member of the family, that can name nothing that will be measured.

    tests: suites that run, with their values where these are known before. closed: no suite has metrics of its own.
    """
    metrics = {name for each in METRICS.values() for name in (each.name, each.shown)}
    heads = {plain(suite): suite for suite in tests}
    heads |= {plain(f"{suite} {value}"): f"{suite}@{value}" for suite, values in tests.items() for value in values}
    open_ended = [plain(suite) for suite, values in tests.items() if not values]
    asked = [("fail_if", each.test) for each in conditions] + [("primary", text) for text in primary]
    for field, text in asked:
        known = sorted((plain(name) for name in metrics if f" {plain(text)}".endswith(f" {plain(name)}")), key=len)
        head = plain(text).removesuffix(known[-1]).strip() if known else ""
        if not known and closed:
            words = text.split()
            raise _unknown(field, words[-1], [each.name for each in METRICS.values()])
        if known and head and head not in heads and not any(head.startswith(f"{each} ") for each in open_ended):
            raise _unknown(field, text[: len(text) - len(known[-1])].strip(), list(heads.values()))


def _unknown(field: str, name: str, valid: Collection[str]) -> UserError:
    return unknown_name(field, name, valid)


def checked(conditions: Sequence[Condition], comparison: Comparison, *, sure: bool) -> list[Check]:
    """Every condition on every line that it names.

    sure: it fails only where the whole 95 % interval is beyond the bound. UserError where it names nothing that was
    measured for both, or a number or an interval that is not there: nothing passes unmeasured.
    """
    return [
        _check(condition, line, sure)
        for condition in conditions
        for line in matching(comparison.lines, condition.test, "fail_if", comparison.alone)
    ]


def _check(condition: Condition, line: Line, sure: bool) -> Check:
    scale = line.metric.scale
    measured, interval = _measured(condition.of, line)
    # what is shown as 5 is 5, whatever binary fractions make of 0.85 - 0.8, and 0 has no sign
    value, low, high = (round(scale * each, 9) + 0.0 for each in (measured, interval.low, interval.high))
    if math.isnan(value):
        raise UserError(f"fail_if: {line.name} is not a number for A or B, so {condition.text!r} says nothing")
    holds = _COMPARED[condition.sign]
    if not sure:
        return Check(condition, line, value, low, high, holds(value, condition.bound))
    if math.isnan(low):
        raise UserError(
            f"sure: {line.name} {condition.of} has no interval, so {condition.text!r} cannot be sure; leave --sure out"
        )
    return Check(condition, line, value, low, high, all(holds(each, condition.bound) for each in (low, high)))


def _measured(of: str, line: Line) -> tuple[float, Interval]:
    """The number that a condition speaks of, raw, and its interval."""
    gain, interval = line.difference, line.interval
    if of == "value":
        return line.b, Interval(line.b, math.nan, math.nan, 0)
    if of == "gain":
        return gain, interval
    if of == "drop":
        return -gain, Interval(-gain, -interval.high, -interval.low, interval.n)
    ends = sorted((abs(interval.low), abs(interval.high)))
    crosses = interval.low <= 0 <= interval.high
    return abs(gain), Interval(abs(gain), 0.0 if crosses else ends[0], ends[1], interval.n)
