"""Pictures of an experiment, drawn from what its runs left."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from robusteval.errors import UserError, unknown_name
from robusteval.plots import PLOTS
from robusteval.runtime.terminal import Screen
from robusteval.settings.grammar import listed

_Only = "Only these, separated by commas; all by default."


def plot(
    experiment: Annotated[Path, typer.Argument(help="Folder of an experiment; of one that runs, what is finished.")],
    kind: Annotated[
        str,
        typer.Argument(help="Of 'list pictures', separated by commas; all that were measured by default."),
    ] = "",
    task: Annotated[str, typer.Option("--task", help=_Only)] = "",
    model: Annotated[str, typer.Option("--model", help=_Only)] = "",
    method: Annotated[str, typer.Option("--method", help=_Only)] = "",
    scenario: Annotated[str, typer.Option("--scenario", help=_Only)] = "",
    seed: Annotated[str, typer.Option("--seed", help=_Only)] = "",
    suite: Annotated[str, typer.Option("--suite", help=_Only)] = "",
    metric: Annotated[str, typer.Option("--metric", help=_Only)] = "",
    formats: Annotated[str, typer.Option("--format", help="Files to write: png, svg, pdf.")] = "png",
    out: Annotated[Path | None, typer.Option("--out", help="Folder; EXPERIMENT/report/pictures by default.")] = None,
) -> None:
    """Draw pictures of the runs that are finished, a file each."""
    from robusteval.plots.base import NotMeasured, chosen, frame_of, state_of
    from robusteval.plots.saving import FORMATS, MissingGlyphs, rendered
    from robusteval.plots.style import stamp
    from robusteval.results.experiment import Experiment
    from robusteval.storage.files import check_place, write_atomic

    endings = listed(formats)
    for ending in endings:
        if ending not in FORMATS:
            raise unknown_name("format", ending, FORMATS)
    given = {"task": task, "model": model, "method": method, "scenario": scenario, "seed": seed, "suite": suite,
             "metric": metric}  # fmt: skip
    only = {name: listed(value) for name, value in given.items() if value}
    asked = {name: PLOTS[name] for name in listed(kind) or PLOTS.names()}
    found = Experiment.open(experiment, files=False)
    folder = out or experiment / "report" / "pictures"
    check_place(folder, folder=True, field="out")
    console, state, told = Screen(), state_of(found), set[str]()
    if not found.runs:
        raise UserError(f"experiment: no run in {str(experiment)!r} is finished; robusteval status shows how far it is")
    # what no run has is a slip; what one picture lacks may be in another
    chosen(found.rows(), only)
    drawn = 0
    for name, each in asked.items():
        try:
            figure = each.draw(frame_of(each, found, only))
        except UserError as error:
            if kind and (len(asked) == 1 or not isinstance(error, NotMeasured)):
                raise
            console.print(f"no {name}: {str(error).removeprefix(f'{name}: ')}", markup=False, soft_wrap=True)
            continue
        drawn += 1
        stamp(figure, state)
        for ending in endings:
            place = folder / f"{_stem(name, only)}.{ending}"
            with warnings.catch_warnings(record=True) as met:
                warnings.simplefilter("always", MissingGlyphs)
                write_atomic(place, rendered(figure, ending))
            told |= {str(each.message) for each in met if isinstance(each.message, MissingGlyphs)}
            console.print(str(place), markup=False, soft_wrap=True)
    if not drawn:
        raise UserError("picture: none can be drawn of this; the lines above say what each one lacks")
    for text in (*sorted(told), *([state] if state else ())):
        console.print(f"note: {text}", markup=False, soft_wrap=True)


def _stem(name: str, only: Mapping[str, Sequence[str]]) -> str:
    """A file's name, which tells what the picture was narrowed to."""
    parts = [re.sub(r"[^\w.-]+", "_", value) for values in only.values() for value in values]
    return "-".join([name, *parts])[:120]
