"""How far an experiment is, from what lies on disk alone: what is done, under way or failed, and what is left."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from robusteval.errors import UserError
from robusteval.results.asked import Wanted
from robusteval.results.store import RunFolder
from robusteval.runtime.progress import duration
from robusteval.storage.claims import holder
from robusteval.storage.reading import numbered_lines, read_json, read_lines

State = Literal["done", "running", "failed", "begun", "open"]

# So many steps of a training say how long the whole of it takes; they are written as soon as they are taken.
FIRST_STEPS = 10


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    state: "begun" where somebody left it half done; "open" where nobody began it. finished: seconds of each finished
    stage; expected: seconds of the stage under way as a whole, where its first steps say so. at: what is under way, in
    words. trouble: what went wrong, in a sentence.
    """

    wanted: Wanted
    state: State
    finished: Mapping[str, float] = field(default_factory=dict)
    expected: Mapping[str, float] = field(default_factory=dict)
    at: str = ""
    trouble: str = ""

    @property
    def left(self) -> list[str]:
        """The stages that it still needs."""
        return [stage for stage in ("train", *self.wanted.tests) if stage not in self.finished]


def standing(out: Path, wanted: Wanted) -> Standing:
    """Where a run of the experiment in `out` stands; only its markers are read, unless it is under way."""
    folder = RunFolder(out / "runs" / wanted.name)
    try:
        journal = folder.journal()
    except UserError as error:
        return Standing(wanted, "failed", trouble=str(error))
    finished = {name: stage.marker.seconds for name, stage in journal.stages.items()}
    if journal.done and finished.keys() >= {"train", *wanted.tests}:
        return Standing(wanted, "done", finished)
    if not folder.path.is_dir():
        return Standing(wanted, "open", finished)
    if holder(folder.path) is not None:
        expected, at = _under_way(folder, finished, wanted)
        return Standing(wanted, "running", finished, expected, at)
    report = folder.path / "error.txt"
    if report.is_file():
        lines = report.read_text(errors="replace").strip().splitlines()
        return Standing(wanted, "failed", finished, trouble=lines[-1] if lines else "")
    return Standing(wanted, "begun", finished)


def _under_way(folder: RunFolder, finished: Mapping[str, float], wanted: Wanted) -> tuple[dict[str, float], str]:
    """What the stage under way will take as a whole, where that can be told, and how far it is."""
    if "train" not in finished:
        lines = _steps(folder)
        total = _total_steps(folder)
        if not lines:
            return {}, "begins"
        at = f"step {lines[-1]['step'] + 1}" + (f" of {total}" if total else "")
        if total is None or len(lines) < FIRST_STEPS:
            return {}, at
        # the first step warms up what all others use
        seconds = [float(line["seconds"]) for line in lines[1:]]
        return {"train": float(np.median(seconds)) * total}, at
    for stage in (stage for stage in wanted.tests if stage not in finished):
        _, _, recipe = stage.partition("attack/")
        if not recipe:
            return {}, stage
        path = folder.path / "attacks" / f"{recipe}.jsonl"
        return {}, f"{stage}, {len(read_lines(path)) if path.is_file() else 0} texts"
    return {}, "ends"


def _steps(folder: RunFolder) -> list[dict[str, Any]]:
    try:
        return [line for _, line in numbered_lines(folder.path / "train.jsonl")]
    except UserError:
        return []


def _total_steps(folder: RunFolder) -> int | None:
    try:
        train = (read_json(folder.path / "config.json") or {})["spec"]["train"]
        rows = (read_json(folder.path / "environment.json") or {})["scenario"]["rows"]
        if train["max_steps"] is not None:
            return int(train["max_steps"])
        per_epoch: int = math.ceil(rows / train["batch_size"])
        return math.ceil(float(train["epochs"]) * per_epoch)
    except (UserError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Projection:
    """What is left of an experiment. seconds: of work, None where nothing says; unknown: stages that nothing speaks of
    yet, and that are not in it; disk: bytes, 0 where no run is finished."""

    seconds: float | None
    unknown: tuple[str, ...] = ()
    disk: int = 0

    def told(self, workers: int = 1) -> str:
        """In words; workers: how many work at a time."""
        if self.seconds is None:
            return f"the first {FIRST_STEPS} steps will tell how long it takes"
        share = duration(self.seconds / workers) + (f" with {workers} at a time" if workers > 1 else "")
        more = f", without {', '.join(self.unknown)}, which no run has come to yet" if self.unknown else ""
        disk = f"; about {self.disk / 2**20:.0f} MB more on disk" if self.disk else ""
        return f"the rest takes about {share}{more}{disk}"


def project(standings: Sequence[Standing], out: Path | None = None) -> Projection:
    """The work that is left, from what the stages of these runs took that are finished or under way.

    A stage takes what it took for the same method on the same model and task, else for other methods there, else
    anywhere.
    """
    known: dict[tuple[str, ...], list[float]] = {}
    for each in standings:
        wanted = each.wanted
        for stage, seconds in {**each.expected, **each.finished}.items():
            for place in _places(wanted, stage):
                known.setdefault(place, []).append(seconds)
    total, unknown = 0.0, dict[str, None]()
    for each in standings:
        for stage in each.left if each.state != "done" else ():
            found = [known[place] for place in _places(each.wanted, stage) if place in known]
            if found:
                total += float(np.mean(found[0]))
            else:
                unknown[stage] = None
    return Projection(total if known else None, tuple(unknown), _disk(standings, out))


def _places(wanted: Wanted, stage: str) -> Iterable[tuple[str, ...]]:
    where = (wanted.model, wanted.task)
    return ((stage, *where, wanted.method), (stage, *where), (stage, wanted.model), (stage,))


def _disk(standings: Sequence[Standing], out: Path | None, some: int = 5) -> int:
    """The disk that the open runs will take, from the first finished ones."""
    done = [each.wanted.name for each in standings if each.state == "done"][:some]
    if out is None or not done:
        return 0
    sizes = [sum(p.stat().st_size for p in (out / "runs" / name).rglob("*") if p.is_file()) for name in done]
    return int(np.mean(sizes)) * sum(each.state == "open" for each in standings)
