"""The command line: one thin function per command. Imports stand inside, so that --help is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from robusteval import __version__
from robusteval.cli_attacks import attacks_app
from robusteval.errors import UserError, unknown_name
from robusteval.logs import quiet_libraries

if TYPE_CHECKING:
    from robusteval.config import DataConfig

app = typer.Typer(
    name="robusteval",
    help="Fine-tune language models robustly, test how sturdy they are, and show it in one table.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

DATA, MODEL, TRAINING, TESTS, WORK = "Data", "Model and methods", "Training", "Tests", "How to work"


def option(*names: str, help: str, panel: str = WORK) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel)


TaskOption = Annotated[str, option("--task", help="Registered task (robusteval list tasks).", panel=DATA)]
DataDir = Annotated[str | None, option("--data-dir", help="Folder <family>/<task>/<split>.parquet.", panel=DATA)]
Revision = Annotated[str, option("--revision", help="Revision of a hub data set.", panel=DATA)]
TrainSplit = Annotated[str | None, option("--train-split", help="Split to train on.", panel=DATA)]
DevSplit = Annotated[str | None, option("--dev-split", help="Split to evaluate on.", panel=DATA)]
TrainFile = Annotated[str | None, option("--train-file", help="CSV, TSV, JSONL or Parquet.", panel=DATA)]
DevFile = Annotated[str | None, option("--dev-file", help="CSV, TSV, JSONL or Parquet.", panel=DATA)]
TextColumns = Annotated[str, option("--text-columns", help="One or two columns, comma separated.", panel=DATA)]
LabelColumn = Annotated[str, option("--label-column", help="Column of the label.", panel=DATA)]
LabelType = Annotated[str, option("--label-type", help="auto, class or score.", panel=DATA)]
TrainLimit = Annotated[int | None, option("--train-limit", help="Train on that many rows.", panel=DATA)]
EvalLimit = Annotated[int | None, option("--eval-limit", help="Evaluate on that many rows.", panel=DATA)]
Suites = Annotated[str, option("--suites", help="Test suites, comma separated.", panel=TESTS)]
Rates = Annotated[str, option("--rates", help="Shares of perturbed tokens.", panel=TESTS)]
Sets = Annotated[int, option("--sets", help="Random sets per rate.", panel=TESTS)]
Columns = Annotated[str, option("--columns", help="Text columns that perturbations may touch.", panel=TESTS)]
MaskToken = Annotated[str | None, option("--mask-token", help="For a tokenizer without one.", panel=TESTS)]
MaxLength = Annotated[int, option("--max-length", help="Tokens per input.", panel=TRAINING)]
Parallel = Annotated[int, option("--attack-parallel", help="Examples attacked at a time; 0: what suits the device.")]
QueryBudget = Annotated[int | None, option("--query-budget", help="Most queries for one example.", panel=TESTS)]
TimeLimit = Annotated[float | None, option("--time-limit", help="Most seconds for one example.", panel=TESTS)]
Device = Annotated[str, option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Resources = Annotated[Path | None, option("--resources", help="Folder with local copies of attack resources.")]

SUITE_NAMES = "clean,mask,replace,ood,advglue"


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in _names(text))
    except ValueError:
        raise UserError(f"rates: {text!r} is not a comma-separated list of numbers") from None


def _seeds(text: str) -> tuple[int, ...]:
    """ "3" means seeds 0, 1, 2; "4,7" means just these."""
    try:
        numbers = tuple(int(part) for part in _names(text))
    except ValueError:
        raise UserError(f"seeds: {text!r} is neither a count nor a comma-separated list") from None
    if not numbers or min(numbers) < 0 or (len(numbers) == 1 and "," not in text and numbers[0] < 1):
        raise UserError(f"seeds: {text!r} names no seed; give a count of at least 1, or numbers from 0")
    return numbers if "," in text else tuple(range(numbers[0]))


def _folder(resources: Path | None) -> Path | None:
    if resources is not None and not resources.is_dir():
        raise UserError(f"resources: there is no folder {str(resources)!r}")
    return resources


def _writable(path: Path | None, *, folder: bool) -> None:
    """Raise UserError before any work where results could not be written afterwards."""
    if path is None:
        return
    place = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    if place == path.absolute() and place.is_dir() != folder:
        raise UserError(f"out: {str(path)!r} is a {'file' if folder else 'folder'}")
    if place != path.absolute() and not place.is_dir():
        raise UserError(f"out: {str(place)!r} is a file")


def _data_config(**values: Any) -> DataConfig:
    from robusteval.config import DataConfig

    return DataConfig(**{**values, "text_columns": _names(values["text_columns"])})


@app.command()
def train_and_attack(
    model: Annotated[str, option("--model", help="Registered name, folder or hub id.", panel=MODEL)] = "minilm",
    task: TaskOption = "demo-sentiment",
    methods: Annotated[
        str,
        option("--methods", help="Comma separated: vanilla, match:temperature=2, match+r3f.", panel=MODEL),
    ] = "vanilla,match,tdt,pats,bidrop",
    seeds: Annotated[str, option("--seeds", help="How many, or which (0,1,7).", panel=MODEL)] = "2",
    model_revision: Annotated[str, option("--model-revision", help="Revision of a hub model.", panel=MODEL)] = "main",
    trust_remote_code: Annotated[
        bool, option("--trust-remote-code", help="Run code that a model repository brings.", panel=MODEL)
    ] = False,
    data_dir: DataDir = None,
    revision: Revision = "main",
    train_split: TrainSplit = None,
    dev_split: DevSplit = None,
    train_file: TrainFile = None,
    dev_file: DevFile = None,
    text_columns: TextColumns = "",
    label_column: LabelColumn = "label",
    label_type: LabelType = "auto",
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
    optimizer: Annotated[str | None, option("--optimizer", help="adamw or adamax.", panel=TRAINING)] = None,
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
    suites: Suites = SUITE_NAMES,
    rates: Rates = "0.1,0.2,0.3",
    sets: Sets = 3,
    columns: Columns = "",
    mask_token: MaskToken = None,
    attacks: Annotated[
        str, option("--attacks", help="Recipes or FILE.py:NAME, comma separated; '' for none.", panel=TESTS)
    ] = "deepwordbug",
    attack_examples: Annotated[int, option("--attack-examples", help="Rows attacked.", panel=TESTS)] = 50,
    query_budget: QueryBudget = None,
    time_limit: TimeLimit = None,
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
    quiet_libraries()
    from robusteval.config import EvalConfig, RunSpec, check_range, content_hash, to_dict
    from robusteval.experiments.plan import make_plan, make_spec
    from robusteval.experiments.run import Options
    from robusteval.experiments.session import run_session, show_plan

    own = train_file is not None or dev_file is not None
    if own and task == "demo-sentiment":
        task = "my-data"
    given = {
        "epochs": epochs, "max_steps": max_steps, "learning_rate": learning_rate, "batch_size": batch_size,
        "accumulation": accumulation, "optimizer": optimizer, "warmup": warmup, "weight_decay": weight_decay,
        "clip_norm": clip_norm, "dropout": dropout, "precision": precision, "select": select,
        "max_length": max_length,
    }  # fmt: skip
    data = _data_config(
        data_dir=data_dir, revision=revision, train_split=train_split, dev_split=dev_split, train_file=train_file,
        dev_file=dev_file, text_columns=text_columns, label_column=label_column, label_type=label_type,
        train_limit=train_limit, eval_limit=eval_limit, cue=cue,
    )  # fmt: skip
    base = RunSpec(
        model=model,
        model_revision=model_revision,
        trust_remote_code=trust_remote_code,
        task=task,
        data=data,
        evaluation=EvalConfig(
            _names(suites),
            _rates(rates),
            sets,
            _names(columns),
            mask_token,
            _names(attacks),
            attack_examples,
            query_budget,
            time_limit,
        ),
    )
    explicit = {key: value for key, value in given.items() if value is not None}
    spec = make_spec(base, _names(methods), _seeds(seeds), explicit, _names(scenario))
    folder = out or Path("robusteval-runs") / f"{task}-{content_hash(to_dict(spec))[:8]}"
    check_range("workers", workers, 1, 1024)
    check_range("checkpoint_seconds", checkpoint_seconds, 0, 1e9)
    check_range("attack_parallel", attack_parallel, 0, 1024)
    options = Options(
        folder, device, keep_models, track, _folder(resources), checkpoint_seconds, quiet,
        attack_parallel=attack_parallel, cache=not no_cache,
    )  # fmt: skip
    console = Console(emoji=False)
    plan = make_plan(spec, options)
    show_plan(plan, options, console)
    if not dry_run:
        raise typer.Exit(run_session(plan, options, console, workers))


@app.command()
def evaluate(
    checkpoint: Annotated[str, typer.Argument(help="Folder or hub id of a fine-tuned classifier.")],
    task: TaskOption = "demo-sentiment",
    data_dir: DataDir = None,
    revision: Revision = "main",
    dev_split: DevSplit = None,
    dev_file: DevFile = None,
    text_columns: TextColumns = "",
    label_column: LabelColumn = "label",
    eval_limit: EvalLimit = None,
    suites: Suites = SUITE_NAMES,
    rates: Rates = "0.1,0.2,0.3",
    sets: Sets = 3,
    columns: Columns = "",
    mask_token: MaskToken = None,
    max_length: MaxLength = 128,
    out: Annotated[Path | None, option("--out", help="Folder for table.md, table.csv and table.tex.")] = None,
    device: Device = "auto",
) -> None:
    """Test any fine-tuned checkpoint on clean, perturbed, out-of-domain and adversarial text."""
    quiet_libraries()
    _writable(out, folder=True)
    from robusteval import api
    from robusteval.experiments.session import evaluation_rows
    from robusteval.report.render import print_table, write_table
    from robusteval.report.table import build_table

    data = _data_config(
        data_dir=data_dir, revision=revision, dev_split=dev_split, dev_file=dev_file, text_columns=text_columns,
        label_column=label_column, eval_limit=eval_limit,
    )  # fmt: skip
    result = api.evaluate(
        checkpoint, "my-data" if dev_file and task == "demo-sentiment" else task, data=data, device=device,
        max_length=max_length, suites=_names(suites), rates=_rates(rates), sets=sets, columns=_names(columns),
        mask_token=mask_token,
    )  # fmt: skip
    name = Path(checkpoint).name
    table = build_table(evaluation_rows(result, name), [name])
    print_table(table, Console(emoji=False))
    if out is not None:
        write_table(table, out)


@app.command()
def attack(
    checkpoint: Annotated[str, typer.Argument(help="Folder or hub id of a fine-tuned classifier.")],
    recipe: Annotated[
        str, option("--attack", help="Recipe (robusteval list attacks) or FILE.py:NAME.", panel=TESTS)
    ] = "deepwordbug",
    task: TaskOption = "demo-sentiment",
    examples: Annotated[int, option("--attack-examples", help="Rows attacked.", panel=TESTS)] = 50,
    columns: Annotated[str, option("--columns", help="Text columns that may be changed.", panel=TESTS)] = "",
    seed: Annotated[int, option("--seed", help="Seed of the attack.", panel=TESTS)] = 0,
    data_dir: DataDir = None,
    revision: Revision = "main",
    dev_split: DevSplit = None,
    dev_file: DevFile = None,
    text_columns: TextColumns = "",
    label_column: LabelColumn = "label",
    max_length: MaxLength = 128,
    out: Annotated[Path | None, option("--out", help="A .jsonl file, one line per example; resumable.")] = None,
    resources: Resources = None,
    query_budget: QueryBudget = None,
    time_limit: TimeLimit = None,
    attack_parallel: Parallel = 0,
    workers: Annotated[int, option("--workers", help="Processes, each with a share of the examples.")] = 1,
    cache: Annotated[Path | None, option("--cache", help="A file that keeps logits for other recipes.")] = None,
    max_errors: Annotated[int, option("--max-errors", help="More errors than this: exit code 1.", panel=TESTS)] = 0,
    device: Device = "auto",
) -> None:
    """Attack any fine-tuned checkpoint with a TextAttack recipe."""
    quiet_libraries()
    _writable(out, folder=False)
    from robusteval import api
    from robusteval.attacks.summary import ProgressNote
    from robusteval.config import check_range
    from robusteval.progress import ProgressBar

    check_range("attack_parallel", attack_parallel, 0, 1024)
    check_range("max_errors", max_errors, 0, float("inf"))

    data = _data_config(
        data_dir=data_dir, revision=revision, dev_split=dev_split, dev_file=dev_file, text_columns=text_columns,
        label_column=label_column,
    )  # fmt: skip
    note = ProgressNote()
    with ProgressBar(f"attack {recipe}", examples) as bar:
        result = api.attack(
            checkpoint, "my-data" if dev_file and task == "demo-sentiment" else task, recipe, examples=examples,
            seed=seed, out=out, resources_dir=_folder(resources), columns=_names(columns) or None, device=device,
            data=data, max_length=max_length, parallel=attack_parallel, workers=workers, query_budget=query_budget,
            time_limit=time_limit, cache=cache,
            progress=lambda done, total, line: bar.advance(1, note(done, total, line)),
        )  # fmt: skip
    summary = result.summary
    grid = Table("measure", "value", "n", title=f"{recipe} on {Path(checkpoint).name}")
    for name, value, n in (
        ("accuracy before", summary.clean_accuracy, summary.evaluated),
        ("accuracy under attack", summary.accuracy_under_attack, summary.evaluated),
        ("attack success rate", summary.attack_success_rate, summary.attacked),
    ):
        grid.add_row(name, f"{100 * value:.2f} %", str(n))
    grid.add_row("queries per attack", f"{summary.mean_queries:.1f}", str(summary.attacked))
    grid.add_row("words changed", f"{summary.mean_words_changed_percent:.1f} %", str(summary.succeeded))
    grid.add_row("errors", str(summary.errors), str(summary.examples))
    Console(emoji=False).print(grid)
    if summary.errors > max_errors:
        raise typer.Exit(1)


@app.command("list")
def list_names(
    kind: Annotated[str, typer.Argument(help="models, tasks, methods, perturbations, suites or attacks.")] = "",
) -> None:
    """Show what is registered."""
    from robusteval.attacks import all_recipes
    from robusteval.evaluation.suites import SUITES
    from robusteval.methods import METHODS
    from robusteval.models import MODELS
    from robusteval.perturbations import PERTURBATIONS
    from robusteval.scenarios import SCENARIOS
    from robusteval.tasks import TASKS

    kinds: dict[str, Any] = {
        "models": MODELS, "tasks": TASKS, "methods": METHODS, "scenarios": SCENARIOS, "perturbations": PERTURBATIONS,
        "suites": SUITES, "attacks": all_recipes(),
    }  # fmt: skip
    if kind and kind not in kinds:
        raise unknown_name("list", kind, kinds)
    console = Console(emoji=False)
    for name, entries in kinds.items():
        if kind not in ("", name):
            continue
        facts = list(dict.fromkeys(key for entry in entries for key, _ in entry.facts))
        grid = Table("name", "what it is", *facts, title=name, title_justify="left")
        for entry in entries:
            values = dict(entry.facts)
            grid.add_row(entry.name, escape(entry.summary), *(escape(values.get(fact, "")) for fact in facts))
        console.print(grid)


@app.command()
def doctor(
    attack: Annotated[str | None, option("--attack", help="Only the resources of this recipe or FILE.py:NAME.")] = None,
    resources: Resources = None,
    out: Annotated[Path, option("--out", help="Folder whose disk is looked at.")] = Path("robusteval-runs"),
) -> None:
    """Check versions, device, embedded model, hub, disk, and what each attack needs."""
    quiet_libraries()
    from robusteval.doctor import diagnose

    colours = {"ok": "green", "missing": "red", "off": "yellow"}
    console = Console(soft_wrap=True, emoji=False)
    for check in diagnose(out, _folder(resources), attack):
        remedy = f" -> {check.remedy}" if check.remedy else ""
        console.print(
            f"[{colours[check.status]}]{check.status:8}[/] {escape(check.name)}: {escape(check.detail + remedy)}"
        )


app.add_typer(attacks_app)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def main() -> None:
    """Entry point: a user's mistake ends with one sentence and exit code 2, an interruption with 130."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        errors.print(f"[red]error:[/] {escape(str(error))}")
        code = error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except Exception as error:
        # a usage error of click's, whose classes typer may carry under a name of its own
        if not (hasattr(error, "show") and hasattr(error, "exit_code")):
            raise
        error.show()
        code = error.exit_code
    if code == 130:
        errors.print("interrupted: the same command continues where this one stopped")
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
