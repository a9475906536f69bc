"""How far an experiment is: what is done, under way and failed, and how long the rest takes."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from robusteval.cli.options import option, takes
from robusteval.cli.output import AsJson, print_json
from robusteval.errors import UserError
from robusteval.runtime.terminal import Screen

if TYPE_CHECKING:
    from robusteval.results.progress import Standing, State

EVERY = 5.0


@takes()
def status(
    *,
    out: Annotated[Path, typer.Argument(help="Folder of an experiment.")],
    watch: Annotated[bool, option("--watch", help="Look again every few seconds, until nothing is left.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far an experiment is. Only its files are read: whoever works on it, and where, need not be asked."""
    if watch and as_json:
        raise UserError("json: it has no effect beside --watch; leave one of the two out")
    console = Screen()
    while True:
        standings = _standings(out)
        if as_json:
            print_json(_record(out, standings))
        else:
            _show(out, standings, console)
        if not watch or all(each.state == "done" for each in standings):
            return
        time.sleep(EVERY)


def _standings(out: Path) -> list[Standing]:
    from robusteval.results.experiment import asked_of
    from robusteval.results.progress import standing

    return [standing(out, wanted) for wanted in asked_of(out).runs]


def _record(out: Path, standings: list[Standing]) -> dict[str, Any]:
    from robusteval.results.progress import project

    left = project(standings, out)
    runs = [
        {"run": each.wanted.name, "state": each.state, "at": each.at, "trouble": each.trouble, "left": each.left}
        for each in standings
    ]
    return {"runs": runs, "seconds_left": left.seconds, "unknown": list(left.unknown), "disk_left": left.disk}


def _show(out: Path, standings: list[Standing], console: Screen) -> None:
    from robusteval.results.progress import project

    counts = Counter(each.state for each in standings)
    words: dict[State, str]
    words = {"done": "done", "running": "running", "failed": "failed", "begun": "begun and left", "open": "to do"}
    told = ", ".join(f"{counts[state]} {word}" for state, word in words.items() if counts[state])
    console.print(f"{out}: {len(standings)} runs: {told}", markup=False, soft_wrap=True)
    for each in standings:
        if each.state == "running":
            console.print(f"running: {each.wanted.name}: {each.at}", markup=False, soft_wrap=True)
        elif each.state == "failed":
            console.print(f"failed: {each.wanted.name}: {each.trouble}", markup=False, soft_wrap=True)
    left = project(standings, out)
    if counts["done"] < len(standings):
        console.print(left.told(max(1, counts["running"])), markup=False, soft_wrap=True)
