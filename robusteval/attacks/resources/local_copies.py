"""Leading TextAttack to local copies of what it would fetch: vectors, models, encoder, table of look-alikes.

Every lead is laid for the time of an attack and taken back after it. Where there is no local copy, TextAttack
looks where it always does.
"""

from __future__ import annotations

import builtins
import functools
import importlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from robusteval.attacks.resources import locations

HOMOGLYPH_MODULE = "textattack.transformations.word_swaps.word_swap_homoglyph_swap"
USE_MODULE = "textattack.constraints.semantics.sentence_encoders.universal_sentence_encoder.universal_sentence_encoder"
SBERT_MODULE = "textattack.constraints.semantics.sentence_encoders.sentence_bert.sbert"
# Every automatic class has a `from_pretrained` of its own; the two last serve all other classes.
FROM_PRETRAINED = (
    "AutoModel",
    "AutoModelForMaskedLM",
    "AutoModelForCausalLM",
    "AutoTokenizer",
    "PreTrainedModel",
    "PreTrainedTokenizerBase",
)

RESOURCES_DIR: ContextVar[Path | None] = ContextVar("resources_dir", default=None)
"""The --resources folder of the attack that is being built."""


@contextmanager
def local_copies(folder: Path | None) -> Iterator[None]:
    """Inside, local copies come first. To be entered with textattack loaded."""
    with ExitStack() as stack:
        stack.callback(RESOURCES_DIR.set, RESOURCES_DIR.get())
        RESOURCES_DIR.set(folder)
        vectors = locations.vectors_file(folder)
        if vectors is not None:
            stack.enter_context(word_vectors_from("load_vectors", vectors))
        table = locations.homoglyphs_file(folder)
        if table is not None:
            stack.enter_context(patch.object(_module(HOMOGLYPH_MODULE), "open", _instead(table), create=True))
        encoder = locations.use_folder(folder)
        if encoder is not None:
            stack.enter_context(patch.object(_module(USE_MODULE), "hub", SimpleNamespace(load=_use_from(encoder))))
        sbert = locations.model_folder(folder, locations.SBERT)
        if sbert is not None:
            package = SimpleNamespace(SentenceTransformer=_sbert_from(sbert))
            stack.enter_context(patch.object(_module(SBERT_MODULE), "sentence_transformers", package))
        stack.enter_context(_models_from(_model_folders(folder)))
        yield


@contextmanager
def word_vectors_from(loader: str, path: Path) -> Iterator[None]:
    """Inside, recipes that ask for the counter-fitted vectors get what `vectors.<loader>` reads from `path`."""
    embedding = _module("textattack.shared").WordEmbedding
    vectors = _module("robusteval.attacks.resources.vectors")
    load = staticmethod(functools.partial(getattr(vectors, loader), path))
    with patch.object(embedding, "counterfitted_GLOVE_embedding", load):
        yield


def _model_folders(folder: Path | None) -> dict[str, Path]:
    found = {name: locations.model_folder(folder, name) for name in locations.LANGUAGE_MODELS}
    found[locations.MINILM_HUB] = locations.minilm_folder(folder)
    return {name: place for name, place in found.items() if place is not None}


@contextmanager
def _models_from(folders: Mapping[str, Path]) -> Iterator[None]:
    """Inside, transformers' `from_pretrained` finds the named models in these folders."""
    transformers = _module("transformers")
    with ExitStack() as stack:
        for kind in FROM_PRETRAINED:
            owner = getattr(transformers, kind)
            original = vars(owner)["from_pretrained"].__func__
            stack.enter_context(patch.object(owner, "from_pretrained", classmethod(_led(original, folders))))
        yield


def _led(original: Any, folders: Mapping[str, Path]) -> Any:
    @functools.wraps(original)
    def from_pretrained(cls: Any, pretrained_model_name_or_path: Any, *arguments: Any, **options: Any) -> Any:
        name = pretrained_model_name_or_path
        place = str(folders[name]) if name in folders else name
        return original(cls, place, *arguments, **options)

    return from_pretrained


def _instead(table: Path) -> Any:
    """`open`, but of `table` where TextAttack opens the one inside its package."""

    def opened(path: Any, *arguments: Any, **options: Any) -> Any:
        chosen = table if str(path).endswith(locations.HOMOGLYPHS) else path
        return builtins.open(chosen, *arguments, **options)

    return opened


def _use_from(folder: Path) -> Any:
    def load(url: str) -> Any:
        return _module("tensorflow_hub").load(str(folder) if url == locations.USE_URL else url)

    return load


def _sbert_from(folder: Path) -> Any:
    def load(name: str) -> Any:
        return _module("sentence_transformers").SentenceTransformer(str(folder) if name == locations.SBERT else name)

    return load


def _module(name: str) -> Any:
    return importlib.import_module(name)
