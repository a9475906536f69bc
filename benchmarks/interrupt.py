"""How long a command takes from Ctrl-C to its end, at several moments, and whether it leaves a process behind.

    python benchmarks/interrupt.py [--workers 2]

Trains and attacks the embedded model on a built-in task, and interrupts while it imports, trains, evaluates and
attacks; then the attack command. Each line: the moment, seconds to the end, exit code, processes that are there ten
seconds later.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

COMMAND = [sys.executable, "-m", "robusteval.cli"]
SHORT = ["--task", "demo-sentiment", "--eval-limit", "200", "--attack-examples", "40"]
GRACE = 10.0  # seconds that processes have after the command's end before they count as left behind
Moment = Callable[[float], bool]


def family(pid: int) -> set[int]:
    """A process and all that it started, from Linux's /proc."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def interrupted(arguments: list[str], ready: Moment, *, group: bool) -> tuple[float, int, int]:
    """Seconds from the signal to the end, the exit code, and how many processes are left.

    group: signal the whole process group, as a terminal does; otherwise the command alone.
    """
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    began = time.monotonic()
    while not ready(time.monotonic() - began):
        if process.poll() is not None:
            raise SystemExit(f"the command ended before it could be interrupted: {' '.join(arguments)}")
        time.sleep(0.01)
    members = family(process.pid)
    asked = time.monotonic()
    (os.killpg if group else os.kill)(process.pid, signal.SIGINT)
    code = process.wait()
    seconds = time.monotonic() - asked
    # the process that workers are forked from ends when it sees that it is alone, and Python's own end takes its time
    while any(map(alive, members)) and time.monotonic() - asked < seconds + GRACE:
        time.sleep(0.1)
    return seconds, code, sum(map(alive, members))


def moments(out: Path) -> Iterator[tuple[str, Moment]]:
    def written(pattern: str, text: str = "") -> bool:
        return any(not text or text in path.read_text() for path in out.glob(pattern))

    yield "imports", lambda seconds: seconds > 3
    yield "workers' imports", lambda seconds: written("experiment.yaml")
    yield "training", lambda seconds: written("runs/*/train.jsonl")
    yield "evaluation", lambda seconds: written("runs/*/rows.jsonl", '"stage": "train"')
    yield "attack", lambda seconds: written("runs/*/attacks/*.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=2)
    workers = ["--workers", str(parser.parse_args().workers)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        train = ["train-and-attack", *SHORT, *workers, "--methods", "vanilla,match", "--seeds", "1",
                 "--max-steps", "30", "--suites", "clean,mask,replace", "--out", str(out)]  # fmt: skip
        for name, ready in moments(out):
            for group in (True, False):
                shutil.rmtree(out, ignore_errors=True)
                told(f"{name}, {'terminal' if group else 'command alone'}", interrupted(train, ready, group=group))
        subprocess.run([*COMMAND, *train], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        model = next(out.glob("runs/*/model"))
        lines = Path(folder) / "lines.jsonl"
        attack = ["attack", str(model), *SHORT[:2], "--attack-examples", "200", *workers, "--out", str(lines)]
        told("attack command", interrupted(attack, lambda seconds: lines.exists(), group=True))


def told(name: str, result: tuple[float, int, int]) -> None:
    seconds, code, left = result
    print(f"{name:40} {seconds:5.1f} s  exit code {code}  {left} left", flush=True)


if __name__ == "__main__":
    main()
