"""The house holds: rooms only at the top, modules and functions of a size one can read, arrows downward."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.places import ROOT, TESTS

PACKAGE = ROOT / "robusteval"
AT_THE_TOP = {"__init__.py", "api.py", "errors.py", "registry.py", "version.py", "py.typed"}
LONGEST_MODULE, MOST_PARAMETERS = 350, 12
# the command line's own front: what its functions take is what users may say
FRONT = PACKAGE / "cli"


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of parameters of every function in a file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            yield node.name, len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)


def test_nothing_but_rooms_lies_at_the_top() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == AT_THE_TOP


def test_every_room_says_what_it_holds() -> None:
    rooms = [path for path in PACKAGE.rglob("*") if path.is_dir() and any(path.glob("*.py"))]
    silent = [room for room in rooms if not ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))]
    assert not silent


def test_no_module_is_too_long() -> None:
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text("utf-8").splitlines()) for path in modules()}
    assert not {name: length for name, length in lengths.items() if length > LONGEST_MODULE}


def test_no_function_takes_too_much() -> None:
    counted = {
        f"{path.relative_to(PACKAGE)}:{name}": count
        for path in modules()
        if not path.is_relative_to(FRONT)
        for name, count in functions(path)
    }
    assert not {name: count for name, count in counted.items() if count > MOST_PARAMETERS}


def test_no_test_file_imports_another() -> None:
    names = {path.stem for path in TESTS.rglob("test_*.py")}
    found = []
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name}: {name}" for name in named if name.rpartition(".")[2] in names]
    assert not found


def test_rooms_import_downward_and_in_no_circle() -> None:
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout
