"""What a table shows, in two sentences: how far the baseline falls, and where the others stand there."""

from __future__ import annotations

import math

from robusteval.report.cells import Line
from robusteval.report.table import Table

# what a fall is measured in: shares of the same texts that are right
SHARES = ("accuracy", "accuracy_under_attack")


def in_words(table: Table) -> list[str]:
    """Two sentences on the numbers as they stand; what may be concluded from them is `comparisons.verdict`'s to say.

    None where there are several tasks, models or scenarios, or no test of robustness beside the clean one.
    """
    lines = [line for line in table.lines if _counts(line, table.baseline)]
    clean = next((line for line in lines if line.suite == "clean"), None)
    hard = [line for line in lines if line.aspect == "robustness"]
    if clean is None or not hard or any(len(each) > 1 for each in (table.tasks, table.models, table.scenarios)):
        return []
    worst = min(hard, key=lambda line: _mean(line, table.baseline))
    easiest = max(hard, key=lambda line: _mean(line, table.baseline))
    told = f"{table.baseline} is right on {_share(clean, table.baseline)} % of the texts as they are"
    if _mean(worst, table.baseline) >= _mean(clean, table.baseline):
        told += ", and on no fewer in any test of robustness"
    elif easiest.test == worst.test:
        told += f", and on {_share(worst, table.baseline)} % in {worst.test}"
    else:
        told += (
            f"; of the tests of robustness {easiest.test} leaves it the most, {_share(easiest, table.baseline)} %, and "
            f"{worst.test} the least, {_share(worst, table.baseline)} %"
        )
    others = [method for method in table.methods if method != table.baseline and not math.isnan(_mean(worst, method))]
    if not others:
        return [f"{told}."]
    among = ", ".join(f"{method} {_share(worst, method)}" for method in others)
    fewer = len(table.family.claims) and table.family.pairs < table.family.needed
    seeds = "one seed" if table.family.pairs < 2 else f"{table.family.pairs} seeds"
    doubt = f"; with {seeds} that describes these runs, not the methods" if fewer else ""
    return [f"{told}.", f"In {worst.test} the others have {among} %{doubt}."]


def _counts(line: Line, baseline: str) -> bool:
    return line.metric.name in SHARES and line.compared and not math.isnan(_mean(line, baseline))


def _mean(line: Line, method: str) -> float:
    return line.cells[method].summary.mean if line.cells[method].summary.n else math.nan


def _share(line: Line, method: str) -> str:
    return f"{100 * _mean(line, method):.1f}"
