"""The page as one file: what it is filled with, and writing it. It asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from robusteval.errors import UserError
from robusteval.page.costs import COST
from robusteval.page.packing import Attacks, attacks, rows
from robusteval.page.pictures import Picture, fitting, pictures_of
from robusteval.page.runs import Runs, runs_of
from robusteval.page.said import Screen, by_seed, scope, screen
from robusteval.report.comparisons import on_groups
from robusteval.report.experiment import finished_table
from robusteval.report.sheets import main_lines, report
from robusteval.report.table import Table
from robusteval.report.transcripts import chosen, summary_text, visible
from robusteval.results.attack_summary import summarise
from robusteval.results.experiment import Experiment
from robusteval.results.reading import WHOSE
from robusteval.storage.files import check_place, write_atomic

# How a page begins.
HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="robusteval">
"""
NAME = "index.html"
# Bytes of a page, and of them those for all but pictures, transcripts and rows.
WHOLE, REST = 2_000_000, 250_000
# Runs that are listed of each state.
MOST_RUNS = 200
# lines of a spec that stands open
MOST_OPEN = 60


@dataclass(frozen=True)
class Cell:
    """A cell of a sorted table, with its seeds where it has some."""

    text: str
    seeds: str = ""


@dataclass(frozen=True)
class Grid:
    """A `Sheet` whose cells may say more."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    words: int
    under: tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """What a page is filled with; a part that is empty is left out.

    scope: what was run; warnings: what one must know before reading on.
    """

    title: str
    scope: str = ""
    warnings: Sequence[str] = ()
    screen: Screen | None = None
    baseline: str = ""
    sheets: Sequence[Grid] = ()
    notes: Sequence[str] = ()
    pictures: Sequence[Picture] = ()
    attacks: Attacks | None = None
    runs: Runs | None = None
    rows: str = ""
    rows_count: int = 0


def page(content: Content) -> str:
    """The page as HTML."""
    named = {
        "summary": ("Summary", content.screen), "tables": ("Tables", content.sheets),
        "pictures": ("Pictures", content.pictures), "attacks": ("Attack transcripts", content.attacks),
        "runs": ("Runs", content.runs), "again": ("Run it again", content.runs), "data": ("Raw rows", content.runs),
    }  # fmt: skip
    packed = len(content.rows) + (len(content.attacks.text) if content.attacks else 0)
    script = _part("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    pictures = [
        Picture(each.name, each.title, Markup(each.svg), each.why)  # made by `part_of_page`
        for each in fitting(content.pictures, WHOLE - REST - packed)
    ]
    return _template().render(
        {**vars(content), "pictures": pictures},
        parts=[(name, told) for name, (told, there) in named.items() if there],
        digest=digest, style=Markup(_part("style.css")), script=Markup(script), cost=COST,
        command="robusteval run experiment.yaml",
    )  # fmt: skip


@cache
def _template() -> Template:
    made = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )  # fmt: skip
    made.globals["pct"] = lambda share: f"{100 * share:.1f}"
    made.globals["kind"] = _kind
    made.globals["most_runs"], made.globals["most_open"] = MOST_RUNS, MOST_OPEN
    return made.from_string(_part("page.html"))


def _kind(word: bool, text: object) -> str:
    """The classes of a cell: words stand at the left, and what is long may be broken."""
    return " ".join(["word"] * word + ["long"] * (len(str(text)) > 30))


def _part(name: str) -> str:
    return (resources.files(__package__) / name).read_text("utf-8")


def experiment_page(experiment: Experiment, pictures: Sequence[Picture] = ()) -> str:
    """The page of an experiment's finished runs; UserError where none is."""
    table, runs = finished_table(experiment), runs_of(experiment)
    held = report(table)
    frame = experiment.rows()
    lines = [
        {**line, **run.whose} for run in experiment.runs for recipe in run.recipes for line in run.attack_lines(recipe)
    ]
    return page(
        Content(
            experiment.spec.title or table.title, scope(table, table.seeds), tuple(_warnings(runs)), screen(table),
            table.baseline, grids(table), held.notes, pictures, attacks(lines), runs, rows(frame), len(frame),
        )
    )  # fmt: skip


def grids(table: Table) -> tuple[Grid, ...]:
    """The sheets of a report, the first of which says of each cell its seeds."""
    sheets = report(table).sheets
    found = [[[Cell(text) for text in row] for row in sheet.rows] for sheet in sheets]
    count = len(table.methods)
    for row, line in zip(found[0], main_lines(table), strict=True):
        seeds = [by_seed(line.cells[method], line.metric) for method in table.methods]
        row[-count:] = [Cell(cell.text, told) for cell, told in zip(row[-count:], seeds, strict=True)]
    # what the sentences under the table say is said in the first screen
    under = [(table.caption, *on_groups(table.family)), *(sheet.under for sheet in sheets[1:])]
    return tuple(
        Grid(sheet.title, sheet.header, tuple(map(tuple, rows)), sheet.words, told)
        for sheet, rows, told in zip(sheets, found, under, strict=True)
    )


def _warnings(runs: Runs) -> list[str]:
    told = [] if runs.whole else [f"This experiment is not finished: {runs.state}"]
    return [*told, *runs.unlike]


def transcripts_page(
    lines: Sequence[Mapping[str, Any]], title: str, outcome: str | None = None, limit: int | None = None
) -> str:
    """The page of the result lines of one attack alone, narrowed; its summary is of all of them."""
    held = [{**line, **dict.fromkeys(WHOSE, ""), "seed": line["seed"]} for line in chosen(lines, outcome, limit)]
    none = () if held else ("None of them is like this",)
    return page(Content(title, summary_text(summarise(lines)), none, attacks=attacks(held)))


def check_page(path: Path) -> None:
    """Raise UserError where a page cannot be written to `path`, or would take the place of anything but such a page."""
    check_place(path, folder=False, field="html")
    if path.is_file():
        with open(path, "rb") as handle:
            head = handle.read(len(HEAD))
        if head != HEAD.encode():
            raise UserError(f"html: {str(path)!r} holds something else, which would be lost; name another file")


def write_page(experiment: Experiment) -> Path:
    """Write the page with every picture to report/ in the experiment's folder, and say where it is.

    UserError where no run is finished, or the page cannot be written.
    """
    path = experiment.path / "report" / NAME
    check_page(path)
    write_atomic(path, experiment_page(experiment, pictures_of(experiment)), field="html")
    return path
