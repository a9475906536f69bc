"""What an engine is given: a run, where it lies, and what it is to have been tested on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robusteval.errors import UserError
from robusteval.results.asked import Wanted, tested
from robusteval.results.journal import Journal
from robusteval.results.store import RunFolder
from robusteval.settings.codec import content_hash
from robusteval.settings.runs import RunSpec

Facts = Mapping[str, str]


@dataclass(frozen=True)
class Job:
    """A run of a plan. name: of its folder in OUT/runs; title: in words; facts: what besides the spec decides its
    training, by name; tests: the stages that it is to have, each with what besides the run decides its numbers; shared:
    what its method makes before training for other runs of the plan, too (`Shared.name`)."""

    spec: RunSpec
    name: str
    title: str
    facts: Facts = field(default_factory=dict)
    tests: Mapping[str, Facts] = field(default_factory=dict)
    shared: tuple[str, ...] = ()

    def folder(self, out: Path) -> RunFolder:
        return RunFolder(out / "runs" / self.name)

    def done(self, out: Path) -> bool:
        """Whether it is finished, with all its tests, none of which is now to measure more."""
        return self.folder(out).holds(self.tests)

    @property
    def wanted(self) -> Wanted:
        spec = self.spec.identity
        del spec["seed"]
        tests = {name: content_hash(dict(facts))[:16] for name, facts in self.tests.items()}
        return Wanted.of(self.spec, self.name, tests, content_hash({"spec": spec, "facts": dict(self.facts)})[:16])


def placed(
    run: RunSpec, facts: Facts, tests: Mapping[str, Facts], out: Path, title: str, identity: Mapping[str, Any]
) -> tuple[Job, bool, list[str]]:
    """The job of a run in `out`, whether it is done, and a sentence for each test that makes it a run beside another.

    A finished test stays what it is: where one was measured with other settings or on other rows than it is now to
    have, the whole run lies in another folder. identity: `RunSpec.identity`, costly to make for thousands of runs.
    """
    own: dict[str, str] = {}
    told: list[str] = []
    while True:
        job = Job(run, run.name(identity, **{**facts, **own}), title, facts, tests)
        folder = job.folder(out)
        journal = _journal(folder)
        conflicts = {stage: why for stage, why in _conflicts(journal, tests) if stage not in own}
        if not conflicts:
            return job, journal.holds(tests), told
        own |= {stage: content_hash(dict(tests[stage])) for stage in conflicts}
        told += conflicts.values()


def _journal(folder: RunFolder) -> Journal:
    try:
        return folder.journal()
    except UserError:  # which is told where the run is done
        return Journal(folder.rows_path)


def _conflicts(journal: Journal, tests: Mapping[str, Facts]) -> Iterator[tuple[str, str]]:
    asked_for = {tested(name): name for name in tests}
    for held_name, stage in journal.stages.items():
        name = asked_for.get(tested(held_name))
        if name is None:
            continue
        held, asked = stage.marker.facts, tests[name]
        other = [key for key, value in held.items() if key in asked and asked[key] != value]
        if name != held_name:  # rows and files bear a suite's name alone
            yield name, f"{held_name}, not {name}"
        elif other:
            yield name, f"{name} with {other[0]} {held[other[0]]}, not {asked[other[0]]}"


def outgrown(folder: RunFolder, tests: Mapping[str, Facts]) -> list[str]:
    """The finished tests that are now to measure more than they did."""
    held = {name: stage.marker.facts for name, stage in folder.journal().stages.items()}
    return [name for name, facts in tests.items() if name in held and not facts.items() <= held[name].items()]
