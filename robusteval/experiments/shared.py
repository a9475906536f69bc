"""What the runs of a plan have in common, so that one of them does it for all."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from robusteval.experiments.jobs import Job
from robusteval.methods.base import Method
from robusteval.methods.compose import build_method
from robusteval.registry import result_name
from robusteval.scenarios.base import build_scenarios, prepare
from robusteval.settings.codec import content_hash
from robusteval.settings.runs import RunSpec
from robusteval.tasks.base import fingerprint
from robusteval.tasks.load import TaskData

Shares = dict[str, dict[Hashable, list[Job]]]
"""Jobs by what they share, in words, and by all that decides it."""


def shared_work(jobs: Sequence[Job], rows: Callable[[Job], TaskData]) -> tuple[tuple[Job, ...], tuple[str, ...]]:
    """The jobs, each with what its method makes for others too, and a sentence for each thing that runs share.

    rows: of a job's task. What a run really takes from another it decides itself, by digests of all that counts.
    """
    made, kept = _made(jobs, rows), _tokenised(jobs)
    names: dict[str, list[str]] = {}
    for what, groups in made.items():
        for group in groups.values():
            for job in group:
                names.setdefault(job.name, []).append(what)
    told = [*_told(made, "on the rows of ", ""), *_told(kept, "of ", " in each process")]
    return tuple(dataclasses.replace(job, shared=tuple(names.get(job.name, ()))) for job in jobs), tuple(told)


def _told(shares: Shares, link: str, where: str) -> list[str]:
    """A sentence for each thing on each model and task."""
    sentences = []
    for what, groups in shares.items():
        places: dict[str, list[list[Job]]] = {}
        for group in groups.values():
            run = group[0].spec
            places.setdefault(f"{what} {link}{result_name(run.task)} ({run.model})", []).append(group)
        for place, several in places.items():
            times = "once" if len(several) == 1 else f"{len(several)} times"
            sentences.append(f"done {times}{where}: {place}, for {sum(map(len, several))} runs")
    return sentences


def _several(groups: Mapping[Hashable, list[Job]]) -> dict[Hashable, list[Job]]:
    return {key: group for key, group in groups.items() if len(group) > 1}


def _made(jobs: Sequence[Job], rows: Callable[[Job], TaskData]) -> Shares:
    """What methods make before training."""
    found: Shares = {}

    @functools.cache
    def prepared(scenario: Hashable, seed: int, first: str, labels: bool) -> str:
        job = by_name[first]
        data = rows(job)
        left = prepare(build_scenarios(job.spec.scenario), data.train, data.task, seed)
        chances = "" if left.weights is None else left.weights.tobytes().hex()
        examples = left.examples
        held = examples.fingerprint if labels else fingerprint(examples.texts, np.zeros(len(examples)))
        return content_hash([held, chances])

    by_name = {job.name: job for job in jobs}
    first: dict[Hashable, str] = {}
    methods: dict[str, Method[Any]] = {}
    for job in jobs:
        run = job.spec
        if run.method.label not in methods:
            methods[run.method.label] = build_method(run.method)
        for shared in methods[run.method.label].shared(run.train, run.seed):
            place = (run.model, run.task, run.scenario.label)
            digest = prepared(place, run.seed, first.setdefault(place, job.name), shared.labels)
            head = run.seed if shared.labels else None
            key = content_hash([shared.plain, job.facts["model"], digest, head])
            found.setdefault(shared.name, {}).setdefault(key, []).append(job)
    return {what: several for what, groups in found.items() if (several := _several(groups))}


def _tokenised(jobs: Sequence[Job]) -> Shares:
    """Training rows as a model reads them; a scenario leaves other rows for each seed."""
    groups: dict[Hashable, list[Job]] = {}
    for job in jobs:
        groups.setdefault(_read_by(job.spec), []).append(job)
    several = _several(groups)
    return {"tokenised training rows": several} if several else {}


def _read_by(run: RunSpec) -> Hashable:
    drawn = (run.scenario.label, run.seed) if build_scenarios(run.scenario) else ()
    return run.model, run.task, run.train.max_length, drawn
