"""Token ids of a whole split, tokenised once: ragged arrays, and padded batches cut from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from robusteval.errors import UserError

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Encoded:
    """The tokens of n texts, end to end, without padding.

    ids: all token ids [T]; offsets: row r owns ids[offsets[r]:offsets[r + 1]] [n + 1].
    types: token type ids [T], or None where the model takes none.
    column: the text column each token stems from, -1 for special tokens [T].
    labels: class indices (int64) or scores (float32) [n].
    truncated: number of texts that were cut to the maximal length.
    groups: the group each row belongs to, where groups are studied [n].
    weights: how often each row is drawn relative to the others, where not all alike [n].
    """

    ids: IntArray
    offsets: IntArray
    types: IntArray | None
    column: npt.NDArray[np.int8]
    labels: npt.NDArray[np.generic]
    truncated: int = 0
    groups: IntArray | None = None
    weights: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> IntArray:
        return np.diff(self.offsets)

    @property
    def special(self) -> npt.NDArray[np.bool_]:
        """True at special tokens: no perturbation may touch them [T]."""
        return self.column < 0

    def fingerprint(self) -> str:
        """sha256 over all that training sees: tokens, token types, row lengths, labels, groups, weights."""
        digest = hashlib.sha256()
        for array in (self.ids, self.types, self.offsets, self.labels, self.groups, self.weights):
            digest.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def with_ids(self, ids: IntArray) -> Encoded:
        """The same rows with other token ids, of the same lengths."""
        if ids.shape != self.ids.shape:
            raise ValueError(f"{ids.shape} token ids cannot replace {self.ids.shape}")
        return replace(self, ids=ids)


@dataclass
class Batch:
    """A padded mini-batch.

    inputs: what the model's forward takes: input_ids, attention_mask, maybe token_type_ids [B, L].
    labels: [B]. special: True at special tokens and padding [B, L].
    groups: group index of each row [B], where groups are studied.
    """

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor
    special: torch.Tensor
    groups: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.labels.shape[0]

    def to(self, device: torch.device) -> Batch:
        return Batch(
            {name: tensor.to(device, non_blocking=True) for name, tensor in self.inputs.items()},
            self.labels.to(device, non_blocking=True),
            self.special.to(device, non_blocking=True),
            self.groups.to(device, non_blocking=True) if self.groups is not None else None,
        )

    def split(self, parts: int) -> Iterator[Batch]:
        """At most `parts` micro-batches of equal size, the last one maybe smaller."""
        size = -(-len(self) // parts)
        for start in range(0, len(self), size):
            yield self.take(slice(start, start + size))

    def take(self, rows: slice) -> Batch:
        """Some of the rows, padded as they are here."""
        return Batch(
            {name: tensor[rows] for name, tensor in self.inputs.items()},
            self.labels[rows],
            self.special[rows],
            self.groups[rows] if self.groups is not None else None,
        )


def truncation_notices(cut: int, rows: int, name: str, max_length: int) -> list[str]:
    """A notice where `cut` texts of these rows are longer than a model reads."""
    return [f"{cut} of {rows} {name} texts are cut to {max_length} tokens (max_length)"] if cut else []


def encode(
    tokenizer: Any,
    texts: Sequence[Sequence[str]],
    labels: npt.NDArray[np.generic] | None = None,
    *,
    max_length: int,
) -> Encoded:
    """Tokenise n rows; texts holds one sequence of n strings per text column (one or two).

    A tokenizer that was fitted to its model may have `never_in_text`: ids of special tokens that the model's head
    looks for. A row whose text spells one is read with its special tokens as letters.
    """
    count = len(texts[0])
    if labels is None:
        labels = np.zeros(count, np.int64)
    if count == 0:
        empty = np.zeros(0, np.int64)
        return Encoded(empty, np.zeros(1, np.int64), None, np.zeros(0, np.int8), labels)
    columns = [list(column) for column in texts]
    encoded = _encode(tokenizer, columns, labels, max_length)
    rows = _looked_for(tokenizer, encoded)
    return _as_letters(tokenizer, columns, encoded, rows, max_length) if len(rows) else encoded


def _looked_for(tokenizer: Any, encoded: Encoded) -> IntArray:
    """The rows whose own text became a token that the model's head looks for."""
    never: frozenset[int] = getattr(tokenizer, "never_in_text", frozenset())
    if not never:
        return np.zeros(0, np.int64)
    places = np.flatnonzero(np.isin(encoded.ids, list(never)) & (encoded.column >= 0))
    rows: IntArray = np.unique(np.searchsorted(encoded.offsets, places, side="right") - 1)
    return rows


def _as_letters(tokenizer: Any, columns: list[list[str]], encoded: Encoded, rows: IntArray, max_length: int) -> Encoded:
    """The same rows, some of them with the special tokens that they spell read as text."""
    texts, labels = [[column[row] for row in rows] for column in columns], encoded.labels[rows]
    before = _encode(tokenizer, texts, labels, max_length)
    letters = _encode(tokenizer, texts, labels, max_length, letters=True)
    if len(still := _looked_for(tokenizer, letters)):
        held = tokenizer.convert_ids_to_tokens(sorted(tokenizer.never_in_text))
        raise UserError(
            f"texts: {texts[0][still[0]]!r} holds {' or '.join(held)}, in whose place the model's head reads; take it "
            "out of the text"
        )
    order = np.arange(len(encoded))
    order[rows] = len(encoded) + np.arange(len(rows))
    truncated = encoded.truncated - before.truncated + letters.truncated
    return replace(_take(join([encoded, letters]), order), truncated=truncated)


def _take(encoded: Encoded, rows: IntArray) -> Encoded:
    """Row rows[i] as row i."""
    spans = [slice(encoded.offsets[row], encoded.offsets[row + 1]) for row in rows]
    return replace(
        encoded,
        ids=np.concatenate([encoded.ids[span] for span in spans]),
        offsets=np.concatenate([[0], np.cumsum(encoded.lengths[rows])]).astype(np.int64),
        types=None if encoded.types is None else np.concatenate([encoded.types[span] for span in spans]),
        column=np.concatenate([encoded.column[span] for span in spans]),
        labels=encoded.labels[rows],
    )


def _encode(
    tokenizer: Any,
    columns: list[list[str]],
    labels: npt.NDArray[np.generic],
    max_length: int,
    *,
    letters: bool = False,
) -> Encoded:
    """The rows; letters: special tokens that a text spells are read as text."""
    settings = {"split_special_tokens": True} if letters else {}
    settings |= {"add_special_tokens": True, "return_special_tokens_mask": True}
    output = tokenizer(*columns, verbose=False, **settings)
    rows = [np.asarray(row, np.int64) for row in output["input_ids"]]
    truncated = sum(len(row) > max_length for row in rows)
    if truncated:
        # tokenised twice only where something is too long: this way the number of cut texts is known
        output = tokenizer(*columns, truncation=True, max_length=max_length, **settings)
        rows = [np.asarray(row, np.int64) for row in output["input_ids"]]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    types = None
    if "token_type_ids" in output and "token_type_ids" in tokenizer.model_input_names:
        types = np.concatenate([np.asarray(row, np.int64) for row in output["token_type_ids"]])
    return Encoded(np.concatenate(rows), offsets, types, _columns(output, len(columns)), labels, truncated)


def join(parts: Sequence[Encoded]) -> Encoded:
    """The rows of several parts, one after the other; at least one part."""
    if len(parts) == 1:
        return parts[0]
    lengths = np.concatenate([part.lengths for part in parts])
    types = [part.types for part in parts if part.types is not None]
    return Encoded(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        np.concatenate(types) if types else None,
        np.concatenate([part.column for part in parts]),
        np.concatenate([part.labels for part in parts]),
        sum(part.truncated for part in parts),
    )


def _columns(output: Any, columns: int) -> npt.NDArray[np.int8]:
    """The text column of every token, -1 for special ones."""
    special = np.concatenate([np.asarray(row, bool) for row in output["special_tokens_mask"]])
    if columns == 1:
        return np.where(special, -1, 0).astype(np.int8)
    if output.encodings is not None:
        sides = [side if side is not None else -1 for encoding in output.encodings for side in encoding.sequence_ids]
        return np.where(special, -1, np.asarray(sides, np.int8)).astype(np.int8)
    if "token_type_ids" in output:
        types = np.concatenate([np.asarray(row, np.int8) for row in output["token_type_ids"]])
        return np.where(special, -1, types).astype(np.int8)
    # a slow tokenizer without token types: the second text begins after the first inner separator
    sides = []
    for mask in output["special_tokens_mask"]:
        side, seen = 0, False
        for flag in mask:
            if flag and seen:
                side = 1
            seen = seen or not flag
            sides.append(-1 if flag else side)
    return np.asarray(sides, np.int8)


class Collator:
    """Cuts padded batches out of encoded rows, padded to the longest row on the tokenizer's side.

    multiple: lengths are rounded up to a multiple of it (8 suits tensor cores; 1 wastes nothing).
    """

    def __init__(self, tokenizer: Any, multiple: int = 1) -> None:
        self.pad_id = int(tokenizer.pad_token_id)
        self.pad_type = int(getattr(tokenizer, "pad_token_type_id", 0))
        self.left = tokenizer.padding_side == "left"
        self.multiple = multiple

    def __call__(self, encoded: Encoded, rows: npt.NDArray[np.integer]) -> Batch:
        """The batch of the given rows, in the given order."""
        starts, lengths = encoded.offsets[rows], encoded.lengths[rows]
        width = -(-int(lengths.max()) // self.multiple) * self.multiple
        position = np.arange(width)[None, :]
        shift = (width - lengths)[:, None] if self.left else 0
        real = (position >= shift) & (position < shift + lengths[:, None])
        source = np.where(real, starts[:, None] + position - shift, 0)
        inputs = {
            "input_ids": torch.from_numpy(np.where(real, encoded.ids[source], self.pad_id)),
            "attention_mask": torch.from_numpy(real.astype(np.int64)),
        }
        if encoded.types is not None:
            inputs["token_type_ids"] = torch.from_numpy(np.where(real, encoded.types[source], self.pad_type))
        special = torch.from_numpy(~real | encoded.special[source])
        groups = torch.from_numpy(encoded.groups[rows]) if encoded.groups is not None else None
        return Batch(inputs, torch.from_numpy(encoded.labels[rows]), special, groups)
