"""A checkpoint that is compared: the attacks that lie beside its tests."""

from __future__ import annotations

import functools
from pathlib import Path

from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.pipeline.attack import begin_campaign
from robusteval.pipeline.notices import Notify
from robusteval.pipeline.rows import evaluation_rows
from robusteval.results.rows import Note, Row
from robusteval.results.store import RunFolder
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.model import ModelConfig
from robusteval.settings.work import WorkConfig


def attack_checkpoint(
    folder: Path, checkpoint: str, task: str, data: DataConfig, config: AttackConfig, *, max_length: int,
    opening: ModelConfig, work: WorkConfig, notify: Notify,
) -> None:  # fmt: skip
    """Attack a checkpoint that was tested, and leave the attacks beside its tests in `folder`."""
    rows = evaluation_rows(checkpoint, task, data, None, opening)
    run, held = RunFolder(folder), RunFolder(folder).rows()[0]
    cache = folder / "attacks" / "logits.sqlite"
    with begin_campaign(
        checkpoint, rows, config, 0, max_length=max_length, opening=opening, work=work, cache=cache, notify=notify
    ) as campaign:
        for recipe in config.recipes:
            name = recipe_entry(recipe).name
            out = folder / "attacks" / f"{name}.jsonl"
            summary = campaign.attack(recipe, out).summary
            notes = (Note(summary.warning),) if summary.warning else ()
            row = functools.partial(
                Row, run=held.run, task=held.task, method=held.method, scenario="none", scenario_value=None, seed=0,
                suite="attack", suite_value=name, split=rows.task.dev, seconds=0.0, notes=notes, model=held.model,
            )  # fmt: skip
            numbers = [row(metric=metric, value=value, n=n) for metric, value, n in summary.metrics() if n]
            run.finish_stage(f"attack/{name}", numbers, [out])
    run.finish(keep_model=True)
