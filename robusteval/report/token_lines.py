"""Texts with their tokens shaded, on a terminal or in a pipe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from robusteval.report.grid import print_sentence
from robusteval.report.tokens import Marks, Segment, Shown, caption, legend, level_of
from robusteval.runtime.terminal import shown

# Backgrounds from little to much, each with a colour of letters that stands out from it; their order is that in grey.
SHADES = ("", "black on #ffefd6", "black on #ffd08a", "black on #f2a03d", "white on #b35c00", "white on #7a3300")
# The same where a terminal has 16 colours or fewer, whose order nobody knows.
PLAIN = ("", "", "bold", "bold", "reverse", "bold reverse")
# Around what an attack changed, where there are no colours.
MARKS: Mapping[str, tuple[str, str]] = {"deleted": ("[-", "-]"), "inserted": ("{+", "+}")}


def print_tokens(every: Sequence[Shown], by: str, console: Console) -> None:
    """Each text with shades, the ranks of its highest scores below it, and these scores; then how to read it.

    Where there are no colours, what an attack changed stands in [-deleted-] and {+inserted+} marks, else underlined.
    """
    for each in every:
        if each.head:
            _print(Text.assemble((each.head, "bold"), f"  {each.facts}"), console)
        for view, rows in zip(each.views, each.rows(by), strict=True):
            title = f"{view.title}: " if view.title else ""
            cut = "; the text goes on after what was read" if view.scored.cut else ""
            _print(Text(f"{title}{view.prediction}{cut}"), console)
            for row in rows:
                _print_row(row, view.marks, console)
            print_sentence(console, f"  {'; '.join(legend(rows))}")
        console.print()
    if console.color_system:
        samples = [(f" {number} ", style) for number, style in enumerate(_shades(console))]
        _print(Text.assemble("shades: ", *samples), console)
    print_sentence(console, f"{caption(by)}.")


def _print(text: Text, console: Console) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _print_row(row: Sequence[Segment], marks: Marks, console: Console) -> None:
    """A text column with the ranks below; on a terminal on as many lines as it takes, else on one."""
    indent = "  "
    width = max(20, console.width - len(indent)) if console.is_terminal else None
    for line in _lines(_runs(row, marks, console), width):
        _print(Text.assemble(indent, *((text, style) for text, style, _ in line)), console)
        below, at = "", 0
        for text, _, rank in line:
            if rank:
                below += " " * (at - len(below)) + str(rank)
            at += cell_len(text)
        if below:
            _print(Text(indent + below, "bold"), console)


def _shades(console: Console) -> Sequence[str]:
    return SHADES if console.color_system in ("256", "truecolor") else PLAIN


# Text, style, and the rank to stand below its beginning.
Run = tuple[str, str, int]


def _runs(row: Sequence[Segment], marks: Marks, console: Console) -> Iterator[Run]:
    coloured, shades, inside = bool(console.color_system), _shades(console), False
    start, end = MARKS[marks]
    for number, segment in enumerate(row):
        if not coloured and segment.changed is not inside:
            yield (end if inside else start), "", 0
            inside = segment.changed
        text = shown(re.sub(r"\s", " ", segment.text), console.encoding)
        if segment.special:
            before, after = (" " if near and not near.text[-1:].isspace() else "" for near in _beside(row, number))
            yield f"{before}{text}{after}", "dim", 0
            continue
        line = " underline" if segment.changed and coloured else ""
        yield text, f"{shades[level_of(segment, len(shades))]}{line}".strip(), segment.rank
    if inside:
        yield end, "", 0


def _beside(row: Sequence[Segment], number: int) -> tuple[Segment | None, Segment | None]:
    """The neighbours that a special token is set apart from; of two special ones the first is."""
    before = row[number - 1] if number and not row[number - 1].special else None
    return before, row[number + 1] if number + 1 < len(row) else None


def _lines(runs: Iterable[Run], width: int | None) -> Iterator[list[Run]]:
    """The runs on lines of at most `width` cells, broken at spaces and beside wide characters where it can be."""
    if not width:
        yield list(runs)
        return
    line: list[Run] = []
    room = width
    for unit in _units(runs):
        size = sum(cell_len(text) for text, _, _ in unit)
        if size > room and line:
            yield line
            line, room = [], width
        if not line and unit[0][0].isspace():
            continue
        for text, style, rank in unit:
            rest, mark = text, rank
            while cell_len(rest) > room:
                head = _fitting(rest, room) or (rest[0] if not line else "")
                yield [*line, (head, style, mark)] if head else line
                line, room, rest, mark = [], width, rest[len(head) :], 0 if head else mark
            line.append((rest, style, mark))
            room -= cell_len(rest)
    if line:
        yield line


def _units(runs: Iterable[Run]) -> Iterator[list[Run]]:
    """What is not torn apart: the pieces of a word."""
    unit: list[Run] = []
    for text, style, rank in runs:
        for part in re.findall(r"\s+|\S+", text):
            torn = unit and (part.isspace() or unit[-1][0].isspace() or _wide(part[0]) or _wide(unit[-1][0][-1]))
            if torn:
                yield unit
                unit = []
            unit.append((part, style, rank))
            rank = 0
    if unit:
        yield unit


def _wide(character: str) -> bool:
    return cell_len(character) > 1


def _fitting(text: str, room: int) -> str:
    """As many characters as fit."""
    end = len(text)
    while cell_len(text[:end]) > room:
        end -= 1
    return text[:end]
