"""Accuracy of the demo tasks' dev rows by what their cue says; it reads the clean predictions and costs nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, NoSettings, Subject, Suite
from robusteval.evaluation.subgroups import parts, sizes
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.demo import cue_says
from robusteval.tasks.load import TaskData

SAYS = ("with", "against", "none")


class Cue(Suite[NoSettings]):
    """The accuracy on rows whose cue sides "with" their label, "against" it, and on those that have "none".

    A model that leans on the cue is right on the first and wrong on the second. Rows with a cue whose label is on
    neither side (neutral) are left out.
    """

    reads = ()

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        members = [] if data.task.regression else self._members(data)
        if SAYS.index("against") not in members:
            raise UserError(
                f"suites: {self.name!r} needs the cue that demo-sentiment and demo-nli have, and no dev row of "
                f"{data.task.name!r} has one that is against its label"
            )
        return []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        members = self._members(data)
        return sizes(members[members < len(SAYS)], SAYS)

    def run(self, subject: Subject) -> Iterator[Measurement]:
        for item in parts(subject, self.name, self._members(subject.data), SAYS):
            yield dataclasses.replace(item, aspect="robustness") if item.value == "against" else item

    def _members(self, data: TaskData) -> Any:
        """The index in `SAYS` of each dev row [n]; beyond them where it is in no part."""
        names = (data.task.labels[label] for label in data.dev.labels)
        told = map(cue_says, data.dev.texts[-1], names)
        return np.asarray([SAYS.index(each) if each else len(SAYS) for each in told], np.int64)
