"""What a trained model's configuration, which is saved with it, says of its training, and what follows for a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Fields of a model's configuration.
TEXTS, TRAINED_WITH = "robusteval_texts", "robusteval_trained_with"


def record_training(config: Any, texts: int, predicts_with: str | None) -> None:
    """Write down how a model was trained.

    texts: how many a row has; predicts_with: the method without which the model predicts otherwise, if any.
    """
    setattr(config, TEXTS, texts)
    vars(config).pop(TRAINED_WITH, None)
    if predicts_with is not None:
        setattr(config, TRAINED_WITH, predicts_with)


def text_count_notices(config: Any, count: int, labels: Sequence[str]) -> tuple[str, ...]:
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


def plain_model_notices(config: Any) -> tuple[str, ...]:
    """A notice for whoever measures a model without the method that it was trained to predict with."""
    name = getattr(config, TRAINED_WITH, None)
    if name is None:
        return ()
    return (
        f"the model was trained with {name} to predict with more than its weights (eval=batch or pre_act=true), "
        "and is measured here without that; train-and-attack measures both together",
    )
