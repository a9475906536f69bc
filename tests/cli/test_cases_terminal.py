"""Output to a terminal or file that lacks signs, is closed, or full: never a traceback, and the report is whole."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from robusteval.runtime.terminal import shown
from support.attack_lines import line
from support.experiments import command
from support.field_cases import command_lines

ENCODINGS = ("ascii", "latin-1", "cp1252", "koi8-r", "gbk", "utf-8")
Printed = tuple[int, str, str]


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Printed]:
    """Call the command line with streams of another encoding, strict as Python makes them; exit code, what it wrote."""
    from robusteval.cli import main

    def call(encoding: str, *arguments: str) -> Printed:
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding=encoding) for name in ("stdout", "stderr")}
        monkeypatch.setattr(sys, "argv", ["robusteval", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        with monkeypatch.context() as patch:
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            with pytest.raises(SystemExit) as end:
                main()
        texts = []
        for stream in streams.values():
            stream.flush()
            texts.append(stream.buffer.getvalue().decode(encoding))  # type: ignore[attr-defined]
        return int(end.value.code or 0), texts[0], texts[1]

    return call


SHORT = ("--max-steps", "2", "--batch-size", "8", "--attacks", "", "--suites", "clean", "--quiet")


def test_the_given_case(
    cases: Path, case_models: Path, tmp_path: Path, printed: Callable[..., Printed], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cases / "19-terminal-encoding"
    monkeypatch.chdir(folder)
    lines = command_lines(folder, MODELS=case_models, OUT=tmp_path)
    for one in lines:
        if "LC_ALL" in one.environment:
            command = [sys.executable, "-m", "robusteval.cli", *one.robusteval]
            done = subprocess.run(command, env={**os.environ, **one.environment}, capture_output=True, timeout=250)
            code, out, errors = done.returncode, done.stdout.decode("ascii"), done.stderr.decode()
        else:
            code, out, errors = printed(one.environment["PYTHONIOENCODING"], *one.robusteval)
        assert code == 0, errors
        assert "Traceback" not in errors
        assert "clean" in out
    tables = [path.read_text(encoding="utf-8") for path in sorted(tmp_path.glob("*/report/table.md"))]
    measured = {tuple(row for row in table.splitlines() if row.startswith("| clean")) for table in tables}
    assert len(tables) == 4 and len(measured) == 1


def test_a_table_in_every_encoding(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path, printed: Callable[..., Printed]
) -> None:
    """One training; then the same command prints its table again in each encoding."""
    arguments = command(tiny_folder, csv_files, tmp_path / "out", *SHORT, "--methods", "vanilla,match", "--seeds", "2")
    arguments = arguments[arguments.index("train-and-attack") :]
    signs = {"ascii": "match (diff)", "latin-1": "match (diff)", "cp1252": "match (diff)", "koi8-r": "match (diff)"}
    for encoding in ENCODINGS:
        code, out, errors = printed(encoding, *arguments)
        assert code == 0 and "Traceback" not in errors, errors
        assert signs.get(encoding, "match (Δ)") in out
        assert ("+-" if encoding in ("ascii", "koi8-r") else "±") in out
        # columns stay in line: what follows the methods' names begins where they end
        first = out.partition("\nmy-data\n")[2].partition("Comparisons")[0].splitlines()
        rows = [row for row in first if " accuracy " in row or "match (" in row]
        ends = {len(row.rstrip()) for row in rows}
        assert len(rows) >= 2 and len(ends) == 1, out
    report = (tmp_path / "out" / "report" / "table.md").read_text(encoding="utf-8")
    assert "Δ" in report and "±" in report


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_of_the_users_in_transcripts_errors_and_help(
    encoding: str, tmp_path: Path, printed: Callable[..., Printed]
) -> None:
    results = tmp_path / "lines.jsonl"
    strange = "电影 \U0001f600 é “quoted” \ud800"
    results.write_text(json.dumps(line(original=[strange + " a"], perturbed=[strange + " b"])) + "\n")
    code, out, errors = printed(encoding, "transcript", str(results))
    assert code == 0, errors
    assert ("电影" if encoding in ("gbk", "utf-8") else "\\u7535") in out
    code, out, errors = printed(encoding, "transcript", str(tmp_path / "电影\U0001f600.jsonl"))
    assert code == 2 and errors.startswith("error: results: there is no file") and len(errors.splitlines()) == 1
    for arguments in (["--help"], ["evaluate", "--help"], ["list", "tasks"]):
        code, out, errors = printed(encoding, *arguments)
        assert (code, errors) == (0, "") and out


def test_signs_have_a_likeness_and_other_characters_an_escape() -> None:
    assert shown("Δ − 3 ± 2 – “x” … é 中 \udcff", "ascii") == 'diff - 3 +- 2 - "x" ... \\xe9 \\u4e2d \\udcff'
    assert shown("± é “x” −", "cp1252") == "± é “x” -"
    assert shown("Δ 中 \udcff", "utf-8") == "Δ 中 \\udcff"


def test_a_reader_that_leaves_and_a_disk_that_is_full() -> None:
    listing = [sys.executable, "-m", "robusteval.cli", "list"]
    with subprocess.Popen(listing, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read().decode()
    assert errors == ""
    if Path("/dev/full").exists():
        with open("/dev/full", "wb") as full:
            done = subprocess.run(listing, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2
        assert done.stderr.startswith("error:") and len(done.stderr.splitlines()) == 1
