"""What models answered, row by row, of one run or of all seeds of a method: what two of them are compared by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from robusteval.errors import UserError, some, unknown_name
from robusteval.results.experiment import Experiment
from robusteval.results.metrics import Metric
from robusteval.results.reading import Run
from robusteval.results.store import EVALUATION


class Probe(NamedTuple):
    """One test of one kind of model. Of a single model, model and scenario are empty: they do not tell two apart."""

    model: str
    task: str
    scenario: str
    suite: str
    value: str

    @property
    def name(self) -> str:
        """As a condition names it: "clean", "mask@0.2"."""
        return f"{self.suite}@{self.value}" if self.value else self.suite


@dataclass(frozen=True)
class Side:
    """A model, or all models of a method: one of the two that are compared.

    name: as the user gave it. runs: one, or those of a method, of which each scenario and seed has one.
    unfinished: runs of the method's experiment that are not done or damaged. primary: the family that it declares.
    """

    name: str
    runs: tuple[Run, ...]
    method: str = ""
    unfinished: int = 0
    primary: tuple[str, ...] = ()

    @property
    def declared(self) -> dict[str, Metric]:
        """The metrics that suites of the user's own said more of."""
        return {name: each for run in self.runs for name, each in run.declared.items()}

    @property
    def tasks(self) -> list[str]:
        """What the runs were tested on."""
        return sorted({str(run.whose["task"]) for run in self.runs})

    @cached_property
    def records(self) -> tuple[Mapping[str, Any], ...]:
        """What `evaluate` wrote beside its rows, of each run that is one."""
        return tuple(run.folder.read_record(EVALUATION) for run in self.runs)

    def labels(self, probe: Probe) -> tuple[str, ...]:
        """The classes of a test in the order of gold and predicted, where these are the task's and are on record."""
        own = probe.suite not in ("test", "ood", "attack")
        return next((tuple(record["labels"]) for record in self.records if own and "labels" in record), ())

    @cached_property
    def rows(self) -> pd.DataFrame:
        """As `reading.rows_frame`, with `probe`, the `Probe` of each."""
        frame = pd.concat([run.rows() for run in self.runs], ignore_index=True)
        keys = zip(*(frame[name] for name in ("model", "task", "scenario", "suite", "suite_value")), strict=True)
        probe = pd.Series([self._told(Probe(*map(str, key))) for key in keys], frame.index, dtype=object)
        return frame.assign(probe=probe)

    @cached_property
    def outcomes(self) -> dict[Probe, pd.DataFrame]:
        """One line per predicted row of a test: seed, set (number of the random set), id, gold, predicted.

        gold, predicted: index of the class, or a score; of an attack, the name of the class, predicted after it, and
        examples that ended in an error are left out.
        """
        found: dict[Probe, list[pd.DataFrame]] = {}
        for run in self.runs:
            whose = run.whose
            for suite, value, frame in _predicted(run):
                probe = self._told(Probe(whose["model"], whose["task"], whose["scenario"], suite, value))
                found.setdefault(probe, []).append(frame.assign(seed=whose["seed"]))
        return {probe: pd.concat(frames, ignore_index=True) for probe, frames in found.items()}

    def _told(self, probe: Probe) -> Probe:
        return probe if self.method else probe._replace(model="", scenario="")


def _predicted(run: Run) -> Iterable[tuple[str, str, pd.DataFrame]]:
    """Suite, value and predictions of each test of a run that has some."""
    for suite in run.predicted_suites:
        for value, frame in run.predictions(suite).groupby("value", sort=False):
            yield suite, str(value), frame[["set", "id", "gold", "predicted"]]
    for recipe in run.recipes:
        lines = [line for line in run.attack_lines(recipe) if line["outcome"] != "error"]
        columns = {"id": "id", "gold": "gold", "predicted": "predicted_after"}
        held: list[Mapping[str, Any]] = [*lines]
        frame = pd.DataFrame({name: [line[key] for line in held] for name, key in columns.items()})
        yield "attack", recipe, frame.assign(set=0)


def read_side(text: str, field: str) -> Side | None:
    """The finished run, evaluation or method (EXPERIMENT:METHOD) that a text names; None where it is none of these.

    UserError, which begins with `field`, for an experiment alone, for a method that it has not or that has no finished
    run, and for a run that is not finished or was damaged.
    """
    path = Path(text).expanduser()
    if (path / "experiment.yaml").is_file():
        methods = some([f"{text}:{each.label}" for each in Experiment.open(path).spec.methods])
        raise UserError(f"{field}: {text!r} is an experiment; name one of its methods, {methods}")
    for place in (index for index, sign in enumerate(text) if sign == ":"):
        path, method = Path(text[:place]).expanduser(), text[place + 1 :].strip()
        if (path / "experiment.yaml").is_file():
            return _method(text, path, method, field)
    path = Path(text).expanduser()
    if not (path / "rows.jsonl").is_file():
        return None
    run = Run.open(path)
    if not run.folder.done:
        raise UserError(f"{field}: {text!r} is not finished; the command that began it goes on with it")
    return Side(text, (run,))


def _method(text: str, path: Path, method: str, field: str) -> Side:
    experiment = Experiment.open(path)
    labels = [each.label for each in experiment.spec.methods]
    if method not in labels:
        raise unknown_name(f"{field}: method of {str(path)!r}", method, labels)
    runs = tuple(run for run in experiment.runs if run.whose["method"] == method)
    left = len(experiment.unfinished) + len(experiment.damaged)
    if not runs:
        raise UserError(f"{field}: {method!r} has no finished run in {str(path)!r}")
    return Side(text, runs, method, left, experiment.spec.primary)


@dataclass(frozen=True)
class Known:
    """What is known of a test's rows beside the predictions, by id where it is of a row.

    labels: class names in the order of gold and predicted. original: what each row was made from.
    """

    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    original: Mapping[str, str] = field(default_factory=dict)
