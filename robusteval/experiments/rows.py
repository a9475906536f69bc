"""The rows of a run: whose they are, and what training and attacks have to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from robusteval.methods.compose import build_method
from robusteval.registry import result_name
from robusteval.results.attack_summary import AttackSummary
from robusteval.results.rows import Note, Row
from robusteval.scenarios.base import Prepared, Scenario, build_scenarios
from robusteval.settings.runs import RunSpec
from robusteval.training.trainer import TrainResult

MakeRow = Callable[..., Row]
"""A `Row` that knows already whose run it is."""


def run_title(spec: RunSpec, *, task: bool = False, model: bool = False) -> str:
    """A run in words: "tdt seed 0", "tdt seed 0 under label-noise:rate=0.1"; task, model: whether they are named."""
    where = f" on {result_name(spec.task)}" if task else ""
    what = f" with {spec.model}" if model else ""
    under = f" under {spec.scenario.label}" if spec.scenario.parts else ""
    return f"{spec.method.label} seed {spec.seed}{where}{what}{under}"


def scenario_value(scenarios: Sequence[Scenario[Any]]) -> float | None:
    """The strength of the last scenario that has one."""
    return next((s.value for s in reversed(scenarios) if s.value is not None), None)


def run_row(spec: RunSpec, run: str, **fields: Any) -> Row:
    return Row(
        run=run,
        model=spec.model,
        task=result_name(spec.task),
        method=spec.method.label,
        scenario=spec.scenario.label,
        scenario_value=scenario_value(build_scenarios(spec.scenario)),
        seed=spec.seed,
        **fields,
    )


def training_rows(row: MakeRow, split: str, prepared: Prepared, result: TrainResult) -> list[Row]:
    """What training cost, and what the scenario did."""
    values = {
        "steps": float(result.steps),
        "seconds": result.seconds,
        "seconds_per_step": result.seconds_per_step,
        "peak_memory_mb": result.peak_bytes / 2**20,
    }
    notes = tuple(map(Note, result.notices))
    told: list[tuple[str, str, str, float, tuple[Note, ...]]]
    told = [("train", "", metric, value, notes) for metric, value in values.items()]
    told += [("scenario", name, "rows", float(count), ()) for name, count in prepared.counts.items()]
    n, seconds = len(prepared.examples), round(result.seconds, 3)
    return [
        row(
            suite=suite, suite_value=name, split=split, metric=metric, value=value, n=n, seconds=seconds, notes=said,
        )
        for suite, name, metric, value, said in told
    ]  # fmt: skip


def attack_rows(row: MakeRow, recipe: str, split: str, summary: AttackSummary, seconds: float) -> list[Row]:
    """Every number with its own denominator."""
    notes = (Note(summary.warning),) if summary.warning else ()
    return [
        row(
            suite="attack", suite_value=recipe, split=split, metric=metric, value=value, n=n, seconds=seconds,
            notes=notes,
        )
        for metric, value, n in summary.metrics()
        if n or metric != "mean_similarity"
    ]  # fmt: skip


def remedies(spec: RunSpec) -> str:
    """What to try where a run predicts one class throughout."""
    train = spec.train
    steps = f"--max-steps, {train.max_steps}" if train.max_steps is not None else f"--epochs, {train.epochs:g}"
    presets = "".join(f", or {text}" for text in build_method(spec.method).remedies)
    return f"try more steps ({steps} here), another rate (--learning-rate, {train.peak_rate:g} here){presets}"
