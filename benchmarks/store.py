"""How long status, plan and report take on a folder of many finished runs.

python benchmarks/store.py [--runs 5000] [--keep FOLDER]

Makes an experiment of that many finished runs (methods x seeds, 32 rows each, sealed as a run writes them), and times
in one process, torch imported and rows read before, what `status`, `plan` and `report` do with it: wall and CPU time of
the first call, and the median of several, because the first one reads files that the system has not yet in memory.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from robusteval.experiments.jobs import Job
from robusteval.experiments.plan import make_plan
from robusteval.report.experiment import finished_table
from robusteval.report.render import write_table
from robusteval.results.asked import keep_asked
from robusteval.results.experiment import Experiment, asked_of
from robusteval.results.journal import seal_of
from robusteval.results.progress import project, standing
from robusteval.results.rows import Row, row_line
from robusteval.settings.data import DataConfig
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.work import WorkConfig
from robusteval.storage.files import json_line
from robusteval.tasks.load import load_task

METHODS = ("vanilla", "match", "tdt", "pats", "bidrop")
SUITES = ("clean", "mask", "replace", "delete", "swap", "typos", "calibration")


def make(out: Path, count: int) -> tuple[ExperimentSpec, WorkConfig]:
    """The experiment, with every run of its plan finished."""
    seeds = list(range(math.ceil(count / len(METHODS))))
    held = {
        "methods": list(METHODS), "seeds": seeds, "train": {"max_steps": 10}, "evaluation": {"suites": list(SUITES)},
        "attack": {"recipes": []}, "data": {"train_limit": 64, "eval_limit": 20},
    }  # fmt: skip
    spec, work = ExperimentSpec.read(held), WorkConfig(out, device="cpu")
    plan = make_plan(spec, work)
    keep_asked(out, spec, [job.wanted for job in plan.jobs])
    for number, job in enumerate(plan.jobs):
        folder = out / "runs" / job.name
        folder.mkdir(parents=True)
        seal, text = "", b""
        for stage in ("train", *job.tests, ""):
            rows = [row_of(job, number, stage, place) for place in range(4 if stage else 0)]
            lines = b"".join(json_line(row_line(row)) for row in rows)
            marker = {"stage": stage, "seconds": 1.5} if stage else {"done": True, "kept": True}
            marker |= {"facts": dict(job.tests[stage])} if job.tests.get(stage) else {}
            marker |= {"files": {}} | ({} if stage else {"whole": hashlib.sha256(text).hexdigest()})
            seal = seal_of(seal, lines, marker)
            text += lines + json_line({**marker, "seal": seal})
        (folder / "rows.jsonl").write_bytes(text)
    return spec, work


def row_of(job: Job, number: int, stage: str, place: int) -> Row:
    """A made-up number of a run, another one in every run."""
    run, value = job.spec, (number * 7919 + place) % 1000 / 1000
    return Row(
        job.name, run.task, run.method.label, "none", None, run.seed, stage, str(place), "dev", "accuracy", value, 20,
        0.1, spread=(value, value), model=run.model,
    )  # fmt: skip


def timed(name: str, action: Callable[[], object], rounds: int = 5) -> None:
    taken, used = [], []
    for _ in range(rounds):
        began, cpu = time.perf_counter(), time.process_time()
        action()
        taken.append(time.perf_counter() - began)
        used.append(time.process_time() - cpu)
    first, median = f"{taken[0]:.2f} s ({used[0]:.2f} CPU)", f"{statistics.median(taken):.2f} s"
    print(f"{name:8} first {first}   median {median} ({statistics.median(used):.2f} CPU) of {rounds}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        out = asked.keep or Path(place) / "store"
        began = time.perf_counter()
        spec, work = make(out, asked.runs)
        print(f"{len(list((out / 'runs').iterdir()))} runs made in {time.perf_counter() - began:.0f} s", flush=True)

        def status() -> None:
            found = [standing(out, wanted) for wanted in asked_of(out).runs]
            assert all(each.state == "done" for each in found)
            project(found, out)

        rows = {spec.tasks[0]: load_task(spec.tasks[0], DataConfig(train_limit=64, eval_limit=20))}

        def plan() -> None:
            made = make_plan(spec, work, rows)
            assert len(made.finished) == len(made.jobs)

        def report() -> None:
            found = Experiment.open(out, files=False)
            table = finished_table(found)
            assert (len(found.runs), len(table.seeds)) == (asked.runs, len(spec.seeds))
            write_table(table, out / "report")

        timed("status", status)
        timed("plan", plan, 3)
        timed("report", report, 3)


if __name__ == "__main__":
    main()
