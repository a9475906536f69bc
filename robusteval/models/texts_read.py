"""How many texts a row has that a model was trained on: kept in its configuration, compared where it is tested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Field of a model's configuration.
TEXTS = "robusteval_texts"


def remember_texts(config: Any, count: int) -> None:
    """Write down that a model was trained on rows of so many texts; its checkpoint bears it."""
    setattr(config, TEXTS, count)


def other_texts(config: Any, count: int, labels: Sequence[str]) -> tuple[str, ...]:
    """A notice where a model reads rows of another number of texts than it was trained on.

    count: texts of a row that is tested; labels: the classes of the task. Of a checkpoint that bears no number only
    inference is known to be about two texts.
    """
    trained = getattr(config, TEXTS, None)
    if trained is not None and trained != count:
        return (f"the model was trained on rows of {trained} text{'s' if trained > 1 else ''} and reads {count} here",)
    if trained is None and count == 1 and "entailment" in [label.lower() for label in labels]:
        return ("entailment holds between two texts, and one text is read here (--text-columns)",)
    return ()
