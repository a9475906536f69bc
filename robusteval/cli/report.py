"""The table of an experiment, drawn again from what its runs left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from robusteval.cli.output import AsJson, EveryRow, Shown, print_json
from robusteval.errors import UserError, unknown_name
from robusteval.settings.grammar import listed

EXAMPLE = Path("robusteval-example")


def report(
    experiment: Annotated[Path | None, typer.Argument(help="Folder of an experiment.")] = None,
    packaged: Annotated[
        bool, typer.Option("--example", help="Of the small experiment that comes with the package, copied to --out.")
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="With --example: where its copy lies.")] = EXAMPLE,
    table: Annotated[
        str, typer.Option("--table", help="Lay it out like a paper's table, by its recipe: match-tuning/table-3.")
    ] = "",
    formats: Annotated[
        str, typer.Option("--format", help="Files to write: md, csv, tex, html, json.")
    ] = "md,csv,tex,html,json",
    every: EveryRow = False,
    as_json: AsJson = False,
    html: Annotated[bool, typer.Option("--html", help="Write the page, too: all of it in one file.")] = False,
) -> None:
    """Print the table of the runs that are finished, and write it to report/ in the experiment's folder."""
    from robusteval.experiments.examples import example
    from robusteval.experiments.recipes import load_recipe
    from robusteval.page.file import write_page
    from robusteval.report.experiment import finished_table
    from robusteval.report.papers import paper_record, paper_report, paper_texts
    from robusteval.report.records import record
    from robusteval.report.render import FORMATS, print_report, print_table, write_table, write_texts
    from robusteval.results.experiment import Experiment
    from robusteval.storage.files import check_place
    from robusteval.storage.locks import locked

    if packaged == (experiment is not None):
        raise UserError("experiment: name the folder of one, or say --example for the one that comes with the package")
    endings = listed(formats)
    for ending in endings:
        if ending not in FORMATS:
            raise unknown_name("format", ending, FORMATS)
    recipe = load_recipe(table) if table else None
    experiment = experiment or example(out)
    found = Experiment.open(experiment, files=False)
    check_place(experiment / "report", folder=True, field="experiment")
    console, made = Shown(as_json).screen(), finished_table(found)
    if as_json:
        print_json(record(made) if recipe is None else paper_record(made, recipe, found.spec))
    elif recipe is None:
        print_table(made, console, every=every)
    else:
        print_report(paper_report(made, recipe, found.spec, every=every)[0], console)
    with locked(experiment, "report", wait=True):
        if recipe is None:
            written = write_table(made, experiment / "report", endings)
        else:
            place = experiment / "report" / table.replace("/", "-")
            written = write_texts(paper_texts(made, recipe, found.spec), place, endings)
        page = write_page(found) if html else None
    names = ", ".join(path.name for path in written)
    console.print(f"{names} in {experiment / 'report'}", markup=False, soft_wrap=True)
    if page is not None:
        console.print(f"page: {page}", markup=False, soft_wrap=True)
