"""Loading a pretrained encoder with a classification head, from a folder or the hub."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from robusteval.errors import UserError, first_line, nearest
from robusteval.models.catalogue import locate
from robusteval.models.checkpoint_folder import read_json, stored_tensors
from robusteval.models.dropout import configure_dropout, set_dropout
from robusteval.models.hashes import checkpoint_sha256
from robusteval.models.label_order import LabelMatch, apply_match, label_names, match_labels, name_labels
from robusteval.models.tokenizers import adapt_tokenizer
from robusteval.models.weights import check_encoder, check_finite, load_renamed, prefix_notice, unwrapped_names
from robusteval.runtime.generators import forked
from robusteval.runtime.seeds import derive

# By configuration: a process that opens a model again and again builds each once.
_EMPTY: dict[str, Any] = {}
_MOST_EMPTY = 8


@dataclass
class LoadedModel:
    """A sequence classifier in memory, its tokenizer, and what exactly was loaded.

    source: name, folder or hub commit; sha256: `checkpoint_sha256`, or `memory_sha256` where there is no folder.
    folder: where the files lie; None for a model that was given in memory.
    notices: what the user should know of how it was loaded and how its outputs answer the task.
    """

    model: Any
    tokenizer: Any
    source: dict[str, str]
    sha256: str
    folder: Path | None = None
    notices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the user calls the model."""
        return self.source["model"]


def load_model(
    name: str,
    *,
    labels: tuple[str, ...],
    outputs: tuple[str, ...] = (),
    seed: int,
    revision: str = "main",
    trust_remote_code: bool = False,
    dropout: float | None = None,
    keep_head: bool = False,
) -> LoadedModel:
    """Load an encoder with a classification head, on the CPU in fp32, in evaluation mode.

    labels: class names in order; empty for regression (one output).
    outputs: the class that each output of a finished checkpoint answers, where its own names do not count.
    seed: run seed; a new head depends on it alone, so that two methods start from the same weights.
    keep_head: the checkpoint must bring a head for exactly these labels (evaluation), which is put into their order
        (`label_order.match_labels`); otherwise a head that is missing or of another size is new, with a notice.
    Raises UserError for anything that cannot be loaded, for an encoder that is not wholly the checkpoint's
    (`weights.check_encoder`), and for a tokenizer that does not fit it (`tokenizers.adapt_tokenizer`).
    """
    folder, source = locate(name, revision)
    stored = stored_tensors(name, folder)
    config, tokenizer = _configured(name, folder, trust_remote_code)
    match = LabelMatch()
    if keep_head:
        match = match_labels(name, config, labels, outputs)
    else:
        config.num_labels = len(labels) or 1
        name_labels(config, labels)
        config.problem_type = "single_label_classification" if labels else "regression"
    if dropout is not None:
        configure_dropout(config, dropout)
    empty = _empty_model(name, config, trust_remote_code)
    names = unwrapped_names(name, stored, empty)
    # a fork, so that drawing the head does not move the generator that dropout uses
    with forked(seed=derive(seed, "head")):
        settings: dict[str, Any] = {"config": config, "ignore_mismatched_sizes": True, "output_loading_info": True}
        try:
            if names:
                model, report = type(empty).from_pretrained(None, state_dict=load_renamed(stored, names), **settings)
            else:
                model, report = AutoModelForSequenceClassification.from_pretrained(
                    folder, use_safetensors=True, trust_remote_code=trust_remote_code, **settings
                )
        except Exception as error:  # weights that fit in part fail in as many ways as there are architectures
            raise UserError(f"model: {name!r} cannot be loaded: {first_line(error)}") from error
    notices = [prefix_notice(names)] if names else []
    sizes = {names.get(key, key): tensor.shape for key, tensor in stored.items()}
    notices += check_encoder(name, model, sizes, report, keep_head=keep_head)
    model = model.float().eval()
    notices += check_finite(name, model, refuse=not keep_head)
    apply_match(model, match, labels)
    if dropout is not None:
        # configurations of other architectures keep rates under other names
        set_dropout(model, dropout)
    tokenizer, told = adapt_tokenizer(name, model, tokenizer)
    notices = [*match.notices, *notices, *told]
    return LoadedModel(model, tokenizer, source, checkpoint_sha256(folder), folder, tuple(notices))


def checkpoint_labels(model: Any, revision: str = "main", trust_remote_code: bool = False) -> tuple[str, ...]:
    """The class names a checkpoint was trained with, in order; none for a regression model."""
    if isinstance(model, str | Path):
        config, _ = _configured(str(model), locate(str(model), revision)[0], trust_remote_code)
    else:
        config = model.config
    return label_names(config)


def _configured(name: str, folder: Path, trust_remote_code: bool) -> tuple[Any, Any]:
    """Configuration and tokenizer of a folder."""
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # as below
        raise _not_loaded(name, folder, error) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # a damaged folder fails in as many ways as there are tokenizers
        raise _not_loaded(name, folder, error, "the tokenizer of ") from error
    if not hasattr(tokenizer, "model_input_names"):
        raise UserError(f"model: the tokenizer of {name!r} cannot be loaded: its files are missing or damaged")
    return config, tokenizer


def _not_loaded(name: str, folder: Path, error: Exception, part: str = "") -> UserError:
    """Why configuration or tokenizer cannot be loaded, in one sentence."""
    if "trust_remote_code" in str(error):
        return UserError(
            f"model: {name!r} brings code of its own, which only --trust-remote-code (trust_remote_code=True) runs"
        )
    kind = read_json(name, folder / "config.json")["model_type"]
    if not part and kind not in CONFIG_MAPPING:
        close = nearest(kind, CONFIG_MAPPING.keys())
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "a newer version may"
        return UserError(
            f"model: config.json of {name!r} names the model_type {kind!r}, which transformers does not know; {hint}"
        )
    return UserError(f"model: {part}{name!r} cannot be loaded: {first_line(error)}")


def _empty_model(name: str, config: Any, trust_remote_code: bool) -> Any:
    """The classifier of a configuration, its parameters without values; not to be changed."""
    held = {name: value for name, value in config.to_dict().items() if name != "_name_or_path"}
    key = f"{type(config).__name__} {json.dumps(held, sort_keys=True, default=str)}"
    if key in _EMPTY and not trust_remote_code:
        return _EMPTY[key]
    try:
        with forked(), init_empty_weights():
            model = AutoModelForSequenceClassification.from_config(config, trust_remote_code=trust_remote_code)
    except Exception as error:  # a configuration may say anything
        if "Unrecognized configuration class" in str(error):
            raise UserError(
                f"model: the architecture {config.model_type!r} of {name!r} has no sequence classifier in transformers"
            ) from error
        raise UserError(f"model: {name!r} cannot be built from its config.json: {first_line(error)}") from error
    if not trust_remote_code:  # the same configuration may come with other code
        _EMPTY[key] = model
    while len(_EMPTY) > _MOST_EMPTY:
        del _EMPTY[next(iter(_EMPTY))]
    return model
