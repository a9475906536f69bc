"""Texts with their tokens shaded by a score: what is shown of them, whatever it is drawn with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from robusteval.report.transcripts import visible, word_differences
from robusteval.results.token_scores import ScoredText, Token

# So many tokens of a text have their rank below them and their score in the legend.
RANKED = 5
MEANING = {
    "confidence": "TDT's confidence that a token matters to the task, 0 to 1",
    "gradient": "|gradient x input| of the predicted class's logit",
}

Spans = Sequence[tuple[int, int]]
Marks = Literal["deleted", "inserted"]


@dataclass(frozen=True)
class Segment:
    """A stretch of a text that is shown alike.

    pieces: the tokens that stand for it, as the tokenizer spells them; none for what lies between tokens, or after the
    last one that was read. score: the highest of these. share: of the shading, 0 to 1. rank: 1 for the highest score of
    the text, 0 from `RANKED` on. special: a special token, which has a score and no shade.
    """

    text: str
    pieces: tuple[str, ...] = ()
    score: float = 0.0
    share: float = 0.0
    rank: int = 0
    special: bool = False
    changed: bool = False

    @property
    def title(self) -> str:
        """The tokens with their score, "" where there is none."""
        return f"{visible(' '.join(self.pieces))} {self.score:.3g}" if self.pieces else ""


@dataclass(frozen=True)
class View:
    """A scored text as it is shown. title: what it is; changed: of each column the characters that were changed."""

    scored: ScoredText
    title: str = ""
    changed: tuple[Spans, ...] = ()
    marks: Marks = "deleted"

    @property
    def prediction(self) -> str:
        label = visible(self.scored.predicted) or "score"
        return f"{label} {self.scored.value:.3f}"


@dataclass(frozen=True)
class Shading:
    """From which score to which the shades go."""

    low: float
    high: float

    @classmethod
    def of(cls, by: str, texts: Iterable[ScoredText]) -> Shading:
        """One for texts that are compared with each other. by: what scores they have; gradients begin at 0."""
        ranges = [each.range for each in texts]
        low = 0.0 if by == "gradient" else min((low for low, _ in ranges), default=0.0)
        return cls(low, max((high for _, high in ranges), default=0.0))

    def share(self, score: float) -> float:
        return (score - self.low) / (self.high - self.low) if self.high > self.low else 0.0


def caption(by: str) -> str:
    """How to read what is shown."""
    low = "0" if by == "gradient" else "the lowest"
    return (
        f"{MEANING[by]}; the shades go from {low} to the highest score of what is shown together, and digits rank the "
        f"{RANKED} highest of each text; special tokens have no shade"
    )


def segments(view: View, shading: Shading) -> list[list[Segment]]:
    """Each text column of a view in segments, special tokens where the model reads them.

    Tokens that share a character, such as the bytes of a Chinese one, are one segment.
    """
    scored, found, column = view.scored, [list[Segment]() for _ in view.scored.texts], 0
    own: list[list[Token]] = [[] for _ in scored.texts]
    before: list[list[Segment]] = [[] for _ in scored.texts]
    after: list[list[Segment]] = [[] for _ in scored.texts]
    for token in scored.tokens:
        if token.column >= 0:
            column = token.column
            own[column].append(token)
        else:
            place = after if own[column] else before
            place[column].append(Segment(visible(token.piece), (token.piece,), token.score, special=True))
    for side, text in enumerate(scored.texts):
        spans = view.changed[side] if view.changed else ()
        found[side] = [*before[side], *_of_text(text, own[side], spans), *after[side]]
    scores = sorted({(-each.score, side, at) for side, row in enumerate(found) for at, each in enumerate(row)
                     if each.pieces and not each.special})  # fmt: skip
    ranks = {(side, at): rank for rank, (_, side, at) in enumerate(scores[:RANKED], 1)}
    return [
        [
            each if each.special or not each.pieces
            else replace(each, rank=ranks.get((side, at), 0), share=shading.share(each.score))
            for at, each in enumerate(row)
        ]
        for side, row in enumerate(found)
    ]  # fmt: skip


def _of_text(text: str, tokens: Sequence[Token], changed: Spans) -> Iterator[Segment]:
    """A text cut where tokens begin and end; where the tokenizer tells no places, its pieces one after the other."""
    if any(token.start is None for token in tokens):
        for token in tokens:
            yield Segment(visible(token.piece), (token.piece,), token.score)
            yield Segment(" ")
        return
    groups: list[tuple[int, int, list[Token]]] = []
    for token in tokens:
        start, end = token.start or 0, token.end or 0
        if groups and (start < groups[-1][1] or start == end or groups[-1][0] == groups[-1][1]):
            first, last, held = groups[-1]
            groups[-1] = (min(first, start) if first < last else start, max(last, end), [*held, token])
        else:
            groups.append((start, end, [token]))
    at = 0
    for start, end, held in [*groups, (len(text), len(text), [])]:
        if start > at:
            yield Segment(visible(text[at:start]), changed=_inside(at, start, changed))
        if held:
            pieces = tuple(token.piece for token in held)
            hit = any(start < stop and begin < end for begin, stop in changed)
            yield Segment(visible(text[start:end]), pieces, max(token.score for token in held), changed=hit)
        at = max(at, end)


def _inside(start: int, end: int, changed: Spans) -> bool:
    return any(begin <= start and end <= stop for begin, stop in changed)


def changes(old: str, new: str) -> tuple[Spans, Spans]:
    """The characters of `old` that are not in `new`, and those of `new` that stand there instead, word by word."""
    places: dict[str, list[tuple[int, int]]] = {"deleted": [], "inserted": []}
    at = {"deleted": 0, "inserted": 0}
    for piece in word_differences(old, new):
        for side in places if piece.kind == "same" else (piece.kind,):
            if piece.kind != "same":
                places[side].append((at[side], at[side] + len(piece.text)))
            at[side] += len(piece.text)
    return places["deleted"], places["inserted"]


@dataclass(frozen=True)
class Shown:
    """What is shown together: a text, or an original beside what an attack made of it. head, facts: what it is."""

    views: tuple[View, ...]
    head: str = ""
    facts: str = ""

    def rows(self, by: str) -> list[list[list[Segment]]]:
        """The segments of each text column of each view, in shades that can be compared."""
        shading = Shading.of(by, [view.scored for view in self.views])
        return [segments(view, shading) for view in self.views]


def attacked(line: Mapping[str, Any], original: ScoredText, perturbed: ScoredText) -> Shown:
    """A result line of an attack with its two texts, scored by the same model; one where nothing was changed."""
    sides = [changes(old, new) for old, new in zip(original.texts, perturbed.texts, strict=True)]
    views: tuple[View, ...] = (
        View(original, "original", tuple(old for old, _ in sides), "deleted"),
        View(perturbed, "changed", tuple(new for _, new in sides), "inserted"),
    )
    if original.texts == perturbed.texts:
        views = views[:1]
    return Shown(views, visible(str(line["id"])), f"{line['outcome']}; gold {visible(line['gold'])}")


def legend(row: Iterable[Sequence[Segment]]) -> list[str]:
    """The ranked segments of a view with their scores: "1 brilliant 0.934"."""
    ranked = sorted((each for column in row for each in column if each.rank), key=lambda each: each.rank)
    return [f"{each.rank} {' '.join(each.text.split()) or each.pieces[0]} {each.score:.3g}" for each in ranked]


def level_of(segment: Segment, levels: int) -> int:
    """The shade of a segment, from 0, none, to levels - 1."""
    return 0 if segment.special else round(segment.share * (levels - 1))
