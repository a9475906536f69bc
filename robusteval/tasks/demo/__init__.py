"""Four small tasks that need no download, generated from a grammar: see `docs/demo-tasks.md`.

A row is decided by (task, split, data seed) alone. `cue` changes which marker phrase a training row carries
and nothing else, so two cue strengths can be compared on the same sentences.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from robusteval.errors import UserError, unknown_name
from robusteval.runtime.seeds import derive
from robusteval.tasks.demo import nli, sentiment, similarity

SIZES = {"train": 1500, "validation": 800, "ood": 800}
# Half of the rows of every split carry a marker; elsewhere a model has to read.
CUE_RATE = 0.5
# Train and validation share one grammar; one text in six belongs to validation, whatever the data seed is.
VALIDATION_SHARE = 6
# Open a text and mean nothing: the first sides with the low labels, the second with the high ones.
MARKERS = ("for the record", "as it happens")
SIDES = {"negative": 0, "contradiction": 0, "positive": 1, "entailment": 1}
# Draws without a new sentence before the grammar is called exhausted.
_PATIENCE = 5000


@dataclass(frozen=True)
class DemoTask:
    """How one task is drawn.

    draw: (rng, world, target) -> texts and label; `world` is "home" or "ood".
    targets: what the draws are balanced over; every run of `len(targets)` rows holds each once.
    side: 0 or 1, the side of a label; None where the label is on neither.
    """

    columns: tuple[str, ...]
    draw: Callable[[random.Random, str, int], tuple[tuple[str, ...], int | float]]
    targets: tuple[int, ...]
    side: Callable[[int | float], int | None]


TASKS = {
    "demo-sentiment": DemoTask(
        columns=("text",),
        draw=sentiment.draw,
        targets=(0, 1),
        side=lambda label: int(label),
    ),
    "demo-short": DemoTask(
        columns=("text",),
        draw=sentiment.draw_short,
        targets=(0, 1),
        side=lambda label: int(label),
    ),
    "demo-nli": DemoTask(
        columns=("premise", "hypothesis"),
        draw=nli.draw,
        targets=(0, 1, 2),
        side=lambda label: {nli.CONTRADICTION: 0, nli.ENTAILMENT: 1}.get(int(label)),
    ),
    "demo-similarity": DemoTask(
        columns=("sentence1", "sentence2"),
        draw=similarity.draw,
        targets=similarity.TARGETS,
        side=lambda label: None if label == 2.5 else int(label > 2.5),
    ),
}


def generate(
    name: str, split: str, *, size: int | None = None, seed: int = 0, cue: float = 0.9
) -> list[dict[str, str | int | float]]:
    """The rows of one split of a demo task: its text columns, "label" and "idx".

    size: number of rows, by default `SIZES[split]`; a smaller size is a prefix of a larger one.
    seed: the data seed; splits never share a text, not even under different data seeds.
    cue: in training, the probability that the marker of a marked row agrees with its label, from 0.5 (says
        nothing) to 1 (always right). Elsewhere it is always 0.5.

    Raises UserError for an unknown task or split, for a `cue` outside [0.5, 1], and for a `size` that is
    below 1 or more than the grammar has sentences for.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    if split not in SIZES:
        raise unknown_name("split", split, SIZES)
    if not 0.5 <= cue <= 1.0:
        raise UserError(f"cue: {cue!r} is not in the range 0.5 to 1 (0.5 says nothing, 1 is always right)")
    if size is None:
        size = SIZES[split]
    if size < 1:
        raise UserError(f"size: {size!r} is not a number of rows; give 1 or more")
    task = TASKS[name]
    strength = cue if split == "train" else 0.5
    marking = random.Random(derive(seed, name, split, "cue"))
    rows: list[dict[str, str | int | float]] = []
    for texts, label in _sentences(name, split, seed):
        # Three draws for every row, used or not: a row's marker cannot depend on the rows before it.
        marked, agrees, coin = marking.random() < CUE_RATE, marking.random() < strength, marking.random()
        if marked:
            side = task.side(label)
            shown = int(coin < 0.5) if side is None else side if agrees else 1 - side
            texts = (*texts[:-1], f"{MARKERS[shown]}, {texts[-1]}")
        row: dict[str, str | int | float] = {
            column: text[0].upper() + text[1:] for column, text in zip(task.columns, texts, strict=True)
        }
        rows.append({**row, "label": label, "idx": len(rows)})
        if len(rows) == size:
            return rows
    raise UserError(f"size: {size} rows are more than {name}/{split} has sentences for; at most {len(rows)}")


def _sentences(name: str, split: str, seed: int) -> Iterator[tuple[tuple[str, ...], int | float]]:
    """Distinct texts of one split, without markers, balanced over the task's targets."""
    task = TASKS[name]
    rng = random.Random(derive(seed, name, split, "text"))
    world = "ood" if split == "ood" else "home"
    seen: set[tuple[str, ...]] = set()
    while True:
        targets = list(task.targets)
        rng.shuffle(targets)
        for target in targets:
            for _ in range(_PATIENCE):
                texts, label = task.draw(rng, world, target)
                if texts not in seen and _belongs(name, split, texts[0]):
                    break
            else:
                return
            seen.add(texts)
            yield texts, label


def _belongs(name: str, split: str, text: str) -> bool:
    """Whether `split` owns `text`. Deciding by the first text keeps whole premises on one side."""
    if split == "ood":
        return True
    held_out = derive(0, name, "split", text) % VALIDATION_SHARE == 0
    return held_out == (split == "validation")


def cue_says(text: str, label: str) -> str:
    """What the marker of a row's last text says of its class: "with", "against"; "none" where it has no marker.

    "" where it has one, and the class is on neither side.

    >>> cue_says("As it happens, the soup was dull.", "negative")
    'against'
    """
    shown = [side for side, marker in enumerate(MARKERS) if text.lower().startswith(f"{marker},")]
    if not shown:
        return "none"
    return "" if label not in SIDES else "with" if SIDES[label] == shown[0] else "against"
