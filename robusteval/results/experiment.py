"""An experiment on disk: the runs that it was asked for, those that are finished, and all of it as data frames.

experiment = Experiment.open(Path("robusteval-runs/sst2-1a2b3c4d"))
experiment.rows().query("aspect == 'robustness'")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from robusteval.errors import UserError
from robusteval.results.asked import SPEC, Wanted, Whole, read_asked, whole
from robusteval.results.frames import frame_of_lines, rows_frame
from robusteval.results.metrics import Metric
from robusteval.results.reading import WHOSE, Run
from robusteval.results.rows import Row
from robusteval.results.showing import as_html, overview
from robusteval.results.store import RunFolder
from robusteval.runtime.memory import uncollected
from robusteval.settings.spec import ExperimentSpec
from robusteval.storage.reading import read_yaml


@dataclass(frozen=True)
class Experiment:
    """What an experiment left: its finished runs in the order of its models, tasks, scenarios, columns and seeds.

    asked: every run that it is to have; others: those that were asked for with other settings or by another version,
    which are in no frame. damaged: runs that are not what they were, by folder name, with what is wrong and what helps.
    unfinished: names of the runs that are not done. Neither is in a frame.
    """

    path: Path
    spec: ExperimentSpec
    runs: tuple[Run, ...]
    asked: tuple[Wanted, ...] = ()
    others: tuple[Wanted, ...] = ()
    damaged: Mapping[str, str] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()

    @classmethod
    @uncollected()
    def open(cls, path: Path, *, files: bool = True, model: bool = False) -> Experiment:
        """The experiment in `path`.

        files: whether every file is checked against its digest, beside the rows, which always are; model: the kept
        checkpoints, too, which takes long.
        UserError where there is none, or where two finished runs of an earlier version are of one place.
        """
        found, folder = asked_of(path), path / "runs"
        sound, damaged, unfinished = [], dict[str, str](), list[str]()
        for wanted in found.runs:
            run = Run(folder / wanted.name, tuple(wanted.tests) if wanted.cell else None)
            try:
                if files or model:
                    run.folder.check(model=model)
                done = run.journal.done and run.journal.stages.keys() >= {"train", *wanted.tests}
            except UserError as error:
                damaged[wanted.name] = str(error)
                continue
            if done:
                sound.append(run)
            else:
                unfinished.append(wanted.name)
        return cls(path, found.spec, tuple(sound), found.runs, found.others, damaged, tuple(unfinished))

    @property
    def declared(self) -> dict[str, Metric]:
        """The metrics that suites of the user's own said more of."""
        return declared_by(self.runs)

    @property
    def records(self) -> tuple[Row, ...]:
        """Every measured number of the finished runs."""
        return tuple(row for run in self.runs for row in run.records)

    def rows(self) -> pd.DataFrame:
        """One line per measured number, see `rows_frame`."""
        return rows_of(self.runs)

    def to_frame(self) -> pd.DataFrame:
        """As `rows`."""
        return self.rows()

    def _repr_html_(self) -> str:
        missing = len(self.unfinished) + len(self.damaged)
        told = f"{len(self.runs)} runs" + (f", {missing} not finished or damaged" if missing else "")
        return as_html(overview(self.rows(), self.declared), f"{self.path.name}: {told}")

    def predictions(self, suite: str) -> pd.DataFrame:
        """As `Run.predictions`, with the columns `WHOSE` before; of the runs that have some."""
        return self._each(lambda run: run.predictions(suite) if suite in run.predicted_suites else None)

    def analysis(self, suite: str) -> pd.DataFrame:
        """As `Run.analysis`, with the columns `WHOSE` before; of the runs that have one."""
        return self._each(lambda run: run.analysis(suite) if suite in run.analysed_suites else None)

    def training(self) -> pd.DataFrame:
        """As `Run.training`, with the columns `WHOSE` before."""
        return self._each(Run.training)

    def attacks(self) -> pd.DataFrame:
        """As `Run.attacks`, with the columns `WHOSE` before."""
        return self._each(Run.attacks)

    def environment(self) -> pd.DataFrame:
        """As `Run.environment`, with the columns `WHOSE` before."""
        return self._each(Run.environment)

    def _each(self, read: Callable[[Run], pd.DataFrame | None]) -> pd.DataFrame:
        frames = []
        for run in self.runs:
            frame = read(run)
            if frame is not None and len(frame):
                own = frame.drop(columns=[name for name in WHOSE if name in frame])
                whose = pd.DataFrame(run.whose, index=own.index)
                frames.append(pd.concat([whose, own], axis=1))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(WHOSE))


def declared_by(runs: Iterable[Run]) -> dict[str, Metric]:
    """The metrics that suites of the user's own said more of."""
    return {name: each for run in runs for name, each in run.declared.items()}


def rows_of(runs: Sequence[Run]) -> pd.DataFrame:
    """One line per measured number of all the runs, see `rows_frame`."""
    declared = declared_by(runs)
    frame = frame_of_lines([text for run in runs for text in run.lines], declared)
    return rows_frame([row for run in runs for row in run.records], declared) if frame is None else frame


def asked_of(path: Path) -> Whole:
    """All that the experiment in `path` was asked for; UserError where there is none."""
    place = path / SPEC
    held = read_yaml(place)
    if held is None:
        raise UserError(f"experiment: {str(path)!r} holds no experiment.yaml")
    asked = read_asked(path)
    return whole(asked) if asked else _of_earlier(path, ExperimentSpec.read(held, f"{place}: "))


def _of_earlier(path: Path, spec: ExperimentSpec) -> Whole:
    """What a folder of an earlier version holds, which did not keep what it was asked for."""
    methods = [method.label for method in spec.methods]
    found: dict[tuple[Any, ...], Wanted] = {}
    for folder in sorted(each for each in (path / "runs").glob("*") if each.is_dir()):
        try:
            whose = Run(folder).whose
        except UserError:  # which is told where the run is opened
            whose = {**dict.fromkeys(WHOSE, ""), "method": methods[0], "seed": -1, "run": folder.name}
        if whose["method"] not in methods:
            raise UserError(
                f"{folder / 'config.json'}: {whose['method']!r} is none of the experiment's methods "
                f"{', '.join(methods)}"
            )
        fields = {name: whose[name] for name in ("model", "task", "method", "scenario", "seed")}
        wanted = Wanted(folder.name, **fields)
        key = (methods.index(wanted.method), wanted.scenario, wanted.seed, "" if wanted.seed >= 0 else folder.name)
        if key in found and RunFolder(folder).done and RunFolder(path / "runs" / found[key].name).done:
            names = f"{found[key].name} and {folder.name}"
            raise UserError(f"experiment: {names} are the same run; remove the outdated one")
        if key not in found or RunFolder(folder).done:
            found[key] = wanted
    return Whole(spec, tuple(found[key] for key in sorted(found)))
