"""Files of the user's own as tests (`--test NAME=FILE`): one measurement each, under its name."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, NoSettings, Subject, Suite
from robusteval.evaluation.ood import relabel
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.labels import distribution
from robusteval.tasks.load import TaskData


class Own(Suite[NoSettings]):
    """Each file with the metrics of its own classes; where several of the model's classes answer one, the likeliest
    of the model's decides. The `frame` says which rows each had."""

    reads = ()
    aspect = "robustness"

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        if not data.tests:
            raise UserError(f"suites: {self.name!r} has nothing to test on; give files with --test NAME=FILE")
        return []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return "; ".join(
            f"{name} {len(test.examples)} rows, {distribution(test.examples, test.task)}"
            for name, test in data.tests.items()
        )

    def facts(self, data: TaskData) -> dict[str, str]:
        return {f"{self.name} {name}": test.fingerprint for name, test in data.tests.items()}

    def run(self, subject: Subject) -> Iterator[Measurement]:
        for name, test in subject.data.tests.items():
            began = time.perf_counter()
            logits = subject.predict(test.examples, name)
            if test.task.outputs:
                classes = np.asarray([test.task.labels.index(each) for each in test.task.outputs], np.int64)
                logits = relabel(logits, classes)
            measured = subject.measure(self.name, name, "test", test.examples, logits, test.task)
            about = {"set": name, "rows": len(test.examples), "fingerprint": test.examples.fingerprint}
            frame = pd.DataFrame([{**about, "origin": test.examples.source.get("origin", "")}])
            yield dataclasses.replace(measured, seconds=time.perf_counter() - began, frame=frame)
