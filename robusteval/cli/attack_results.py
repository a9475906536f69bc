"""What is done with finished attacks: show what changed, freeze what succeeded, try it on other models."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from robusteval.cli.options import only, takes
from robusteval.cli.output import AsJson, Shown, print_json
from robusteval.errors import UserError
from robusteval.runtime.logs import quiet_libraries
from robusteval.runtime.terminal import loading
from robusteval.settings.grammar import listed, written
from robusteval.settings.work import WorkConfig


def transcript(
    results: Annotated[Path, typer.Argument(help="A .jsonl file of attack results.")],
    html: Annotated[Path | None, typer.Option("--html", help="Write a page instead of printing.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="succeeded, failed, skipped or error.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Show that many examples.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show attacked texts with the words that were changed."""
    from robusteval.report.transcripts import chosen, print_transcripts, summary_text, transcripts
    from robusteval.results.attack_summary import summarise
    from robusteval.results.reading import attack_lines
    from robusteval.storage.files import write_atomic

    if html is not None:
        from robusteval.page.file import check_page, transcripts_page

        check_page(html)
    lines = attack_lines(results)
    title = f"{lines[0]['recipe']}, seed {lines[0]['seed']}: {results.name}"
    console = Shown(as_json).screen(highlight=False)
    if as_json:
        summary = asdict(summarise(lines))
        print_json({"title": title, "summary": summary, "lines": chosen(lines, outcome, limit)})
    elif html is None:
        print_transcripts(transcripts(lines, outcome, limit), console)
        console.print(f"{title}: {summary_text(summarise(lines))}", markup=False, soft_wrap=True)
    if html is None:
        return
    write_atomic(html, transcripts_page(lines, title, outcome, limit), field="html")
    console.print(f"transcripts in {html}", markup=False, soft_wrap=True)


def freeze(
    results: Annotated[list[Path], typer.Argument(help="Files of attack results (.jsonl).")],
    out: Annotated[Path, typer.Option("--out", help="The data set to write (.parquet).")],
    text_columns: Annotated[str, typer.Option("--text-columns", help="Names for the text columns, in order.")] = "",
    as_json: AsJson = False,
) -> None:
    """Save the successful adversarial texts of finished attacks as a data set for any other model."""
    if out.suffix != ".parquet":
        raise UserError(f"out: {str(out)!r} must end in .parquet")
    from robusteval.attacks.results.frozen_sets import check_set, write_frozen
    from robusteval.attacks.results.frozen_sets import freeze as frozen

    check_set(out)
    frame = frozen(results, listed(text_columns) or None)
    write_frozen(frame, out)
    names = [str(name) for name in frame.columns[: list(frame.columns).index("label")]]
    columns = ",".join(map(written, names))
    if as_json:
        print_json({"out": str(out), "texts": len(frame), "text_columns": names})
    Shown(as_json).screen().print(
        f"{len(frame)} adversarial texts in {out}; test a model on them with\n"
        f"robusteval evaluate CHECKPOINT --dev-file {out} --text-columns {columns} --label-column label",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


@takes()
def transfer(
    *,
    experiment: Annotated[Path, typer.Argument(help="Folder of an experiment whose checkpoints were kept.")],
    work: Annotated[WorkConfig, only("device")],
    as_json: AsJson = False,
) -> None:
    """Try the successful adversarial texts against each method on the models of all others."""
    from robusteval.cli.precheck import check_work

    check_work(work)
    if not (experiment / "experiment.yaml").is_file():
        raise UserError(f"experiment: {str(experiment)!r} holds no experiment.yaml")
    with loading("torch and transformers"):
        quiet_libraries()
        from robusteval.evaluation.transfer import over_seeds
        from robusteval.pipeline.transfer import transfer as tried
        from robusteval.report.transfer import print_transfer, write_transfer
        from robusteval.storage.files import check_place
        from robusteval.storage.locks import locked

    console = Shown(as_json).screen()
    check_place(experiment / "report", folder=True, field="experiment")
    frame = tried(experiment, work.device)
    averages = over_seeds(frame)
    if as_json:
        print_json({"averages": averages.to_dict("records"), "seeds": frame.to_dict("records")})
    else:
        print_transfer(frame, averages, console)
    with locked(experiment, "report", wait=True):
        write_transfer(frame, averages, experiment / "report")
    console.print(f"transfer.md, transfer.csv in {experiment / 'report'}", markup=False, soft_wrap=True)
