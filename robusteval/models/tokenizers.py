"""A tokenizer is fitted to its model once, at loading: what only one of the two knows of is mended or refused."""

from __future__ import annotations

import copy
import inspect
import math
from typing import Any

import numpy as np
import torch
from torch import nn

from robusteval.errors import UserError, first_line
from robusteval.models.encoding import Collator, Encoded, encode
from robusteval.runtime.generators import forked
from robusteval.settings.checks import check_range

# Texts of two lengths, on which it is seen whether padding matters.
PROBES = ("a", "a b c d e f g")
# Two logits are the same up to so many roundings.
ROUNDINGS = 1e4
POSITION_TABLES = ("position_embeddings", "embed_positions", "wpe")


def adapt_tokenizer(name: str, model: Any, tokenizer: Any, *, shared: bool = False) -> tuple[Any, list[str]]:
    """The tokenizer as the model needs it, and what was decided. shared: the one given is left as it was.

    Token types that the model does not take are not made. A padding token is chosen where there is none, and put
    into the model's configuration where that has none, and the side to pad on is the right one where the left changes
    logits: two rows get the logits that each gets alone. Where the head looks for a token in the text, `encode` reads
    it there as letters (`never_in_text`).
    UserError where the tokenizer has more entries than the model, where no row can be padded, or none be read.
    """
    _check_entries(name, model, tokenizer)
    fit = _Fit(name, model, tokenizer, shared=shared)
    fit.token_types()
    fit.padding()
    return fit.tokenizer, fit.notices


def check_max_length(model: Any, tokenizer: Any, max_length: int) -> None:
    """Raise UserError where `max_length` is more tokens than the model has positions for."""
    check_range("max_length", max_length, 3, math.inf)
    limits = [_positions(model), tokenizer.model_max_length]
    limit = min((value for value in limits if value and value > 0), default=max_length)
    if max_length > limit:
        raise UserError(f"max_length: {max_length} tokens is more than this model can read ({int(limit)})")


def unpadded_logits(model: Any, encoded: Encoded, row: int) -> torch.Tensor:
    """The logits of one row [1, K], in a batch of its own without padding. The model is in evaluation mode."""
    span = slice(encoded.offsets[row], encoded.offsets[row + 1])
    inputs = {"input_ids": torch.from_numpy(encoded.ids[span])[None]}
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if encoded.types is not None:
        inputs["token_type_ids"] = torch.from_numpy(encoded.types[span])[None]
    return _forward(model, inputs)


def _forward(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """Logits; no random generator is moved, and the model stays in the mode that it was in."""
    device, training = next(model.parameters()).device, model.training
    model.eval()
    try:
        with torch.inference_mode(), forked():
            logits: torch.Tensor = model(**{key: value.to(device) for key, value in inputs.items()}).logits
    finally:
        model.train(training)
    return logits.float().cpu()


def _check_entries(name: str, model: Any, tokenizer: Any) -> None:
    """Raise UserError where a token would have no embedding."""
    try:
        table = model.get_input_embeddings()
        entries = max(tokenizer.get_vocab().values(), default=0) + 1
    except (NotImplementedError, AttributeError):  # characters without a table
        return
    if isinstance(table, nn.Embedding) and entries > table.num_embeddings:
        raise UserError(
            f"model: the tokenizer of {name!r} has {entries} entries but the model's embeddings have "
            f"{table.num_embeddings}; give the tokenizer that the model was trained with, or resize the model "
            "(resize_token_embeddings), train it and save both"
        )


def _positions(model: Any) -> int | None:
    """How many tokens a model has positions for; None where it does not count them in a table."""
    limits = []
    for path, module in model.named_modules():
        if path.rpartition(".")[2] in POSITION_TABLES and isinstance(module, nn.Embedding):
            # RoBERTa's kind counts from the padding index on, BART's keeps the first rows free
            start = module.padding_idx + 1 if module.padding_idx is not None else getattr(module, "offset", 0)
            limits.append(int(module.num_embeddings) - int(start))
    limit = min(limits) if limits else getattr(model.config, "max_position_embeddings", None)
    return int(limit) if limit else None


class _Fit:
    """The state of fitting: a tokenizer, copied before it is first changed where it is shared, and what was decided."""

    def __init__(self, name: str, model: Any, tokenizer: Any, *, shared: bool) -> None:
        self.name, self.model, self.tokenizer = name, model, tokenizer
        self.notices: list[str] = []
        self._shared = shared

    def _own(self) -> Any:
        if self._shared:
            self.tokenizer, self._shared = copy.deepcopy(self.tokenizer), False
        return self.tokenizer

    def token_types(self) -> None:
        """Have no token types made that the model's forward does not take or has no row for."""
        if "token_type_ids" not in self.tokenizer.model_input_names:
            return
        kind = type(self.model).__name__
        if "token_type_ids" not in inspect.signature(self.model.forward).parameters:
            reason = f"{kind} takes none"
        else:
            pair = encode(self.tokenizer, [["a"], ["b"]], max_length=16)
            most = 0 if pair.types is None else int(pair.types.max())
            rows = [
                module.num_embeddings
                for path, module in self.model.named_modules()
                if path.endswith("token_type_embeddings") and isinstance(module, nn.Embedding)
            ]
            if not rows or most < min(rows):
                return
            reason = f"the model knows {min(rows)}, the tokenizer makes {most + 1}"
        tokenizer = self._own()
        tokenizer.model_input_names = [each for each in tokenizer.model_input_names if each != "token_type_ids"]
        self.notices.append(f"read without token types: {reason}")

    def padding(self) -> None:
        """Have padded rows get the logits that they get alone."""
        config = self.model.config
        encoded = encode(self.tokenizer, [list(PROBES)], max_length=64)
        given, chosen = config.pad_token_id, self.tokenizer.pad_token_id is None
        alone = self._alone(encoded)
        if chosen:
            self._choose_padding()
        pad = self.tokenizer.pad_token_id
        if given is None:
            config.pad_token_id = pad
            if not chosen:
                token = self.tokenizer.pad_token
                self.notices.append(f"config.json names no padding token; the tokenizer's, {token!r}, pads")
        ends = config.eos_token_id if getattr(config, "is_encoder_decoder", False) else None
        if isinstance(ends, int):
            self._own().never_in_text = frozenset((ends,))
        elif (chosen or given is None) and self._skips(encoded, alone, pad):
            self._own().never_in_text = frozenset((pad,))
        if len(set(encoded.lengths.tolist())) > 1 and bool(torch.isfinite(alone).all()):
            self._check_padding(encoded, alone, chosen=chosen)

    def _skips(self, encoded: Encoded, alone: torch.Tensor, pad: int) -> bool:
        """Whether the head looks past padding tokens at the end of a text for the token that it reads."""
        longer = Encoded(
            np.append(encoded.ids[: encoded.offsets[1]], pad),
            encoded.offsets[:2] + np.asarray([0, 1]),
            None if encoded.types is None else np.append(encoded.types[: encoded.offsets[1]], 0),
            np.append(encoded.column[: encoded.offsets[1]], np.int8(-1)),
            encoded.labels[:1],
        )
        return self._same(unpadded_logits(self.model, longer, 0), alone[:1])

    def _alone(self, encoded: Encoded) -> torch.Tensor:
        """The logits of every row alone; a configuration without padding token gets one only where none can do."""
        try:
            return torch.cat([unpadded_logits(self.model, encoded, row) for row in range(len(encoded))])
        except Exception as error:  # a model's own code may raise anything
            if self.model.config.pad_token_id is None and self.tokenizer.pad_token_id is not None:
                self.model.config.pad_token_id = self.tokenizer.pad_token_id
                return self._alone(encoded)
            raise UserError(f"model: {self.name!r} reads no text: {first_line(error)}") from error

    def _choose_padding(self) -> None:
        """Give the tokenizer the padding token of the model, else its own end token; attention leaves either out."""
        index, whose = self.model.config.pad_token_id, "that of config.json"
        if index is None:
            index, whose = self.tokenizer.eos_token_id, "its end token"
        token = self.tokenizer.convert_ids_to_tokens(index) if isinstance(index, int) else None
        if not isinstance(token, str):
            raise UserError(
                f"model: the tokenizer of {self.name!r} has no padding token; set one (tokenizer.pad_token), and "
                "pad_token_id in config.json, and save both"
            )
        self._own().pad_token = token
        self.notices.append(f"the tokenizer names no padding token; {whose}, {token!r}, pads")

    def _check_padding(self, encoded: Encoded, alone: torch.Tensor, *, chosen: bool) -> None:
        """Find what makes padded logits those of each row alone: as it is, the tokenizer's token, the right side."""
        config, side, index = self.model.config, self.tokenizer.padding_side, self.model.config.pad_token_id
        notices: dict[tuple[int | None, str], str] = {}
        pad = self.tokenizer.pad_token_id
        for token, where in dict.fromkeys(((index, side), (pad, side), (index, "right"), (pad, "right"))):
            config.pad_token_id = token
            if where != self.tokenizer.padding_side:
                self._own().padding_side = where
            changes = self._difference(encoded, alone)
            if changes == "":
                if token != index:
                    self.notices.append(
                        f"padded with the tokenizer's token ({pad}), not the {index} of the model's configuration"
                    )
                if where != side:
                    self.notices.append("padded on the right: on the left, padding changes the logits")
                return
            notices[token, where] = changes
        config.pad_token_id = index
        if self.tokenizer.padding_side != side:
            self._own().padding_side = side
        told = notices[index, side]
        if chosen or not told.startswith("by"):
            raise UserError(
                f"model: rows of {self.name!r} cannot be padded ({told}); set a padding token that the model was "
                "trained with (tokenizer.pad_token and pad_token_id in config.json) and save both"
            )
        self.notices.append(
            f"padding changes the logits of this model, {told} on a probe: its numbers depend on which rows share a "
            "batch"
        )

    def _difference(self, encoded: Encoded, alone: torch.Tensor) -> str:
        """How padded logits differ from those of each row alone; empty where they do not."""
        batch = Collator(self.tokenizer)(encoded, np.arange(len(encoded)))
        try:
            padded = _forward(self.model, batch.inputs)
        except Exception as error:  # a model's own code may raise anything
            return first_line(error)
        return "" if self._same(padded, alone) else f"by up to {float((padded - alone).abs().max()):.2g}"

    def _same(self, logits: torch.Tensor, others: torch.Tensor) -> bool:
        precision = torch.finfo(next(self.model.parameters()).dtype).eps * ROUNDINGS
        return float((logits - others).abs().max()) <= precision * float(others.abs().max()) + 1e-5
