"""Test a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from robusteval.cli.checked import noted
from robusteval.cli.options import CHECKPOINT, Given, only, option, takes, without
from robusteval.cli.output import AsJson, EveryRow, Shown, print_json
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import loading
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import RunSpec
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig
from robusteval.storage.locks import locked

# settings of DataConfig that only a training set has
TRAINED_ON = ("train_split", "train_file", "label_type", "dev_share", "train_limit", "cue")


@takes("task")
def evaluate(
    *,
    checkpoint: Annotated[str, CHECKPOINT],
    data: Annotated[DataConfig, without(*TRAINED_ON)],
    run: Annotated[RunSpec, only("task", "model_revision", "trust_remote_code")],
    evaluation: EvalConfig,
    train: Annotated[TrainConfig, only("max_length")],
    out: Annotated[Path | None, option("--out", help="Folder for rows, predictions and table.")] = None,
    work: Annotated[WorkConfig, only("device")],
    every: EveryRow = False,
    as_json: AsJson = False,
    given: Given,
) -> None:
    """Test any fine-tuned checkpoint on clean, perturbed, out-of-domain and adversarial text."""
    from robusteval.cli.precheck import check_checkpoint, check_tests, check_work, named_task

    check_work(work)
    task = named_task(run.task, given, own=bool(data.dev_file))
    check_tests(out, evaluation.suites if "suites" in given else ())
    check_checkpoint(checkpoint, task, data, evaluation.columns)
    with loading("torch and transformers"):
        quiet_libraries()
        from robusteval import api
        from robusteval.pipeline.evaluation import checkpoint_rows
        from robusteval.report.records import record
        from robusteval.report.render import print_table, write_table
        from robusteval.report.table import build_table
        from robusteval.results.frames import rows_frame
    console = Shown(as_json).screen()
    result = api.evaluate(
        checkpoint, task, data=data, device=work.device, max_length=train.max_length, out=out,
        model_revision=run.model_revision, trust_remote_code=run.trust_remote_code, notify=noted(console),
        **given.settings(evaluation),
    )  # fmt: skip
    rows = checkpoint_rows(result.measurements, result.task.name, result.name, result.model)
    frame = rows_frame(rows, result.declared)
    table = build_table(frame, [result.name], notes=result.notices, declared=result.declared)
    if as_json:
        print_json(record(table))
    else:
        print_table(table, console, every=every)
    if out is not None:
        with locked(out):
            write_table(table, out)
        console.print(f"table.md, .csv, .tex, .html, .json, rows, predictions in {out}", markup=False, soft_wrap=True)
