"""Commands on finished attacks: show them, freeze what succeeded, try it on other models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from robusteval.errors import UserError
from robusteval.logs import quiet_libraries

attacks_app = typer.Typer()


@attacks_app.command()
def transcript(
    results: Annotated[Path, typer.Argument(help="A .jsonl file of attack results.")],
    html: Annotated[Path | None, typer.Option("--html", help="Write a page instead of printing.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="succeeded, failed, skipped or error.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Show that many examples.")] = None,
) -> None:
    """Show attacked texts with the words that were changed."""
    from robusteval.attacks.frozen import read_results
    from robusteval.attacks.summary import summarise
    from robusteval.files import write_atomic
    from robusteval.report.transcripts import html_page, print_transcripts, summary_text, transcripts

    lines = read_results(results)
    title = f"{lines[0]['recipe']}, seed {lines[0]['seed']}: {results.name}"
    console = Console(emoji=False, highlight=False)
    if html is None:
        print_transcripts(transcripts(lines, outcome, limit), console)
        console.print(f"{title}: {summary_text(summarise(lines))}", markup=False, soft_wrap=True)
        return
    page = html_page(lines, title, outcome, limit)
    try:
        write_atomic(html, page)
    except OSError as error:
        raise UserError(f"html: {str(html)!r} cannot be written: {error.strerror}") from error
    console.print(f"transcripts in {html}", markup=False, soft_wrap=True)


@attacks_app.command()
def freeze(
    results: Annotated[list[Path], typer.Argument(help="Files of attack results (.jsonl).")],
    out: Annotated[Path, typer.Option("--out", help="The data set to write (.parquet).")],
    text_columns: Annotated[str, typer.Option("--text-columns", help="Names for the text columns, in order.")] = "",
) -> None:
    """Save the successful adversarial texts of finished attacks as a data set for any other model."""
    quiet_libraries()
    if out.suffix != ".parquet":
        raise UserError(f"out: {str(out)!r} must end in .parquet")
    from robusteval.attacks.frozen import freeze as frozen
    from robusteval.attacks.frozen import write_frozen

    names = [name.strip() for name in text_columns.split(",") if name.strip()]
    frame = frozen(results, names or None)
    write_frozen(frame, out)
    columns = ",".join(frame.columns[: list(frame.columns).index("label")])
    Console(emoji=False).print(
        f"{len(frame)} adversarial texts in {out}; test a model on them with\n"
        f"robusteval evaluate CHECKPOINT --dev-file {out} --text-columns {columns} --label-column label",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@attacks_app.command()
def transfer(
    experiment: Annotated[Path, typer.Argument(help="Folder of an experiment that was run with --keep-models.")],
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Try the successful adversarial texts against each method on the models of all others."""
    quiet_libraries()
    from robusteval.evaluation.transfer import caption, grids, over_seeds, write_transfer
    from robusteval.experiments.transfer import transfer as tried

    console = Console(emoji=False)
    frame = tried(experiment, device)
    write_transfer(frame, experiment / "report")
    for grid in grids(over_seeds(frame)):
        table = Table(*map(escape, grid.header), title=escape(grid.title), title_justify="left")
        for row in grid.rows:
            table.add_row(*map(escape, row))
        console.print(table)
    console.print(caption(frame), markup=False, soft_wrap=True)
    console.print(f"transfer.md, transfer.csv in {experiment / 'report'}", markup=False, soft_wrap=True)
