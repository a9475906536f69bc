"""Tests of the user's own: files, beside the built-in sets, that a model is tested on under a name."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from robusteval.errors import UserError
from robusteval.settings.checks import check_distinct
from robusteval.settings.codec import content_hash
from robusteval.settings.data import DataConfig
from robusteval.settings.grammar import cut, cut_once, listed, name
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.examples import check_columns, examples_from_frame, speaking_task
from robusteval.tasks.sources import from_file

FORM = "NAME=FILE[:label_map=0=yes,1=no][:text_columns=a,b][:label_column=c]"
# what may stand after the file, and how it is read
_LISTS = ("labels", "text_columns")
_WORDS = ("label_column", "encoding", "delimiter", "quote")
_FLAGS = ("drop_unlabelled", "no_header")
SETTINGS = ("label_map", *_LISTS, *_WORDS, *_FLAGS)


@dataclass(frozen=True)
class OwnTest:
    """A file to test on: its name in the table, and how its rows are read."""

    name: str
    file: str
    config: DataConfig


@dataclass(frozen=True)
class TestSet:
    """Rows of a file, and the task that they are: `task.outputs` says which class each class of the model answers."""

    __test__ = False

    name: str
    task: Task
    examples: Examples

    @property
    def fingerprint(self) -> str:
        return content_hash([self.name, self.examples.fingerprint, self.task.labels, self.task.outputs])


def read_tests(config: DataConfig) -> list[OwnTest]:
    """The tests that were asked for; UserError for one that cannot be read or a name given twice."""
    tests = [_read_test(text, config) for text in config.tests]
    check_distinct("test", [test.name for test in tests])
    return tests


def _read_test(text: str, config: DataConfig) -> OwnTest:
    called, equals, rest = cut_once(text, "=")
    file, *settings = cut(rest, ":")
    if not equals or not file:
        raise UserError(f"test: {text!r} is not {FORM}")
    if not re.fullmatch(r"[\w.+-]+", name(called)):
        raise UserError(f"test: {name(called)!r} cannot name a test; use letters, digits, '-', '_', '+' and '.'")
    values: dict[str, Any] = {"labels": (), "label_map": (), "drop_unlabelled": config.drop_unlabelled}
    for setting in settings:
        key, equals, value = cut_once(setting, "=")
        key = key.replace("-", "_")
        if key in _FLAGS and value.lower() in ("", "true", "false"):
            values[key] = value.lower() != "false"
        elif key in _LISTS:
            values[key] = listed(value)
        elif key in _WORDS and value:
            values[key] = name(value)
        elif key == "label_map":
            values[key] = tuple(cut(value, ","))
        elif equals and not difflib.get_close_matches(key, SETTINGS, 1, 0.8) and key not in _FLAGS:
            values["label_map"] = tuple(cut(setting, ","))  # the mapping by itself
        else:
            raise UserError(f"test: {setting!r} in {text!r} is no setting; valid: {', '.join(SETTINGS)}, as in {FORM}")
    if values.pop("no_header", False):
        values["header"] = False
    return OwnTest(name(called), name(file), dataclasses.replace(config, tests=(), **values))


def load_test(test: OwnTest, task: Task, trained_on: str | None) -> tuple[TestSet, tuple[str, ...]]:
    """The rows of one test, for a model that answers the classes of `task`; second: what the user should know.

    trained_on: the training file. UserError where columns or labels do not fit, and for the training file itself.
    """
    field = f"test {test.name}"
    if trained_on is not None and os.path.realpath(trained_on) == os.path.realpath(test.file):
        raise UserError(f"{field}: {test.file!r} is the training file; a test needs other rows")
    table, source = from_file(test.file, field, test.config.dialect)
    columns = test.config.text_columns or task.text_columns
    label_column = test.config.label_column
    if label_column == "label" and "label" not in table.frame.columns:
        label_column = task.label_column
    check_columns(columns, label_column)
    if len(columns) != len(task.text_columns):
        raise UserError(
            f"{field}: {task.name!r} reads {_count(task.text_columns)}, so {', '.join(columns)} cannot be its text; "
            f"say which hold it with :text_columns="
        )
    config = dataclasses.replace(test.config, text_columns=columns, label_column=label_column)
    own, notices = speaking_task(table.frame, task.name, config, task.labels, field, f"--test {test.name}=FILE:")
    examples = examples_from_frame(table.frame, own, field, source)
    if own.outputs:
        answers = ", ".join(f"{each} = {called}" for each, called in zip(task.labels, own.outputs, strict=True))
        notices += (f"the model's classes taken as {answers}; where several answer one class, the likeliest decides",)
    return TestSet(test.name, own, examples), tuple(f"{field}: {notice}" for notice in notices)


def _count(columns: Sequence[str]) -> str:
    return "one text" if len(columns) == 1 else f"{len(columns)} texts"
