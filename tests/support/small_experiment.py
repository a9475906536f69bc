"""A whole experiment in about a second: a tiny model, two suites, one attack; one plan for any output folder."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from robusteval.cli.session import run_session
from robusteval.experiments.outcome import finished_runs
from robusteval.experiments.plan import Plan, make_plan
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import RunSpec
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.work import WorkConfig
from support import tiny
from support.specs import spec_of

CLOCKS = ("seconds", "seconds_per_step", "peak_memory_mb")


def small_plan(model: Path, files: tuple[Path, Path], methods: Sequence[str] = ("vanilla",)) -> Plan:
    base = RunSpec(
        model=str(model),
        task="mine",
        data=DataConfig(
            train_file=str(files[0]), dev_file=str(files[1]), text_columns=("review",), label_column="verdict"
        ),
        evaluation=EvalConfig(suites=("clean", "calibration"), rates=(0.3,), sets=2),
        attack=AttackConfig(examples=3),
    )
    settings = {"max_steps": 4, "batch_size": 8, "max_length": 32, "learning_rate": 1e-3}
    return make_plan(spec_of(base, methods, (0,), settings, ("none",)), options(Path("never-made")))


def own_rows(place: Path, train: int, dev: int) -> dict[str, str]:
    """Files with so many rows of one's own in `place`, as the `data` of a spec names them."""
    for name, count, seed in (("train", train, 0), ("dev", dev, 5)):
        texts, labels = tiny.sentences(count, seed=seed)
        verdicts = ["good" if label else "bad" for label in labels]
        pd.DataFrame({"review": texts, "verdict": verdicts}).to_csv(place / f"{name}.csv", index=False)
    return {
        "train_file": str(place / "train.csv"), "dev_file": str(place / "dev.csv"), "text_columns": "review",
        "label_column": "verdict",
    }  # fmt: skip


def written_spec(files: Mapping[str, Any], **changes: Any) -> ExperimentSpec:
    """Two steps on these files, tested on clean rows alone, with what is to be otherwise.

    files: the `models` and `data` of a spec.
    """
    held: dict[str, Any] = {
        **files, "train": {"max_steps": 2, "batch_size": 8, "max_length": 32, "learning_rate": 1e-3},
        "evaluation": {"suites": "clean"}, "attack": {"recipes": []},
    }  # fmt: skip
    return ExperimentSpec.read({**held, **changes})


def options(out: Path, **changes: Any) -> WorkConfig:
    return dataclasses.replace(WorkConfig(out, device="cpu", quiet=True, page=False, checkpoint_seconds=0), **changes)


def done(plan: Plan, out: Path, **changes: Any) -> tuple[int, str]:
    """One sitting with the experiment: its exit code, and what it said."""
    said = io.StringIO()
    console = Console(file=said, width=10_000, emoji=False)
    return run_session(plan, options(out, **changes), console), said.getvalue()


def timeless(plan: Plan, out: Path) -> list[dict[str, Any]]:
    """The rows of the finished runs, without what a clock or a memory meter put there."""
    rows = [row for run in finished_runs(plan, options(out)).values() for row in run.records]
    return [
        {key: value for key, value in dataclasses.asdict(row).items() if key != "seconds"}
        for row in rows
        if row.metric not in CLOCKS
    ]


def left_behind(out: Path) -> list[str]:
    """Files that no finished experiment has."""
    needless = ("state.safetensors", "state.damaged", "error.txt")
    return [
        str(path.relative_to(out))
        for path in out.rglob("*")
        if path.name in needless or path.name.endswith((".tmp", ".old")) or path.name.startswith("logits.sqlite")
    ]
