"""Counter-fitted word vectors, and lists of nearest words, read from the user's files.

Imported only once textattack is loaded (see `offline.load_textattack`).
"""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from textattack.shared import AbstractWordEmbedding, WordEmbedding

from robusteval.errors import UserError

Matrix = npt.NDArray[np.float32]


class LocalVectors(WordEmbedding):  # type: ignore[misc]  # textattack has no types
    """TextAttack's word embedding over n words and their vectors [n, D]; of a repeated word the first counts.

    Its nearest words are those at the smallest Euclidean distance, the word itself left out.
    """

    def __init__(self, words: Sequence[str], vectors: Matrix) -> None:
        places: dict[str, int] = {}
        for place, word in enumerate(words):
            places.setdefault(word, place)
        super().__init__(vectors, places, list(words))
        self._squares = (vectors * vectors).sum(axis=1)

    def nearest_neighbours(self, index: int | str, topn: int) -> list[int]:
        """Places of the `topn` nearest words, nearest first; TextAttack's own fails without its precomputed table."""
        place = self._word2index[index] if isinstance(index, str) else index
        if (place, topn) not in self._nn_cache:
            distances = self._squares - 2 * (self.embedding_matrix @ self.embedding_matrix[place])
            distances[place] = np.inf
            some = np.argpartition(distances, min(topn, len(distances) - 1) - 1)[:topn]
            order = np.lexsort((some, distances[some]))
            self._nn_cache[place, topn] = [int(near) for near in some[order] if near != place]
        return list(self._nn_cache[place, topn])


class NeighbourList(AbstractWordEmbedding):  # type: ignore[misc]  # textattack has no types
    """Nearest words without vectors: word -> words, nearest first. A word is its own index; there are no distances."""

    def __init__(self, nearest: dict[str, list[str]]) -> None:
        self.nearest = nearest

    def __getitem__(self, index: str) -> None:
        return None

    def get_mse_dist(self, a: str, b: str) -> float:
        raise NotImplementedError("a list of nearest words holds no distances")

    get_cos_sim = get_mse_dist

    def word2index(self, word: str) -> str:
        """The word; KeyError where the list does not have it."""
        if word not in self.nearest:
            raise KeyError(word)
        return word

    def index2word(self, index: str) -> str:
        return index

    def nearest_neighbours(self, index: str, topn: int) -> list[str]:
        return self.nearest[index][:topn]


def load_vectors(path: Path) -> LocalVectors:
    """The vectors in `path`; the last file read is kept in memory.

    .npz: arrays `words` (strings, [n]) and `vectors` (numbers, [n, D]); nothing pickled is read.
    .txt: a line per word, the word and D numbers with a space between; a first line "n D" is skipped.
    UserError, naming file and line, for anything else.
    """
    state = path.stat()
    return _kept(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=1)
def _kept(path: Path, changed: int, size: int) -> LocalVectors:
    words, vectors = _from_npz(path) if path.suffix == ".npz" else _from_text(path)
    if len(words) < 2 or not np.isfinite(vectors).all():
        raise UserError(f"resources: {path} holds {len(words)} words; at least two, with finite numbers, are needed")
    return LocalVectors(words, vectors)


def _from_npz(path: Path) -> tuple[list[str], Matrix]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            words, vectors = archive["words"], archive["vectors"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"resources: {path} has no arrays 'words' and 'vectors' that can be read ({error})") from error
    if (
        words.dtype.kind != "U"
        or vectors.dtype.kind not in "fiu"
        or vectors.shape[:1] != words.shape
        or vectors.ndim != 2
    ):
        raise UserError(
            f"resources: {path} must hold strings 'words' [n] and numbers 'vectors' [n, D], not "
            f"{words.dtype} {list(words.shape)} and {vectors.dtype} {list(vectors.shape)}"
        )
    return words.tolist(), np.ascontiguousarray(vectors, dtype=np.float32)


def _from_text(path: Path) -> tuple[list[str], Matrix]:
    words: list[str] = []
    rows: list[Matrix] = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            parts = line.rstrip().split(" ")
            if number == 1 and len(parts) == 2 and all(part.isdigit() for part in parts):
                continue
            dimensions = len(rows[0]) if rows else len(parts) - 1
            try:
                row = np.array(parts[-dimensions:], dtype=np.float32)
                if not 0 < dimensions < len(parts):
                    raise ValueError
            except ValueError:
                raise UserError(f"resources: {path}, line {number}: not a word and {dimensions} numbers") from None
            words.append(" ".join(parts[:-dimensions]))
            rows.append(row)
    return words, np.stack(rows) if rows else np.zeros((0, 0), np.float32)


def load_neighbours(path: Path) -> NeighbourList:
    """The nearest words in `path`, a JSON object of word -> list of words; UserError for anything else."""
    try:
        nearest: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"resources: {path} is no JSON ({error})") from error
    if not isinstance(nearest, dict) or not all(
        isinstance(words, list) and all(isinstance(word, str) for word in words) for words in nearest.values()
    ):
        raise UserError(f"resources: {path} is not an object of word -> list of words")
    return NeighbourList(nearest)
