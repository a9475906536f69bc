"""The command line: one thin function per command. Imports stand inside, so that --help is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from robusteval.cli.attacks import attacks_app
from robusteval.cli.options import (
    DATA,
    MODEL,
    TESTS,
    TRAINING,
    AttackPrecision,
    Columns,
    DataDir,
    Delimiter,
    DevFile,
    Device,
    DevShare,
    DevSplit,
    DropUnlabelled,
    Encoding,
    EvalLimit,
    LabelColumn,
    LabelMap,
    Labels,
    LabelType,
    MaskToken,
    MaxErrors,
    MaxLength,
    ModelRevision,
    NoHeader,
    Parallel,
    QueryBudget,
    Quote,
    Rates,
    Resources,
    Revision,
    Sets,
    Suites,
    TaskOption,
    Tests,
    TextColumns,
    TimeLimit,
    TrainFile,
    TrainLimit,
    TrainSplit,
    Truncate,
    TrustRemoteCode,
    chosen_suites,
    chosen_task,
    data_config,
    existing_folder,
    noted,
    option,
    parse_rates,
    parse_seeds,
)
from robusteval.cli.usage import Checked, explained
from robusteval.errors import UserError, unknown_name
from robusteval.registry import result_name
from robusteval.runtime import stopping
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import Screen, loading, printable
from robusteval.settings.grammar import listed, pieces
from robusteval.storage.files import disk_trouble
from robusteval.storage.locks import locked
from robusteval.version import VERSION

app = typer.Typer(
    name="robusteval",
    help="Fine-tune language models robustly, test how robust they are, and show it in one table.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


@app.command(cls=Checked)
def train_and_attack(
    model: Annotated[str, option("--model", help="Registered name, folder or hub id.", panel=MODEL)] = "minilm",
    task: TaskOption = None,
    methods: Annotated[
        str,
        option("--methods", help="Comma separated: vanilla, match:temperature=2, match+r3f.", panel=MODEL),
    ] = "vanilla,match,tdt,pats,bidrop",
    seeds: Annotated[str, option("--seeds", help="How many, or which (0,1,7).", panel=MODEL)] = "2",
    model_revision: ModelRevision = "main",
    trust_remote_code: TrustRemoteCode = False,
    data_dir: DataDir = None,
    revision: Revision = "main",
    train_split: TrainSplit = None,
    dev_split: DevSplit = None,
    train_file: TrainFile = None,
    dev_file: DevFile = None,
    text_columns: TextColumns = "",
    label_column: LabelColumn = "label",
    label_type: LabelType = "auto",
    encoding: Encoding = "auto",
    delimiter: Delimiter = "auto",
    quote: Quote = "auto",
    no_header: NoHeader = False,
    labels: Labels = "",
    label_map: LabelMap = "",
    drop_unlabelled: DropUnlabelled = False,
    dev_share: DevShare = None,
    train_limit: TrainLimit = None,
    eval_limit: EvalLimit = None,
    cue: Annotated[float, option("--cue", help="Cue strength of a demo task's training set.", panel=DATA)] = 0.9,
    epochs: Annotated[
        float | None, option("--epochs", help="Passes over the training rows [3].", panel=TRAINING)
    ] = None,
    max_steps: Annotated[int | None, option("--max-steps", help="Steps instead of epochs.", panel=TRAINING)] = None,
    learning_rate: Annotated[
        float | None, option("--learning-rate", help="Peak rate [the model's own].", panel=TRAINING)
    ] = None,
    batch_size: Annotated[int | None, option("--batch-size", help="Examples per step [16].", panel=TRAINING)] = None,
    accumulation: Annotated[
        int | None, option("--accumulation", help="Micro-batches per step [1].", panel=TRAINING)
    ] = None,
    optimizer: Annotated[
        str | None, option("--optimizer", help="adamw, adamax or adamax-plain.", panel=TRAINING)
    ] = None,
    warmup: Annotated[float | None, option("--warmup", help="Share of steps [0.1].", panel=TRAINING)] = None,
    weight_decay: Annotated[float | None, option("--weight-decay", help="[0.01]", panel=TRAINING)] = None,
    clip_norm: Annotated[float | None, option("--clip-norm", help="0 for none [1.0].", panel=TRAINING)] = None,
    dropout: Annotated[float | None, option("--dropout", help="[the model's own]", panel=TRAINING)] = None,
    precision: Annotated[str | None, option("--precision", help="auto, fp32, bf16, fp16.", panel=TRAINING)] = None,
    select: Annotated[str | None, option("--select", help="last, or best on dev.", panel=TRAINING)] = None,
    max_length: Annotated[int | None, option("--max-length", help="Tokens per input [128].", panel=TRAINING)] = None,
    scenario: Annotated[
        str, option("--scenario", help="Done to the training set: none,label-noise:rate=0.05/0.1.", panel=DATA)
    ] = "none",
    test: Tests = None,
    suites: Suites = None,
    rates: Rates = "0.1,0.2,0.3",
    sets: Sets = 3,
    columns: Columns = "",
    mask_token: MaskToken = None,
    attacks: Annotated[
        str, option("--attacks", help="Recipes or FILE.py:NAME, comma separated; '' for none.", panel=TESTS)
    ] = "deepwordbug",
    attack_examples: Annotated[int, option("--attack-examples", help="Rows attacked.", panel=TESTS)] = 50,
    attack_precision: AttackPrecision = "fp32",
    truncate: Truncate = False,
    query_budget: QueryBudget = None,
    time_limit: TimeLimit = None,
    max_errors: MaxErrors = 0,
    attack_parallel: Parallel = 0,
    no_cache: Annotated[bool, option("--no-cache", help="Keep no logits on disk while attacking.")] = False,
    out: Annotated[Path | None, option("--out", help="Folder of the experiment [robusteval-runs/...].")] = None,
    device: Device = "auto",
    workers: Annotated[int, option("--workers", help="Runs at a time, one process each.")] = 1,
    resources: Resources = None,
    track: Annotated[str | None, option("--track", help="tensorboard, mlflow or wandb.")] = None,
    keep_models: Annotated[bool, option("--keep-models", help="Keep the checkpoints.")] = False,
    checkpoint_seconds: Annotated[float, option("--checkpoint-seconds", help="Time between resumable states.")] = 120.0,
    dry_run: Annotated[bool, option("--dry-run", help="Check everything, print the plan, do nothing.")] = False,
    quiet: Annotated[bool, option("--quiet", help="No progress bars.")] = False,
) -> None:
    """Train with each method and seed, test on clean, perturbed and attacked text, print one table."""
    from robusteval.cli.precheck import check_options, check_training
    from robusteval.settings.attack import AttackConfig
    from robusteval.settings.codec import content_hash, to_dict
    from robusteval.settings.evaluation import EvalConfig
    from robusteval.settings.runs import RunSpec
    from robusteval.settings.work import WorkConfig

    check_options(
        device, track, workers=workers, checkpoint_seconds=checkpoint_seconds, attack_parallel=attack_parallel,
        max_errors=max_errors,
    )  # fmt: skip
    existing_folder(resources)
    own = train_file is not None or dev_file is not None
    task = chosen_task(task, own=own)
    given = {
        "epochs": epochs, "max_steps": max_steps, "learning_rate": learning_rate, "batch_size": batch_size,
        "accumulation": accumulation, "optimizer": optimizer, "warmup": warmup, "weight_decay": weight_decay,
        "clip_norm": clip_norm, "dropout": dropout, "precision": precision, "select": select,
        "max_length": max_length,
    }  # fmt: skip
    data = data_config(
        data_dir=data_dir, revision=revision, train_split=train_split, dev_split=dev_split, train_file=train_file,
        dev_file=dev_file, text_columns=text_columns, label_column=label_column, label_type=label_type,
        train_limit=train_limit, eval_limit=eval_limit, cue=cue, encoding=encoding, delimiter=delimiter, quote=quote,
        no_header=no_header,
        labels=labels, label_map=label_map, drop_unlabelled=drop_unlabelled, dev_share=dev_share,
        tests=test,
    )  # fmt: skip
    base = RunSpec(
        model=model,
        model_revision=model_revision,
        trust_remote_code=trust_remote_code,
        task=task,
        data=data,
        evaluation=EvalConfig(
            chosen_suites(suites, task, own=own), parse_rates(rates), sets, listed(columns), mask_token
        ),
        attack=AttackConfig(
            listed(attacks),
            attack_examples,
            listed(columns),
            attack_precision,  # type: ignore[arg-type]
            query_budget,
            time_limit,
            truncate,
        ),
    )
    explicit = {key: value for key, value in given.items() if value is not None}
    chosen = parse_seeds(seeds)
    rows = check_training(base, pieces(methods), pieces(scenario), explicit, out)
    with loading("torch and transformers", quiet=quiet):
        quiet_libraries()
        from robusteval.cli.session import run_session, show_plan
        from robusteval.experiments.plan import make_plan, make_spec
    spec = make_spec(base, pieces(methods), chosen, explicit, pieces(scenario))
    folder = out or Path("robusteval-runs") / f"{result_name(task)}-{content_hash(to_dict(spec))[:8]}"
    work = WorkConfig(
        folder, device, workers, attack_parallel, not no_cache, resources, checkpoint_seconds, keep_models, track,
        quiet, max_errors=max_errors,
    )  # fmt: skip
    console = Screen()
    plan = make_plan(spec, work, base.evaluation.suites if suites is None else (), rows)
    show_plan(plan, work, console)
    if not dry_run:
        stopping.continues()
        raise typer.Exit(run_session(plan, work, console))


@app.command(cls=Checked)
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Folder or hub id of a fine-tuned classifier.")],
    task: TaskOption = None,
    model_revision: ModelRevision = "main",
    trust_remote_code: TrustRemoteCode = False,
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
    test: Tests = None,
    suites: Suites = None,
    rates: Rates = "0.1,0.2,0.3",
    sets: Sets = 3,
    columns: Columns = "",
    mask_token: MaskToken = None,
    max_length: MaxLength = 128,
    out: Annotated[Path | None, option("--out", help="Folder for rows, predictions and table.")] = None,
    device: Device = "auto",
) -> None:
    """Test any fine-tuned checkpoint on clean, perturbed, out-of-domain and adversarial text."""
    from robusteval.cli.precheck import check_checkpoint, check_evaluation_options

    task = chosen_task(task, own=bool(dev_file))
    data = data_config(
        data_dir=data_dir, revision=revision, dev_split=dev_split, dev_file=dev_file, text_columns=text_columns,
        label_column=label_column, eval_limit=eval_limit, encoding=encoding, delimiter=delimiter, quote=quote,
        no_header=no_header,
        labels=labels, label_map=label_map, drop_unlabelled=drop_unlabelled, tests=test,
    )  # fmt: skip
    chosen = None if suites is None else pieces(suites)
    check_evaluation_options(out, chosen, parse_rates(rates), sets, device)
    check_checkpoint(checkpoint, task, data, listed(columns), max_length)
    with loading("torch and transformers"):
        quiet_libraries()
        from robusteval import api
        from robusteval.cli.session import evaluation_table
        from robusteval.report.render import print_table, write_table
    console = Screen()
    result = api.evaluate(
        checkpoint, task, data=data, device=device, max_length=max_length, suites=chosen, rates=parse_rates(rates),
        sets=sets,
        columns=listed(columns), mask_token=mask_token, out=out, model_revision=model_revision,
        trust_remote_code=trust_remote_code, notify=noted(console),
    )  # fmt: skip
    table = evaluation_table(result)
    print_table(table, console)
    if out is not None:
        with locked(out):
            write_table(table, out)
        console.print(f"table.md, table.csv, table.tex, rows, predictions in {out}", markup=False, soft_wrap=True)


@app.command("list", cls=Checked)
def list_names(
    kind: Annotated[
        str, typer.Argument(help="models, tasks, methods, scenarios, perturbations, suites, attacks.")
    ] = "",
) -> None:
    """Show what is registered."""
    from robusteval.attacks.recipes.registry import ATTACKS
    from robusteval.evaluation import SUITES
    from robusteval.methods import METHODS
    from robusteval.models.catalogue import MODELS
    from robusteval.perturbations import PERTURBATIONS
    from robusteval.scenarios import SCENARIOS
    from robusteval.tasks import TASKS

    kinds: dict[str, Any] = {
        "models": MODELS, "tasks": TASKS, "methods": METHODS, "scenarios": SCENARIOS, "perturbations": PERTURBATIONS,
        "suites": SUITES, "attacks": ATTACKS,
    }  # fmt: skip
    if kind and kind not in kinds:
        raise unknown_name("list", kind, kinds)
    console = Screen()
    for name, entries in kinds.items():
        if kind not in ("", name):
            continue
        facts = list(dict.fromkeys(key for entry in entries for key, _ in entry.facts))
        grid = Table("name", "what it is", *facts, title=name, title_justify="left")
        for entry in entries:
            values = dict(entry.facts)
            grid.add_row(entry.name, escape(entry.summary), *(escape(values.get(fact, "")) for fact in facts))
        console.print(grid)


@app.command(cls=Checked)
def doctor(
    attack: Annotated[str | None, option("--attack", help="Only the resources of this recipe or FILE.py:NAME.")] = None,
    resources: Resources = None,
    out: Annotated[Path, option("--out", help="Folder whose disk is looked at.")] = Path("robusteval-runs"),
) -> None:
    """Check versions, device, embedded model, hub, disk, and what each attack needs."""
    from robusteval.attacks.recipes.registry import recipe_entry

    existing_folder(resources)
    if attack is not None:
        recipe_entry(attack)
    with loading("what is to be looked at"):
        quiet_libraries()
        from robusteval.cli.doctor import diagnose

    colours = {"ok": "green", "missing": "red", "off": "yellow"}
    console = Screen(soft_wrap=True)
    checks = diagnose(out, resources, attack)
    for check in checks:
        remedy = f" -> {check.remedy}" if check.remedy else ""
        console.print(
            f"[{colours[check.status]}]{check.status:8}[/] {escape(check.name)}: {escape(check.detail + remedy)}"
        )
    if any(check.status == "missing" and check.needed for check in checks):
        raise typer.Exit(1)


app.add_typer(attacks_app)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    if version:
        typer.echo(VERSION)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Entry point: a user's mistake ends with one sentence and exit code 2, an interruption with 130."""
    with stopping.handled(), printable():
        code = _exit_code(Screen(stderr=True, soft_wrap=True, highlight=False))
    if stopping.asked():
        stopping.end()
    sys.exit(code)


def _exit_code(errors: Screen) -> int:
    """Do what the command line says; what goes wrong is told to `errors`."""
    try:
        with explained():
            code = app(standalone_mode=False)
        sys.stdout.flush()
        if not stopping.asked():
            return code if isinstance(code, int) else 0
    except UserError as error:
        errors.print(f"[red]error:[/] {escape(' '.join(str(error).split()))}")
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        pass  # which of them, or the exit code alone, depends on typer's version
    except Exception as error:
        # C code in the midst of an import answers an interruption with errors of its own
        if not stopping.asked():
            if full := disk_trouble(error, Path.cwd()):
                errors.print(f"[red]error:[/] {escape(full)}")
                return UserError.exit_code
            raise
    errors.print(stopping.message(), markup=False)
    return stopping.EXIT_CODE


if __name__ == "__main__":
    main()
