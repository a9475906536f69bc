"""What a row of the method table says. See method_table.py and method_checks.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """method: its text on the command line with settings strong enough to act on a tiny model.

    neutral: its text at strength zero, which must equal vanilla bit for bit; `neutral_train` are TrainConfig
        fields that both sides then need (dropout 0 where the method itself runs without).
    additive: two micro-batches of 8 give the same step as one batch of 16; where False, `why` says what couples, where
        None, on what in the last digits it depends.
    needs_mlm: setup needs a masked-language-model head on disk.
    """

    method: str
    neutral: str
    neutral_train: dict[str, Any] = field(default_factory=dict)
    additive: bool | None = True
    why: str = ""
    needs_mlm: bool = False

    @property
    def id(self) -> str:
        return self.method
