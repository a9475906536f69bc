"""The numbers of an attack, from its result lines alone; every denominator has a name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from robusteval.results.attack_lines import timed_out
from robusteval.runtime.progress import duration


@dataclass(frozen=True)
class AttackSummary:
    """Counts first, then rates. A rate whose denominator is 0 is NaN.

    examples: all lines. errors: lines whose attack raised. evaluated = examples - errors.
    timed_out: those errors that are nothing but the time limit; how many there are depends on the machine.
    skipped: nothing to attack, as the model was already wrong. attacked = succeeded + failed.
    compared: succeeded lines that have a similarity, all or none unless the sentence encoder came or went.

    clean_accuracy: right before the attack / evaluated.
    accuracy_under_attack: right on the attacked text (skipped: the original) / evaluated.
    attack_success_rate: succeeded / attacked.
    mean_queries, mean_model_rows: over attacked; queries include answers from TextAttack's cache, model rows
    are texts the model really computed (fewer where a disk cache answered others).
    mean_words_changed_percent: over succeeded texts that have words, 100 * words changed / words.
    mean_similarity: cosine of the sentence vectors before and after, over compared.
    """

    examples: int
    evaluated: int
    attacked: int
    succeeded: int
    failed: int
    skipped: int
    errors: int
    timed_out: int
    compared: int
    clean_accuracy: float
    accuracy_under_attack: float
    attack_success_rate: float
    mean_queries: float
    mean_model_rows: float
    mean_words_changed_percent: float
    mean_similarity: float

    def metrics(self) -> list[tuple[str, float, int]]:
        """(metric, value, n) with n the denominator that the value has; accuracy before is of the attacked rows only.

        Model rows are none: they depend on what a cache held when an attack went on.
        """
        return [
            ("attacked_clean_accuracy", self.clean_accuracy, self.evaluated),
            ("accuracy_under_attack", self.accuracy_under_attack, self.evaluated),
            ("attack_success_rate", self.attack_success_rate, self.attacked),
            ("mean_queries", self.mean_queries, self.attacked),
            ("mean_words_changed_percent", self.mean_words_changed_percent, self.succeeded),
            ("mean_similarity", self.mean_similarity, self.compared),
            ("errors", float(self.errors), self.examples),
        ]

    @property
    def warning(self) -> str:
        """What a reader must know of the errors; empty without any."""
        if not self.errors:
            return ""
        late = f", {self.timed_out} of them at the time limit" if self.timed_out else ""
        return f"{self.errors} of {self.examples} examples ended in an error{late} and are in no denominator"


def summarise(lines: Iterable[Mapping[str, Any]]) -> AttackSummary:
    """The summary of the result lines of one recipe (see `robusteval.results.attack_lines`)."""
    every = list(lines)
    by_outcome = {
        outcome: [line for line in every if line["outcome"] == outcome]
        for outcome in ("succeeded", "failed", "skipped", "error")
    }
    succeeded = by_outcome["succeeded"]
    attacked = succeeded + by_outcome["failed"]
    evaluated = attacked + by_outcome["skipped"]
    similarities = [line["similarity"] for line in succeeded if line.get("similarity") is not None]
    return AttackSummary(
        examples=len(every),
        evaluated=len(evaluated),
        attacked=len(attacked),
        succeeded=len(succeeded),
        failed=len(by_outcome["failed"]),
        skipped=len(by_outcome["skipped"]),
        errors=len(by_outcome["error"]),
        timed_out=sum(map(timed_out, by_outcome["error"])),
        compared=len(similarities),
        clean_accuracy=_mean([line["predicted_before"] == line["gold"] for line in evaluated]),
        accuracy_under_attack=_mean([line["predicted_after"] == line["gold"] for line in evaluated]),
        attack_success_rate=_mean([line["outcome"] == "succeeded" for line in attacked]),
        mean_queries=_mean([line["queries"] for line in attacked]),
        mean_model_rows=_mean([line["model_rows"] for line in attacked]),
        mean_words_changed_percent=_mean(
            [100 * line["words_changed"] / line["words"] for line in succeeded if line["words"]]
        ),
        mean_similarity=_mean(similarities),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


class ProgressNote:
    """What to show after each finished example: how many attacks succeed, and how long all of them will take.

    Called with what `Progress` is called with; time counts from the beginning of the first example, so that loading
    the model is not taken for attacking.
    """

    def __init__(self, wait: int = 3, clock: Callable[[], float] = time.monotonic) -> None:
        """wait: finished examples before a time is projected; clock: seconds from any origin."""
        self._wait, self._clock = wait, clock
        self._began = 0.0
        self._succeeded = self._attacked = self._lines = 0

    def __call__(self, done: int, total: int, line: Mapping[str, Any]) -> str:
        """Like "7/12 succeeded (58 %), all 200 in about 3 min 20 s"; resumed examples cost no time."""
        if not self._lines:
            self._began = self._clock() - line["seconds"]
        self._lines += 1
        self._succeeded += line["outcome"] == "succeeded"
        self._attacked += line["outcome"] in ("succeeded", "failed")
        parts = []
        if self._attacked:
            rate = 100 * self._succeeded / self._attacked
            parts.append(f"{self._succeeded}/{self._attacked} succeeded ({rate:.0f} %)")
        if self._lines >= self._wait and done < total:
            resumed = done - self._lines
            seconds = (self._clock() - self._began) / self._lines * (total - resumed)
            parts.append(f"all {total - resumed} in about {duration(seconds)}")
        return ", ".join(parts)
