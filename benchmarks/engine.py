"""What an engine costs a run beyond the work itself: many tiny runs, with two workers or on two cores of Ray.

    python benchmarks/engine.py [--engine local] [--runs 200]

Each run fine-tunes a tiny random model for 3 steps on 8 rows and tests it on 8, with nothing attacked. The work itself
is what passes inside the training loop, the suites and the saving of the checkpoint. All else is overhead: starting
workers and importing torch in them, handing out runs, claims, rows, opening the model twice, records, digests. Two
numbers for it, per run: of wall time, workers x wall time minus the work, which a busy machine makes larger; and of CPU
time, that of all processes but Ray's own minus the work.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import psutil

from robusteval.experiments import local
from robusteval.experiments import ray as on_ray
from robusteval.experiments.engine import End, run_jobs
from robusteval.experiments.jobs import Job
from robusteval.settings.work import WorkConfig

WORKERS = 2
SECONDS = "seconds.jsonl"


def timed(job: Job, work: WorkConfig, *more: object) -> End:
    """In place of an engine's own: an attempt that writes down what passed inside the work."""
    from robusteval.experiments.attempt import attempt_in_worker

    inside = _inside()
    inside.clear()
    end = attempt_in_worker(job, work)
    line = {"pid": os.getpid(), "process": time.process_time(), **inside}
    with open(work.out / SECONDS, "a") as file:
        file.write(json.dumps(line) + "\n")
    return end


def _inside() -> Counter[str]:
    """Seconds inside the work since it was last cleared; the work is wrapped where it is called, once in a process."""
    from robusteval.experiments import run
    from robusteval.pipeline import training

    if "spent" in vars(training):
        return training.spent
    training.spent = spent = Counter[str]()

    def wrap(module: Any, name: str) -> None:
        function = getattr(module, name)

        def call(*arguments: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                spent["wall"] += time.perf_counter() - wall
                spent["cpu"] += time.process_time() - cpu

        setattr(module, name, call)

    wrap(training, "fit")
    wrap(training, "save_checkpoint")
    wrap(run, "run_suite")
    return spent


def tiny_jobs(folder: Path, runs: int, work: WorkConfig) -> list[Job]:
    """The runs: seeds of one method on files of 8 rows, which are written here with the model."""
    import pandas as pd

    from robusteval.experiments.plan import make_plan
    from robusteval.settings.attack import AttackConfig
    from robusteval.settings.data import DataConfig
    from robusteval.settings.evaluation import EvalConfig
    from robusteval.settings.runs import RunSpec
    from support import tiny
    from support.specs import spec_of

    for name, seed in (("train", 0), ("dev", 5)):
        texts, labels = tiny.sentences(8, seed=seed)
        verdicts = ["good" if label else "bad" for label in labels]
        pd.DataFrame({"review": texts, "verdict": verdicts}).to_csv(folder / f"{name}.csv", index=False)
    files = {f"{name}_file": str(folder / f"{name}.csv") for name in ("train", "dev")}
    base = RunSpec(
        model=str(tiny.save(folder / "model")), task="mine",
        data=DataConfig(**files, text_columns=("review",), label_column="verdict"),
        evaluation=EvalConfig(suites=("clean",)), attack=AttackConfig(recipes=()),
    )  # fmt: skip
    settings = {"max_steps": 3, "batch_size": 8, "max_length": 32}
    return list(make_plan(spec_of(base, ["vanilla"], range(runs), settings), work).jobs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", default="local", choices=("local", "ray"))
    parser.add_argument("--runs", type=int, default=200)
    given = parser.parse_args()
    local._attempt = on_ray._attempt = timed  # type: ignore[assignment]  # it takes what either hands it
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        work = WorkConfig(out, device="cpu", quiet=True, workers=WORKERS, engine=given.engine)
        jobs = tiny_jobs(Path(folder), given.runs, work)
        (out / "runs").mkdir(parents=True)
        wall, cpu = time.perf_counter(), time.process_time()
        failed = run_jobs(jobs, work, lambda job, message: None)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        # what workers were forked from, and its like
        cpu += sum(sum(child.cpu_times()[:2]) for child in psutil.Process().children())
        if failed:
            raise SystemExit(f"{len(failed)} runs failed: {failed[0][1]}")
        lines = [json.loads(line) for line in (out / SECONDS).read_text().splitlines()]
    processes = {line["pid"]: line["process"] for line in lines}
    inside = {kind: sum(line[kind] for line in lines) for kind in ("wall", "cpu")}
    cpu += sum(processes.values())
    print(f"{given.engine}: {len(jobs)} runs in {wall:.1f} s by {len(processes)} workers")
    for kind, total in (("wall", wall * WORKERS), ("cpu", cpu)):
        work_itself, over = inside[kind] / len(jobs), (total - inside[kind]) / len(jobs)
        print(f"  {kind:4}: {work_itself:.3f} s of work a run, {over:.3f} s of overhead")


if __name__ == "__main__":
    main()
