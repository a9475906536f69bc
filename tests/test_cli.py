"""The command line: instant help, one clear sentence for every mistake, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_experiments import command

from robusteval.cli import main


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Call the command line in this process: the imports are paid once for all cases."""

    def call(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["robusteval", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return Done(int(end.value.code or 0), captured.out, captured.err)

    return call


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


@pytest.mark.parametrize("kind", ["", "models", "tasks", "methods", "perturbations", "suites", "attacks"])
def test_listing(kind: str, invoke: Callable[..., Done]) -> None:
    done = invoke("list", *([kind] if kind else []))
    assert done.returncode == 0, done.stderr
    for expected in {
        "": ["minilm", "sst2", "match", "deepwordbug"], "methods": ["match", "3F", "representation"],
        "attacks": ["pwws", "wordnet"], "tasks": ["demo-nli"], "models": ["minilm"],
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
        (["--device", "gpu"], "device: 'gpu' is not available here"),
        (["--track", "board"], "track: unknown tracker 'board'"),
        (["--precision", "fp16"], "precision: 'fp16' needs a CUDA device"),
        (["--text-columns", "revieww"], "there is no column 'revieww'; did you mean 'review'"),
        (["--epochs", "many"], "Invalid value for '--epochs'"),
        (["--epoks", "3"], "No such option: --epoks"),
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


def test_doctor_names_what_is_missing_and_how_to_get_it(invoke: Callable[..., Done]) -> None:
    done = invoke("doctor")
    assert done.returncode == 0, done.stderr
    for name in ("torch", "device", "embedded model minilm", "disk", "attack deepwordbug: ready", "hub"):
        assert name in done.stdout
    recipe = invoke("doctor", "--attack", "textfooler")
    assert "counter-fitted vectors" in recipe.stdout
