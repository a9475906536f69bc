"""What is wrong with a command line, told before torch, transformers or textattack are imported.

Every check here calls the function that a later stage calls, or is a condition which that stage cannot do without.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.cli.options import Given
from robusteval.errors import UserError
from robusteval.evaluation import SUITES
from robusteval.experiments.engine import check_engine
from robusteval.methods import METHODS
from robusteval.models.catalogue import check_name
from robusteval.runtime.devices import check_device
from robusteval.runtime.launch import check_launch
from robusteval.scenarios import SCENARIOS
from robusteval.settings.attack import AttackConfig
from robusteval.settings.checks import check_distinct
from robusteval.settings.codec import from_dict
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.grammar import parse_part
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.train import TrainConfig, override
from robusteval.settings.work import WorkConfig
from robusteval.settings.written import OWN_TASK
from robusteval.storage.files import check_place
from robusteval.training.tracking import check_tracker

if TYPE_CHECKING:
    from robusteval.tasks.load import TaskData

SQLITE = b"SQLite format 3\0"


def named_task(task: str, given: Given, *, own: bool) -> str:
    """The task that was named, else the built-in one; own: the rows come from the user's files."""
    return OWN_TASK if own and "task" not in given else task


def with_suites(config: EvalConfig, task: str, given: Given, *, own: bool) -> EvalConfig:
    """With the suites that were named, else those that suit the task; own: it comes from the user's files."""
    if "suites" in given:
        return config
    from robusteval.evaluation import default_suites
    from robusteval.tasks import TASKS
    from robusteval.tasks.base import Task

    return replace(config, suites=default_suites(Task(task, "file", (), (), ()) if own else TASKS[task]))


def check_experiment(spec: ExperimentSpec, out: Path | None) -> dict[str, TaskData]:
    """Check the names and numbers of an experiment; the rows of its tasks, by name, unless they come from the hub."""
    for model in spec.models:
        check_name(model)
    for method in spec.methods:
        for name, _ in method.parts:
            METHODS.entry(name)
        override(from_dict(TrainConfig, spec.train), method.train)
    for config in spec.scenarios:
        for name, _ in config.parts:
            SCENARIOS.entry(name)
    for evaluation in (spec.evaluation, *(each.evaluation for each in spec.settings)):
        check_suites(from_dict(EvalConfig, evaluation).suites)
    for attack in (spec.attack, *(each.attack for each in spec.settings)):
        for recipe in from_dict(AttackConfig, attack).recipes:
            recipe_entry(recipe)
    # what follows imports pandas
    from robusteval.results.asked import check_folder
    from robusteval.scenarios.base import build_scenarios
    from robusteval.tasks.load import load_task

    for config in spec.scenarios:
        build_scenarios(config)
    if out is not None:
        check_folder(out)
    rows = {}
    for task in spec.tasks:
        data = from_dict(DataConfig, spec.given("data", model=spec.models[0], task=task))
        if not _from_hub(task, data):
            rows[task] = load_task(task, data)
            columns = spec.given("evaluation", model=spec.models[0], task=task).get("columns", ())
            rows[task].task.changeable(tuple(columns))
    return rows


def check_checkpoint(checkpoint: str, task: str, data: DataConfig, columns: Sequence[str]) -> TaskData | None:
    """Check what `evaluate` and `attack` are given: the model's name, the task, rows that do not come from the hub.

    The rows, where they are loaded and the checkpoint has no say in them.
    """
    check_name(checkpoint)
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
    elif data.labels or data.label_map:  # the checkpoint has a say in what these mean
        if not _from_hub(task, data):
            resolve(task, data).changeable(columns)
    elif not _from_hub(task, data):
        rows = load_evaluation(task, data)
        rows.task.changeable(columns)
        return rows
    return None


def check_tests(out: Path | None, suites: Sequence[str]) -> None:
    """Check the suites that were named for an evaluation, and where it is to be written."""
    check_suites(suites)
    if out is not None:
        from robusteval.results.store import check_evaluation

        check_place(out, folder=True)
        check_evaluation(out)


def check_attack(recipes: Sequence[str], out: Path | None, cache: Path | None) -> None:
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


def check_work(work: WorkConfig) -> None:
    """Check what a record cannot: the device, the tracker, the engine, and a folder that is to be there.

    And what cannot go with several processes that were started together.
    """
    check_device(work.device)
    check_launch(work.device, work.workers, work.engine)
    check_tracker(work.track)
    check_engine(work)
    if work.resources_dir is not None and not work.resources_dir.is_dir():
        raise UserError(f"resources: there is no folder {str(work.resources_dir)!r}")


def check_cache(path: Path | None) -> None:
    """Raise UserError where the file for logits is another kind of file."""
    if path is None:
        return
    check_place(path, folder=False, field="cache")
    if path.is_file() and path.stat().st_size > 0:
        with open(path, "rb") as handle:
            if handle.read(len(SQLITE)) != SQLITE:
                raise UserError(f"cache: {str(path)!r} holds something else, which would be lost; name another file")
