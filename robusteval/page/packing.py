"""What the page's script reads: attack transcripts and rows, each text once, deflated, in the letters of base64."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from robusteval.report.transcripts import Piece, Transcript, transcripts
from robusteval.results.reading import WHOSE
from robusteval.storage.files import as_json

# So many bytes of a page may be transcripts, and rows.
TRANSCRIPTS, ROWS = 900_000, 250_000
# What the transcripts can be narrowed to, in this order; the script names its choices so.
FIELDS = ("model", "task", "scenario", "method", "seed", "recipe")


def packed(held: Any) -> str:
    """JSON, deflated, in base64: no sign of it means anything in HTML."""
    return base64.b64encode(zlib.compress(as_json(held).encode("utf-8", "surrogatepass"), 9)).decode()


@dataclass(frozen=True)
class Attacks:
    """The transcripts of a page. text: what the script reads; first: those that are shown without one.

    held, whole: how many are in the page, and how many there are.
    """

    text: str
    first: tuple[Transcript, ...]
    held: int
    whole: int


def attacks(lines: Sequence[Mapping[str, Any]], limit: int = TRANSCRIPTS) -> Attacks | None:
    """The transcripts of result lines that also bear `WHOSE`, one text's beside each other; None where there are none.

    Where they need more than `limit` bytes, the first texts of each attack are held, of all methods and seeds alike.
    """
    if not lines:
        return None
    methods = {name: place for place, name in enumerate(dict.fromkeys(line["method"] for line in lines))}
    places = {place: number for number, place in enumerate(dict.fromkeys(map(_attack, lines)))}
    ordered = sorted(lines, key=lambda line: (line["index"], places[_attack(line)], methods[line["method"]]))
    told = transcripts(ordered)
    keep = len(told)
    while len(text := packed(_held(ordered[:keep], told[:keep]))) > limit and keep > 1:
        keep = min(keep - 1, int(0.95 * keep * limit / len(text)))
    return Attacks(text, tuple(_some_of_each(told[:keep])), keep, len(told))


def _attack(line: Mapping[str, Any]) -> tuple[Any, ...]:
    return line["model"], line["task"], line["scenario"], line["recipe"], line["index"]


def _some_of_each(told: Sequence[Transcript], each: int = 3) -> list[Transcript]:
    """The first few of every outcome, each of another text."""
    found: dict[str, dict[str, Transcript]] = {}
    for one in told:
        found.setdefault(one.outcome, {}).setdefault(one.id, one)
    return [one for several in found.values() for one in list(several.values())[:each]]


def _held(lines: Sequence[Mapping[str, Any]], told: Sequence[Transcript]) -> dict[str, Any]:
    """Names and texts once, and of each line the places where they stand.

    columns: name, text and changes of each text column; a change is the place where it begins in the text, how many
    characters go (code points), and what comes instead.
    """
    once = _Once()
    held = [
        [
            once.place("runs", tuple(str(line.get(name, "")) for name in FIELDS)),
            *(once.place("words", each) for each in (one.id, one.outcome, one.gold, one.before, one.after)),
            one.facts,
            [[once.place("words", name), *_changed(pieces, once)] for name, pieces in one.columns],
        ]
        for line, one in zip(lines, told, strict=True)
    ]
    return {"fields": FIELDS, **{name: list(places) for name, places in once.held.items()}, "lines": held}


class _Once:
    """Lists of different things, and where each stands in its list."""

    def __init__(self) -> None:
        self.held: dict[str, dict[Any, int]] = {"runs": {}, "words": {}, "texts": {}}

    def place(self, name: str, thing: Any) -> int:
        return self.held[name].setdefault(thing, len(self.held[name]))


def _changed(pieces: Sequence[Piece], once: _Once) -> list[Any]:
    """The number of the original, and its changes one behind the other."""
    original = "".join(piece.text for piece in pieces if piece.kind != "inserted")
    changes: list[Any] = []
    place = 0
    for number, piece in enumerate(pieces):
        if piece.kind == "deleted":
            after = pieces[number + 1] if number + 1 < len(pieces) else None
            changes += [place, len(piece.text), after.text if after is not None and after.kind == "inserted" else ""]
        elif piece.kind == "inserted" and not (number and pieces[number - 1].kind == "deleted"):
            changes += [place, 0, piece.text]
        place += 0 if piece.kind == "inserted" else len(piece.text)
    return [once.place("texts", original), changes]


def rows(frame: pd.DataFrame, limit: int = ROWS) -> str:
    """Every measured number with all that it says of itself, column by column; "" where that needs more than `limit`
    bytes."""
    ordered = [*(name for name in WHOSE if name in frame), *(name for name in frame if name not in WHOSE)]
    held = {name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in ordered}
    text = packed(held)
    return text if len(text) <= limit else ""
