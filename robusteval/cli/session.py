"""One sitting with an experiment: show the plan, do what is left of it, print and write the table."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape

from robusteval.errors import UserError
from robusteval.experiments.outcome import run_experiment
from robusteval.experiments.plan import Plan
from robusteval.experiments.rows import run_title
from robusteval.registry import result_name
from robusteval.report.experiment import experiment_table
from robusteval.report.render import print_table, write_table
from robusteval.runtime.progress import duration
from robusteval.settings.runs import RunSpec
from robusteval.settings.work import WorkConfig
from robusteval.storage.locks import locked
from robusteval.tasks.labels import distribution
from robusteval.tasks.load import sample


def show_plan(plan: Plan, work: WorkConfig, console: Console) -> None:
    """Model, rows, runs and what is already finished, and what each run is tested on."""
    base, data = plan.spec.base, plan.data
    done = [run for run in plan.runs if plan.folder(run, work.out).done]
    damaged = {run_title(run): damage for run in done if (damage := plan.folder(run, work.out).damage())}
    columns = ", ".join(method.label for method in plan.spec.methods)
    seeds = ", ".join(map(str, plan.spec.seeds))
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
    scenarios = ", ".join(scenario.label for scenario in plan.spec.scenarios)
    under = "" if scenarios == "none" else f"; scenarios {scenarios}"
    console.print(
        f"{len(plan.runs)} runs: methods {columns}; seeds {seeds}{under}; {len(done) - len(damaged)} finished before",
        markup=False,
    )
    for test in plan.tests:
        console.print(f"test {test}", markup=False, soft_wrap=True)
    recipes = base.attack.recipes
    if recipes and not data.task.regression:
        count = len(sample(data.dev, base.attack.examples))
        console.print(f"attack {', '.join(map(result_name, recipes))}: {count} rows", markup=False, soft_wrap=True)
    console.print(f"results in {work.out}", markup=False, soft_wrap=True)
    for notice in (*plan.notices, *(f"{title} is damaged: {damage}" for title, damage in damaged.items())):
        console.print(f"note: {notice}", markup=False, soft_wrap=True)


def run_session(plan: Plan, work: WorkConfig, console: Console) -> int:
    """Do the open runs and say what becomes of each, then print and write the table; returns the exit code."""
    opened = {run_title(run) for run in plan.runs if not plan.folder(run, work.out).done}
    left, finished = len(opened), 0
    before = len(plan.runs) - left
    began = time.perf_counter()

    def report(run: RunSpec, message: str) -> None:
        nonlocal finished
        passed, note = time.perf_counter() - began, ""
        if run_title(run) in opened:
            finished += 1
            note = f" ({before + finished} of {len(plan.runs)}"
            rest = passed / finished * (left - finished)
            note += f", the rest in about {duration(rest)})" if rest else ")"
        seconds = f"{passed:.0f} s"
        console.print(f"{seconds:>7}  {run_title(run)}: {message}{note}", markup=False, soft_wrap=True)

    outcome = run_experiment(plan, work, report)
    table = experiment_table(plan.spec, outcome.finished, plan.notices, outcome.failed)
    unwritten = None
    if table.lines:
        print_table(table, console)
        try:
            with locked(work.out, "report", wait=True):
                write_table(table, work.out / "report")
            console.print(f"table.md, table.csv, table.tex in {work.out / 'report'}", markup=False, soft_wrap=True)
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
