"""Whether a recipe's rows are the same however it was done: killed, by two commands at once, with a node that is lost.

    python benchmarks/recipes_interrupted.py RECIPE --data-dir DIR [--skip ray] [other options of robusteval run]

At small scale: first undisturbed with two workers; then all of it, command and workers, is killed with -9 at three
random moments, and the same command is given again each time; then by two commands that start together, of which each
run must be done by one; then on a Ray cluster of two nodes simulated on this machine, one of which is killed once half
of the runs are done. What is compared: every row of every run without what a clock or a memory meter put there.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from robusteval.results.store import RunFolder
from support.experiments import timeless

# Both engines compute with as many threads as this, on which the last digits depend.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}


class Recipe:
    """A recipe in an output folder, by the same command each time it is asked for."""

    def __init__(self, name: str, out: Path, options: list[str]) -> None:
        self.out = out
        command = [sys.executable, "-m", "robusteval.cli", "run", name, "--scale", "small", "--quiet"]
        self.told: list[Path] = []
        self._arguments = [*command, "--out", str(out), *options]

    def start(self) -> subprocess.Popen[bytes]:
        self.told.append(self.out.with_suffix(f".{len(self.told)}.txt"))
        with open(self.told[-1], "wb") as told:
            return subprocess.Popen(
                self._arguments, env=ENVIRONMENT, stdout=told, stderr=subprocess.STDOUT, start_new_session=True
            )

    def finished(self, *processes: subprocess.Popen[bytes]) -> None:
        for process in processes:
            if process.wait():
                told = "".join(path.read_text()[-2000:] for path in self.told)
                raise SystemExit(f"exit code {process.returncode}: {told}")

    def trains(self, since: float) -> bool:
        """Whether training has begun in a run since then."""
        return any(path.stat().st_mtime > since for path in (self.out / "runs").glob("*/environment.json"))

    def done(self) -> int:
        return sum(RunFolder(path).done for path in (self.out / "runs").glob("*"))

    def rows(self) -> dict[str, list[dict[str, Any]]]:
        return timeless(self.out)


def kill_at_random(recipe: Recipe, seconds: float, runs: int) -> None:
    """Kill it three times, at a random moment since it began to train, and let the fourth end."""
    for turn in range(3):
        began = time.time()
        process = recipe.start()
        while not recipe.trains(began) and process.poll() is None:
            time.sleep(0.02)
        moment = time.monotonic() + random.uniform(0, 0.2) * seconds
        while time.monotonic() < moment and process.poll() is None:
            time.sleep(0.02)
        if process.poll() is not None:
            print(f"  kill {turn + 1}: it had ended before", flush=True)
            continue
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        begun = len(list((recipe.out / "runs").glob("*/.claim.*")))
        print(f"  kill {turn + 1}: {recipe.done()} of {runs} runs were done, {begun} under way", flush=True)
    recipe.finished(recipe.start())


def two_at_once(recipe: Recipe, runs: int) -> None:
    """Give the command twice at the same time; each run must be done by one of them."""
    recipe.finished(recipe.start(), recipe.start())
    done = [len(re.findall(r": done \(", path.read_text())) for path in recipe.told]
    print(f"  two commands: {done[0]} and {done[1]} of {runs} runs", flush=True)
    if sum(done) != runs:
        raise SystemExit("a run was done twice, or not told")


def lose_a_node(name: str, out: Path, options: list[str], runs: int) -> Recipe:
    """Do it on two nodes, and kill one of them when half of the runs are done."""
    import ray
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = Cluster(True, head_node_args={**node, "num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(**node) for _ in range(2)]
        recipe = Recipe(name, out, [*options, "--engine", "ray", "--address", cluster.address])
        process = recipe.start()
        while recipe.done() < runs // 2 and process.poll() is None:
            time.sleep(0.1)
        cluster.remove_node(nodes[0], allow_graceful=False)
        print(f"  a node was killed: {recipe.done()} of {runs} runs were done", flush=True)
        recipe.finished(process)
    finally:
        cluster.shutdown()
        ray.shutdown()
    return recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("--skip", choices=("killed", "two", "ray"), action="append", default=[])
    given, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        workers = ["--workers", "2"]
        whole = Recipe(given.recipe, Path(folder) / "whole", [*options, *workers])
        began = time.monotonic()
        whole.finished(whole.start())
        seconds, rows = time.monotonic() - began, whole.rows()
        print(f"undisturbed: {len(rows)} runs, {sum(map(len, rows.values()))} rows, {seconds:.0f} s", flush=True)
        others = {}
        if "killed" not in given.skip:
            others["killed"] = Recipe(given.recipe, Path(folder) / "killed", [*options, *workers])
            kill_at_random(others["killed"], seconds, len(rows))
        if "two" not in given.skip:
            others["two commands"] = Recipe(given.recipe, Path(folder) / "two", [*options, *workers])
            two_at_once(others["two commands"], len(rows))
        if "ray" not in given.skip:
            others["ray"] = lose_a_node(given.recipe, Path(folder) / "ray", options, len(rows))
        for name, other in others.items():
            same = other.rows() == rows
            print(f"{name}: {'the same rows' if same else 'OTHER ROWS'}", flush=True)
            if not same:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
