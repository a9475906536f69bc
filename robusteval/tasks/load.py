"""Loading a task: training and dev split, the out-of-domain split and the adversarial sets that are there."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from robusteval.errors import UserError, unknown_name
from robusteval.runtime.seeds import numpy_generator
from robusteval.settings.data import DataConfig
from robusteval.tasks import TASKS
from robusteval.tasks.base import Examples, Task, Transfer
from robusteval.tasks.examples import check_columns, examples_from_frame, own_task, speaking_task
from robusteval.tasks.labels import rare_classes
from robusteval.tasks.naming import read_label_map, task_outputs
from robusteval.tasks.sources import RowsMissing, Source, from_file, from_folder, from_hub, generated
from robusteval.tasks.split import split_off
from robusteval.tasks.user_tests import TestSet, load_test, read_tests


@dataclass(frozen=True)
class TaskData:
    """A task with its rows in memory.

    ood: the out-of-domain split, if the task has one; adversarial: task name -> its dev rows.
    tests: name -> rows of the user's own tests.
    missing: test sets that the task has but whose data was not found, and why.
    notices: what the user should know about the rows.
    config: where the rows came from, for the sets that a suite loads itself (`load_other`).
    """

    task: Task
    train: Examples
    dev: Examples
    ood: Examples | None = None
    adversarial: dict[str, Examples] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    config: DataConfig = field(default_factory=DataConfig)
    tests: dict[str, TestSet] = field(default_factory=dict)
    # what `load_other` has met, rows or why there are none; `dataclasses.replace` hands it on
    _others: dict[tuple[str, str, int | None, DataConfig], Examples | str] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def fingerprint(self) -> str:
        """One hash over the rows that every run reads; a suite tells those that it tests on besides (`Suite.facts`)."""
        return f"{self.train.fingerprint[:16]}-{self.dev.fingerprint[:16]}"

    @property
    def whole_fingerprint(self) -> str:
        """One hash over all rows that stand here."""
        others: list[Examples | TestSet] = [*([self.ood] if self.ood else []), *self.adversarial.values()]
        return "-".join([self.fingerprint, *(part.fingerprint[:16] for part in (*others, *self.tests.values()))])


def load_task(name: str, config: DataConfig) -> TaskData:
    """Load everything a run on this task needs; UserError for whatever is wrong with it."""
    found = _load_task(name, dataclasses.replace(config, held_out=None))
    return found if config.held_out is None else held_out(found, config.held_out)


def held_out(data: TaskData, share: float) -> TaskData:
    """With a share of the training rows, of each class alike, in place of the dev rows, and trained on the rest.

    Raises UserError where a class would be missing on one side.
    """
    train, rest = split_off(data.train, share, data.task, "held_out")
    for side, what in ((train, "left to train on"), (rest, "held out")):
        for index, label in enumerate(data.task.labels if not data.task.regression else ()):
            if index not in side.labels and index in data.train.labels:
                raise UserError(
                    f"held_out: {share:g} of {len(data.train)} training rows leaves no row of class {label!r} {what}"
                )
    task, config = dataclasses.replace(data.task, dev="held-out"), dataclasses.replace(data.config, held_out=share)
    return dataclasses.replace(data, task=task, train=train, dev=rest, config=config)


def _load_task(name: str, config: DataConfig) -> TaskData:
    if config.train_file is not None or config.dev_file is not None:
        return with_own_tests(_load_files(name, config))
    task = trained(resolve(name, config), config)
    if task.train == task.dev:
        raise UserError(f"dev_split: {task.dev!r} of {name!r} is the training split; evaluation needs other rows")
    train = sample(load_split(task, task.train, config, "--train-split "), config.train_limit)
    dev = sample(load_split(task, task.dev, config, "--dev-split "), config.eval_limit)
    return with_own_tests(_with_tests(task, train, dev, config))


def with_own_tests(data: TaskData) -> TaskData:
    """Add the files that the user tests on (`--test`); UserError for one whose rows the model was trained on."""
    tests, notices = {}, list[str]()
    for test in read_tests(data.config):
        tests[test.name], told = load_test(test, data.task, data.config.train_file)
        rows = sample(tests[test.name].examples, data.config.eval_limit)
        if rows.fingerprint == data.train.fingerprint:
            raise UserError(f"test {test.name}: {test.file!r} holds the training rows; a test needs other rows")
        tests[test.name] = dataclasses.replace(tests[test.name], examples=rows)
        notices += [*how_read(rows), *left_out(tests[test.name].task, rows), *told]
        notices += overlap(data.train, {f"test {test.name}": rows})
    return dataclasses.replace(data, tests=tests, notices=(*data.notices, *notices)) if tests else data


def _with_tests(task: Task, train: Examples, dev: Examples, config: DataConfig) -> TaskData:
    """Add the out-of-domain split and the adversarial sets that are there."""
    ood = None
    if task.out_of_domain:
        ood = sample(load_split(task, task.out_of_domain, config), config.eval_limit)
    adversarial, missing = {}, {}
    for other in task.adversarial:
        try:
            adversarial[other] = load_split(TASKS[other], TASKS[other].dev, _elsewhere(config, task, TASKS[other]))
        except RowsMissing as error:
            missing[other] = str(error)
    sets = (train, dev, *([ood] if ood else []), *adversarial.values())
    notices = (*how_read(*sets), *left_out(task, train), *left_out(task, dev), *rare_classes(train, task))
    notices += overlap(train, {"dev": dev})
    return TaskData(task, train, dev, ood, adversarial, missing, notices, config)


def load_transfer(transfer: Transfer, data: TaskData, option: str = "") -> Examples:
    """The rows of a transfer's test set, at most `eval_limit` of them; errors as in `load_other`."""
    target = TASKS[transfer.task]
    return load_other(target, transfer.split or target.dev, data.config.eval_limit, data, option)


def load_other(other: Task, split: str, limit: int | None, data: TaskData, option: str = "") -> Examples:
    """Rows of a split that is no part of `data`, from where the task's own came; `data` remembers them.

    limit: how many at most, drawn as in `sample`; option: see `from_folder`.
    Raises RowsMissing where they are not there, and UserError where they are wrong.
    """
    config = _elsewhere(data.config, data.task, other)
    key = (other.name, split, limit, config)
    if key not in data._others:
        try:
            data._others[key] = sample(load_split(other, split, config, option), limit)
        except RowsMissing as error:
            data._others[key] = str(error)
    found = data._others[key]
    if isinstance(found, str):
        raise RowsMissing(found)
    return found


def check_untrained(suite: str, other: Task, split: str, data: TaskData, hint: str) -> None:
    """Raise UserError where a test split is the one that is trained on; hint: what the user may say instead."""
    # mnli_mismatched shares MNLI's folder and repository, so a task's name is not enough
    tested, trained = (
        (task.family, task.folder or task.name, task.hub, task.config, name)
        for task, name in ((other, split), (data.task, data.task.train))
    )
    if len(data.train) and tested == trained:
        raise UserError(
            f"suites: {suite!r} would test on the split {split!r} of {other.name!r}, which is trained on; {hint}"
        )


def how_read(*sets: Examples) -> tuple[str, ...]:
    """What was decided in reading the files of these rows, a notice for each that is decided alike."""
    return tuple(dict.fromkeys(rows.source["read"] for rows in sets if "read" in rows.source))


def left_out(task: Task, examples: Examples) -> tuple[str, ...]:
    """Notices: rows without a gold label that were left out, a text column of numbers, the data's own label names."""
    where = f"{task.name} {examples.source.get('split', '')}"
    count, classes = examples.source.get("unlabelled"), examples.source.get("classes")
    marks = examples.source.get("unlabelled_marks")
    notices: tuple[str, ...]
    notices = (f"{where}: rows left out because they have no gold label ({marks}): {count}",) if count else ()
    if "numbers" in examples.source:
        notices += (f"{where}: column {examples.source['numbers']!r} holds numbers only; is it the text?",)
    return (*notices, f"{where}: labels by the names that the data gives them: {classes}") if classes else notices


def trained(task: Task, config: DataConfig) -> Task:
    """A declared task to train on, with the label values that `--label-map` gives to its classes."""
    if config.labels:
        raise UserError(f"labels: {task.name!r} names its classes itself; --labels is for files of your own")
    if config.dev_share is not None:
        raise UserError(f"dev_share: {task.name!r} has a dev split; --dev-share is for a file of your own")
    values = {}
    for value, targets in read_label_map(config.label_map).items():
        for target in targets:
            if target not in task.labels:
                raise unknown_name(f"label_map: {value}", target, task.labels)
        if len(targets) > 1:
            raise UserError(f"label_map: {value!r} would be {' and '.join(targets)}, but a row has one class")
        values[value] = targets[0]
    return dataclasses.replace(
        task, values={**task.values, **values}, drop_unlabelled=task.drop_unlabelled or config.drop_unlabelled
    )


def _elsewhere(config: DataConfig, task: Task, other: Task) -> DataConfig:
    """The configuration for another task's rows: a revision belongs to the repository it was given for."""
    return config if other.hub == task.hub else dataclasses.replace(config, revision="main")


def load_evaluation(name: str, config: DataConfig, labels: tuple[str, ...] = ()) -> TaskData:
    """Load only what evaluating a finished checkpoint needs; the training split stays empty.

    labels: class names of the checkpoint in order, for a file of the user's own and for `--labels` and `--label-map`;
    empty means scores.
    """
    if config.dev_file is not None:
        check_own(name, config)
        table, source = from_file(config.dev_file, "dev_file", config.dialect)
        task, notices = speaking_task(table.frame, name, config, labels)
        dev = sample(examples_from_frame(table.frame, task, "dev", source), config.eval_limit)
        notices = (*how_read(dev), *left_out(task, dev), *notices)
        return with_own_tests(TaskData(task, dev.take([]), dev, notices=notices, config=config))
    task = answered(resolve(name, config), config, labels)
    dev = sample(load_split(task, task.dev, config, "--dev-split "), config.eval_limit)
    return with_own_tests(_with_tests(task, dev.take([]), dev, config))


def answered(task: Task, config: DataConfig, outputs: Sequence[str]) -> Task:
    """A declared task that knows which of a checkpoint's outputs answer its classes, where the user says it."""
    task = dataclasses.replace(task, drop_unlabelled=task.drop_unlabelled or config.drop_unlabelled)
    if not config.labels and not config.label_map:
        return task
    if task.regression:
        raise UserError(f"labels: {task.name!r} has scores, so --labels and --label-map cannot name classes")
    answers = task_outputs(task.labels, outputs, config.labels, read_label_map(config.label_map))
    return dataclasses.replace(task, outputs=answers)


def resolve(name: str, config: DataConfig) -> Task:
    """The registered task, with the split names the user asked for."""
    task = TASKS[name]
    return dataclasses.replace(task, train=config.train_split or task.train, dev=config.dev_split or task.dev)


def load_split(task: Task, split: str, config: DataConfig, option: str = "") -> Examples:
    """One split of a registered task, from where the configuration says; option: see `from_folder`."""
    table, source = split_table(task, split, config, option)
    return examples_from_frame(table.frame, task, split, source)


def split_table(task: Task, split: str, config: DataConfig, option: str = "") -> Source:
    """All columns of a split, and where it came from; option: see `from_folder`."""
    if config.data_dir is None and config.dialect.decided and not config.tests:
        given = next(iter(config.dialect.decided))
        raise UserError(f"{given.lstrip('-')}: {given} says how a file is read, and {task.name!r} comes from none")
    if task.generator:
        return generated(task, split, config.cue)
    if config.data_dir is not None:
        return from_folder(task, split, Path(os.path.expanduser(config.data_dir)), config.dialect, option)
    return from_hub(task, split, config.revision)


def sample(examples: Examples, limit: int | None) -> Examples:
    """`limit` rows drawn once for all seeds and methods, in their original order; smaller limits are nested."""
    if limit is None or limit >= len(examples):
        return examples
    order = numpy_generator(0, "sample").permutation(len(examples))
    return examples.take(np.sort(order[:limit]))


def unmet_limits(data: TaskData) -> tuple[str, ...]:
    """A notice where a limit on rows is more than there are."""
    limits = (("train_limit", data.config.train_limit, data.train), ("eval_limit", data.config.eval_limit, data.dev))
    return tuple(
        f"{name}: there are {len(rows)} rows, fewer than {limit}"
        for name, limit, rows in limits
        if limit is not None and 0 < len(rows) < limit
    )


def check_own(name: str, config: DataConfig) -> None:
    """Raise UserError where a data set of the user's own has another one's name, or no usable columns."""
    if name in TASKS:
        raise UserError(f"task: {name!r} is a registered task; give files of your own another name, or none")
    if not re.fullmatch(r"[\w.-]+", name):
        raise UserError(f"task: {name!r} cannot name a data set; use letters, digits, '-', '_' and '.'")
    if not config.text_columns:
        raise UserError("text_columns: not given; name the one or two columns that hold the text")
    check_columns(config.text_columns, config.label_column)


def _load_files(name: str, config: DataConfig) -> TaskData:
    if config.train_file is None or (config.dev_file is None and config.dev_share is None):
        missing = "train_file" if config.train_file is None else "dev_file"
        raise UserError(
            f"{missing}: not given; a data set of your own needs --train-file and --dev-file, or --train-file and "
            "--dev-share 0.1"
        )
    check_own(name, config)
    if config.dev_file is not None and config.dev_share is not None:
        raise UserError("dev_share: --dev-file is given too; either takes the dev rows from one of them")
    if config.dev_file is not None and os.path.realpath(config.train_file) == os.path.realpath(config.dev_file):
        raise UserError(f"dev_file: {config.dev_file!r} is the training file; evaluation needs other rows")
    table, source = from_file(config.train_file, "train_file", config.dialect)
    task, notices = own_task(table.frame, name, config)
    train = examples_from_frame(table.frame, task, "train", source)
    told = left_out(task, train)
    if config.dev_file is not None:
        beside = dataclasses.replace(config.dialect, likely=table.quote)
        table, source = from_file(config.dev_file, "dev_file", beside)
        dev = examples_from_frame(table.frame, task, "dev", source)
        told += left_out(task, dev)
    else:
        assert config.dev_share is not None
        train, dev = split_off(train, config.dev_share, task)
        told += (
            f"dev: {len(dev)} rows split off from the training file ({config.dev_share:g}, {_alike(task)}), the same "
            f"for all seeds and methods; {len(train)} are left",
        )
    train, dev = sample(train, config.train_limit), sample(dev, config.eval_limit)
    task = dataclasses.replace(task, dev="dev")
    notices = (*how_read(train, dev), *told, *notices, *rare_classes(train, task), *overlap(train, {"dev": dev}))
    return TaskData(task, train, dev, notices=notices, config=config)


def _alike(task: Task) -> str:
    return "drawn at random" if task.regression else "of each class alike"


def overlap(train: Examples, tests: Mapping[str, Examples]) -> tuple[str, ...]:
    """A notice for each set of test rows, by what they are called, some of which also stand in the training set.

    A row is the same where all its texts are; rows with another number of texts never are.
    """
    seen = set(zip(*train.texts, strict=True))
    notices = []
    for name, rows in tests.items():
        shared = sum(row in seen for row in zip(*rows.texts, strict=True))
        if shared:
            notices.append(f"{shared} of {len(rows)} {name} rows have a text that also stands in the training set")
    return tuple(notices)
