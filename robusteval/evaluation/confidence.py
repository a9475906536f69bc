"""TDT's confidence layer as its training left it beside a checkpoint, and scores of all the tokens of many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from robusteval.errors import UserError
from robusteval.models.encoding import Batch, Collator, Encoded, IntArray

CONFIDENCE_FILE = "confidence.safetensors"
# Rows scored at once; they are sorted by length, so that little of a batch is padding.
_ROWS = 64


class ConfidenceLayer(nn.Linear):
    """TDT's confidence layer (Eq. 2) as its training saved it; one output, or two of TDT-hard.

    start: the layer as it was before training, None where that was not kept. facts: the settings that it was trained
    with (`Method.facts`); pre_position: it was trained on the token table's output. field: what errors name.
    """

    field = "confidence"
    start: ConfidenceLayer | None

    def __init__(self, state: dict[str, Tensor], facts: dict[str, str]) -> None:
        outputs, width = state["weight"].shape
        super().__init__(width, outputs)
        self.load_state_dict(state)
        self.requires_grad_(False)
        self.facts, self.start = facts, None
        self.pre_position = facts.get("pre_position") == "true"

    def forward(self, e: Tensor) -> Tensor:
        if e.shape[-1] != self.in_features:
            raise UserError(
                f"{self.field}: the confidence layer reads {self.in_features} numbers per token, "
                f"but the model's embeddings have {e.shape[-1]}"
            )
        return super().forward(e.float())


def load_confidence_layer(folder: Path, field: str = "confidence") -> ConfidenceLayer:
    """The confidence layer that lies beside a checkpoint; field: what errors name.

    The file holds `weight` [1 or 2, d] and `bias`, maybe under "confidence.", and may hold `start_weight` and
    `start_bias`, what they were before training; its metadata are the method's settings.
    Raises UserError where it is missing, damaged or of another shape.
    """
    path = folder / CONFIDENCE_FILE
    if not path.is_file():
        raise UserError(
            f"{field}: {str(folder)!r} has no {CONFIDENCE_FILE}; give the checkpoint folder of a model that was "
            "trained with tdt or tdt-hard"
        )
    try:
        with safe_open(path, framework="pt") as file:
            state = {name.removeprefix("confidence."): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dict)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UserError(f"{field}: {str(path)!r} is damaged: {error}") from error
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    outputs, width = (*shapes.get("weight", ()), 0, 0)[:2]
    expected = {"weight": (outputs, width), "bias": (outputs,)}
    with_start = expected | {f"start_{name}": shape for name, shape in expected.items()}
    if outputs not in (1, 2) or shapes not in (expected, with_start):
        raise UserError(f"{field}: {str(path)!r} holds {shapes}, not weight (1 or 2, width) and bias (1 or 2)")
    layer = ConfidenceLayer({name: state[name] for name in expected}, metadata)
    layer.field = field
    if len(state) > len(expected):
        layer.start = ConfidenceLayer({name: state[f"start_{name}"] for name in expected}, metadata)
        layer.start.field = field
    return layer


def by_length(encoded: Encoded) -> Iterator[IntArray]:
    """The numbers of all rows, a batch's at a time, longest first; the same batches on every machine."""
    order = np.argsort(-encoded.lengths, kind="stable")
    for start in range(0, len(order), _ROWS):
        yield order[start : start + _ROWS]


def token_scores(
    encoded: Encoded, tokenizer: Any, device: torch.device, score: Callable[[Batch], Tensor]
) -> npt.NDArray[np.float32]:
    """One score per token [T], from a function of a padded batch to scores [B, L]."""
    collate = Collator(tokenizer)
    result = np.zeros(len(encoded.ids), np.float32)
    for rows in by_length(encoded):
        batch = collate(encoded, rows).to(device)
        found = score(batch)[batch.inputs["attention_mask"].bool()]
        tokens = np.concatenate([np.arange(encoded.offsets[row], encoded.offsets[row + 1]) for row in rows])
        result[tokens] = found.float().cpu().numpy()
    return result
