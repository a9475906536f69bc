"""TextAttack without downloads: what lies on this machine is all that it finds, for the time of an attack.

Every change made here is taken back after the block.
"""

from __future__ import annotations

import functools
import logging
import sys
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from robusteval.attacks.imports.quiet import import_quietly
from robusteval.attacks.imports.textattack import (
    INSTALL,
    SUPPLY,
    import_textattack,
    textattack_found,
    textattack_loaded,
)
from robusteval.attacks.resources import stopwords
from robusteval.attacks.resources.local_copies import local_copies
from robusteval.attacks.resources.locations import nltk_folders, textattack_cache
from robusteval.attacks.resources.memory import memory_of
from robusteval.errors import UserError, describe_error
from robusteval.runtime import stopping
from robusteval.runtime.launch import place

logger = logging.getLogger(__name__)


def load_textattack(resources_dir: Path | None = None) -> types.ModuleType:
    """The textattack package, imported offline (5 to 6 seconds the first time in a process).

    Where flair cannot be imported, recipes that do not tag with it still run. UserError, saying what to install,
    where textattack cannot be.
    """
    loaded = textattack_loaded()
    if loaded is not None:
        return loaded
    if not textattack_found():
        raise UserError(f"attacks: the package textattack is not installed; {SUPPLY}")
    try:
        # Its import asks for stop words.
        with offline(resources_dir):
            textattack = import_textattack()
    except Exception as error:  # beside other versions an import fails in any way
        raise UserError(
            f"attacks: the package textattack cannot be imported ({describe_error(error)}); {SUPPLY}"
        ) from error
    vars(sys.modules[INSTALL])["TEXTATTACK_CACHE_DIR"] = str(textattack_cache())
    return textattack


@contextmanager
def offline(resources_dir: Path | None = None) -> Iterator[None]:
    """Inside: NLTK data is read from `resources_dir` first, nothing is downloaded, stop words exist.

    Local copies of what TextAttack would fetch come from `resources_dir` where they are there (see `locations`).
    """
    from huggingface_hub import constants

    nltk = import_quietly("nltk")
    folders, cache = nltk_folders(resources_dir), textattack_cache(resources_dir)
    with ExitStack() as stack:
        stack.enter_context(patch.object(nltk.data, "path", folders))
        stack.enter_context(memory_of(folders, cache).in_use())
        stack.enter_context(patch.object(nltk, "download", _refuse_nltk))
        stack.enter_context(patch.object(constants, "HF_HUB_OFFLINE", True))
        install = sys.modules.get(INSTALL)
        if install is not None:
            stack.enter_context(patch.object(install, "http_get", _refuse_http))
            stack.enter_context(patch.object(install, "TEXTATTACK_CACHE_DIR", str(cache)))
            stack.enter_context(local_copies(resources_dir))
        if not nltk_stopwords_present(resources_dir):
            _tell_stopwords(tuple(folders))
            # The corpus object loads itself on the first missing attribute: give it this one.
            stack.enter_context(_own_attribute(nltk.corpus.stopwords, "words", _stopwords))
        yield


def nltk_stopwords_present(resources_dir: Path | None = None) -> bool:
    """Whether NLTK's own English stop words can be read, here or in `resources_dir`."""
    return any(
        Path(folder, "corpora/stopwords/english").is_file() or Path(folder, "corpora/stopwords.zip").is_file()
        for folder in nltk_folders(resources_dir)
    )


def _refuse_nltk(*_: Any, **__: Any) -> bool:
    return False


def _refuse_http(url: str, *_: Any, **__: Any) -> None:
    raise FileNotFoundError(f"nothing is downloaded during an attack, and TextAttack asked for {url}")


@functools.cache
def _tell_stopwords(_: tuple[str, ...]) -> None:
    if stopping.is_worker() or place() > 0:
        return  # the process that began this one, or the first of those begun together, says it
    logger.warning(
        "NLTK's stopwords corpus is not here: using the short built-in list of %d English words "
        "(python -m nltk.downloader stopwords supplies the corpus; results differ between the two)",
        len(stopwords.ENGLISH),
    )


def _stopwords(language: str | None = None) -> list[str]:
    if language not in (None, "english"):
        raise LookupError(f"NLTK's stopwords corpus is needed for {language!r}")
    return list(stopwords.ENGLISH)


@contextmanager
def _own_attribute(instance: Any, name: str, value: Any) -> Iterator[None]:
    """Set an instance attribute without asking for the old one: asking would make NLTK load the corpus."""
    vars(instance)[name] = value
    try:
        yield
    finally:
        vars(instance).pop(name, None)
