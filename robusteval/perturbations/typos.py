"""Typing errors: one slip of the finger per chosen word, on the text itself, which is then tokenised again.

A word is an unbroken run of the letters a-z, in either case. Digits, punctuation and other scripts are left alone:
on Chinese text without Latin letters this perturbation changes nothing.
"""

from __future__ import annotations

import re

import numpy as np

from robusteval.models.encoding import Encoded
from robusteval.perturbations.base import Source

_WORD = re.compile("[A-Za-z]+")

# Where each key of a QWERTY keyboard lies, in key widths: every row is shifted against the one above it.
_KEYS = {
    letter: (column + shift, row)
    for row, (shift, letters) in enumerate(((0, "qwertyuiop"), (0.25, "asdfghjkl"), (0.75, "zxcvbnm")))
    for column, letter in enumerate(letters)
}
# The keys that touch each key.
NEIGHBOURS = {
    letter: "".join(other for other, (u, v) in _KEYS.items() if 0 < (x - u) ** 2 + (y - v) ** 2 < 1.3**2)
    for letter, (x, y) in _KEYS.items()
}


def typos(source: Source, rate: float, generator: np.random.Generator) -> Encoded:
    """Every word of the texts that may change gets one typing error with probability `rate`, independently.

    All else of the text stays as it is. A text with errors may have more tokens, and is cut where it grows too long.
    """
    return source.tokenise(
        [
            [misspell(text, rate, generator) for text in column] if index in source.columns else column
            for index, column in enumerate(source.texts)
        ]
    )


def misspell(text: str, rate: float, generator: np.random.Generator) -> str:
    """The text with one typing error in each word that the given rate picks."""
    return _WORD.sub(lambda found: slip(found[0], generator) if generator.random() < rate else found[0], text)


def slip(word: str, generator: np.random.Generator) -> str:
    """The word with one typing error, drawn uniformly from the kinds that it allows.

    insert: a letter is doubled or a neighbouring key is hit with it; substitute: a neighbouring key is hit instead;
    delete: a letter is missing (two letters or more); swap: two different inner letters, neighbours, trade places.
    """
    swaps = [at for at in range(1, len(word) - 2) if word[at] != word[at + 1]]
    kinds = ["insert", "substitute", *(["delete"] if len(word) > 1 else []), *(["swap"] if swaps else [])]
    kind = kinds[generator.integers(len(kinds))]
    if kind == "swap":
        at = swaps[generator.integers(len(swaps))]
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    at = int(generator.integers(len(word)))
    if kind == "delete":
        return word[:at] + word[at + 1 :]
    old = word[at]
    choices = NEIGHBOURS[old.lower()] + (old.lower() if kind == "insert" else "")
    new = choices[generator.integers(len(choices))]
    rest = word[at:] if kind == "insert" else word[at + 1 :]
    return word[:at] + (new.upper() if old.isupper() else new) + rest
