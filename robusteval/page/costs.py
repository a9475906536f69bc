"""What the runs of a method took, beside those of the baseline."""

from __future__ import annotations

import math

from robusteval.report.costs import Cost, total
from robusteval.report.table import Table
from robusteval.results.metrics import METRICS
from robusteval.runtime.progress import duration

COST = ("a run takes", "times the baseline", "peak memory")


def cost_of(table: Table, method: str) -> tuple[str, ...]:
    """What a run took; how many times that of the baseline, unless they are of other models, tasks or numbers of runs;
    and the largest of the peak memories, each a mean over seeds."""
    own = _costs(table, method)
    if not own:
        return ("–",) * len(COST)
    base = _costs(table, table.baseline)
    runs, seconds = total(own)
    times = "other runs" if base else "–"
    if [_place(cost) for cost in own] == [_place(cost) for cost in base] and total(base)[1] > 0:
        times = "1 ×" if method == table.baseline else f"{seconds / total(base)[1]:.1f} ×"
    peaks = [cost.peak for cost in own if not math.isnan(cost.peak)]
    memory = f"{METRICS['peak_memory_mb'].text(max(peaks))} MiB" if peaks else "–"
    return (duration(seconds / runs), times, memory)


def _costs(table: Table, method: str) -> tuple[Cost, ...]:
    return tuple(cost for cost in table.costs if cost.method == method)


def _place(cost: Cost) -> tuple[str, str, int]:
    return cost.model, cost.task, cost.runs
