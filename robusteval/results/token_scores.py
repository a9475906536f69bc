"""What a model's prediction on a text rests on, token by token."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

# What scores the tokens: TDT's trained confidence layer, or |gradient x input| of the predicted class.
BY = ("confidence", "gradient")


@dataclass(frozen=True)
class Token:
    """A token as the model reads it.

    piece: as the tokenizer spells it ("##ing", "[CLS]"). column: the text that it stems from, counted from 0; -1 for
    special tokens. start, end: the characters of that text that it stands for, None where the tokenizer does not tell.
    """

    piece: str
    column: int
    start: int | None
    end: int | None
    score: float


@dataclass(frozen=True)
class ScoredText:
    """A text, or a pair, with a score for every token that the model read.

    predicted: the label, "" of a model that gives a score; value: its probability, or the score. cut: whether the text
    goes on after the last token that was read.
    """

    texts: tuple[str, ...]
    tokens: tuple[Token, ...]
    predicted: str
    value: float
    cut: bool = False

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest score of its tokens, special ones aside; both 0 where there is none."""
        scores = [token.score for token in self.tokens if token.column >= 0]
        return min(scores, default=0.0), max(scores, default=0.0)

    def record(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self)
