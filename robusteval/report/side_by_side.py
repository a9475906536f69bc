"""A comparison of two on the terminal, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Console

from robusteval.report.comparison import Comparison, Line
from robusteval.report.conditions import Check
from robusteval.report.differing import Example
from robusteval.report.grid import print_grid, print_sentence
from robusteval.report.statistics import CONFIDENCE, LEVEL, fewest_pairs, smallest_p
from robusteval.report.transcripts import visible

# characters of a text that are shown
SHORT = 160
# of the JSON record; it changes where a key does
VERSION = 1


def print_comparison(comparison: Comparison, examples: int, console: Console, *, every: bool = False) -> None:
    """A table for each task, model and scenario, what it supports, so many examples, and notes.

    every: also what training cost, and counts of rows.
    """
    for name in ("a", "b"):
        print_sentence(console, f"{name.upper()}: {getattr(comparison, name)}")
    for title, lines in _parts(comparison, every=every).items():
        _print_lines(title, lines, comparison.kind, console)
    for sentence in caption(comparison):
        print_sentence(console, sentence)
    shown = chosen(comparison.examples, examples)
    if shown:
        console.print(f"\n{len(shown)} of {len(comparison.examples)} answers that differ:", markup=False)
    for each in shown:
        console.print(example_text(each), markup=False, soft_wrap=True)
    for note in comparison.notes:
        print_sentence(console, f"Note: {note}.")


def print_checks(checks: Sequence[Check], console: Console) -> None:
    """A line for each condition and what it was looked at on."""
    for check in checks:
        console.print(check_text(check), markup=False, soft_wrap=True, style="red" if check.failed else "green")


def _parts(comparison: Comparison, *, every: bool) -> dict[str, list[Line]]:
    """The lines of each task, model and scenario, by a title; every: also of costs and counts of rows."""
    found: dict[str, list[Line]] = {}
    for line in comparison.lines:
        if line.metric.role == "detail" or (line.aspect in ("cost", "size") and not every):
            continue
        model, task, scenario = line.probe[:3]
        told = (f" with {model}" if model else "") + (f" under {scenario}" if scenario not in ("", "none") else "")
        found.setdefault(task + told, []).append(line)
    return found


def _print_lines(title: str, lines: Sequence[Line], kind: str, console: Console) -> None:
    models = kind == "models"
    header = ["test", "metric", "n" if models else "seeds", "A", "B", "B − A", "95 % interval"]
    header += ["A only", "B only"] if models else []
    header += ["p", "verdict"]
    suites, rows = [line.probe.suite for line in lines], []
    for line in lines:
        about, one = line.metric, [line.only_a, line.only_b] if models else []
        cells = [f"{line.probe.suite} {line.probe.value}".strip(), about.name, str(line.n)]
        cells += [about.text(line.a), about.text(line.b), signed(line.difference, line), interval_text(line)]
        cells += ["" if count is None else str(count) for count in one]
        rows.append([*cells, "" if math.isnan(line.p) else f"{line.p:.2g}", line.verdict])
    sections = [place for place, (before, suite) in enumerate(pairwise(suites), 1) if before != suite]
    print_grid(console, header, rows, title=title, words=2, sections=sections)


def signed(value: float, line: Line) -> str:
    """A difference as it is shown, with its sign."""
    if math.isnan(value):
        return "n/a"
    text = line.metric.text(abs(value))
    return text if not float(text) else ("−" if value < 0 else "+") + text


def interval_text(line: Line) -> str:
    low, high = line.interval.low, line.interval.high
    return "" if math.isnan(low) else f"{signed(low, line)} to {signed(high, line)}"


def caption(comparison: Comparison) -> list[str]:
    """What the table supports, and how to read it."""
    family, count = comparison.family, len(comparison.family)
    together = f"a verdict holds at {LEVEL:g} for all {count} tests that have one together (Holm)" if count else ""
    if comparison.kind == "models":
        clear = [f"{line.name} ({line.verdict})" for line in family if line.verdict.startswith("B is")]
        said = f"Clear on {len(clear)} of {count} tests: {', '.join(clear)}." if clear else "No clear difference."
        return [
            *([said] if count else []),
            "This compares these two checkpoints, not the methods that trained them: another seed may turn it.",
            f"Intervals ({CONFIDENCE:.0%}) are over originals; A only, B only: originals on which that one alone is "
            "right, or in more of the random sets; p is McNemar's exact test where rows are independent, else of sign "
            f"flips over originals; {together}.",
        ]
    seeds = sorted({line.n for line in comparison.lines if not math.isnan(line.p)})
    few = seeds[0] if seeds else 0
    sentences = [
        f"Intervals ({CONFIDENCE:.0%}, t) are over seeds, paired; p is the exact sign-flip test; {together}.",
        f"With {few} seeds the smallest p is {smallest_p(few):.2g}, and a verdict over {count} tests needs "
        f"{fewest_pairs(count)} seeds or more (name fewer tests with --primary).",
    ]
    if few < 2:
        sentences.append("One seed says nothing of the methods; name two runs' folders to compare their models.")
    return sentences


def chosen(examples: Sequence[Example], count: int) -> list[Example]:
    """`count` examples, the tests taking turns; a row is shown once."""
    tests: dict[Any, list[Example]] = {}
    for each in examples:
        tests.setdefault(each.probe, []).append(each)
    shown: dict[tuple[str, tuple[str, ...]], Example] = {}
    for turn in range(max(map(len, tests.values()), default=0)):
        for several in tests.values():
            if len(shown) < count and turn < len(several):
                shown.setdefault((several[turn].id, several[turn].texts), several[turn])
    return list(shown.values())


def example_text(example: Example) -> str:
    texts = "".join(f"\n    {shortened(text)}" for text in example.texts)
    return visible(f"  {example.probe.name} {example.id}: gold {example.gold}; A {example.a}; B {example.b}") + texts


def shortened(text: str) -> str:
    """A text on one line, cut where it is long."""
    line = visible(" ".join(text.split()))
    return line if len(line) <= SHORT else line[: SHORT - 1] + "…"


def check_text(check: Check) -> str:
    """Like "FAIL mask@0.2 accuracy drop > 5: 7.25 (3.10 to 11.40)"."""
    line, digits = check.line, check.line.metric.digits
    ends = (check.measured, check.low, check.high)
    numbers = [f"{each:.3g}" if digits is None else f"{round(each, digits) + 0.0:.{digits}f}" for each in ends]
    interval = "" if math.isnan(check.low) else f" ({numbers[1]} to {numbers[2]})"
    where = "" if not _elsewhere(line) else f" [{_elsewhere(line)}]"
    name = f"{line.name} {check.condition.of} {check.condition.sign} {check.condition.bound:g}"
    return visible(f"{'FAIL' if check.failed else 'pass'} {name}{where}: {numbers[0]}{interval}")


def _elsewhere(line: Line) -> str:
    return ", ".join(filter(None, (line.probe.model, line.probe.task, line.probe.scenario.removeprefix("none"))))


def record(comparison: Comparison, checks: Sequence[Check]) -> dict[str, Any]:
    """All of a comparison as plain values; a number that is not there is null. docs/compare.md describes the keys."""
    return {
        "version": VERSION,
        "kind": comparison.kind,
        "a": comparison.a,
        "b": comparison.b,
        "confidence": CONFIDENCE,
        "tests": [_line_record(line) for line in comparison.lines],
        "examples": [_example_record(each) for each in comparison.examples],
        "conditions": [
            {
                "condition": check.condition.text, **_tested_record(check.line), "metric": check.line.metric.name,
                "measured": check.measured, "low": _number(check.low), "high": _number(check.high),
                "bound": check.condition.bound, "failed": check.failed,
            }
            for check in checks
        ],
        "failed": any(check.failed for check in checks),
        "notes": [*caption(comparison), *comparison.notes],
    }  # fmt: skip


def _tested_record(line: Line) -> dict[str, str]:
    return dict(zip(("model", "task", "scenario", "suite", "value"), line.probe, strict=True))


def _line_record(line: Line) -> dict[str, Any]:
    about = line.metric
    raw = {
        "a": line.a, "b": line.b, "difference": line.difference, "low": line.interval.low, "high": line.interval.high,
    }  # fmt: skip
    return {
        **_tested_record(line), "split": line.split, "metric": about.name, "unit": about.unit, "scale": about.scale,
        "direction": about.direction, **{name: _number(value) for name, value in raw.items()}, "n": line.n,
        "originals": (line.interval.n or None) if not line.values else None,
        "only_a": line.only_a, "only_b": line.only_b, "p": _number(line.p), "p_adjusted": _number(line.adjusted),
        "effect": _number(line.effect), "primary": line.primary, "verdict": line.verdict,
        "seeds": {str(seed): [_number(each) for each in pair] for seed, pair in line.values.items()},
        "shown": {
            "a": about.text(line.a), "b": about.text(line.b), "difference": signed(line.difference, line),
            "interval": interval_text(line),
        },
    }  # fmt: skip


def _example_record(example: Example) -> dict[str, Any]:
    names: Iterable[tuple[str, str]] = zip(("model", "task", "scenario", "suite", "value"), example.probe, strict=True)
    answers: Mapping[str, Any] = {"id": example.id, "gold": example.gold, "a": example.a, "b": example.b}
    right = {"right_a": _number(example.right_a), "right_b": _number(example.right_b)}
    return {**dict(names), **answers, **right, "texts": list(example.texts)}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
