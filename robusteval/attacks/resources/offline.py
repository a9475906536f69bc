"""Importing TextAttack without its side effects, and building it a world without downloads.

Left alone, `import textattack` tries six NLTK downloads, marks them as done even when they failed, closes the
process's log handlers, sets environment variables, and raises LookupError without NLTK's stop words.
Every change made here for the time of the import is taken back after it.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import logging
import logging.config
import os
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from robusteval.attacks.resources import stopwords
from robusteval.attacks.resources.local_copies import local_copies
from robusteval.attacks.resources.locations import nltk_folders, textattack_cache
from robusteval.errors import UserError, describe_error

logger = logging.getLogger(__name__)

INSTALL = "textattack.shared.utils.install"
SUPPLY = "pip install 'textattack>=0.3.10,<0.4' 'flair>=0.15' 'transformers>=4.57,<5'"


def textattack_found() -> bool:
    """Whether the package is installed; it is not imported."""
    try:
        return importlib.util.find_spec("textattack") is not None
    except (ImportError, ValueError):
        return False


def load_textattack(resources_dir: Path | None = None) -> types.ModuleType:
    """The textattack package, imported offline (5 to 6 seconds the first time in a process).

    Where flair cannot be imported, recipes that do not tag with it still run. UserError, saying what to install,
    where textattack cannot be.
    """
    loaded = sys.modules.get("textattack")
    if loaded is not None and hasattr(loaded, "Attack"):
        return loaded
    if not textattack_found():
        raise UserError(f"attacks: the package textattack is not installed; {SUPPLY}")
    try:
        return _loaded(resources_dir)
    except Exception as error:
        raise UserError(
            f"attacks: the package textattack cannot be imported ({describe_error(error)}); {SUPPLY}"
        ) from error


def _loaded(resources_dir: Path | None) -> types.ModuleType:
    with ExitStack() as stack:
        stack.enter_context(kept_environment())
        stack.enter_context(_quiet_import())
        stack.enter_context(offline(resources_dir))
        stack.enter_context(_flair_or_stand_in())
        stack.enter_context(_without_post_install())
        textattack = _whole("textattack")
    install = sys.modules[INSTALL]
    vars(install)["TEXTATTACK_CACHE_DIR"] = str(textattack_cache())
    # Its messages go where the program's logging sends them, not to a handler of its own.
    messages: logging.Logger = install.logger
    messages.handlers.clear()
    messages.propagate = True
    messages.setLevel(logging.NOTSET)
    return textattack


@contextmanager
def offline(resources_dir: Path | None = None) -> Iterator[None]:
    """Inside: NLTK data is read from `resources_dir` first, nothing is downloaded, stop words exist.

    Local copies of what TextAttack would fetch come from `resources_dir` where they are there (see `locations`).
    """
    import nltk
    from huggingface_hub import constants

    folders = nltk_folders(resources_dir)
    with ExitStack() as stack:
        stack.enter_context(patch.object(nltk.data, "path", folders))
        _forget_corpora(tuple(folders))
        stack.enter_context(patch.object(nltk, "download", _refuse_nltk))
        stack.enter_context(patch.object(constants, "HF_HUB_OFFLINE", True))
        install = sys.modules.get(INSTALL)
        if install is not None:
            stack.enter_context(patch.object(install, "http_get", _refuse_http))
            cache = str(textattack_cache(resources_dir))
            stack.enter_context(patch.object(install, "TEXTATTACK_CACHE_DIR", cache))
            stack.enter_context(local_copies(resources_dir))
        if not nltk_stopwords_present(resources_dir):
            _tell_stopwords()
            # The corpus object loads itself on the first missing attribute: give it this one.
            stack.enter_context(_own_attribute(nltk.corpus.stopwords, "words", _stopwords))
        yield


# Where the corpora in NLTK's memory may come from.
_searched: tuple[str, ...] = ()


def _forget_corpora(folders: tuple[str, ...]) -> None:
    """NLTK keeps a corpus that it has read for ever; let it read anew where other folders are searched now."""
    global _searched
    import nltk

    if folders != _searched:
        for corpus in (nltk.corpus.wordnet, nltk.corpus.stopwords):
            corpus._unload()
        _searched = folders


def nltk_stopwords_present(resources_dir: Path | None = None) -> bool:
    """Whether NLTK's own English stop words can be read, here or in `resources_dir`."""
    return any(
        Path(folder, "corpora/stopwords/english").is_file() or Path(folder, "corpora/stopwords.zip").is_file()
        for folder in nltk_folders(resources_dir)
    )


def import_flair() -> types.ModuleType:
    """The flair package, without letting it reconfigure logging; whatever its import raises is raised."""
    with kept_environment(), _quiet_import():
        return _whole("flair")


def _whole(package: str) -> types.ModuleType:
    """The package, imported whole or not at all: a half-imported one would look importable to whoever asks next."""
    before = set(sys.modules)
    try:
        return importlib.import_module(package)
    except BaseException:
        for name in set(sys.modules) - before:
            if name == package or name.startswith(f"{package}."):
                del sys.modules[name]
        raise


@contextmanager
def kept_environment() -> Iterator[None]:
    """Restore os.environ afterwards. TA_CACHE_DIR is hidden: TextAttack would overwrite HF_HOME with it."""
    before = dict(os.environ)
    os.environ.pop("TA_CACHE_DIR", None)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        for name, value in before.items():
            if os.environ.get(name) != value:
                os.environ[name] = value


def _refuse_nltk(*_: Any, **__: Any) -> bool:
    return False


def _refuse_http(url: str, *_: Any, **__: Any) -> None:
    raise FileNotFoundError(f"nothing is downloaded during an attack, and TextAttack asked for {url}")


@functools.cache
def _tell_stopwords() -> None:
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


@contextmanager
def _quiet_import() -> Iterator[None]:
    """No warnings and no logging set-up by the imported packages: dictConfig closes everybody's handlers."""
    with warnings.catch_warnings(), patch.object(logging.config, "dictConfig", lambda config: None):
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _flair_or_stand_in() -> Iterator[None]:
    """Import flair if possible; else let TextAttack import a hollow one, gone again afterwards."""
    try:
        import_flair()
    except Exception as error:
        logger.info("flair cannot be imported (%s)", describe_error(error))
    else:
        yield
        return
    stand_in = _hollow_flair()
    sys.modules.update(stand_in)
    try:
        yield
    finally:
        for name in stand_in:
            sys.modules.pop(name, None)


def _hollow_flair() -> dict[str, types.ModuleType]:
    """Just the names TextAttack imports from flair at module level."""
    modules = {name: types.ModuleType(name) for name in ("flair", "flair.data", "flair.models")}
    for name, module in modules.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=name == "flair")
    for module_name, class_name in (
        ("data", "Sentence"),
        ("data", "Tokenizer"),
        ("models", "SequenceTagger"),
    ):
        setattr(modules[f"flair.{module_name}"], class_name, type(class_name, (), {}))
    vars(modules["flair"]).update(data=modules["flair.data"], models=modules["flair.models"], __path__=[])
    return modules


@contextmanager
def _without_post_install() -> Iterator[None]:
    """Import `textattack.shared.utils.install` without its last line: downloads, marked as done."""
    finder = _InstallFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _InstallFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != INSTALL:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = _InstallLoader(fullname, spec.origin)
        return spec


class _InstallLoader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> types.CodeType:
        # No bytecode is read or written: the file on disk keeps its meaning for everybody else.
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        tree.body = [node for node in tree.body if not _is_call_of(node, "_post_install_if_needed")]
        return compile(tree, path, "exec")


def _is_call_of(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == name
