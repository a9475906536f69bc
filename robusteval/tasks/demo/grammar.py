"""What the three grammars share: word lists, articles, the finished sentence."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

# Written with a vowel, spoken with a consonant, and the other way round.
_CONSONANT_SOUND = ("unique", "unit", "use", "usu", "one", "eu")
_VOWEL_SOUND = ("hour", "honest", "heir")
_ARTICLE = re.compile(r"\b(a|A) (\w+)")


def words(text: str) -> tuple[str, ...]:
    """The entries of a comma-separated list."""
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


def rows(text: str) -> tuple[tuple[str, ...], ...]:
    """Comma-separated entries whose forms are separated by slashes."""
    return tuple(tuple(entry.split("/")) for entry in words(text))


def pick(rng: random.Random, options: Sequence[T]) -> T:
    return options[rng.randrange(len(options))]


def other(rng: random.Random, options: Sequence[T], taken: T) -> T:
    """An option that is not `taken`."""
    return pick(rng, [option for option in options if option != taken])


def finish(text: str) -> str:
    """A lower-case sentence with its articles right and a full stop; the capital comes after markers."""
    return _ARTICLE.sub(_article, " ".join(text.split())) + "."


def _article(match: re.Match[str]) -> str:
    article, word = match.groups()
    vowel = word.startswith(_VOWEL_SOUND) or (word[0] in "aeiou" and not word.startswith(_CONSONANT_SOUND))
    return f"{article}n {word}" if vowel else f"{article} {word}"
