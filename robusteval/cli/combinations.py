"""Options that say nothing together: an error where the rows or the model would not be those meant, else a notice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robusteval.errors import UserError
from robusteval.settings.attack import AttackConfig
from robusteval.settings.fields import described
from robusteval.settings.grammar import part_name, pieces
from robusteval.settings.runs import RunSpec

Values = Mapping[str, Any]
# options that say nothing where nothing is attacked; which recipes, and which columns may change, is told apart
OF_ATTACKS = (
    *(each.parameter for each in described(AttackConfig) if each.field not in ("recipes", "columns")),
    "max_errors", "attack_parallel", "no_cache", "resources",
)  # fmt: skip
PERTURBED = ("mask", "replace", "delete", "swap", "typos", "ordered-drop")


@dataclass(frozen=True)
class Rule:
    """options: parameters of a command; idle: why they say nothing beside the others, "" where they do.

    refused: whether the user must have meant something else.
    """

    options: tuple[str, ...]
    idle: Callable[[Values], str]
    refused: bool = True


def own_files(values: Values) -> bool:
    return bool(values.get("train_file") or values.get("dev_file"))


def _task(values: Values) -> str:
    """The task that the rows come from where they come from no files; nothing for a command that has none."""
    task: str | None = values.get("task", "")
    return RunSpec.task if task is None else task


def _generated(values: Values) -> bool:
    from robusteval.tasks import TASKS

    if own_files(values):
        return False
    try:
        return bool(TASKS[_task(values)].generator)
    except UserError:  # which is told where the task is opened
        return False


def _from_files(values: Values) -> str:
    return "the rows come from files of your own" if own_files(values) else ""


def _declared(values: Values) -> str:
    if own_files(values) or "task" not in values:
        return ""
    return f"the task {_task(values)!r} declares it; it is for files of your own"


def _built_in(values: Values) -> str:
    return f"the rows of {_task(values)!r} are built in" if _generated(values) else ""


def _not_generated(values: Values) -> str:
    return "" if _generated(values) else "only the built-in tasks have a cue"


def _no_attack(values: Values) -> str:
    return "" if pieces(values.get("attacks", "-")) else "nothing is attacked"


def _no_perturbation(values: Values) -> str:
    from robusteval.evaluation import SUITES

    if values.get("suites") is None:
        return ""
    names = map(part_name, pieces(values["suites"]))
    # what a suite of others does is not known here
    return "" if any(name in PERTURBED or name not in SUITES for name in names) else "no suite perturbs tokens"


def _nothing_changed(values: Values) -> str:
    return _no_perturbation(values) and _no_attack(values) and "no suite or attack changes text"


def _steps(values: Values) -> str:
    return "--max-steps takes its place" if values.get("max_steps") is not None else ""


def _local_model(values: Values) -> str:
    names = [values[key] for key in ("model", "checkpoint", "a", "b") if values.get(key)]
    local = bool(names) and all(Path(name).is_dir() for name in names)
    return f"{names[0]!r} is a folder and has no revisions" if local else ""


RULES = (
    Rule(("data_dir", "revision", "train_split", "dev_split"), _from_files),
    Rule(("text_columns", "label_column", "label_type"), _declared),
    Rule(("data_dir", "revision"), _built_in),
    Rule(("cue",), _not_generated),
    Rule(("model_revision",), _local_model),
    Rule(("epochs",), _steps, refused=False),
    Rule(("rates", "sets", "mask_token"), _no_perturbation, refused=False),
    Rule(("columns",), _nothing_changed, refused=False),
    Rule(OF_ATTACKS, _no_attack, refused=False),
)


def idle(given: Collection[str], values: Values) -> Iterator[str]:
    """A notice for each of the given options that has no effect beside the others.

    given: the parameters that the user named; values: all parameters of the command.
    Raises UserError for one that would make the user believe in other rows or another model.
    """
    for rule in RULES:
        for name in rule.options:
            why = rule.idle(values) if name in given else ""
            if why and rule.refused:
                raise UserError(f"{name}: it has no effect here: {why}; leave it out")
            if why:
                yield f"--{name.replace('_', '-')} has no effect here: {why}"
