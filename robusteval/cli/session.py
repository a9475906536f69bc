"""One sitting with an experiment: show the plan, do what is left of it, print and write the table."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from robusteval.cli.output import Shown, print_json
from robusteval.errors import UserError
from robusteval.experiments.engine import DONE, Report, is_awaited
from robusteval.experiments.jobs import Job
from robusteval.experiments.outcome import run_experiment
from robusteval.experiments.plan import Part, Plan
from robusteval.experiments.recipes import Recipe
from robusteval.page.file import write_page
from robusteval.registry import result_name
from robusteval.report.experiment import experiment_table
from robusteval.report.papers import paper_record, paper_report, paper_texts
from robusteval.report.records import record
from robusteval.report.render import FORMATS, print_report, print_table, write_table, write_texts
from robusteval.report.table import Table
from robusteval.results.experiment import Experiment
from robusteval.results.metrics import metric
from robusteval.results.progress import Projection, project, standing
from robusteval.results.reading import Run
from robusteval.results.search import read_choices, search_notes
from robusteval.runtime.progress import duration
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.work import WorkConfig
from robusteval.storage.locks import locked
from robusteval.tasks.labels import distribution


def show_plan(plan: Plan, work: WorkConfig, console: Console) -> None:
    """Models, rows, runs and what is already finished, and what each run is tested on."""
    spec = plan.spec
    for part in plan.parts:
        _show_part(part, console)
    columns = ", ".join(method.label for method in spec.methods)
    scenarios = ", ".join(scenario.label for scenario in spec.scenarios)
    under = "" if scenarios == "none" else f"; scenarios {scenarios}"
    seeds = ", ".join(map(str, spec.seeds))
    several = [f"{len(names)} {what}" for what, names in (("models", spec.models), ("tasks", spec.tasks))]
    of = "".join(f" of {text}" for text in several if not text.startswith("1 "))
    before = f"{len(plan.finished)} finished before"
    told = f"{len(plan.jobs)} runs{of}: methods {columns}; seeds {seeds}{under}; {before}"
    for sentence in (told, *plan.shared):
        console.print(sentence, markup=False, soft_wrap=True)
    if len(plan.finished) < len(plan.jobs):
        console.print(_left(plan, work).told(work.workers), markup=False, soft_wrap=True)
    console.print(f"results in {work.out}", markup=False, soft_wrap=True)
    for notice in plan.notices:
        console.print(f"note: {notice}", markup=False, soft_wrap=True)


def plan_record(plan: Plan, work: WorkConfig) -> dict[str, Any]:
    """What `show_plan` says, as plain values, and every run."""
    left = _left(plan, work)
    return {
        "out": str(work.out),
        "parts": [
            {
                "model": part.base.model, "task": result_name(part.base.task), "train": len(part.data.train),
                "dev": len(part.data.dev), "tests": part.tests, "attacks": part.base.attack.recipes,
                "attacked": part.attacked,
            }
            for part in plan.parts
        ],
        "runs": [
            {
                "run": job.name, "model": wanted.model, "task": wanted.task, "method": wanted.method,
                "scenario": wanted.scenario, "seed": wanted.seed, "finished": job.name in plan.finished,
                "tests": list(job.tests),
            }
            for job, wanted in ((job, job.wanted) for job in plan.jobs)
        ],
        "seconds_left": left.seconds, "unknown": left.unknown, "disk_left": left.disk,
        "choices": [] if plan.spec.search is None else [asdict(each) for each in read_choices(work.out)],
        "shared": plan.shared, "notes": plan.notices,
    }  # fmt: skip


def _left(plan: Plan, work: WorkConfig) -> Projection:
    return project([standing(work.out, job.wanted) for job in plan.jobs], work.out)


@contextmanager
def _foretold(plan: Plan, work: WorkConfig, console: Console) -> Iterator[None]:
    """Meanwhile say once, as soon as it is known, how long the whole takes, and the first number of all."""
    ended, began = threading.Event(), time.perf_counter()

    # each: None, not known yet; "", not worth saying any more
    def rest() -> str | None:
        left = _left(plan, work)
        return None if left.seconds is None else left.told(work.workers)

    def number() -> str | None:
        for job in plan.jobs:
            if job.name in plan.finished or not job.folder(work.out).path.is_dir():
                continue
            if not (found := _first_number(job, work.out)):
                continue
            # the report of its end says it
            ended_too = job.done(work.out)
            return "" if ended_too else f"{_passed(began)}  {job.title}: {found}, its other tests follow"
        return None

    def watch(*awaited: Callable[[], str | None]) -> None:
        while awaited and not ended.wait(1.0):
            for what in awaited:
                # what ends meanwhile, or cannot be read for a moment, is looked at again
                with suppress(UserError, OSError):
                    if (said := what()) is not None:
                        awaited = tuple(each for each in awaited if each is not what)
                        if said and not ended.is_set():
                            console.print(said, markup=False, soft_wrap=True)

    if work.quiet:
        yield
        return
    awaited = (number,) if _left(plan, work).seconds is not None else (rest, number)
    thread = threading.Thread(target=watch, args=awaited, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show_part(part: Part, console: Console) -> None:
    """One model on one task: its rows, and what is done with them."""
    base, data = part.base, part.data
    rows = f"train {len(data.train)}, dev {len(data.dev)} rows"
    console.print(f"{base.model} on {result_name(base.task)}: {rows}", markup=False, soft_wrap=True)
    for split, examples in (("train", data.train), ("dev", data.dev)):
        console.print(f"{split}: {distribution(examples, data.task)}", markup=False, soft_wrap=True)
    tests = {f"test {name}": test.examples for name, test in data.tests.items()}
    suites = [text.partition(":")[0] for text in base.evaluation.suites]
    adversarial = data.adversarial if "advglue" in suites else {}
    for split, examples in {"train": data.train, "dev": data.dev, **adversarial, **tests}.items():
        if files := examples.source.get("files"):
            console.print(f"{split} from {files}", markup=False, soft_wrap=True)
    for test in part.tests:
        console.print(f"test {test}", markup=False, soft_wrap=True)
    if part.attacked:
        recipes = ", ".join(map(result_name, base.attack.recipes))
        console.print(f"attack {recipes}: {part.attacked} rows", markup=False, soft_wrap=True)


def reporter(plan: Plan, out: Path, console: Console) -> Report:
    """What says how each run of a plan in `out` ends, its first number, and how long the rest takes."""
    opened = {job.title for job in plan.jobs if job.name not in plan.finished}
    left, finished = len(opened), 0
    before = len(plan.jobs) - left
    began = time.perf_counter()

    def report(job: Job, message: str) -> None:
        nonlocal finished
        passed, note = time.perf_counter() - began, ""
        if job.title in opened and not is_awaited(message):
            finished += 1
            note = f" ({before + finished} of {len(plan.jobs)}"
            rest = passed / finished * (left - finished)
            note += f", the rest in about {duration(rest)})" if rest else ")"
        found = _first_number(job, out) if message == DONE else ""
        said = ", ".join(filter(None, (message, found)))
        console.print(f"{_passed(began)}  {job.title}: {said}{note}", markup=False, soft_wrap=True)

    return report


def _passed(began: float) -> str:
    seconds = f"{time.perf_counter() - began:.0f} s"
    return f"{seconds:>7}"


def _first_number(job: Job, out: Path) -> str:
    """Like "clean accuracy 91.20": the first number of a run that models are compared by, if any."""
    rows = (row for row in Run(job.folder(out).path).records if not row.summary)
    for row in rows:
        about = metric(row.metric)
        if about.role == "main" and about.direction != "neither" and about.aspect == "quality":
            return f"{' '.join(filter(None, (row.suite, row.suite_value)))} {about.shown} {about.text(row.value)}"
    return ""


def run_session(
    plan: Plan, work: WorkConfig, console: Console, recipe: Recipe | None = None, shown: Shown | None = None
) -> int:
    """Do the open runs and say what becomes of each, then print and write the table; returns the exit code.

    recipe: whose experiment this is; its paper's table is printed and written besides, filled with what was measured.
    """
    shown = shown or Shown()
    with _foretold(plan, work, console):
        outcome = run_experiment(plan, work, reporter(plan, work.out, console))
    wanted = [job.wanted for job in plan.jobs]
    notices = [*search_notes(work.out, plan.spec), *plan.notices]
    table = experiment_table(plan.spec, outcome.finished, wanted, notices, outcome.failed)
    unwritten = None
    if shown.as_json:
        told = {
            "out": str(work.out), "table": record(table), "failed": dict(outcome.failed),
            "beyond": [asdict(row) for row in outcome.beyond], "exit_code": outcome.exit_code,
        }  # fmt: skip
        print_json(told if recipe is None else {**told, "paper": paper_record(table, recipe, plan.spec)})
    if table.lines:
        if not shown.as_json:
            _print(table, console, recipe, plan.spec, every=shown.every)
        try:
            with locked(work.out, "report", wait=True):
                write_table(table, work.out / "report")
                if recipe is not None:
                    place = work.out / "report" / recipe.name.replace("/", "-")
                    write_texts(paper_texts(table, recipe, plan.spec), place, FORMATS)
            console.print(f"table.md, .csv, .tex, .html, .json in {work.out / 'report'}", markup=False, soft_wrap=True)
            if work.page:
                page = write_page(Experiment.open(work.out, files=False))
                console.print(f"page: {page}", markup=False, soft_wrap=True)
        except UserError as error:
            unwritten = error
    for title, message in outcome.failed:
        console.print(f"[red]failed:[/] {escape(f'{title}: {message}')}", soft_wrap=True)
    for row in outcome.beyond:
        what = f"{row.run}: {row.value:.0f} of {row.n} examples under {row.suite_value}, more than {work.max_errors}"
        console.print(f"[red]errors:[/] {escape(what)}; the messages are in its attacks/", soft_wrap=True)
    if unwritten is not None:
        raise unwritten
    return outcome.exit_code


def _print(table: Table, console: Console, recipe: Recipe | None, spec: ExperimentSpec, *, every: bool) -> None:
    print_table(table, console, every=every)
    if recipe is not None:
        print_report(paper_report(table, recipe, spec, every=every)[0], console)
