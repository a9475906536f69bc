"""Which rows a run will leave, told from its spec alone: what a recipe's coordinates are held against."""

from __future__ import annotations

from robusteval.results.metrics import METRICS
from robusteval.settings.grammar import parse_part
from robusteval.settings.runs import RunSpec
from robusteval.tasks import TASKS


def rows_of(run: RunSpec) -> set[tuple[str, str, str]]:
    """(suite, value, metric) of every row that a recipe may speak of, of the suites that recipes ask for."""
    task, evaluation = TASKS[run.task], run.evaluation
    rates = [f"{rate:g}" for rate in evaluation.rates]
    found = {("train", "", name) for name, each in METRICS.items() if each.aspect == "cost"}
    for text in evaluation.suites:
        suite, settings = parse_part(text, "suites")
        told: dict[str, tuple[str, ...]] = {}
        if suite == "clean":
            told = {"": task.metrics}
        elif suite in ("mask", "replace"):
            told = dict.fromkeys(rates, task.metrics)
        elif suite == "ordered-drop":
            orders = [f"{order} {way}" for order in ("confidence", "gradient") for way in ("ascending", "descending")]
            told = {f"{order} {rate}": task.metrics for order in (*orders, "random") for rate in rates}
        elif suite == "classes":
            told = dict.fromkeys(task.labels, ("accuracy",))
        elif suite == "groups":
            told = {"average": ("accuracy",), "worst": ("accuracy",)}
        elif suite == "ood":
            only = settings["only"].split("|") if "only" in settings else [each.task for each in task.transfers]
            assert set(only) <= {each.task for each in task.transfers}
            told = {name: TASKS[name].metrics for name in only}
        elif suite == "advglue":
            told = {name: TASKS[name].metrics for name in task.adversarial}
        elif suite == "generalisation":
            told = {name: TASKS[name].metrics for name in ("cola", "mrpc", "rte")}
        elif suite == "sensitivity":
            told = dict.fromkeys(("mean", "ema"), ("mean", "std", "gini", "insensitive"))
        else:
            raise AssertionError(f"{suite}: which rows it leaves is not told here")
        found |= {(suite, value, metric) for value, metrics in told.items() for metric in metrics}
    return found
