"""Attack a checkpoint."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robusteval.cli.checked import noted
from robusteval.cli.evaluate import TRAINED_ON
from robusteval.cli.options import CHECKPOINT, TESTS, Given, only, option, takes, without
from robusteval.cli.output import AsJson, Shown, print_json
from robusteval.runtime import stopping
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import loading
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.grammar import listed
from robusteval.settings.runs import RunSpec
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig

if TYPE_CHECKING:
    from robusteval.results.attack_lines import AttackLine
    from robusteval.results.attack_summary import ProgressNote
    from robusteval.runtime.progress import ProgressBar


@takes(
    "recipe", "attack_examples", "columns", "seed", "task", "out", "resources", "attack_parallel", "workers", "cache"
)
def attack(
    *,
    checkpoint: Annotated[str, CHECKPOINT],
    recipe: Annotated[
        str, option("--attack", help="Recipes (robusteval list attacks) or FILE.py:NAME, comma separated.", panel=TESTS)
    ] = ",".join(AttackConfig.recipes),
    config: Annotated[AttackConfig, without("attacks")],
    data: Annotated[DataConfig, without(*TRAINED_ON, "test")],
    run: Annotated[RunSpec, only("task", "model_revision", "trust_remote_code", "seed")],
    train: Annotated[TrainConfig, only("max_length")],
    out: Annotated[
        Path | None, option("--out", help="A .jsonl file, one line per example; resumable. One per recipe of several.")
    ] = None,
    work: Annotated[WorkConfig, only("resources", "attack_parallel", "workers", "max_errors", "device")],
    cache: Annotated[Path | None, option("--cache", help="A file that keeps logits for other recipes.")] = None,
    as_json: AsJson = False,
    given: Given,
) -> None:
    """Attack any fine-tuned checkpoint with one or more TextAttack recipes; several share what the model said."""
    from robusteval.cli.precheck import check_attack, check_checkpoint, check_work, named_task

    check_work(work)
    task, recipes = named_task(run.task, given, own=bool(data.dev_file)), listed(recipe)
    check_attack(recipes, out, cache)
    loaded = check_checkpoint(checkpoint, task, data, config.columns)
    with loading("torch, transformers and textattack"):
        quiet_libraries()
        from robusteval.attacks.recipes.requirements import require
        from robusteval.pipeline.attack import begin_campaign
        from robusteval.pipeline.rows import evaluation_rows
        from robusteval.report.attack import print_attack
        from robusteval.results.attack_summary import ProgressNote
        from robusteval.runtime.progress import ProgressBar

        for name in recipes:
            require(name, work.resources_dir)
    if out is not None:
        stopping.continues()
    rows = loaded or evaluation_rows(checkpoint, task, data, None, run.opening)
    console, errors = Shown(as_json).screen(), 0
    records = []
    with ExitStack() as stack:
        if len(recipes) > 1 and cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "logits.sqlite"
        campaign = stack.enter_context(
            begin_campaign(
                checkpoint, rows, config, run.seed, max_length=train.max_length, opening=run.opening, work=work,
                cache=cache, notify=noted(console),
            )
        )  # fmt: skip
        for name in recipes:
            with ProgressBar(f"attack {name}", config.examples or len(rows.dev)) as bar:
                show = functools.partial(_show, bar, ProgressNote())
                result = campaign.attack(name, _own_file(out, name, recipes), show)
            if as_json:
                records.append({"recipe": result.recipe, **asdict(result.summary)})
            else:
                print_attack(result.lines, f"{result.recipe} on {Path(checkpoint).name}", console, result.resumed)
            errors += result.summary.errors
    if as_json:
        print_json({"checkpoint": checkpoint, "attacks": records})
    if errors > work.max_errors:
        raise typer.Exit(1)


def _show(bar: ProgressBar, note: ProgressNote, done: int, total: int, line: AttackLine) -> None:
    bar.reach(done, total, note(done, total, line))


def _own_file(out: Path | None, recipe: str, recipes: Sequence[str]) -> Path | None:
    """The result file of one of several recipes: "results.jsonl" becomes "results.pwws.jsonl"."""
    from robusteval.attacks.recipes.registry import recipe_entry

    return out.with_name(f"{out.stem}.{recipe_entry(recipe).name}{out.suffix}") if out and len(recipes) > 1 else out
