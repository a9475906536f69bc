"""Processes of their own that pay no imports: forked from one process that has paid them, under another hash seed."""

from __future__ import annotations

import functools
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver
from pathlib import Path
from typing import Any
from unittest.mock import patch

from support.places import ROOT, TESTS

# of the processes, that what depends on it shows beside what this process does
HASH_SEED = "77"


@functools.cache
def prepared() -> Any:
    """The context of such processes; what is preloaded in them says `support.imported`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.imported"])
    path = os.pathsep.join([str(ROOT), str(TESTS)])
    with patch.dict(os.environ, {"PYTHONHASHSEED": HASH_SEED, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}):
        forkserver.ensure_running()
    return context


def carried_out(
    work: Callable[[], object], environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Call `work` (a function of a module, a partial) in a process of its own: its exit code, and what it printed.

    environment: all variables that it has, by default those of this process.
    """
    with tempfile.TemporaryDirectory() as folder:
        told = [Path(folder, name) for name in ("out", "errors")]
        variables = dict(os.environ if environment is None else environment)
        process = prepared().Process(target=_carry_out, args=(work, variables, cwd, told))
        process.start()
        process.join(timeout=280)
        code = process.exitcode
        if code is None:
            process.kill()
        out, errors = (path.read_text() if path.exists() else "" for path in told)
    assert code is not None, f"it did not end:\n{errors}"
    return subprocess.CompletedProcess(work, code, out, errors)


def _carry_out(work: Callable[[], object], environment: dict[str, str], cwd: Path, told: list[Path]) -> None:
    for path, descriptor in zip(told, (1, 2), strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    work()


@contextmanager
def prepared_workers() -> Iterator[None]:
    """Inside, worker processes come from there: they are given the same on the same road as those of `spawn`."""
    context = prepared()
    with patch.object(multiprocessing, "get_context", lambda method: context):
        yield


def command_line(arguments: list[str]) -> None:
    """As `robusteval` with these arguments."""
    from robusteval.cli import main

    sys.argv = ["robusteval", *arguments]
    main()


def file(path: Path, *arguments: str) -> None:
    """As `python FILE`."""
    sys.argv = [str(path), *arguments]
    runpy.run_path(str(path), run_name="__main__")


def script(code: str) -> None:
    """As `python -c`."""
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
