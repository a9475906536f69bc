"""Every kind of thing from a file of the user's own and from an installed package, through whole runs."""

from __future__ import annotations

import dataclasses
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robusteval.attacks.recipes.registry import ATTACKS, recipe_entry
from robusteval.errors import UserError
from robusteval.evaluation import SUITES
from robusteval.methods import METHODS
from robusteval.perturbations import PERTURBATIONS
from robusteval.registry import CustomEntry, Registry, result_name
from robusteval.results.rows import Row
from robusteval.results.store import RunFolder
from robusteval.scenarios import SCENARIOS
from robusteval.tasks import TASKS
from support import others
from support.field_cases import Done

REGISTRIES: dict[str, Registry[Any]] = {
    "methods": METHODS, "scenarios": SCENARIOS, "suites": SUITES, "perturbations": PERTURBATIONS, "tasks": TASKS,
    "attacks": ATTACKS,
}  # fmt: skip
Invoke = Callable[..., Done]


def command(model: Path, out: Path, names: dict[str, str], *more: str) -> list[str]:
    """A small experiment with one of each kind."""
    return [
        "train-and-attack", "--no-page", "--model", str(model), "--task", names["tasks"],
        "--methods", f"vanilla,{names['methods']}:share=0.3", "--scenario", f"none,{names['scenarios']}:keep=0.5",
        "--suites", f"clean,{names['suites']}:rows=5,{names['perturbations']}", "--rates", "0.4", "--sets", "2",
        "--attacks", names["attacks"], "--attack-examples", "2", "--seeds", "1", "--max-steps", "8",
        "--learning-rate", "0.001", "--batch-size", "8", "--max-length", "32", "--device", "cpu", "--quiet",
        "--out", str(out), *more,
    ]  # fmt: skip


def in_file(file: str) -> dict[str, str]:
    return {kind: f"{file}:{name}" for kind, name in others.OBJECTS.items()}


def rows_of(out: Path) -> list[Row]:
    folders = [RunFolder(path) for path in sorted((out / "runs").iterdir())]
    assert all(folder.done for folder in folders)
    return [row for folder in folders for row in folder.rows()]


def test_one_of_each_kind_from_a_file_in_a_whole_experiment(
    tiny_folder: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = others.mine(tmp_path / "a b.c" / "code")
    out = tmp_path / "out"
    monkeypatch.chdir(file.parent)
    # the runs are done in processes of their own, which load the file anew
    done = invoke(*command(tiny_folder, out, in_file("mine.py"), "--workers", "2"))
    assert done.returncode == 0, done.stderr
    borne = {kind: result_name(f"{file}:{name}") for kind, name in others.OBJECTS.items()}
    for kind, name in borne.items():
        assert f"{name} is a" in done.stdout, kind
    rows = rows_of(out)
    assert {row.task for row in rows} == {borne["tasks"]}
    assert {row.method for row in rows} == {"vanilla", f"{borne['methods']}:share=0.3"}
    assert {row.scenario for row in rows} == {"none", f"{borne['scenarios']}:keep=0.5"}
    suites = {row.suite: row for row in rows}
    assert {"clean", borne["suites"], borne["perturbations"], "attack"} <= set(suites)
    assert suites[borne["suites"]].n == 5 and suites[borne["perturbations"]].suite_value == "0.4"
    assert {row.suite_value for row in rows if row.suite == "attack"} == {borne["attacks"]}
    assert {row.value for row in rows if row.suite == "scenario"} == {30.0}
    # nothing but letters, digits and signs that a name may have is in the name of a file
    for path in out.rglob("*"):
        assert re.fullmatch(r"[\w.+=-]+", path.name), path
    # the same command from another folder, by another path, finds all runs finished
    monkeypatch.chdir(tmp_path)
    again = invoke(*command(tiny_folder, out, in_file("a b.c/code/mine.py"), "--dry-run"))
    assert again.returncode == 0 and "4 finished before" in again.stdout.replace("\n", " ")
    # from a folder where there is no such file, it is refused
    gone = invoke(*command(tiny_folder, out, in_file("mine.py")))
    assert gone.returncode == 2 and "the file 'mine.py' cannot be read (No such file or directory)" in gone.stderr
    # the file may move, with what it holds
    shutil.move(file.parent, tmp_path / "moved")
    moved = invoke(*command(tiny_folder, out, in_file("moved/mine.py"), "--dry-run"))
    assert moved.returncode == 0 and "4 finished before" in moved.stdout.replace("\n", " ")
    # what an edited file holds is another task, method and so on, whose runs lie beside those that are there
    before = sorted((out / "runs").iterdir())
    (tmp_path / "moved" / "mine.py").write_text(others.worked_example() + "# edited\n")
    edited = invoke(*command(tiny_folder, out, in_file("moved/mine.py"), "--dry-run"))
    assert edited.returncode == 0 and "0 finished before" in edited.stdout.replace("\n", " ")
    assert sorted((out / "runs").iterdir()) == before


def test_one_of_each_kind_from_a_package(
    tiny_folder: Path, tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    others.mine(tmp_path, "offered_things.py")
    points = {kind: {f"my-{kind}": f"offered_things:{name}"} for kind, name in others.OBJECTS.items()}
    others.offer(tmp_path, {**points, "methods": {**points["methods"], "match": "offered_things:Smoothing"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {kind: f"my-{kind}" for kind in others.OBJECTS}
    out = tmp_path / "out"
    done = invoke(*command(tiny_folder, out, names))
    assert done.returncode == 0, done.stderr
    rows = rows_of(out)
    assert {row.task for row in rows} == {"my-tasks"}
    assert {row.method for row in rows} == {"vanilla", "my-methods:share=0.3"}
    assert {row.scenario for row in rows} == {"none", "my-scenarios:keep=0.5"}
    assert {"my-suites", "my-perturbations"} <= {row.suite for row in rows}
    assert {row.suite_value for row in rows if row.suite == "attack"} == {"my-attacks"}
    # its version is part of what a run is
    before = sorted(path.name for path in (out / "runs").iterdir())
    shutil.rmtree(tmp_path / "offering-1.0.dist-info")
    others.offer(tmp_path, points, version="1.1")
    again = invoke(*command(tiny_folder, out, names, "--dry-run"))
    assert again.returncode == 0 and "0 finished before" in again.stdout.replace("\n", " ") and before
    for kind in others.OBJECTS:
        shown = invoke("list", kind).stdout
        noun = kind.rstrip("s")
        assert re.search(rf"my-{kind} .*an? {noun} of the package offering", shown), shown
    assert METHODS.entry("match").target == "robusteval.methods.match:Match"


WRONG = """
from __future__ import annotations
from dataclasses import dataclass
import dataclasses
import numpy as np
from robusteval.evaluation.base import Suite
from robusteval.methods.base import Method
from robusteval.methods.vanilla import VanillaSettings
from robusteval.scenarios.base import Scenario
from robusteval.tasks.base import Task

class Bare(Method): ...
class Plain: ...
class Strange(Method):
    Settings = VanillaSettings
    def __init__(self): ...
class Idle(Scenario):
    Settings = VanillaSettings
class Unsettled(Scenario):
    def prepare(self, given, task, seed): return given
class Blank(Suite): ...
class Whole(Suite):
    def run(self, subject): yield 3
def two(source, rate): ...
def nothing(): return 3
def raising(): raise KeyError("here")
def rows(name, split, *, cue): raise KeyError(split)
number = 3
task = Task("t", "f", ("text",), ("a", "b"), ("accuracy",), generator=rows)
make = lambda: task
no_text = dataclasses.replace(task, text_columns=())
a_word = dataclasses.replace(task, text_columns="text")
twice = dataclasses.replace(task, labels=("a", "a"))
one_class = dataclasses.replace(task, labels=("a",))
no_metric = dataclasses.replace(task, metrics=())
wrong_metric = dataclasses.replace(task, metrics=("acuracy",))
unfit = dataclasses.replace(task, labels=("a", "b", "c"), metrics=("f1",))
lost = dataclasses.replace(task, generator="gone:rows")
"""
SUITE, METHOD, SCENARIO = (
    f"robusteval.{room}.base.{name}"
    for room, name in (("evaluation", "Suite"), ("methods", "Method"), ("scenarios", "Scenario"))
)
TASK = "neither a robusteval.tasks.base.Task nor a function that returns one"


@pytest.mark.parametrize(
    ("kind", "name", "sentence"),
    [
        ("methods", "Plain", f"Plain is no subclass of {METHOD}"),
        ("methods", "number", f"number is no subclass of {METHOD}"),
        ("methods", "Method", f"Method is no subclass of {METHOD}"),
        ("methods", "Bare", "Bare has no Settings, a frozen dataclass of what a user may set"),
        ("methods", "Strange", f"Strange cannot be made from (settings, name), as {METHOD} is"),
        ("methods", "Blank", f"Blank is no subclass of {METHOD}"),
        ("scenarios", "Idle", "Idle does not define prepare"),
        ("scenarios", "Unsettled", "Unsettled has no Settings, a frozen dataclass of what a user may set"),
        ("scenarios", "Bare", f"Bare is no subclass of {SCENARIO}"),
        ("suites", "Blank", "Blank does not define run"),
        ("suites", "Plain", f"Plain is no subclass of {SUITE}"),
        ("suites", "two", f"two is no subclass of {SUITE}, and no function of (source, rate, generator)"),
        ("suites", "number", f"number is no subclass of {SUITE}, and no function of (source, rate, generator)"),
        ("perturbations", "two", "two is no function of (source, rate, generator)"),
        ("perturbations", "Blank", "Blank is no function of (source, rate, generator)"),
        ("tasks", "number", f"number is {TASK}"),
        ("tasks", "nothing", f"nothing is {TASK}"),
        ("tasks", "raising", "raising() failed: KeyError: 'here' (line 26)"),
        ("tasks", "no_text", "it has 0 text columns; a model reads one text or two"),
        ("tasks", "a_word", "its text_columns 'text' are not a tuple of names"),
        ("tasks", "twice", "its labels name one twice: a, a"),
        ("tasks", "one_class", "it has one class, 'a'; a classifier needs two, and scores need none"),
        ("tasks", "no_metric", "it has no metrics; the first is the one that models are compared by"),
        ("tasks", "wrong_metric", "metrics: unknown name 'acuracy'; did you mean 'accuracy'?"),
        ("tasks", "lost", "its generator 'gone:rows' cannot be imported: ModuleNotFoundError: No module named 'gone'"),
        ("attacks", "number", "number is neither a function nor has it build(model_wrapper)"),
    ],
)  # fmt: skip
def test_what_is_not_of_its_kind_is_refused_in_one_sentence(
    kind: str, name: str, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    given = f"{tmp_path / 'wrong.py'}:{name}"
    noun = REGISTRIES[kind].kind
    with pytest.raises(UserError) as error:
        REGISTRIES[kind][given]
    assert str(error.value) == f"{noun} {result_name(given)!r}: {sentence}"


def test_a_metric_that_does_not_fit_and_a_generator_that_fails_are_told(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    with pytest.raises(UserError, match=r"its metric 'f1' does not measure 3 classes \("):
        TASKS[f"{tmp_path}/wrong.py:unfit"]
    task = TASKS[f"{tmp_path}/wrong.py:make"]
    assert callable(task.generator) and task.folder == "t"
    with pytest.raises(UserError, match=r"failed on the split 'train': KeyError: 'train' \(line 27\)$"):
        task.generator("t", "train", cue=0.9)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return 3", "change did not return the 1 rows as an Encoded"),
        ("return 1 / 0", "change failed: ZeroDivisionError: division by zero (line 2)"),
        (
            "return source.encoded.with_ids(source.encoded.ids + 1)",
            "change changes tokens at rate 0, where nothing may",
        ),
    ],
)
def test_a_perturbation_is_tried_before_anything_is_trained(
    body: str, sentence: str, tiny_folder: Path, tmp_path: Path, invoke: Invoke
) -> None:
    (tmp_path / "odd.py").write_text(f"def change(source, rate, generator):\n    {body}\n")
    done = invoke(
        "train-and-attack", "--model", str(tiny_folder), "--max-length", "32", "--methods", "vanilla", "--attacks", "",
        "--no-page",
        "--suites", f"{tmp_path}/odd.py:change", "--max-steps", "1", "--eval-limit", "4", "--train-limit", "4",
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 2 and sentence in done.stderr and not (tmp_path / "out").exists(), done.stderr


@pytest.mark.parametrize("kind", REGISTRIES)
def test_names_that_are_nearly_right(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = REGISTRIES[kind]
    file = others.mine(tmp_path)
    object_name = others.OBJECTS[kind]
    with pytest.raises(UserError, match=f"unknown name '{object_name}x'; did you mean '{object_name}'"):
        registry[f"{file}:{object_name}x"]
    others.offer(tmp_path, {kind: {"quux-zizz": "mine:no_such"}})
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=rf"^{registry.kind}: unknown name 'quux-ziz'; did you mean 'quux-zizz'\?$"):
        registry.entry("quux-ziz")
    with pytest.raises(UserError, match=f"^{registry.kind} 'quux-zizz': mine: unknown name 'no_such'"):
        registry["quux-zizz"]
    first = next(iter(registry.names()))
    with pytest.raises(UserError, match=f"did you mean .*'{first}'"):
        registry.entry(f"{first}x")
    others.offer(tmp_path / "second", {kind: {"quux-zizz": "mine:other"}}, package="second")
    monkeypatch.syspath_prepend(str(tmp_path / "second"))
    with pytest.raises(UserError, match=f"{registry.kind} 'quux-zizz': offered by mine:.* and by mine:.*; uninstall"):
        registry.entry("quux-zizz")
    sys.modules.pop("mine", None)


def test_nothing_of_a_file_is_run_until_it_is_loaded_and_nothing_stays_of_one_that_fails(tmp_path: Path) -> None:
    file = tmp_path / "loud.py"
    file.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nraise SystemExit(3)\n")
    entry = METHODS.entry(f"{file}:Mine")
    assert isinstance(entry, CustomEntry) and not (tmp_path / "ran").exists()
    before = set(sys.modules)
    with pytest.raises(UserError, match=r"^method: .*loud.py cannot be imported: SystemExit: 3 \(line 2\)$"):
        entry.load()
    assert (tmp_path / "ran").exists() and set(sys.modules) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loud.py", "ran"]


def test_two_files_of_one_content_are_one_suite_and_of_two_contents_two(tmp_path: Path) -> None:
    from robusteval.evaluation.suites import build_suites

    first, second = others.mine(tmp_path / "a"), others.mine(tmp_path / "b")
    with pytest.raises(UserError, match=r"suites: mine.Longest.\w{8} is given twice"):
        build_suites([f"{first}:Longest", f"{second}:Longest"])
    second.write_text(others.worked_example() + "\nlater = 1\n")
    built = build_suites([f"{first}:Longest:rows=3", f"{second}:Longest"])
    assert [suite.settings.rows for suite in built.values()] == [3, 100]
    assert len({suite.name for suite in built.values()}) == 2


def test_classes_of_a_file_are_the_same_however_often_it_is_named(tmp_path: Path) -> None:
    file = others.mine(tmp_path)
    assert METHODS[f"{file}:Smoothing"] is METHODS[f"{file}:Smoothing"]
    assert METHODS[f"{file}:Smoothing"].__module__ == SUITES[f"{file}:Longest"].__module__
    assert dataclasses.is_dataclass(METHODS[f"{file}:Smoothing"].Settings)
    assert recipe_entry(f"{file}:typos").name == result_name(f"{file}:typos")
