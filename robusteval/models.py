"""Loading pretrained encoders with a classification head."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from robusteval.catalogue import locate
from robusteval.config import check_range
from robusteval.dropout import configure_dropout, set_dropout
from robusteval.errors import UserError
from robusteval.hashes import weights_sha256
from robusteval.heads import Match, label_names, match_labels, name_labels, order_head
from robusteval.seeds import derive

logger = logging.getLogger(__name__)


@dataclass
class LoadedModel:
    """A sequence classifier in memory, its tokenizer, and what exactly was loaded.

    source: name, folder or hub commit; sha256: over the weight files, or `memory_sha256` where there are none.
    folder: where they lie; None for a model that was given in memory.
    notices: what the user should know about how its outputs answer the task.
    """

    model: Any
    tokenizer: Any
    source: dict[str, str]
    sha256: str
    folder: Path | None = None
    notices: tuple[str, ...] = ()


def check_weights(folder: Path) -> None:
    """Raise UserError where a safetensors file is damaged; only headers are read."""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(f"model: {str(file)!r} is damaged: {_first_line(error)}") from error


def load_model(
    name: str,
    *,
    labels: tuple[str, ...],
    seed: int,
    revision: str = "main",
    trust_remote_code: bool = False,
    dropout: float | None = None,
    keep_head: bool = False,
) -> LoadedModel:
    """Load an encoder with a classification head, on the CPU in fp32, in evaluation mode.

    labels: class names in order; empty for regression (one output).
    seed: run seed; a new head depends on it alone, so that two methods start from the same weights.
    keep_head: the checkpoint must bring a head for exactly these labels (evaluation), which is put into their order
        (`heads.match_labels`); otherwise a head of another size is replaced by a new one, with a warning.
    Raises UserError for anything that cannot be loaded.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

    folder, source = locate(name, revision)
    digest = weights_sha256(folder)
    count = len(labels) or 1
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # a damaged folder fails in as many ways as there are tokenizers
        raise UserError(f"model: {name!r} cannot be loaded: {_first_line(error)}") from error
    match = Match()
    if keep_head:
        match = match_labels(name, config, labels)
    else:
        config.num_labels = count
        name_labels(config, labels)
        config.problem_type = "single_label_classification" if labels else "regression"
    if dropout is not None:
        configure_dropout(config, dropout)
    # a fork, so that drawing the head does not move the generator that dropout uses
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "head"))
        try:
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                ignore_mismatched_sizes=not keep_head,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"model: {name!r} cannot be loaded: {_first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if keep_head and missing:
        raise UserError(f"model: {name!r} is not a fine-tuned classifier: its weights lack {', '.join(missing[:3])}")
    if report["mismatched_keys"]:
        logger.warning("the head of %s has another size and is replaced by a new one", name)
    if tokenizer.pad_token is None:
        raise UserError(f"model: the tokenizer of {name!r} has no padding token")
    if match.order:
        order_head(model, match.order, labels)
    if dropout is not None:
        # configurations of other architectures keep rates under other names
        set_dropout(model, dropout)
    return LoadedModel(model.float().eval(), tokenizer, source, digest, folder, match.notices)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def checkpoint_labels(model: Any) -> tuple[str, ...]:
    """The class names a checkpoint was trained with, in order; none for a regression model."""
    from transformers import AutoConfig

    if isinstance(model, str | Path):
        try:
            config = AutoConfig.from_pretrained(locate(str(model))[0])
        except (OSError, ValueError) as error:
            raise UserError(f"model: {str(model)!r} cannot be loaded: {str(error).splitlines()[0]}") from error
    else:
        config = model.config
    return label_names(config)


def check_max_length(config: Any, tokenizer: Any, max_length: int) -> None:
    """Raise UserError where `max_length` is more than the model of this configuration has positions for."""
    check_range("max_length", max_length, 3, math.inf)
    limits = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    # RoBERTa counts positions from the padding index on
    if getattr(config, "model_type", "") in ("roberta", "xlm-roberta", "camembert") and limits[0]:
        limits[0] -= config.pad_token_id + 1
    limit = min((value for value in limits if value and value > 0), default=max_length)
    if max_length > limit:
        raise UserError(f"max_length: {max_length} tokens is more than this model can read ({int(limit)})")
