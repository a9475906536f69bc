"""What is registered, and what is installed and within reach."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from robusteval.cli.options import only, option, takes
from robusteval.errors import unknown_name
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import Screen, loading
from robusteval.settings.work import WorkConfig


def list_names(
    kind: Annotated[
        str,
        typer.Argument(help="models, tasks, methods, scenarios, perturbations, suites, attacks, pictures, recipes."),
    ] = "",
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
    console = Screen()
    for name, entries in kinds.items():
        if kind not in ("", name):
            continue
        facts = list(dict.fromkeys(key for entry in entries for key, _ in entry.facts))
        grid = Table("name", "what it is", *facts, title=name, title_justify="left")
        for entry in entries:
            values = dict(entry.facts)
            grid.add_row(entry.name, escape(entry.summary), *(escape(values.get(fact, "")) for fact in facts))
        console.print(grid)


@takes()
def doctor(
    *,
    attack: Annotated[str | None, option("--attack", help="Only the resources of this recipe or FILE.py:NAME.")] = None,
    work: Annotated[WorkConfig, only("resources")],
    out: Annotated[Path, option("--out", help="Folder whose disk is looked at.")] = WorkConfig.out,
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
    for check in checks:
        remedy = f" -> {check.remedy}" if check.remedy else ""
        console.print(
            f"[{colours[check.status]}]{check.status:8}[/] {escape(check.name)}: {escape(check.detail + remedy)}"
        )
    if any(check.status == "missing" and check.needed for check in checks):
        raise typer.Exit(1)
