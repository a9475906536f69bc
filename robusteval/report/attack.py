"""The table of one attack on one model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from robusteval.results.attack_summary import summarise


def print_attack(lines: Sequence[Mapping[str, Any]], title: str, console: Console, resumed: int = 0) -> None:
    """The numbers of the result lines of one recipe with their denominators, and the commonest errors.

    resumed: lines that were there before.
    """
    summary = summarise(lines)
    if resumed:
        console.print(f"{resumed} of {summary.examples} examples were finished before", markup=False)
    grid = Table("measure", "value", "n", title=escape(title))
    shares = {
        "accuracy before": (summary.clean_accuracy, summary.evaluated),
        "accuracy under attack": (summary.accuracy_under_attack, summary.evaluated),
        "attack success rate": (summary.attack_success_rate, summary.attacked),
    }
    for name, (value, n) in shares.items():
        grid.add_row(name, f"{100 * value:.2f} %" if n else "n/a", str(n))
    numbers = {
        "queries per attack": (f"{summary.mean_queries:.1f}", summary.attacked),
        "words changed": (f"{summary.mean_words_changed_percent:.1f} %", summary.succeeded),
        "similarity": (f"{summary.mean_similarity:.3f}", summary.compared),
    }
    for name, (text, n) in numbers.items():
        grid.add_row(name, text if n else "n/a", str(n))
    grid.add_row("errors", str(summary.errors), str(summary.examples))
    console.print(grid)
    messages = Counter(line["message"] for line in lines if line["outcome"] == "error")
    for message, count in messages.most_common(3):
        console.print(f"{count} of {summary.errors} errors: {message}", markup=False, soft_wrap=True)
