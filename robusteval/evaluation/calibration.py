"""Suite `calibration`: whether a classifier is right as often as it says it is (Guo et al., ICML 2017)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import log_softmax

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.results.metrics import brier, ece, reliability
from robusteval.settings.checks import check_range
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.load import TaskData


@dataclass(frozen=True)
class CalibrationSettings:
    """bins: equal-width confidence bins of the expected calibration error."""

    bins: int = 15

    def __post_init__(self) -> None:
        check_range("calibration:bins", self.bins, 1, 1000)


class Calibration(Suite[CalibrationSettings]):
    """ECE, Brier score and negative log likelihood (nats) of the clean dev logits: no forward pass of its own."""

    reads = ()
    Settings = CalibrationSettings

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        if data.task.regression:
            raise UserError(
                f"suites: {self.name!r} needs a task with classes; the labels of {data.task.name!r} are scores"
            )
        return []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return f"{len(data.dev)} rows in {self.settings.bins} bins"

    def run(self, subject: Subject) -> Iterator[Measurement]:
        data, bins = subject.data, self.settings.bins
        gold, logits = data.dev.labels, subject.clean
        began = time.perf_counter()
        log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
        probabilities = np.exp(log_probabilities)
        metrics = {
            "ece": ece(gold, probabilities, bins),
            "brier": brier(gold, probabilities),
            "nll": float(-np.take_along_axis(log_probabilities, gold.astype(np.int64)[:, None], axis=1).mean()),
        }
        counts, confidence, accuracy = reliability(gold, probabilities, bins)
        edges = np.linspace(0, 1, bins + 1)
        frame = pd.DataFrame(
            {
                "bin": np.arange(bins),
                "low": edges[:-1],
                "high": edges[1:],
                "count": counts,
                "confidence": confidence,
                "accuracy": accuracy,
            }
        )
        seconds = time.perf_counter() - began
        yield Measurement(self.name, "", data.task.dev, metrics, len(data.dev), seconds, frame=frame)
