"""How long a wrong argument takes from the start of the process to its sentence: five kinds, and what a start costs.

    python benchmarks/first_words.py [--rounds 5]

Each line: the kind, the median and the longest of the rounds in seconds of wall time, the median of CPU seconds, and
what was said. The first line is the package's own start, `--version`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = [sys.executable, "-m", "robusteval.cli"]


def kinds(folder: Path) -> dict[str, list[str]]:
    """Command lines by what is wrong with them."""
    for name in ("train.csv", "dev.csv"):
        rows = "".join(f"a fine film {name} {row},{'good' if row % 2 else 'bad'}\n" for row in range(1000))
        (folder / name).write_text("review,verdict\n" + rows)
    own = ["--train-file", str(folder / "train.csv"), "--dev-file", str(folder / "dev.csv")]
    return {
        "nothing, --version": ["--version"],
        "option": ["train-and-attack", "--epoks", "3"],
        "name of a method": ["train-and-attack", "--methods", "mach"],
        "number": ["train-and-attack", "--learning-rate", "inf"],
        "file or folder": ["evaluate", str(folder / "nowhere")],
        "column": ["train-and-attack", *own, "--text-columns", "revieww", "--label-column", "verdict"],
    }


def said(arguments: list[str]) -> tuple[float, float, str]:
    """Wall and CPU seconds of one command line, and the last line that it printed."""
    before, began = os.times(), time.perf_counter()
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True)
    wall, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, (done.stderr or done.stdout).strip().splitlines()[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        for kind, arguments in kinds(Path(folder)).items():
            walls, cpus, words = zip(*(said(arguments) for _ in range(rounds)), strict=True)
            median, longest, cpu = statistics.median(walls), max(walls), statistics.median(cpus)
            times = f"{median:5.2f} s, at most {longest:5.2f} s, {cpu:5.2f} s CPU"
            print(f"{kind:20} {times}  {words[-1][:90]}", flush=True)


if __name__ == "__main__":
    main()
