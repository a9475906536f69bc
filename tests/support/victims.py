"""Models to attack that cost little, for this process and for workers; and what is compared of the results."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from robusteval.attacks.runner import Victim
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
