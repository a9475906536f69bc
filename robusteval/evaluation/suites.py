"""Suites as they were asked for, and the ones that need no file of their own: clean text and perturbed tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from robusteval.evaluation import SUITES
from robusteval.evaluation.base import Measurement, NoSettings, Subject, Suite, random_sets
from robusteval.models.architectures import check_architecture
from robusteval.models.encoding import Encoded
from robusteval.perturbations import PERTURBATIONS
from robusteval.perturbations.base import Source
from robusteval.perturbations.base import accepted as perturbation_of
from robusteval.registry import CustomEntry
from robusteval.results.metrics import predictions
from robusteval.runtime.seeds import derive
from robusteval.settings.checks import check_distinct
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.grammar import parse_part
from robusteval.tasks.load import TaskData
from robusteval.tasks.sources import RowsMissing


def build_suites(texts: Sequence[str]) -> dict[str, Suite[Any]]:
    """The suites that were asked for, by the text that asked: "mask", "flatness:directions=5"."""
    built = {}
    for text in texts:
        name, values = parse_part(text, "suites")
        entry = SUITES.entry(name)
        built[text] = entry.load().configure(entry.name, values)
    # files of other places may have one content, and rows bear a suite's name alone
    check_distinct("suites", [suite.name for suite in built.values()])
    return built


def accepted(entry: CustomEntry) -> type[Suite[Any]]:
    """The suite that an entry of others names, or that of a perturbation; UserError where it is neither."""
    if isinstance(entry.found(), type):
        return entry.subclass_of(Suite)
    perturbation = perturbation_of(entry, or_else=f"no subclass of {Suite.__module__}.{Suite.__qualname__}, and ")
    return type("Perturbed", (Perturbed,), {"perturb": staticmethod(perturbation)})


def with_own(texts: Sequence[str], data: DataConfig) -> tuple[str, ...]:
    """The suites, with that of the user's own tests where there are any."""
    return (*texts, "test") if data.tests and "test" not in texts else tuple(texts)


def check_suites(
    suites: Mapping[str, Suite[Any]],
    data: TaskData,
    tokenizer: Any,
    config: EvalConfig,
    architecture: str,
    optional: Collection[str] = (),
) -> tuple[dict[str, Suite[Any]], list[str]]:
    """The suites that can run, and what the user should know before they do; UserError where one cannot.

    architecture: the model's `model_type`. optional: suites that nobody named; where the rows of one are nowhere, it
    is left out with a notice.
    """
    kept, notices = {}, []
    for text, suite in suites.items():
        if suite.acts_inside:
            check_architecture(architecture)
        try:
            notices += suite.check(data, tokenizer, config)
        except RowsMissing as error:
            if text not in optional:
                raise
            notices.append(str(error))
        else:
            kept[text] = suite
    return kept, notices


class Clean(Suite[NoSettings]):
    """The dev split, unchanged."""

    reads = ()

    def run(self, subject: Subject) -> Iterator[Measurement]:
        data = subject.data
        collapsed = None
        if not data.task.regression:
            found = np.unique(predictions(subject.clean, regression=False))
            if len(found) == 1 and len(np.unique(data.dev.labels)) > 1:
                collapsed = data.task.labels[int(found[0])]
        measured = subject.measure(self.name, "", data.task.dev, data.dev, subject.clean)
        yield dataclasses.replace(measured, collapsed=collapsed)


class Perturbed(Suite[NoSettings]):
    """One measurement per rate: `sets` random versions of the dev split, the same for every model (TDT, Figure 5)."""

    aspect = "robustness"

    def perturb(self, source: Source, rate: float, generator: np.random.Generator) -> Encoded:
        return PERTURBATIONS[self.name](source, rate, generator)

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        for rate in (0.0, 0.5):
            self.perturb(self.trial(data, tokenizer, config), rate, np.random.default_rng(0))
        return []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return random_sets(config)

    def run(self, subject: Subject) -> Iterator[Measurement]:
        for rate in subject.config.rates:
            yield subject.measure_sets(self.name, f"{rate:g}", self._sets(subject.source, rate, subject.config.sets))

    def _sets(self, source: Source, rate: float, count: int) -> Iterator[Encoded]:
        for number in range(count):
            seed = derive(0, "perturbation", self.name, f"{rate:g}", number)
            yield self.perturb(source, rate, np.random.default_rng(seed))
