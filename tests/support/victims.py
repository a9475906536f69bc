"""Models to attack that cost little, for this process and for workers; and what is compared of the results."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from robusteval.attacks.plan import make_plan
from robusteval.attacks.runner import AttackResult, Progress, Victim
from robusteval.attacks.workers import attack_in_workers, check_numbers
from robusteval.pipeline.attack import checkpoint_victim
from robusteval.results.attack_lines import AttackLine
from robusteval.tasks.base import Examples

LABELS = ("negative", "positive")
Facts = tuple[str, str, int]


def examples_of(texts: Sequence[str], gold: Sequence[int]) -> Examples:
    return Examples((tuple(texts),), np.array(gold), tuple(f"row-{row}" for row in range(len(texts))), "")


def facts(lines: Sequence[AttackLine]) -> dict[str, Facts]:
    return {line["id"]: (line["outcome"], (line["perturbed"] or [""])[0], line["queries"]) for line in lines}


def keyword(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
    """Positive where the text says good; every text has a score of its own."""
    rest = [sum(place * ord(letter) for place, letter in enumerate(text[0])) % 97 / 1000 for text in texts]
    good = np.array([2 if "good" in text[0].split() else -2 for text in texts])
    return np.stack([np.zeros(len(texts)), good + np.array(rest)], 1).astype(np.float32)


def keyword_victim() -> Victim:
    """For worker processes."""
    return Victim(keyword, "keyword")


def slow_victim(folder: Path) -> Victim:
    """For worker processes: the tiny checkpoint, slow enough to be killed at work."""
    victim = checkpoint_victim(folder, LABELS, 64, "cpu", 1)

    def predict(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        time.sleep(0.1)
        return victim.predict(texts)

    return Victim(predict, victim.name)


def attack_checkpoint(
    folder: Path,
    examples: Examples,
    labels: Sequence[str],
    recipe: str,
    *,
    workers: int = 1,
    parallel: int = 1,
    max_length: int = 128,
    threads: int = 0,
    cache: Path | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> AttackResult:
    """A checkpoint's folder under one recipe, as a campaign attacks it: opened here, and in each process that helps."""
    check_numbers(workers, parallel)
    load = functools.partial(checkpoint_victim, folder, tuple(labels), max_length, "cpu", threads)
    plan = make_plan(examples, labels, recipe, **settings)
    return attack_in_workers(load, plan, workers, parallel, cache, out, progress, load().name)
