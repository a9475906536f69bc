"""Where the parts of a sequence classifier are: embeddings, layers, and the vector that enters the classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from robusteval.errors import UserError


@dataclass(frozen=True)
class Submodules:
    """The submodules that methods act on, by the same names for every architecture.

    backbone: the encoder without the head.
    word_embeddings: the token table; embeddings: the whole embedding layer (XLNet: the token table, since it
        adds positions inside its layers).
    token_axis: the axis of both outputs that runs over tokens: [B, L, d] has 1, XLNet's [L, B, d] has 0.
    layers: the encoder blocks, bottom to top.
    dense: the linear layer whose activation is the pooled vector h.
    dropout: the module that h passes just before the classifier.
    classifier: the last linear layer.
    """

    backbone: nn.Module
    word_embeddings: nn.Embedding
    embeddings: nn.Module
    layers: nn.ModuleList
    dense: nn.Module
    dropout: nn.Module
    classifier: nn.Linear
    token_axis: int = 1

    def layer_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Parameters of the encoder blocks, bias and LayerNorm included, with names inside `layers`."""
        return list(self.layers.named_parameters())


# Attribute paths per model type, `backbone` first; "@" stands for the backbone's own attribute name.
_PATHS: dict[str, tuple[str, str, str, str, str, str, str]] = {
    # type: backbone, word embeddings, embeddings, layers, dense, dropout, classifier
    "bert": (
        "bert", "@.embeddings.word_embeddings", "@.embeddings", "@.encoder.layer",
        "@.pooler.dense", "dropout", "classifier",
    ),
    "roberta": (
        "roberta", "@.embeddings.word_embeddings", "@.embeddings", "@.encoder.layer",
        "classifier.dense", "classifier.dropout", "classifier.out_proj",
    ),
    "electra": (
        "electra", "@.embeddings.word_embeddings", "@.embeddings", "@.encoder.layer",
        "classifier.dense", "classifier.dropout", "classifier.out_proj",
    ),
    "deberta": (
        "deberta", "@.embeddings.word_embeddings", "@.embeddings", "@.encoder.layer",
        "pooler.dense", "dropout", "classifier",
    ),
    "albert": (
        "albert", "@.embeddings.word_embeddings", "@.embeddings", "@.encoder.albert_layer_groups",
        "@.pooler", "dropout", "classifier",
    ),
    "distilbert": (
        "distilbert", "@.embeddings.word_embeddings", "@.embeddings", "@.transformer.layer",
        "pre_classifier", "dropout", "classifier",
    ),
    "xlnet": (
        "transformer", "@.word_embedding", "@.word_embedding", "@.layer",
        "sequence_summary.summary", "sequence_summary.last_dropout", "logits_proj",
    ),
}  # fmt: skip
_PATHS["xlm-roberta"] = _PATHS["roberta"]
_PATHS["camembert"] = _PATHS["roberta"]
_PATHS["deberta-v2"] = _PATHS["deberta"]


def check_architecture(kind: str) -> None:
    """Raise UserError for a model type whose parts are not known here."""
    if kind not in _PATHS:
        raise UserError(
            f"model: architecture {kind!r} is not known to methods that act inside the model; "
            f"known: {', '.join(sorted(_PATHS))}"
        )


def submodules(model: Any) -> Submodules:
    """The submodules of a transformers sequence classifier.

    Raises UserError for an architecture that is not known here.
    """
    kind = model.config.model_type
    check_architecture(kind)
    backbone, *paths = _PATHS[kind]
    parts: list[Any] = [model.get_submodule(path.replace("@", backbone)) for path in paths]
    words, embeddings, layers, dense, dropout, classifier = parts
    axis = 0 if kind == "xlnet" else 1
    whole = model.get_submodule(backbone)
    return Submodules(whole, words, embeddings, layers, dense, dropout, classifier, axis)


class OutputHook:
    """Replaces what a module gives: function(output) -> output. `remove()`, or leaving the block, restores it."""

    def __init__(self, module: nn.Module, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._handle = module.register_forward_hook(lambda module, inputs, output: function(output))

    def remove(self) -> None:
        self._handle.remove()

    def __enter__(self) -> OutputHook:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class PooledHook:
    """Replaces the pooled vector h, after its activation and before dropout and classifier.

    function(h, dense) -> z: all [B, d]; `dense` is the same vector before the activation.
    `remove()` restores the model. Heads that send two vectors through one dropout module (RoBERTa) are
    told apart by the dense layer: only the first dropout call after it carries h.
    """

    def __init__(self, model: Any, function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        parts = submodules(model)
        self._function = function
        self._dense: torch.Tensor | None = None
        self._handles = [
            parts.dense.register_forward_hook(self._remember),
            parts.dropout.register_forward_pre_hook(self._replace),
        ]

    def _remember(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        self._dense = output

    def _replace(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        if self._dense is None:
            return None
        dense, self._dense = self._dense, None
        return (self._function(inputs[0], dense), *inputs[1:])

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()
