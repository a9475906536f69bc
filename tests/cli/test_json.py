"""Every command has --json: its numbers alone on standard output, what else is said on standard error."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from robusteval.cli.app import COMMANDS, app
from support import tiny
from support.field_cases import Done
from support.small_experiment import done, small_plan

Invoke = Callable[..., Done]
ROWS = "--train-file {train} --dev-file {dev} --text-columns review --label-column verdict --max-length 32"
GRID = f"{ROWS} --max-steps 2 --batch-size 8 --suites clean --attacks= --methods vanilla --seeds 1"

TABLE = "title methods baseline seeds lines comparisons costs notes"


class Places(NamedTuple):
    model: Path
    train: Path
    dev: Path
    experiment: Path
    lines: Path
    out: Path


@pytest.fixture(scope="module")
def places(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder = tmp_path_factory.mktemp("json")
    files = (folder / "train.csv", folder / "dev.csv")
    for file, count in zip(files, (48, 24), strict=True):
        texts, labels = tiny.sentences(count, seed=count)
        rows = [f"{text},{'good' if label else 'bad'}" for text, label in zip(texts, labels, strict=True)]
        file.write_text("\n".join(["review,verdict", *rows]) + "\n")
    plan = small_plan(tiny_folder, files, ("vanilla", "rdrop"))
    assert done(plan, folder / "experiment", keep_models=True)[0] == 0
    lines = next((folder / "experiment" / "runs").glob("*/attacks/*.jsonl"))
    return Places(tiny_folder, *files, folder / "experiment", lines, folder / "new")


def words(text: str, places: Places) -> list[str]:
    return text.format(**places._asdict()).split()


def test_every_command_has_it() -> None:
    from typer.main import get_command

    group = get_command(app)
    for name in COMMANDS.keys() - {"plot"}:  # which prints no numbers
        command = group.get_command(None, name)  # type: ignore[attr-defined]
        assert "--json" in {option for param in command.params for option in param.opts}, name


@pytest.mark.parametrize(
    ("line", "keys"),
    [
        ("list", "models tasks methods scenarios perturbations suites attacks pictures recipes"),
        ("list recipes", "recipes"),
        ("doctor --attack deepwordbug", "checks"),
        ("report {experiment}", TABLE),
        ("status {experiment}", "runs seconds_left unknown disk_left"),
        ("transfer {experiment}", "averages seeds"),
        ("transcript {lines} --limit 1", "title summary lines"),
        ("tokens {model} good,bad --max-length 32", "checkpoint by examples"),
        ("tokens {model} --results {lines} --max-length 32", "checkpoint by examples"),
        (
            "evaluate {model} --eval-limit 8 --max-length 16 --suites clean,calibration",
            TABLE,
        ),
        (
            "attack {model} --attack deepwordbug,pruthi --attack-examples 2 --truncate --max-length 64",
            "checkpoint attacks",
        ),
        (
            "compare {experiment}:vanilla {experiment}:rdrop",
            "version kind a b confidence tests examples conditions failed notes",
        ),
        (
            "train-and-attack --model {model} " + GRID + " --dry-run",
            "out parts runs seconds_left unknown disk_left choices shared notes",
        ),
        ("train-and-attack --model {model} " + GRID + " --out {out}", "out table failed beyond exit_code"),
    ],
)
def test_it_stands_alone_on_standard_output(line: str, keys: str, places: Places, invoke: Invoke) -> None:
    ended = invoke(*words(line, places), "--json")
    assert ended.returncode == 0, ended.stderr
    held = json.loads(ended.stdout)
    assert list(held) == keys.split()
    assert "NaN" not in ended.stdout and "Traceback" not in ended.stderr


def test_what_it_holds_is_what_people_are_told(places: Places, invoke: Invoke) -> None:
    held = json.loads(invoke("report", str(places.experiment), "--json").stdout)
    assert held == json.loads((places.experiment / "report" / "table.json").read_text())
    told = invoke("report", str(places.experiment)).stdout
    accuracy = next(line for line in held["lines"] if line["metric"]["name"] == "accuracy")
    assert f"{100 * accuracy['cells']['vanilla']['mean']:.2f}" in told
    attacked = json.loads(invoke("transcript", str(places.lines), "--json", "--outcome", "skipped").stdout)
    assert attacked["summary"]["examples"] == 3
    assert [each["outcome"] for each in attacked["lines"]] == ["skipped"] * attacked["summary"]["skipped"]


def test_costs_and_counts_are_printed_on_request(places: Places, invoke: Invoke) -> None:
    shown = [invoke("report", str(places.experiment), *more).stdout for more in ((), ("--all-rows",))]
    assert [bool(re.search("^Cost$", text, re.MULTILINE)) for text in shown] == [False, True]
    assert "Cost" in (places.experiment / "report" / "table.md").read_text()
    sides = (f"{places.experiment}:vanilla", f"{places.experiment}:rdrop")
    compared = [invoke("compare", *sides, *more).stdout for more in ((), ("--all-rows",))]
    assert [bool(re.search("^train ", text, re.MULTILINE)) for text in compared] == [False, True]
