"""Dropout of a classifier: its rates in a configuration before it is built, and in its modules afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from robusteval.errors import UserError

# Rates of hidden and attention dropout, under each architecture's own field names.
FIELDS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "classifier_dropout_prob",
    "pooler_dropout",
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "dropout_rate",
    "embedding_dropout",
    "mlp_dropout",
    "cls_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "seq_classif_dropout",
    "summary_last_dropout",
)
# Rates that modules hand to a function: fused attention, and encoders that drop without a layer of their own.
NUMBERS = ("dropout", "dropout_prob", "attention_dropout", "activation_dropout", "dropout_p")


def configure_dropout(config: Any, rate: float) -> None:
    """One rate for all dropout of the models that are built from `config`."""
    for field in FIELDS:
        if hasattr(config, field):
            setattr(config, field, rate)


def set_dropout(model: nn.Module, rate: float) -> int:
    """One rate for all dropout of a model in memory, as if it had been built with it; how many modules have some.

    UserError where none has: the rate would be ignored.
    """
    places = list(_places(model))
    if not places:
        raise UserError(
            f"dropout: {rate:g} cannot be set, since no module of this {type(model).__name__} has any; "
            "dropout=None leaves the model as it is"
        )
    for module, name in places:
        setattr(module, name, rate)
    configure_dropout(model.config, rate)
    return len({id(module) for module, _ in places})


def has_dropout(model: nn.Module) -> bool:
    """Whether anything is dropped in training mode."""
    return any(getattr(module, name) > 0 for module, name in _places(model))


def _places(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Each module that drops, with the name of the attribute that holds its rate."""
    for module in model.modules():
        names = ("p", "drop_prob") if "Dropout" in type(module).__name__ else NUMBERS
        for name in names:
            if isinstance(vars(module).get(name), int | float):
                yield module, name
