"""Commands on attacks: attack a checkpoint, show what changed, freeze what succeeded, try it on other models."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from robusteval.cli.options import (
    TESTS,
    AttackPrecision,
    Columns,
    DataDir,
    Delimiter,
    DevFile,
    Device,
    DevSplit,
    DropUnlabelled,
    Encoding,
    EvalLimit,
    LabelColumn,
    LabelMap,
    Labels,
    MaxErrors,
    MaxLength,
    ModelRevision,
    NoHeader,
    Parallel,
    QueryBudget,
    Quote,
    Resources,
    Revision,
    TaskOption,
    TextColumns,
    TimeLimit,
    Truncate,
    TrustRemoteCode,
    chosen_task,
    data_config,
    existing_folder,
    noted,
    option,
)
from robusteval.cli.usage import Checked
from robusteval.errors import UserError
from robusteval.runtime import stopping
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import Screen, loading
from robusteval.settings.grammar import listed, written

if TYPE_CHECKING:
    from robusteval.results.attack_lines import AttackLine
    from robusteval.results.attack_summary import ProgressNote
    from robusteval.runtime.progress import ProgressBar

attacks_app = typer.Typer()


@attacks_app.command(cls=Checked)
def attack(
    checkpoint: Annotated[str, typer.Argument(help="Folder or hub id of a fine-tuned classifier.")],
    recipe: Annotated[
        str, option("--attack", help="Recipes (robusteval list attacks) or FILE.py:NAME, comma separated.", panel=TESTS)
    ] = "deepwordbug",
    task: TaskOption = None,
    model_revision: ModelRevision = "main",
    trust_remote_code: TrustRemoteCode = False,
    examples: Annotated[int, option("--attack-examples", help="Rows attacked.", panel=TESTS)] = 50,
    columns: Columns = "",
    seed: Annotated[int, option("--seed", help="Seed of the attack.", panel=TESTS)] = 0,
    data_dir: DataDir = None,
    revision: Revision = "main",
    dev_split: DevSplit = None,
    dev_file: DevFile = None,
    text_columns: TextColumns = "",
    label_column: LabelColumn = "label",
    encoding: Encoding = "auto",
    delimiter: Delimiter = "auto",
    quote: Quote = "auto",
    no_header: NoHeader = False,
    labels: Labels = "",
    label_map: LabelMap = "",
    drop_unlabelled: DropUnlabelled = False,
    eval_limit: EvalLimit = None,
    max_length: MaxLength = 128,
    out: Annotated[
        Path | None, option("--out", help="A .jsonl file, one line per example; resumable. One per recipe of several.")
    ] = None,
    resources: Resources = None,
    precision: AttackPrecision = "fp32",
    truncate: Truncate = False,
    query_budget: QueryBudget = None,
    time_limit: TimeLimit = None,
    attack_parallel: Parallel = 0,
    workers: Annotated[int, option("--workers", help="Processes, each with a share of the examples.")] = 1,
    cache: Annotated[Path | None, option("--cache", help="A file that keeps logits for other recipes.")] = None,
    max_errors: MaxErrors = 0,
    device: Device = "auto",
) -> None:
    """Attack any fine-tuned checkpoint with one or more TextAttack recipes; several share what the model said."""
    from robusteval.cli.precheck import check_attack, check_checkpoint, check_options
    from robusteval.settings.attack import AttackConfig

    check_options(
        device, attack_parallel=attack_parallel, max_errors=max_errors, workers=workers, attack_examples=examples,
        seed=seed,
    )  # fmt: skip
    AttackConfig(precision=precision, query_budget=query_budget, time_limit=time_limit)  # type: ignore[arg-type]
    task = chosen_task(task, own=bool(dev_file))
    data = data_config(
        data_dir=data_dir, revision=revision, dev_split=dev_split, dev_file=dev_file, text_columns=text_columns,
        label_column=label_column, eval_limit=eval_limit, encoding=encoding, delimiter=delimiter, quote=quote,
        no_header=no_header,
        labels=labels, label_map=label_map, drop_unlabelled=drop_unlabelled,
    )  # fmt: skip
    console, recipes = Screen(), listed(recipe)
    check_attack(recipes, out, cache, existing_folder(resources))
    check_checkpoint(checkpoint, task, data, listed(columns), max_length)
    with loading("torch, transformers and textattack"):
        quiet_libraries()
        from robusteval import api
        from robusteval.attacks.recipes.requirements import require
        from robusteval.report.attack import print_attack
        from robusteval.results.attack_summary import ProgressNote
        from robusteval.runtime.progress import ProgressBar

        for name in recipes:
            require(name, resources)
    if out is not None:
        stopping.continues()
    errors = 0
    with ExitStack() as stack:
        if len(recipes) > 1 and cache is None:
            cache = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "logits.sqlite"
        for name in recipes:
            note = ProgressNote()
            with ProgressBar(f"attack {name}", examples) as bar:
                result = api.attack(
                    checkpoint, task, name,
                    examples=examples, seed=seed, out=_own_file(out, name, recipes),
                    resources_dir=resources, columns=listed(columns) or None, device=device, data=data,
                    precision=precision, max_length=max_length, truncate=truncate,
                    parallel=attack_parallel, workers=workers, query_budget=query_budget, time_limit=time_limit,
                    cache=cache, model_revision=model_revision, trust_remote_code=trust_remote_code,
                    notify=noted(console),
                    progress=functools.partial(_show, bar, note),
                )  # fmt: skip
            print_attack(result.lines, f"{result.recipe} on {Path(checkpoint).name}", console, result.resumed)
            errors += result.summary.errors
    if errors > max_errors:
        raise typer.Exit(1)


def _show(bar: ProgressBar, note: ProgressNote, done: int, total: int, line: AttackLine) -> None:
    bar.reach(done, total, note(done, total, line))


def _own_file(out: Path | None, recipe: str, recipes: Sequence[str]) -> Path | None:
    """The result file of one of several recipes: "results.jsonl" becomes "results.pwws.jsonl"."""
    from robusteval.attacks.recipes.registry import recipe_entry

    return out.with_name(f"{out.stem}.{recipe_entry(recipe).name}{out.suffix}") if out and len(recipes) > 1 else out


@attacks_app.command(cls=Checked)
def transcript(
    results: Annotated[Path, typer.Argument(help="A .jsonl file of attack results.")],
    html: Annotated[Path | None, typer.Option("--html", help="Write a page instead of printing.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="succeeded, failed, skipped or error.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Show that many examples.")] = None,
) -> None:
    """Show attacked texts with the words that were changed."""
    from robusteval.report.transcripts import check_page, html_page, print_transcripts, summary_text, transcripts
    from robusteval.results.attack_summary import summarise
    from robusteval.results.reading import attack_lines
    from robusteval.storage.files import write_atomic

    if html is not None:
        check_page(html)
    lines = attack_lines(results)
    title = f"{lines[0]['recipe']}, seed {lines[0]['seed']}: {results.name}"
    console = Screen(highlight=False)
    if html is None:
        print_transcripts(transcripts(lines, outcome, limit), console)
        console.print(f"{title}: {summary_text(summarise(lines))}", markup=False, soft_wrap=True)
        return
    page = html_page(lines, title, outcome, limit)
    write_atomic(html, page, field="html")
    console.print(f"transcripts in {html}", markup=False, soft_wrap=True)


@attacks_app.command(cls=Checked)
def freeze(
    results: Annotated[list[Path], typer.Argument(help="Files of attack results (.jsonl).")],
    out: Annotated[Path, typer.Option("--out", help="The data set to write (.parquet).")],
    text_columns: Annotated[str, typer.Option("--text-columns", help="Names for the text columns, in order.")] = "",
) -> None:
    """Save the successful adversarial texts of finished attacks as a data set for any other model."""
    if out.suffix != ".parquet":
        raise UserError(f"out: {str(out)!r} must end in .parquet")
    from robusteval.attacks.results.frozen_sets import check_set, write_frozen
    from robusteval.attacks.results.frozen_sets import freeze as frozen

    check_set(out)
    frame = frozen(results, listed(text_columns) or None)
    write_frozen(frame, out)
    columns = ",".join(written(name) for name in frame.columns[: list(frame.columns).index("label")])
    Screen().print(
        f"{len(frame)} adversarial texts in {out}; test a model on them with\n"
        f"robusteval evaluate CHECKPOINT --dev-file {out} --text-columns {columns} --label-column label",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@attacks_app.command(cls=Checked)
def transfer(
    experiment: Annotated[Path, typer.Argument(help="Folder of an experiment that was run with --keep-models.")],
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Try the successful adversarial texts against each method on the models of all others."""
    from robusteval.cli.precheck import check_options

    check_options(device)
    if not (experiment / "experiment.yaml").is_file():
        raise UserError(f"experiment: {str(experiment)!r} holds no experiment.yaml")
    with loading("torch and transformers"):
        quiet_libraries()
        from robusteval.evaluation.transfer import over_seeds
        from robusteval.pipeline.transfer import transfer as tried
        from robusteval.report.transfer import print_transfer, write_transfer
        from robusteval.storage.files import check_place
        from robusteval.storage.locks import locked

    console = Screen()
    check_place(experiment / "report", folder=True, field="experiment")
    frame = tried(experiment, device)
    averages = over_seeds(frame)
    print_transfer(frame, averages, console)
    with locked(experiment, "report", wait=True):
        write_transfer(frame, averages, experiment / "report")
    console.print(f"transfer.md, transfer.csv in {experiment / 'report'}", markup=False, soft_wrap=True)
