"""What a search found: OUT/search/chosen.json, beside the candidates, which are runs of an experiment in OUT/search."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robusteval.errors import UserError, some
from robusteval.results.asked import SEARCH
from robusteval.runtime.progress import duration
from robusteval.settings.codec import from_dict
from robusteval.settings.spec import ExperimentSpec
from robusteval.storage.files import write_json
from robusteval.storage.reading import read_json

CHOSEN = "chosen.json"


@dataclass(frozen=True)
class Candidate:
    """Values that were tried. label: as a method's text; scores: of each seed; runs: folder names; seconds: of all.

    failed: why one of its runs failed, so that it has no score.
    """

    label: str
    values: dict[str, Any]
    scores: tuple[float, ...]
    runs: tuple[str, ...]
    seconds: float
    failed: str = ""

    @property
    def score(self) -> float:
        """The mean over seeds; NaN where one of them is not a number, and where there is none."""
        return math.fsum(self.scores) / len(self.scores) if self.scores else math.nan


@dataclass(frozen=True)
class Choice:
    """The best candidate for one method on one model, task and scenario.

    rows: which it was chosen on, in words; tried: how many values of what, in words; best: the label of the winner;
    values: its values by setting; tied: candidates that are as good, and come later. candidates: in the order in which
    they were tried.
    """

    model: str
    task: str
    scenario: str
    method: str
    metric: str
    rows: str
    tried: str
    best: str
    values: dict[str, Any]
    tied: tuple[str, ...]
    candidates: tuple[Candidate, ...]

    @property
    def place(self) -> tuple[str, str, str, str]:
        return self.model, self.task, self.scenario, self.method

    @property
    def runs(self) -> int:
        return len({name for each in self.candidates for name in each.runs})

    @property
    def seconds(self) -> float:
        """What the runs took together."""
        return math.fsum({each.label: each.seconds for each in self.candidates}.values())

    def told(self, *, model: bool, task: bool) -> str:
        """In a sentence; model, task: whether these are named."""
        where = f" on {self.task}" * task + f" with {self.model}" * model
        where += "" if self.scenario == "none" else f" under {self.scenario}"
        values = ", ".join(f"{name} {value}" for name, value in self.values.items())
        tied = f"; as good, and later in order: {some(self.tied)}" if self.tied else ""
        failed = list(dict.fromkeys(each.label for each in self.candidates if each.failed))
        tied += f"; failed, and so not compared: {some(failed)}" if failed else ""
        return (
            f"{self.method}{where}: chosen {values} (of {self.tried}, {self.runs} runs, {duration(self.seconds)}) by "
            f"{self.metric} on {self.rows}{tied}"
        )


def keep_choices(out: Path, spec: ExperimentSpec, choices: Sequence[Choice]) -> None:
    """Note what was chosen for a spec in `out`; what was chosen before for other places stays."""
    others = [each for each in read_choices(out) if each.place not in _places(spec)]
    write_json(out / SEARCH / CHOSEN, {"choices": [asdict(each) for each in (*others, *choices)]})


def read_choices(out: Path) -> list[Choice]:
    """Everything that was chosen in `out`; UserError where the file holds something else."""
    path = out / SEARCH / CHOSEN
    held = read_json(path)
    if held is None:
        return []
    if not isinstance(held.get("choices"), list):
        raise UserError(f"{path}: holds no list of choices")
    return [from_dict(Choice, each, f"{path}: ") for each in held["choices"]]


def search_notes(out: Path, spec: ExperimentSpec) -> list[str]:
    """A sentence for each choice that the runs of a spec were done with."""
    if spec.search is None:
        return []
    return sentences([each for each in read_choices(out) if each.place in _places(spec)], spec)


def sentences(choices: Sequence[Choice], spec: ExperimentSpec) -> list[str]:
    return [each.told(model=len(spec.models) > 1, task=len(spec.tasks) > 1) for each in choices]


def _places(spec: ExperimentSpec) -> set[tuple[str, str, str, str]]:
    scenarios, methods = ([each.label for each in axis] for axis in (spec.scenarios, spec.methods))
    return set(itertools.product(spec.models, spec.tasks, scenarios, methods))
