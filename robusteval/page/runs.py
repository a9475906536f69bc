"""The runs of an experiment: which are there and which are not, with what they were done, and how to do them again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from robusteval.report.experiment import title_of
from robusteval.results.asked import Wanted
from robusteval.results.experiment import Experiment
from robusteval.results.progress import Standing, standing
from robusteval.runtime.environment import differences
from robusteval.settings.spec import to_text

STATES = {"failed": "failed", "damaged": "damaged", "running": "running", "begun": "begun and left", "open": "to do",
          "done": "done"}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """A run. state: a value of `STATES`; why: what went wrong, or what is under way."""

    run: Wanted
    state: str
    why: str = ""


@dataclass(frozen=True)
class Runs:
    """every: the runs, those that need a word first; others: how many were done with other settings or another version.

    unlike: a sentence for each version, commit or device in which runs differ. environment: name and value of each,
    with the share of runs where there are several. spec: the experiment as YAML.
    """

    every: tuple[Told, ...]
    others: int
    unlike: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    spec: str

    @property
    def counts(self) -> dict[str, int]:
        """How many runs are in each state, by `STATES`; states of none are left out."""
        found = Counter(each.state for each in self.every)
        return {word: found[word] for word in STATES.values() if found[word]}

    @property
    def groups(self) -> list[tuple[str, list[Told]]]:
        """The runs by state, in the order of `STATES`."""
        return [(word, [each for each in self.every if each.state == word]) for word in self.counts]

    @property
    def whole(self) -> bool:
        return set(self.counts) <= {"done"}

    @property
    def state(self) -> str:
        """Like "72 runs: 1 failed, 3 to do, 68 done"."""
        told = ", ".join(f"{count} {word}" for word, count in self.counts.items())
        return f"{len(self.every)} run{'s' if len(self.every) != 1 else ''}: {told}"


def runs_of(experiment: Experiment) -> Runs:
    """What became of each run, from what lies on disk."""
    found = [_told(experiment, standing(experiment.path, wanted)) for wanted in experiment.asked]
    rank = list(STATES.values())
    every = sorted(found, key=lambda each: rank.index(each.state))
    spec, names = experiment.spec, {wanted.name: wanted for wanted in experiment.asked}
    titles = {name: title_of(wanted, len(spec.tasks) > 1, len(spec.models) > 1) for name, wanted in names.items()}
    unlike = differences({titles[run.path.name]: run.environments() for run in experiment.runs})
    return Runs(
        tuple(every), len(experiment.others), tuple(unlike), tuple(_environment(experiment)), to_text(experiment.spec)
    )


def _told(experiment: Experiment, found: Standing) -> Told:
    damage = experiment.damaged.get(found.wanted.name)
    if damage is not None:
        return Told(found.wanted, STATES["damaged"], damage)
    # a run that ended since the experiment was opened is in none of its numbers
    state = found.state if found.state != "done" or found.wanted.name not in experiment.unfinished else "running"
    return Told(found.wanted, STATES[state], found.trouble or found.at)


def _environment(experiment: Experiment) -> list[tuple[str, str]]:
    """Commit, versions and hardware, of several values the commonest first, each with how many have it."""
    found: dict[str, Counter[str]] = {}
    for each in (each for run in experiment.runs for each in run.environments()):
        parts = {"commit": each.get("git_commit", ""), **each.get("versions", {}), **each.get("hardware", {})}
        for name, value in parts.items():
            if value not in ("", None):
                found.setdefault(name, Counter())[str(value)] += 1
    return [
        (name, "; ".join(value if len(of) == 1 else f"{value} ({count} of {of.total()})" for value, count in ranked))
        for name, of in found.items()
        for ranked in [of.most_common()]
    ]
