"""What NLTK and TextAttack keep in memory of the files that they have read, apart for each set of folders.

Left alone, they keep a corpus, a tagger or word vectors for ever: the next attack of the process would go on with them,
whatever folders it is given.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from robusteval.attacks.imports.quiet import import_quietly
from robusteval.attacks.imports.textattack import textattack_loaded
from robusteval.attacks.resources.contents import Stamp, stamp
from robusteval.attacks.resources.locations import nltk_package

# Packages of NLTK data whose change on the disk shall not go unnoticed.
PACKAGES = (
    "corpora/wordnet",
    "corpora/omw-2.0",
    "corpora/omw-1.4",
    "corpora/stopwords",
    "taggers/averaged_perceptron_tagger_eng",
    "taggers/universal_tagset",
)
VECTORS = "word_embeddings/paragramcf"
# Functions of NLTK that remember what they made of a file.
MAKERS = (("nltk.tag", "_get_tagger"), ("nltk.tokenize", "_get_punkt_tokenizer"))


def memory_of(folders: Sequence[str], cache: Path) -> Memory:
    """The memory of NLTK data in `folders` and of TextAttack's files in `cache`, as they are now.

    The last one is kept for the next attack: WordNet alone takes seconds to read.
    """
    packages = [nltk_package(folders, package) for package in PACKAGES]
    return _kept(tuple(folders), cache, stamp([*filter(None, packages), cache / VECTORS]))


@functools.lru_cache(maxsize=1)
def _kept(folders: tuple[str, ...], cache: Path, files: Stamp) -> Memory:
    return Memory()


class Memory:
    """What was read while this memory was in use."""

    def __init__(self) -> None:
        self._corpora: dict[int, tuple[type, dict[str, Any]]] = {}
        self._nltk_files: dict[Any, Any] = {}
        self._tagsets: Any = None
        self._makers: dict[str, Any] = {}
        self._textattack_objects: dict[str, Any] = {}

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, NLTK and TextAttack remember what this memory holds; afterwards, what they remembered before."""
        with ExitStack() as stack:
            nltk = import_quietly("nltk")
            for number, corpus in enumerate(_corpora(nltk.corpus)):
                stack.enter_context(self._own_corpus(number, corpus))
            stack.enter_context(patch.object(nltk.data, "_resource_cache", self._nltk_files))
            mapping = importlib.import_module("nltk.tag.mapping")
            if self._tagsets is None:
                self._tagsets = defaultdict(mapping._MAPPINGS.default_factory)
            stack.enter_context(patch.object(mapping, "_MAPPINGS", self._tagsets))
            for place, name in MAKERS:
                module = importlib.import_module(place)
                if hasattr(module, name):
                    make = functools.lru_cache(inspect.unwrap(getattr(module, name)))
                    stack.enter_context(patch.object(module, name, self._makers.setdefault(name, make)))
            if textattack_loaded() is not None:
                shared = importlib.import_module("textattack.shared.utils")
                stack.enter_context(patch.object(shared, "GLOBAL_OBJECTS", self._textattack_objects))
            yield

    @contextmanager
    def _own_corpus(self, number: int, corpus: Any) -> Iterator[None]:
        """A corpus of NLTK becomes its reader, as soon as something is asked of it, by changing its class."""
        before = type(corpus), vars(corpus)
        if number in self._corpora:
            corpus.__class__, corpus.__dict__ = self._corpora[number]
        else:
            corpus.__dict__ = dict(vars(corpus))
            corpus._unload()
        try:
            yield
        finally:
            self._corpora[number] = type(corpus), vars(corpus)
            corpus.__class__, corpus.__dict__ = before


def _corpora(corpora: Any) -> list[Any]:
    """The corpora that recipes read, and the one from which WordNet reads other languages."""
    wordnet = vars(corpora.wordnet)
    others = [*wordnet.get("_LazyCorpusLoader__args", ()), wordnet.get("_omw_reader")]
    return [corpora.stopwords, corpora.wordnet, *[other for other in others if hasattr(other, "_unload")][:1]]
