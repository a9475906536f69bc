"""What an experiment cost: training and tests of each column, and the whole."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from robusteval.results.metrics import METRICS

_PLACE = ["model", "task", "method"]
_RUN = [*_PLACE, "scenario", "seed"]
_TEST = ["suite", "suite_value", "split"]


@dataclass(frozen=True)
class Cost:
    """Means over the runs of a model, task and method. Times in s, peak memory in MiB; NaN where it was not measured.

    training, testing: of a run; step: of a training step.
    """

    model: str
    task: str
    method: str
    runs: int
    step: float
    training: float
    testing: float
    peak: float

    @property
    def run(self) -> float:
        return self.training + self.testing


def costs(rows: pd.DataFrame) -> tuple[Cost, ...]:
    """Of the runs that were trained; rows: as `robusteval.results.reading.rows_frame` gives them."""
    rows = rows[[*_RUN, *_TEST, "metric", "value", "seconds"]]
    trained = rows[rows["suite"] == "train"]
    if not len(trained):
        return ()
    measured = trained.groupby([*_PLACE, "metric"], sort=False)["value"].mean().unstack()
    training = trained.groupby(_RUN, sort=False)["seconds"].max()
    tests = rows[~rows["suite"].isin(["train", "scenario"])]
    # every metric of a measurement tells how long that took
    each = tests.groupby([*_RUN, *_TEST], sort=False)["seconds"].max()
    testing = each.groupby(_RUN, sort=False).sum().reindex(training.index, fill_value=0.0)
    spent = pd.DataFrame({"training": training, "testing": testing}).groupby(_PLACE, sort=False)
    told = spent.mean().assign(runs=spent.size()).join(measured.reindex(columns=["seconds_per_step", "peak_memory_mb"]))
    return tuple(
        Cost(model, task, method, int(runs), *map(float, (step, training, testing, peak)))
        for model, task, method, training, testing, runs, step, peak in told.reset_index().itertuples(index=False)
    )


def cost_cells(cost: Cost) -> tuple[str, ...]:
    """Runs, seconds of a step, of training, of the tests and of a run, and the peak memory, as a table shows them."""
    times = (f"{each:.1f}" for each in (cost.training, cost.testing, cost.run))
    step, peak = METRICS["seconds_per_step"].text(cost.step), METRICS["peak_memory_mb"].text(cost.peak)
    return (str(cost.runs), step, *times, peak)


COST_COLUMNS = ("runs", "s per step", "training, s", "tests, s", "a run, s", "peak, MiB")


def total(found: tuple[Cost, ...]) -> tuple[int, float]:
    """Number of runs, and the seconds of all of them together."""
    return sum(cost.runs for cost in found), sum(cost.runs * cost.run for cost in found)
