"""What is registered, and what is installed and within reach."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from robusteval.cli.options import only, option, takes
from robusteval.cli.output import AsJson, print_json
from robusteval.errors import unknown_name
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import Screen, loading
from robusteval.settings.work import WorkConfig


def list_names(
    kind: Annotated[
        str,
        typer.Argument(help="models, tasks, methods, scenarios, perturbations, suites, attacks, pictures, recipes."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show what is registered."""
    from robusteval.attacks.recipes.registry import ATTACKS
    from robusteval.evaluation import SUITES
    from robusteval.experiments.recipes import load_recipe, recipe_names
    from robusteval.methods import METHODS
    from robusteval.models.catalogue import MODELS
    from robusteval.perturbations import PERTURBATIONS
    from robusteval.plots import PLOTS
    from robusteval.registry import Entry
    from robusteval.report.grid import print_grid
    from robusteval.scenarios import SCENARIOS
    from robusteval.tasks import TASKS

    kinds: dict[str, Any] = {
        "models": MODELS, "tasks": TASKS, "methods": METHODS, "scenarios": SCENARIOS, "perturbations": PERTURBATIONS,
        "suites": SUITES, "attacks": ATTACKS, "pictures": PLOTS, "recipes": [],
    }  # fmt: skip
    if kind and kind not in kinds:
        raise unknown_name("list", kind, kinds)
    if kind in ("", "recipes"):
        kinds["recipes"] = [Entry(name, "", load_recipe(name).caption) for name in recipe_names()]
    asked = {name: list(entries) for name, entries in kinds.items() if kind in ("", name)}
    if as_json:
        print_json(
            {
                name: [{"name": each.name, "summary": each.summary, "facts": dict(each.facts)} for each in entries]
                for name, entries in asked.items()
            }
        )
        return
    console = Screen()
    for name, entries in asked.items():
        facts = list(dict.fromkeys(key for entry in entries for key, _ in entry.facts))
        rows = [(each.name, each.summary, *(dict(each.facts).get(fact, "") for fact in facts)) for each in entries]
        header = ("name", "what it is", *facts)
        print_grid(console, header, rows, title=name, words=len(header), keep=1)


@takes()
def doctor(
    *,
    attack: Annotated[str | None, option("--attack", help="Only the resources of this recipe or FILE.py:NAME.")] = None,
    work: Annotated[WorkConfig, only("resources")],
    out: Annotated[Path, option("--out", help="Folder whose disk is looked at.")] = WorkConfig.out,
    as_json: AsJson = False,
) -> None:
    """Check versions, device, embedded model, hub, disk, and what each attack needs."""
    from robusteval.attacks.recipes.registry import recipe_entry
    from robusteval.cli.precheck import check_work

    check_work(work)
    if attack is not None:
        recipe_entry(attack)
    with loading("what is to be looked at"):
        quiet_libraries()
        from robusteval.cli.doctor import diagnose

    colours = {"ok": "green", "missing": "red", "off": "yellow"}
    console = Screen(soft_wrap=True)
    checks = diagnose(out, work.resources_dir, attack)
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    for check in () if as_json else checks:
        remedy = f" -> {check.remedy}" if check.remedy else ""
        console.print(
            f"[{colours[check.status]}]{check.status:8}[/] {escape(check.name)}: {escape(check.detail + remedy)}"
        )
    if any(check.status == "missing" and check.needed for check in checks):
        raise typer.Exit(1)
