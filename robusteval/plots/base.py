"""What a picture is: what it is drawn from, and how; and one picture of an experiment, with what a reader must know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from robusteval.errors import UserError, unknown_name

if TYPE_CHECKING:
    from robusteval.plots.style import Picture
    from robusteval.results.experiment import Experiment

# the columns of frames by which a picture can be narrowed
NARROWED_BY = ("model", "task", "scenario", "method", "seed", "suite", "metric")


class NotMeasured(UserError):
    """What a picture is drawn from is not there; the message says what brings it."""


@dataclass(frozen=True)
class Plot:
    """A picture.

    data: from an experiment to the frame that is drawn; NotMeasured where there is nothing to draw. draw: from that
    frame to the picture. Frames bear the columns `WHOSE` of their runs (results/reading.py), which `chosen` narrows.
    """

    data: Callable[[Experiment], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Picture]


def frame_of(plot: Plot, experiment: Experiment, only: Mapping[str, Sequence[str]] | None = None) -> pd.DataFrame:
    """What `plot` draws of an experiment, narrowed by `only` (see `chosen`).

    Its attrs name the methods of the whole experiment, so that each has its colour and its place in every picture, and
    the baseline.
    """
    frame = chosen(plot.data(experiment), only or {})
    frame.attrs["baseline"] = experiment.spec.first
    frame.attrs["methods"] = tuple(method.label for method in experiment.spec.methods)
    return frame


def chosen(frame: pd.DataFrame, only: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """The lines with one of the values that `only` names for each column; UserError, with the nearest, for others."""
    for column, values in only.items():
        if column not in frame:
            raise UserError(f"{column}: this picture's numbers are not told apart by {column}")
        texts = frame[column].astype(str)
        for value in values:
            if value not in set(texts):
                raise unknown_name(column, value, sorted(set(texts)))
        frame = frame[texts.isin(list(values))]
    return frame


def needs(frame: pd.DataFrame, columns: Sequence[str], name: str) -> None:
    """UserError where a frame lacks columns that a picture is drawn from, or has no lines."""
    missing = [column for column in columns if column not in frame]
    if missing:
        raise UserError(f"{name}: the frame has no column {', '.join(map(repr, missing))}")
    if frame.empty:
        raise NotMeasured(f"{name}: the frame has no lines")


def state_of(experiment: Experiment) -> str:
    """What to write under every picture of an experiment that lacks runs; "" where it has them all."""
    missing = len(experiment.unfinished) + len(experiment.damaged)
    if not missing:
        return ""
    return f"drawn from {len(experiment.runs)} of {len(experiment.runs) + missing} runs: the others are not finished"


def panels(frame: pd.DataFrame, by: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """Title and lines of each combination of these columns, in order of appearance; only what differs is in a title."""
    told = [column for column in by if frame[column].nunique() > 1]
    if not told:
        return [("", frame)]
    found: list[tuple[str, pd.DataFrame]] = []
    for key, lines in frame.groupby(told, sort=False, dropna=False):
        values: tuple[Any, ...] = key if isinstance(key, tuple) else (key,)
        found.append((", ".join(str(value) for value in values), lines))
    return found


def panels_of_methods(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """As `panels` by model, task and scenario, with one for each method, which is always in the title."""
    from robusteval.plots.style import methods_of

    by = [column for column in ("model", "task", "scenario") if column in frame]
    order, found = methods_of(frame), list[tuple[str, pd.DataFrame]]()
    for title, lines in panels(frame, by):
        texts = lines["method"].astype(str)
        found += [
            (f"{title}, {each}".removeprefix(", "), lines[texts == each]) for each in order if (texts == each).any()
        ]
    return found
