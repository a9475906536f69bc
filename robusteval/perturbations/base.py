"""What a perturbation works on: encoded rows, their texts, and the tokens it may touch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError
from robusteval.models.encoding import Encoded, IntArray, encode
from robusteval.perturbations import Perturbation
from robusteval.registry import CustomEntry, takes
from robusteval.tasks.base import Examples, Task


@dataclass(frozen=True)
class Source:
    """The rows of one split, in the two forms that perturbations change.

    encoded: the tokens; eligible: True at tokens that may change, never at special ones [T].
    texts: one tuple of strings per text column; columns: indices of those that may change.
    tokenise: texts of that shape to Encoded, for perturbations of characters.
    mask_id: the mask token, or None where the tokenizer has none.
    """

    encoded: Encoded
    eligible: npt.NDArray[np.bool_]
    texts: tuple[tuple[str, ...], ...]
    columns: tuple[int, ...]
    tokenise: Callable[[Sequence[Sequence[str]]], Encoded]
    mask_id: int | None

    @property
    def row(self) -> IntArray:
        """The row that each token belongs to [T]."""
        return np.repeat(np.arange(len(self.encoded)), self.encoded.lengths)

    @property
    def segment(self) -> IntArray:
        """A number for the text that each token belongs to: another one for each column of each row [T]."""
        return self.row * (len(self.texts) + 1) + self.encoded.column + 1

    @classmethod
    def of(
        cls,
        tokenizer: Any,
        examples: Examples,
        task: Task,
        *,
        max_length: int,
        columns: Sequence[str] = (),
        mask_token: str | None = None,
        encoded: Encoded | None = None,
    ) -> Source:
        """Rows of a task as a perturbation sees them; `encoded` saves tokenising them again.

        Raises UserError for a column that the task lacks or protects, and for a mask token that is no token.
        """
        chosen = tuple(task.text_columns.index(name) for name in task.changeable(columns))

        def tokenise(texts: Sequence[Sequence[str]]) -> Encoded:
            return encode(tokenizer, texts, examples.labels, max_length=max_length)

        if encoded is None:
            encoded = tokenise(examples.texts)
        eligible = np.isin(encoded.column, chosen)
        return cls(encoded, eligible, examples.texts, chosen, tokenise, mask_token_id(tokenizer, mask_token))


def accepted(entry: CustomEntry, or_else: str = "") -> Perturbation:
    """The perturbation of others that an entry names; UserError where it is none, nor what `or_else` says.

    Each of its calls is looked at: UserError where it fails, gives no rows, or changes them at rate 0.
    """
    found = entry.found()
    if isinstance(found, type) or not takes(found, 3):
        raise entry.wrong(f"{entry.attribute} is {or_else}no function of (source, rate, generator)")

    def perturbed(source: Source, rate: float, generator: np.random.Generator) -> Encoded:
        try:
            rows = found(source, rate, generator)
        except UserError:
            raise
        except Exception as error:  # code of others may raise anything
            raise entry.wrong(f"{entry.attribute} failed: {entry.described(error)}") from error
        if not isinstance(rows, Encoded) or len(rows) != len(source.encoded):
            raise entry.wrong(f"{entry.attribute} did not return the {len(source.encoded)} rows as an Encoded")
        if rate == 0 and not np.array_equal(rows.ids, source.encoded.ids):
            raise entry.wrong(f"{entry.attribute} changes tokens at rate 0, where nothing may change")
        return rows

    return perturbed


def mask_token_id(tokenizer: Any, mask_token: str | None) -> int | None:
    """The id of the tokenizer's mask token, or of the one given by hand."""
    if mask_token is None:
        return None if tokenizer.mask_token_id is None else int(tokenizer.mask_token_id)
    number = tokenizer.convert_tokens_to_ids(mask_token)
    if number is None or (number == tokenizer.unk_token_id and mask_token != tokenizer.unk_token):
        raise UserError(f"mask_token: {mask_token!r} is not a token of this model's tokenizer")
    return int(number)
