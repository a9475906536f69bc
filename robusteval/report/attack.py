"""The table of one attack on one model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from robusteval.report.grid import print_grid, print_sentence
from robusteval.results.attack_summary import summarise
from robusteval.results.metrics import metric


def print_attack(lines: Sequence[Mapping[str, Any]], title: str, console: Console, resumed: int = 0) -> None:
    """The numbers of the result lines of one recipe with their denominators, and the commonest errors.

    resumed: lines that were there before.
    """
    summary = summarise(lines)
    if resumed:
        print_sentence(console, f"{resumed} of {summary.examples} examples were finished before")
    rows = []
    for name, value, n in summary.metrics():
        about = metric(name)
        rows.append((about.shown, f"{about.text(value)} {about.unit}".strip() if n else "n/a", str(n)))
    print_grid(console, ("measure", "value", "n"), rows, title=title)
    messages = Counter(line["message"] for line in lines if line["outcome"] == "error")
    for message, count in messages.most_common(3):
        print_sentence(console, f"{count} of {summary.errors} errors: {message}")
