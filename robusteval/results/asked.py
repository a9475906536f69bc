"""What an output folder was asked for, each time: the spec, and the runs that it came to. Results are read by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from robusteval.errors import UserError
from robusteval.registry import result_name
from robusteval.results.store import passes_by
from robusteval.settings.codec import content_hash, to_dict
from robusteval.settings.grammar import part_name
from robusteval.settings.runs import RunSpec
from robusteval.settings.spec import SHOWN, ExperimentSpec, to_text
from robusteval.storage.files import check_place, write_atomic, write_json
from robusteval.storage.locks import LOCK, locked
from robusteval.storage.reading import read_json, read_yaml
from robusteval.version import VERSION

SPEC = "experiment.yaml"
TESTS = ("evaluation", "attack")
ASKED = "asked"
SEARCH = "search"


@dataclass(frozen=True)
class Wanted:
    """A run that was asked for. name: of its folder; tests: the stages that it is to have beside training, each with a
    hash of what besides the run decides its numbers.

    task, method, scenario: as results bear them. cell: the same for all seeds of one setting.
    """

    name: str
    model: str
    task: str
    method: str
    scenario: str
    seed: int
    tests: dict[str, str] = field(default_factory=dict)
    cell: str = ""

    @classmethod
    def of(cls, run: RunSpec, name: str, tests: Mapping[str, str], cell: str) -> Wanted:
        task, method, scenario = result_name(run.task), run.method.label, run.scenario.label
        return cls(name, run.model, task, method, scenario, run.seed, dict(tests), cell)

    @property
    def place(self) -> tuple[str, str, str, str, int]:
        """Where its numbers stand in a table."""
        return self.model, self.task, self.method, self.scenario, self.seed


@dataclass(frozen=True)
class Asked:
    """One time that a folder was asked for something. settings: hash of all that decides numbers but no run's place."""

    spec: ExperimentSpec
    runs: tuple[Wanted, ...]
    settings: str = ""
    version: str = VERSION


def tested(stage: str) -> str:
    """The suite or attack that a stage is of, whatever its settings: a run, and a table, have each but once."""
    return result_name(part_name(stage))


def settings_of(spec: ExperimentSpec) -> str:
    """A hash of what two specs must share for their runs to stand in one table; tests tell for themselves."""
    held = {name: value for name, value in to_dict(spec, identity=True).items() if name not in (*SHOWN, *TESTS)}
    held["data"].pop("tests", None)
    held["settings"] = [{name: each[name] for name in each if name not in TESTS} for each in held["settings"]]
    return content_hash(held)


@dataclass(frozen=True)
class Whole:
    """All that a folder was asked for: what was asked last, and what was asked before and goes with it.

    others: runs that were asked for before with other settings or by another version, which no table mixes in.
    """

    spec: ExperimentSpec
    runs: tuple[Wanted, ...]
    others: tuple[Wanted, ...] = field(default=())


def whole(asked: Sequence[Asked]) -> Whole:
    """asked: oldest first, at least one. A run asked for twice is to have the tests of both times."""
    last = asked[-1]
    found = {run.place: run for run in last.runs}
    names = {test: tested(test) for test in {test for each in asked for run in each.runs for test in run.tests}}
    now = {(run.model, run.task, names[test]): (test, facts) for run in last.runs for test, facts in run.tests.items()}
    others: dict[str, Wanted] = {}
    for earlier in reversed(asked[:-1]):
        alike = (earlier.settings, earlier.version) == (last.settings, last.version)
        for run in earlier.runs:
            held = found.get(run.place)
            tests = [((run.model, run.task, names[test]), (test, facts)) for test, facts in run.tests.items()]
            same = all(now.get(test, as_then) == as_then for test, as_then in tests)
            if held is not None and held.name == run.name:
                found[run.place] = replace(held, tests={**run.tests, **held.tests})
            elif held is None and alike and same:
                found[run.place] = run
            else:
                others.setdefault(run.name, run)
    return Whole(last.spec, tuple(found.values()), tuple(others.values()))


def read_asked(out: Path) -> list[Asked]:
    """What a folder was asked for, oldest first; nothing for one of an earlier version, which did not keep it."""
    found = []
    for path in sorted((out / ASKED).glob("*.json")):
        held = read_json(path) or {}
        spec = ExperimentSpec.read(held.get("spec", {}), f"{path}: spec.")
        try:
            runs = tuple(Wanted(**each) for each in held["runs"])
        except (TypeError, LookupError) as error:
            raise UserError(f"{path}: holds no list of runs ({error})") from None
        found.append(Asked(spec, runs, str(held.get("settings", "")), str(held.get("version", ""))))
    return found


def keep_asked(out: Path, spec: ExperimentSpec, runs: Collection[Wanted]) -> None:
    """Note in `out` what is asked for now; UserError as `check_folder`, and nothing else there is changed."""
    check_folder(out)
    with locked(out, "report", ASKED, wait=True):
        before = read_asked(out)
        if not before or to_dict(before[-1].spec) != to_dict(spec) or before[-1].runs != tuple(runs):
            held: dict[str, Any] = {"spec": to_dict(spec), "settings": settings_of(spec), "version": VERSION}
            held["runs"] = [asdict(run) for run in runs]
            write_json(out / ASKED / f"{len(before) + 1:04d}-{content_hash(held)[:8]}.json", held)
        write_atomic(out / SPEC, to_text(spec))


def check_folder(out: Path) -> ExperimentSpec | None:
    """The spec that `out` holds, None where it is new or empty; UserError where it is or holds anything else."""
    path = out / SPEC
    check_place(out, folder=True)
    for name in (SPEC, LOCK):
        check_place(out / name, folder=False)
    for name in ("runs", "report", ASKED, SEARCH):
        check_place(out / name, folder=True)
    if path.is_file() and path.stat().st_size:
        try:
            return ExperimentSpec.read(read_yaml(path) or {})
        except UserError as error:
            raise UserError(
                f"out: {str(path)!r} describes no experiment ({error}); choose another --out folder"
            ) from error
    if out.is_dir() and not all(_is_ours(each) for each in out.iterdir()):
        raise UserError(f"out: {str(out)!r} is not empty and holds no experiment; choose another --out folder")
    return None


def _is_ours(path: Path) -> bool:
    """Whether this is all that a command leaves that is stopped before its experiment has begun."""
    return path.name in (SPEC, ASKED, SEARCH) or passes_by(path.name)
