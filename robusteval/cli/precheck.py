"""What is wrong with a command line, told before torch, transformers or textattack are imported.

Every check here calls the function that a later stage calls, or is a condition which that stage cannot do without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.errors import UserError
from robusteval.evaluation import SUITES
from robusteval.methods import METHODS
from robusteval.models.catalogue import check_name
from robusteval.runtime.devices import check_device
from robusteval.scenarios import SCENARIOS
from robusteval.settings.checks import check_distinct, check_range
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.grammar import parse_part
from robusteval.settings.runs import MethodConfig, RunSpec, ScenarioConfig
from robusteval.settings.train import TrainConfig, override
from robusteval.storage.files import check_place
from robusteval.training.tracking import check_tracker

if TYPE_CHECKING:
    from robusteval.tasks.load import TaskData

SQLITE = b"SQLite format 3\0"


def check_training(
    base: RunSpec, methods: Sequence[str], scenarios: Sequence[str], explicit: Mapping[str, Any], out: Path | None
) -> TaskData | None:
    """Check the names and numbers of an experiment; its rows, unless they come from the hub."""
    check_name(base.model)
    train = TrainConfig(**explicit)
    for text in methods:
        method = MethodConfig.parse(text)
        for name, _ in method.parts:
            METHODS.entry(name)
        override(train, method.train)
    ladder = [config for text in scenarios for config in ScenarioConfig.parse(text)]
    for config in ladder:
        for name, _ in config.parts:
            SCENARIOS.entry(name)
    check_suites(base.evaluation.suites)
    for recipe in base.attack.recipes:
        recipe_entry(recipe)
    # what follows imports pandas
    from robusteval.results.store import check_folder
    from robusteval.scenarios.base import build_scenarios
    from robusteval.tasks.load import load_task

    for config in ladder:
        build_scenarios(config)
    if out is not None:
        check_folder(out)
    if _from_hub(base.task, base.data):
        return None
    data = load_task(base.task, base.data)
    data.task.changeable(base.evaluation.columns)
    return data


def check_checkpoint(checkpoint: str, task: str, data: DataConfig, columns: Sequence[str], max_length: int) -> None:
    """Check what `evaluate` and `attack` are given: the model's name, the task, rows that do not come from the hub."""
    check_name(checkpoint)
    check_range("max_length", max_length, 3, 1e6)
    _from_hub(task, data)
    from robusteval.tasks.base import Task
    from robusteval.tasks.examples import check_present
    from robusteval.tasks.load import check_own, load_evaluation, resolve
    from robusteval.tasks.sources import from_file
    from robusteval.tasks.user_tests import read_tests

    read_tests(data)
    if data.dev_file is not None:
        check_own(task, data)
        declared = Task(task, "file", data.text_columns, (), (), label_column=data.label_column)
        table, _ = from_file(data.dev_file, "dev_file", data.dialect)
        check_present(table.frame, (*data.text_columns, data.label_column), f"{task} dev")
        declared.changeable(columns)
    elif _from_hub(task, data):
        return
    elif data.labels or data.label_map:  # the checkpoint has a say in what these mean
        resolve(task, data).changeable(columns)
    else:
        load_evaluation(task, data).task.changeable(columns)


def check_evaluation_options(
    out: Path | None, suites: Sequence[str] | None, rates: tuple[float, ...], sets: int, device: str
) -> None:
    """Check where an evaluation is to be written, and how it is to be done."""
    check_options(device)
    EvalConfig(suites=tuple(suites or ()), rates=rates, sets=sets)
    check_suites(suites or ())
    if out is not None:
        from robusteval.results.store import check_evaluation

        check_place(out, folder=True)
        check_evaluation(out)


def check_attack(recipes: Sequence[str], out: Path | None, cache: Path | None, resources: Path | None) -> None:
    """Check the names of recipes, and the files that an attack reads and writes."""
    if not recipes:
        raise UserError("attack: no recipe is named")
    check_distinct("attack", recipes)
    for name in recipes:
        recipe_entry(name)
    if out is not None:
        check_place(out, folder=False)
    check_cache(cache)


def _from_hub(task: str, data: DataConfig) -> bool:
    """Whether the rows are the hub's, whose client is itself slow to import; UserError for a task that is unknown."""
    from robusteval.tasks import TASKS

    if data.train_file is not None or data.dev_file is not None:
        return False
    return not TASKS[task].generator and data.data_dir is None


def check_suites(texts: Sequence[str]) -> None:
    for text in texts:
        SUITES.entry(parse_part(text, "suites")[0])


def check_options(device: str, track: str | None = None, **counts: float) -> None:
    """How to work: a device's name, a tracker, and numbers that are not below nought."""
    check_device(device)
    check_tracker(track)
    for name, value in counts.items():
        least, most = _COUNTS[name]
        check_range(name, value, least, most)


_COUNTS = {
    "workers": (1, 1024),
    "attack_parallel": (0, 1024),
    "max_errors": (0, 1e9),
    "checkpoint_seconds": (0, 1e9),
    "attack_examples": (1, 1e9),
    "seed": (0, 2**63 - 1),
}


def check_cache(path: Path | None) -> None:
    """Raise UserError where the file for logits is another kind of file."""
    if path is None:
        return
    check_place(path, folder=False, field="cache")
    if path.is_file() and path.stat().st_size > 0:
        with open(path, "rb") as handle:
            if handle.read(len(SQLITE)) != SQLITE:
                raise UserError(f"cache: {str(path)!r} holds something else, which would be lost; name another file")
