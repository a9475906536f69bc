"""The command line: instant help, one clear sentence for every mistake, never a traceback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.experiments import command
from support.field_cases import Done


def test_help_imports_neither_torch_nor_textattack() -> None:
    code = (
        "import sys\n"
        "from robusteval.cli import main\n"
        "sys.argv = ['robusteval', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'textattack', 'transformers', 'datasets', 'pandas', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    for arguments in (["--help"], ["train-and-attack", "--help"], ["--version"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout


def test_what_is_checked_first_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "import robusteval.cli.precheck, robusteval.models.checkpoint_folder\n"
        "import robusteval.models.catalogue, robusteval.tasks.load\n"
        "import robusteval.results.store, robusteval.scenarios.base, robusteval.attacks.results.frozen_sets\n"
        "heavy = {'torch', 'textattack', 'transformers', 'datasets', 'sklearn', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["", "models", "tasks", "methods", "perturbations", "suites", "attacks", "recipes"])
def test_listing(kind: str, invoke: Callable[..., Done]) -> None:
    done = invoke("list", *([kind] if kind else []))
    assert done.returncode == 0, done.stderr
    for expected in {
        "": ["minilm", "sst2", "match", "deepwordbug"], "methods": ["match", "3F", "representation"],
        "attacks": ["pwws", "wordnet"], "tasks": ["demo-nli"], "models": ["minilm"],
        "recipes": ["match-tuning/table-3"],
    }.get(kind, []):  # fmt: skip
        assert expected in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "mach"], "method: unknown name 'mach'; did you mean 'match'"),
        (["--methods", "match:temprature=2"], "match setting: unknown name 'temprature'; did you mean 'temperature'"),
        (["--methods", "match:temperature=0"], "match:temperature: 0.0 is out of range"),
        (["--methods", "match:temperature=warm"], "match:temperature: 'warm' is not a valid float"),
        (["--methods", "match+match"], "'match' and 'match' cannot be combined: both claim the representation hook"),
        (["--methods", ""], "methods: none given"),
        (["--seeds", "none"], "seeds: 'none' is neither a count nor"),
        (["--seeds", "0"], "seeds: '0' names no seed"),
        (["--rates", "0.1,2"], "rates: 2.0 is out of range"),
        (["--suites", "clean,maks"], "suite: unknown name 'maks'; did you mean 'mask'"),
        (["--attacks", "deepwordbugg"], "attack recipe: unknown name 'deepwordbugg'; did you mean 'deepwordbug'"),
        (["--learning-rate", "-1"], "learning_rate: -1.0 is out of range"),
        (["--max-length", "500"], "max_length: 500 tokens is more than this model can read (64)"),
        (["--device", "gpu"], "device: 'gpu' is no device"),
        (["--track", "board"], "track: unknown tracker 'board'"),
        (["--precision", "fp16"], "precision: 'fp16' needs a CUDA device"),
        (["--text-columns", "revieww"], "there is no column 'revieww'; did you mean 'review'"),
        (["--epochs", "many"], "epochs: 'many' is not a number"),
        (["--epoks", "3"], "option: unknown name '--epoks'; did you mean '--epochs'"),
        (["--label-type", "score"], "which is not a finite score"),
    ],
)
def test_every_mistake_is_one_sentence_and_exit_code_2(
    arguments: list[str],
    message: str,
    tiny_folder: Path,
    csv_files: tuple[Path, Path],
    tmp_path: Path,
    invoke: Callable[..., Done],
) -> None:
    out = tmp_path / "out"
    done = invoke(*command(tiny_folder, csv_files, out, *arguments)[3:])
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train-and-attack", "--task", "sst3"], "task: unknown name 'sst3'; did you mean 'sst2'"),
        (["train-and-attack", "--model", "minilmm"], "model: unknown name 'minilmm'"),
        (["train-and-attack", "--cue", "2"], "cue"),
        (["train-and-attack", "--task", "sst2"], "give --data-dir"),
        (["evaluate", "nowhere"], "unknown name 'nowhere'"),
        (["list", "tasks2"], "list: unknown name 'tasks2'; did you mean 'tasks'"),
        (["doctor", "--attack", "pws"], "unknown name 'pws'; did you mean 'pwws'"),
    ],
)
def test_mistakes_elsewhere(arguments: list[str], message: str, invoke: Callable[..., Done]) -> None:
    done = invoke(*arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_something_else_is_left_alone(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    done = invoke(*command(tiny_folder, csv_files, tmp_path)[3:])
    assert done.returncode == 2
    assert "is not empty and holds no experiment" in done.stderr


def test_a_checkpoint_with_other_labels(tiny_folder: Path, invoke: Callable[..., Done]) -> None:
    done = invoke("evaluate", str(tiny_folder), "--task", "demo-nli")
    assert done.returncode == 2
    assert "has 2 labels but the task has 3 (entailment, neutral, contradiction)" in done.stderr


def test_doctor_names_what_is_missing_and_how_to_get_it(
    invoke: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = invoke("doctor")
    assert done.returncode == 0, done.stderr
    for name in ("torch", "device", "embedded model minilm", "disk", "attack deepwordbug: ready", "hub"):
        assert name in done.stdout
    recipe = invoke("doctor", "--attack", "textfooler", "--resources", str(tmp_path))
    assert "counter-fitted vectors" in recipe.stdout
    assert recipe.returncode == 1
    assert invoke("doctor", "--attack", "deepwordbug").returncode == 0
    monkeypatch.setattr("shutil.disk_usage", lambda place: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore[attr-defined]
    full = invoke("doctor")
    assert full.returncode == 1 and "free at least 2 GiB" in full.stdout


@pytest.mark.parametrize(
    ("more", "tests"),
    [([], ["clean", "mask", "replace"]), (["--suites", "clean"], ["clean"]), (["--suites", ""], [])],
)
def test_suites_of_files_of_ones_own(
    more: list[str],
    tests: list[str],
    tiny_folder: Path,
    csv_files: tuple[Path, Path],
    tmp_path: Path,
    invoke: Callable[..., Done],
) -> None:
    done = invoke(*command(tiny_folder, csv_files, tmp_path / "out", "--dry-run", *more)[3:])
    assert done.returncode == 0, done.stderr
    planned = [line.split()[1].rstrip(":") for line in done.stdout.splitlines() if line.startswith("test ")]
    assert planned == tests
    assert "attack deepwordbug" in done.stdout


def test_the_plan_of_a_task_has_the_suites_that_suit_it(
    tiny_folder: Path, tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    shared = (
        "--model",
        str(tiny_folder),
        "--max-length",
        "64",
        "--truncate",
        "--out",
        str(tmp_path / "out"),
        "--dry-run",
    )
    done = invoke("train-and-attack", "--task", "demo-sentiment", *shared)
    assert done.returncode == 0, done.stderr
    assert "\ntest ood: " in done.stdout
    assert "advglue" not in done.stdout
    assert "advglue where the task has them]" in " ".join(invoke("evaluate", "--help").stdout.split())


def test_evaluate_prints_its_notices_and_leaves_what_a_run_leaves(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    out = tmp_path / "out"
    shared = ("evaluate", str(tiny_folder), "--task", "demo-sentiment", "--eval-limit", "20", "--device", "cpu")
    done = invoke(*shared, "--max-length", "16", "--suites", "clean,calibration", "--out", str(out))
    assert done.returncode == 0, done.stderr
    notice = "the checkpoint does not name its labels; taken by position: 0 = negative, 1 = positive"
    assert done.stdout.startswith(f"note: {notice}\n")
    assert "dev texts are cut to 16 tokens (max_length)\n" in done.stdout.partition("Note: ")[0]
    assert f"Note: {notice}." in (out / "table.md").read_text()
    assert f"Note: {notice}." in done.stdout
    assert sorted(path.name for path in out.iterdir() if path.name != ".lock") == [
        "analysis", "evaluation.json", "predictions", "rows.jsonl", "table.csv", "table.html", "table.json",
        "table.md", "table.tex",
    ]  # fmt: skip
    # a folder of something else is left alone, whatever it is
    done = invoke(*shared, "--max-length", "64", "--out", str(csv_files[0].parent))
    assert done.returncode == 2
    assert "is not empty and holds no evaluation" in done.stderr
    done = invoke(*shared, "--max-length", "64", "--suites", "")
    assert (done.returncode, done.stdout) == (2, "")
    assert "suites: none given; at least one is needed" in done.stderr
    done = invoke(*shared, "--max-length", "64", "--suites", "clean,ordered-drop:orders=confidence")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'confidence' needs a trained confidence layer" in done.stderr


def test_attack_prints_its_notices(tiny_folder: Path, invoke: Callable[..., Done]) -> None:
    done = invoke(
        "attack", str(tiny_folder), "--attack-examples", "1", "--truncate", "--max-length", "64", "--device", "cpu"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("note: the checkpoint does not name its labels; taken by position: 0 = negative")


def test_several_recipes_share_what_the_model_said(
    tiny_folder: Path, tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    few = ("attack", str(tiny_folder), "--attack-examples", "3", "--max-length", "64", "--truncate", "--device", "cpu")
    done = invoke(*few, "--attack", "pruthi,deepwordbug", "--out", str(tmp_path / "lines.jsonl"))
    assert done.returncode == 0, done.stderr
    assert "pruthi on" in done.stdout and "deepwordbug on" in done.stdout
    files = {name: tmp_path / f"lines.{name}.jsonl" for name in ("pruthi", "deepwordbug")}
    assert sorted(tmp_path.iterdir()) == sorted(files.values())
    second = [json.loads(line) for line in files["deepwordbug"].read_text().splitlines()]
    # the first query, the text as it is, was answered for the other recipe
    assert len(second) == 3 and all(line["cached_rows"] >= 1 for line in second)
    again = invoke(*few, "--attack", "pruthi,deepwordbug", "--out", str(tmp_path / "lines.jsonl"))
    assert again.stdout.count("3 of 3 examples were finished before") == 2
    wrong = invoke(*few, "--attack", "pruthi,deepwordbugg")
    assert wrong.returncode == 2 and "did you mean 'deepwordbug'" in wrong.stderr and "pruthi on" not in wrong.stdout


def test_errors_beyond_the_allowed_number_are_an_exit_code(
    tiny_folder: Path, tmp_path: Path, invoke: Callable[..., Done], csv_files: tuple[Path, Path]
) -> None:
    few = ("attack", str(tiny_folder), "--attack-examples", "3", "--max-length", "64", "--truncate", "--device", "cpu")
    for allowed, code in (("2", 1), ("3", 0)):
        done = invoke(*few, "--time-limit", "1e-9", "--max-errors", allowed)
        assert done.returncode == code
        assert "3 of 3 errors: time limit of 1e-09 s reached" in done.stdout
    arguments = command(
        tiny_folder, csv_files, tmp_path / "out", "--max-steps", "2", "--methods", "vanilla", "--seeds", "1",
        "--suites", "clean", "--attack-examples", "3", "--time-limit", "1e-9",
    )  # fmt: skip
    done = invoke(*arguments[arguments.index("train-and-attack") :])
    assert done.returncode == 1
    assert "3 of 3 examples under deepwordbug, more than 0" in done.stdout
    assert "3 of 3 examples ended in an error, 3 of them at the time limit" in " ".join(done.stdout.split())
    again = invoke(*arguments[arguments.index("train-and-attack") :], "--max-errors", "3")
    assert again.returncode == 0


def test_an_attack_on_a_checkpoint_meets_the_rows_of_the_experiment(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    limits = ("--eval-limit", "12", "--attack-examples", "5")
    arguments = command(
        tiny_folder, csv_files, tmp_path / "out", *limits, "--max-steps", "2", "--methods", "vanilla", "--seeds", "1",
        "--suites", "",
    )  # fmt: skip
    done = invoke(*arguments[arguments.index("train-and-attack") :])
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "out" / "runs").iterdir()
    shared = ("--dev-file", str(csv_files[1]), "--text-columns", "review", "--label-column", "verdict")
    out = tmp_path / "lines.jsonl"
    done = invoke(
        "attack", str(run / "model"), *shared, *limits, "--max-length", "32", "--device", "cpu", "--out", str(out)
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = (
        [json.loads(line)["original"] for line in path.read_text().splitlines()]
        for path in (out, run / "attacks" / "deepwordbug.jsonl")
    )
    assert len(ours) == 5 and sorted(ours) == sorted(theirs)


def test_a_notice_where_an_option_has_no_effect(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path, invoke: Callable[..., Done]
) -> None:
    arguments = command(
        tiny_folder, csv_files, tmp_path / "out", "--dry-run", "--attacks", "", "--attack-examples", "5", "--suites",
        "clean", "--columns", "review", "--epochs", "2", "--max-steps", "3", "--train-limit", "5000",
    )  # fmt: skip
    done = invoke(*arguments[arguments.index("train-and-attack") :])
    assert done.returncode == 0, done.stderr
    for notice in (
        "--attack-examples has no effect here: nothing is attacked",
        "--rates has no effect here: no suite perturbs tokens",
        "--columns has no effect here: no suite or attack changes text",
        "--epochs has no effect here: --max-steps takes its place",
        "train_limit: there are 96 rows, fewer than 5000",
    ):
        assert f"note: {notice}\n" in done.stdout
