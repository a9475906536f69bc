"""The options that several commands share, the panels that --help groups them in, and reading what they hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from robusteval.cli.combinations import DEFAULT_TASK
from robusteval.errors import UserError
from robusteval.runtime.terminal import Screen
from robusteval.settings.grammar import listed, pieces

if TYPE_CHECKING:
    from robusteval.settings.data import DataConfig

MOST_SEEDS = 1000
DATA, MODEL, TRAINING, TESTS, WORK = "Data", "Model and methods", "Training", "Tests", "How to work"


def option(*names: str, help: str, panel: str = WORK) -> Any:
    return typer.Option(*names, help=escape(help), rich_help_panel=panel)


TaskOption = Annotated[
    str | None, option("--task", help=f"Registered task (robusteval list tasks) [{DEFAULT_TASK}].", panel=DATA)
]
DataDir = Annotated[str | None, option("--data-dir", help="Folder <family>/<task>/<split>.parquet.", panel=DATA)]
Revision = Annotated[str, option("--revision", help="Revision of a hub data set.", panel=DATA)]
TrainSplit = Annotated[str | None, option("--train-split", help="Split to train on.", panel=DATA)]
DevSplit = Annotated[str | None, option("--dev-split", help="Split to evaluate on.", panel=DATA)]
TrainFile = Annotated[str | None, option("--train-file", help="CSV, TSV, JSON(L), Parquet.", panel=DATA)]
DevFile = Annotated[str | None, option("--dev-file", help="CSV, TSV, JSON(L), Parquet.", panel=DATA)]
TextColumns = Annotated[str, option("--text-columns", help="One or two columns, comma separated.", panel=DATA)]
LabelColumn = Annotated[str, option("--label-column", help="Column of the label.", panel=DATA)]
LabelType = Annotated[str, option("--label-type", help="auto, class or score.", panel=DATA)]
Encoding = Annotated[str, option("--encoding", help="Of text files: utf-8, cp1252, gbk, ...", panel=DATA)]
Delimiter = Annotated[
    str, option("--delimiter", help="Between columns: a sign, or tab, comma, semicolon, bar, space.", panel=DATA)
]
Quote = Annotated[str, option("--quote", help="Around cells: \" or ', or none: quotes are letters.", panel=DATA)]
NoHeader = Annotated[
    bool, option("--no-header", help="The first line is a row; columns are named 0, 1, ... in order.", panel=DATA)
]
Labels = Annotated[
    str, option("--labels", help="Class names in the order of the integers, of file or checkpoint.", panel=DATA)
]
LabelMap = Annotated[
    str,
    option("--label-map", help="What label values mean: Pos=pos, 0=entailment,1=neutral|contradiction.", panel=DATA),
]
DropUnlabelled = Annotated[
    bool, option("--drop-unlabelled", help="Leave rows without a gold label (empty, -, -1) out.", panel=DATA)
]
DevShare = Annotated[
    float | None, option("--dev-share", help="Share of the training file to test on, without a dev file.", panel=DATA)
]
TrainLimit = Annotated[int | None, option("--train-limit", help="Train on that many rows.", panel=DATA)]
EvalLimit = Annotated[int | None, option("--eval-limit", help="Evaluate on that many rows.", panel=DATA)]
Tests = Annotated[
    list[str] | None,
    option("--test", help="NAME=FILE[:0=yes,1=no][:text_columns=a,b]: a test of your own; repeatable.", panel=TESTS),
]
Suites = Annotated[
    str | None,
    option(
        "--suites",
        help="Test suites, comma separated [clean, mask, replace; ood and advglue where the task has them].",
        panel=TESTS,
    ),
]
Rates = Annotated[str, option("--rates", help="Shares of perturbed tokens.", panel=TESTS)]
Sets = Annotated[int, option("--sets", help="Random sets per rate.", panel=TESTS)]
Columns = Annotated[
    str, option("--columns", help="Text columns that perturbations and attacks may change.", panel=TESTS)
]
MaskToken = Annotated[str | None, option("--mask-token", help="For a tokenizer without one.", panel=TESTS)]
ModelRevision = Annotated[str, option("--model-revision", help="Revision of a hub model.", panel=MODEL)]
TrustRemoteCode = Annotated[
    bool, option("--trust-remote-code", help="Run code that a model repository brings.", panel=MODEL)
]
MaxLength = Annotated[int, option("--max-length", help="Tokens per input.", panel=TRAINING)]
Parallel = Annotated[int, option("--attack-parallel", help="Examples attacked at a time; 0: what suits the device.")]
AttackPrecision = Annotated[
    str, option("--attack-precision", help="fp32, or bf16: faster on an accelerator, other numbers.", panel=TESTS)
]
Truncate = Annotated[
    bool, option("--truncate", help="Attack also texts longer than --max-length, as far as they go.", panel=TESTS)
]
QueryBudget = Annotated[int | None, option("--query-budget", help="Most queries for one example.", panel=TESTS)]
TimeLimit = Annotated[float | None, option("--time-limit", help="Most seconds for one example.", panel=TESTS)]
MaxErrors = Annotated[
    int,
    option("--max-errors", help="So many examples may end in an error; with more, the exit code tells.", panel=TESTS),
]
Device = Annotated[str, option("--device", help="auto, cpu, cuda, cuda:N or mps.")]
Resources = Annotated[Path | None, option("--resources", help="Folder with local copies of attack resources.")]


def chosen_task(task: str | None, *, own: bool) -> str:
    """The task that was named, else the built-in one; own: the rows come from the user's files."""
    return task if task is not None else "my-data" if own else DEFAULT_TASK


def chosen_suites(text: str | None, task: str, *, own: bool) -> tuple[str, ...]:
    """The suites that were named, else those that suit the task; own: it comes from the user's files."""
    if text is not None:
        return pieces(text)
    from robusteval.evaluation import default_suites
    from robusteval.tasks import TASKS
    from robusteval.tasks.base import Task

    return default_suites(Task(task, "file", (), (), ()) if own else TASKS[task])


def noted(console: Screen) -> Callable[[str], None]:
    """Prints what the user should know, a line each."""
    return lambda notice: console.print(f"note: {notice}", markup=False, soft_wrap=True)


def _plain(number: str) -> str:
    """A number in digits that everybody reads alike; ValueError for 1_000 or the digits of another script."""
    if not number.isascii() or "_" in number:
        raise ValueError(number)
    return number


def parse_rates(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(_plain(part)) for part in listed(text))
    except ValueError:
        raise UserError(f"rates: {text!r} is not a comma-separated list of numbers") from None


def parse_seeds(text: str) -> tuple[int, ...]:
    """ "3" means seeds 0, 1, 2; "4,7" means just these."""
    try:
        numbers = tuple(int(_plain(part)) for part in listed(text))
    except ValueError:
        raise UserError(f"seeds: {text!r} is neither a count nor a comma-separated list") from None
    if not numbers or min(numbers) < 0 or (len(numbers) == 1 and "," not in text and numbers[0] < 1):
        raise UserError(f"seeds: {text!r} names no seed; give a count of at least 1, or numbers from 0")
    count = len(numbers) if "," in text else numbers[0]
    if count > MOST_SEEDS:
        raise UserError(f"seeds: {count} are more than the {MOST_SEEDS} that one experiment may have")
    return numbers if "," in text else tuple(range(numbers[0]))


def existing_folder(resources: Path | None) -> Path | None:
    if resources is not None and not resources.is_dir():
        raise UserError(f"resources: there is no folder {str(resources)!r}")
    return resources


def data_config(**values: Any) -> DataConfig:
    from robusteval.settings.data import DataConfig

    values["header"] = not values.pop("no_header", False)
    for name, read in (("text_columns", listed), ("labels", listed), ("label_map", pieces)):
        values[name] = read(values.get(name, ""))
    values["tests"] = tuple(values.get("tests") or ())
    return DataConfig(**values)
