"""The one road to a classifier that is trained, tested or attacked: opened by name or taken from memory, then tried."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from robusteval.errors import UserError, first_line
from robusteval.models.dropout import set_dropout
from robusteval.models.encoding import encode
from robusteval.models.hashes import memory_sha256
from robusteval.models.label_order import apply_match, match_labels, name_labels
from robusteval.models.loading import LoadedModel, load_model
from robusteval.models.tokenizers import adapt_tokenizer, check_max_length, unpadded_logits
from robusteval.tasks.base import Examples


def open_classifier(
    model: Any,
    tokenizer: Any = None,
    *,
    labels: tuple[str, ...],
    outputs: tuple[str, ...] = (),
    seed: int = 0,
    keep_head: bool,
    revision: str = "main",
    trust_remote_code: bool = False,
    dropout: float | None = None,
) -> LoadedModel:
    """A classifier for these labels (none: a score), with a tokenizer that fits it.

    outputs: as in `models.load_model`.
    model: a registered name, folder or hub id (`models.load_model`); or a classifier in memory, with its `tokenizer`.
    Of one in memory the tokenizer is left as it was, and so is the order of its outputs where the head is kept.
    """
    if isinstance(model, str | Path):
        return load_model(
            str(model), labels=labels, outputs=outputs, seed=seed, revision=revision,
            trust_remote_code=trust_remote_code, dropout=dropout, keep_head=keep_head,
        )  # fmt: skip
    if tokenizer is None:
        raise UserError("tokenizer: not given; a model in memory needs its tokenizer")
    count = len(outputs or labels) or 1
    if model.config.num_labels != count:
        raise UserError(f"model: it has {model.config.num_labels} outputs but the task needs {count}")
    notices: list[str] = []
    if keep_head:
        match = match_labels("model in memory", model.config, labels, outputs)
        notices += match.notices
        if match.order or match.classes:
            # the caller's model keeps its outputs
            model = copy.deepcopy(model)
            apply_match(model, match, labels)
    else:
        name_labels(model.config, labels)
        if dropout is not None:
            count = set_dropout(model, dropout)
            notices.append(f"dropout: set to {dropout:g} in {count} modules of the model in memory")
    tokenizer, told = adapt_tokenizer("in memory", model, tokenizer, shared=True)
    source = {"model": type(model).__name__, "origin": "memory"}
    return LoadedModel(model, tokenizer, source, memory_sha256(model, tokenizer), notices=(*notices, *told))


def try_rows(loaded: LoadedModel, examples: Sequence[Examples], max_length: int, *, finite: bool) -> list[str]:
    """Have the model read the longest row of several splits; what the user should know of them.

    finite: its logits must be finite numbers. UserError where the model cannot read so many tokens, fails, or gives
    no logit for each label.
    """
    check_max_length(loaded.model, loaded.tokenizer, max_length)
    rows = [row for split in examples for row in zip(*split.texts, strict=True)]
    if not rows:
        return []
    longest = max(rows, key=lambda row: sum(map(len, row)))
    encoded = encode(loaded.tokenizer, [[text] for text in longest], max_length=max_length)
    try:
        logits = unpadded_logits(loaded.model, encoded, 0)
    except Exception as error:  # a model's own code may raise anything
        raise UserError(f"model: {loaded.name!r} cannot read the longest row: {first_line(error)}") from error
    outputs = loaded.model.config.num_labels
    if tuple(logits.shape) != (1, outputs):
        raise UserError(
            f"model: {loaded.name!r} gives logits of shape {tuple(logits.shape)} for one row, not (1, {outputs})"
        )
    if finite and not torch.isfinite(logits).all():
        raise UserError(f"model: {loaded.name!r} gives no finite logits for the longest row; give another checkpoint")
    return _as_letters(loaded.tokenizer, rows)


def _as_letters(tokenizer: Any, rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A notice that counts the rows in which a special token is read as text."""
    notices = []
    for token in tokenizer.convert_ids_to_tokens(sorted(getattr(tokenizer, "never_in_text", ()))):
        count = sum(any(token in text for text in row) for row in rows)
        if count:
            told = f"{count} of {len(rows)} rows"
            notices.append(f"{token!r}, for which the model's head looks, is read as text in {told}")
    return notices
