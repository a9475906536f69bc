"""Whether an experiment survives being killed, and a disk that is full: the same rows afterwards, nothing left behind.

    python benchmarks/faults.py kill [--moments 24] [--worker-moments 6]
    python benchmarks/faults.py full [--size 4]      (mounts a small tmpfs: needs root and Linux)

A tiny model with five methods is trained, tested and attacked. "kill" kills it with SIGKILL at moments spread over its
time, with one process and with two workers, and gives the same command again. "full" lets the disk fill up at other
moments and makes room again. Each line: the moment, what was met there, whether the rows are those of an undisturbed
experiment, and what is left behind that no finished one has.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import pandas as pd

from robusteval import attacks
from robusteval.attacks.resources.offline import load_textattack
from robusteval.cli import app as cli
from robusteval.cli import session
from robusteval.experiments import run
from robusteval.pipeline import transfer
from robusteval.results import journal
from robusteval.storage.files import is_leftover
from support import tiny

LOADED = (attacks, run, session, transfer, journal)  # what a child need not import
METHODS = "vanilla,match,bidrop,pats,tdt"
CLOCKS = ("seconds", "seconds_per_step", "peak_memory_mb")
NEEDLESS = ("state.safetensors", "state.damaged", "error.txt")


def arguments(place: Path, out: Path, workers: int) -> list[str]:
    return [
        "train-and-attack", "--model", str(place / "model"), "--train-file", str(place / "train.csv"),
        "--dev-file", str(place / "dev.csv"), "--text-columns", "review", "--label-column", "verdict",
        "--max-steps", "8", "--batch-size", "8", "--max-length", "32", "--learning-rate", "1e-3",
        "--suites", "clean,mask", "--rates", "0.2", "--sets", "2", "--attack-examples", "4", "--seeds", "1",
        "--methods", METHODS, "--checkpoint-seconds", "0.02", "--device", "cpu", "--quiet",
        "--workers", str(workers), "--out", str(out), "--no-keep-models",
    ]  # fmt: skip


class Command:
    """The command in a fork of this process, which has imported everything; what it says goes to a file."""

    def __init__(self, log: Path, given: list[str]) -> None:
        self.log, self.began = log, time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os.setsid()
            descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            sys.argv = ["robusteval", *given]
            try:
                cli.main()
            except SystemExit as end:
                os._exit(int(end.code or 0))
            os._exit(1)

    def wait(self) -> tuple[int, float]:
        """The exit code and the seconds it took."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), time.monotonic() - self.began

    def kill_after(self, out: Path, stages: float, seconds: float) -> bool:
        """Whether it was killed, its workers left to end by themselves; else it had ended before.

        Killed where so many stages are finished; the fraction of one is counted in its `seconds`.
        """
        while finished(out) < int(stages):
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return False
            time.sleep(0.002)
        time.sleep(seconds * (stages % 1))
        if os.waitpid(self.pid, os.WNOHANG)[0]:
            return False
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        time.sleep(0.5)
        return True


def finished(out: Path) -> int:
    """How many stages of all runs are finished."""
    return sum(path.read_text().count('"seal"') for path in out.glob("runs/*/rows.jsonl"))


def result(out: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows by run, without what a clock or a memory meter put there."""
    return {
        folder.name: [
            {**dataclasses.asdict(row), "seconds": 0}
            for row in journal.read_rows(folder / "rows.jsonl")
            if row.metric not in CLOCKS
        ]
        for folder in sorted((out / "runs").iterdir())
    }


def left_behind(out: Path) -> list[str]:
    return [
        str(path.relative_to(out))
        for path in out.rglob("*")
        if path.name in NEEDLESS or is_leftover(path.name) or path.name.startswith("logits.sqlite")
    ]


def where(out: Path) -> str:
    """How far the experiment had come when it was stopped."""
    begun = len(list(out.glob("runs/*")))
    return f"{begun} runs begun, {finished(out)} stages finished, {len(left_behind(out))} temporary"


def kill(place: Path, moments: int, worker_moments: int) -> bool:
    good = True
    for workers, count in ((1, moments), (2, worker_moments)):
        if not count:
            continue
        whole = place / f"whole-{workers}"
        code, seconds = Command(place / "log", arguments(place, whole, workers)).wait()
        assert code == 0, (place / "log").read_text()
        expected = result(whole)
        stages = finished(whole)
        print(f"workers {workers}: {len(expected)} runs, {stages} stages in {seconds:.1f} s undisturbed", flush=True)
        for number in range(count):
            out = place / f"out-{workers}-{number}"
            given = arguments(place, out, workers)
            moment = stages * (number + 0.5) / count
            killed = Command(place / "log", given).kill_after(out, moment, seconds / stages)
            met = where(out) if killed else "it had ended before"
            code, _ = Command(place / "log", given).wait()
            same, left = code == 0 and result(out) == expected, left_behind(out)
            good &= same and not left
            rows_are = "identical" if same else f"DIFFERENT (exit code {code})"
            print(f"after {moment:4.1f} stages  {met}: rows {rows_are}, left behind {left or 'nothing'}", flush=True)
            shutil.rmtree(out)
    return good


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        # lazily: where something went wrong, a command may still be at work there
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, free: int) -> Path:
    """A file that leaves `free` bytes, in whole pages."""
    filler = disk / "filler"
    with open(filler, "wb") as handle:
        while (room := shutil.disk_usage(disk).free - free) >= 4096:
            with suppress(OSError):  # a command at work took some of the room meanwhile
                os.posix_fallocate(handle.fileno(), 0, room)
    return filler


def full(place: Path, megabytes: int) -> bool:
    whole = place / "whole"
    code, _ = Command(place / "log", arguments(place, whole, 1)).wait()
    assert code == 0, (place / "log").read_text()
    expected, good, seen = result(whole), True, set()
    with small_disk(place / "disk", megabytes) as disk:
        out = disk / "out"
        for name, pages, ready in moments(out):
            filler = fill(disk, 4096 * pages) if ready is None else disk / "filler"
            command = Command(place / "log", arguments(place, out, 1))
            if ready is not None:
                limit = time.monotonic() + 300
                while not ready() and time.monotonic() < limit:
                    time.sleep(0.001)
                fill(disk, 0)
            code, _ = command.wait()
            said = (place / "log").read_text()
            told = [line for line in said.splitlines() if line.startswith(("error:", "failed:"))]
            filler.unlink()
            spot = told[0].replace(str(disk), "") if told else f"exit code {code}"
            seen.add(spot.partition("' cannot")[0].rpartition("/")[2])
            clear = code == 2 and "Traceback" not in said and all("MB are needed" in line for line in told)
            again, _ = Command(place / "log", arguments(place, out, 1)).wait()
            same, left = again == 0 and result(out) == expected, left_behind(out)
            good &= clear and same and not left
            rows_are = "identical" if same else f"DIFFERENT (exit code {again})"
            print(f"{name}: {spot}")
            after = f"with room again: rows {rows_are}, left behind {left or 'nothing'}"
            print(f"     {'one sentence' if clear else 'NOT CLEAR'}; {after}", flush=True)
            shutil.rmtree(out)
    print(f"{len(seen)} different places: {', '.join(sorted(seen))}")
    return good


def moments(out: Path) -> Iterator[tuple[str, int, Callable[[], bool] | None]]:
    """In words; the pages of 4 KB that are free from the start, or else when the last one is taken."""

    def there(pattern: str, text: str = "", count: int = 1) -> Callable[[], bool]:
        return lambda: sum(not text or text in path.read_text() for path in out.glob(pattern)) >= count

    for pages in range(5):
        yield f"{4 * pages} KB from the start", pages, None
    yield "while it trains", 0, there("runs/*/train.jsonl")
    yield "at its first state", 0, there("runs/*/state.safetensors")
    yield "after training", 0, there("runs/*/model")
    yield "in its first test", 0, there("runs/*/rows.jsonl", '"stage": "train"')
    yield "in its second test", 0, there("runs/*/rows.jsonl", '"stage": "clean"')
    yield "before the attack", 0, there("runs/*/rows.jsonl", '"stage": "mask"')
    yield "in the attack", 0, there("runs/*/attacks/*.jsonl")
    yield "after the first run", 0, there("runs/*/rows.jsonl", '"done": true')
    yield "in the last attack", 0, there("runs/*/attacks/*.jsonl", "", 5)
    yield "before the table", 0, there("runs/*/rows.jsonl", '"done": true', 5)
    yield "in the table", 0, there("report/table.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kill", "full"))
    parser.add_argument("--moments", type=int, default=24)
    parser.add_argument("--worker-moments", type=int, default=6)
    parser.add_argument("--size", type=int, default=4)
    given = parser.parse_args()
    load_textattack(None)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tiny.save(place / "model")
        for name, count, seed in (("train", 64, 0), ("dev", 24, 5)):
            texts, labels = tiny.sentences(count, seed=seed)
            frame = pd.DataFrame({"review": texts, "verdict": ["good" if label else "bad" for label in labels]})
            frame.to_csv(place / f"{name}.csv", index=False)
        work: dict[str, Callable[[], bool]] = {
            "kill": lambda: kill(place, given.moments, given.worker_moments),
            "full": lambda: full(place, given.size),
        }
        good = work[given.what]()
    print("all as it should be" if good else "NOT all as it should be")
    sys.exit(not good)


if __name__ == "__main__":
    main()
