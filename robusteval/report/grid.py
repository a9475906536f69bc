"""A grid of text: on a terminal fitted to its width, elsewhere plain lines in aligned columns, one for each row."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.text import Text

from robusteval.report.transcripts import visible
from robusteval.runtime.terminal import shown

# Between two columns; what further lines of a name are indented by; the narrowest that a column is folded to; how many
# lines a further block counts as.
GAP, INDENT, NARROW, BLOCK = 2, 2, 6, 8
# Where a cell is folded, the best places first: before what stands in brackets, at spaces, inside compound names.
_PLACES = (re.compile(r"(?= [(\[{])"), re.compile(r"(?<=\s)"), re.compile(r"(?<=[_/+:=,.\\-])(?=\w)"))


@functools.lru_cache(maxsize=8192)
def folded(text: str, width: int, indent: int = 0) -> tuple[str, ...]:
    """`text` on lines of at most `width` cells, all but the first indented; nothing is left out but spaces at ends.

    >>> folded("82.50 ± 0.71 (+0.50)", 12)
    ('82.50 ± 0.71', '(+0.50)')
    >>> folded("attack_success_rate", 12, indent=2)
    ('attack_', '  success_', '  rate')
    """
    if cell_len(text) <= width:
        return (text,)
    indent = indent if width > 2 * indent else 0
    lines = [""]
    for piece in _pieces(text, width - indent):
        longer = lines[-1] + piece
        if lines[-1].strip() and cell_len(longer.rstrip()) > width:
            lines[-1], longer = lines[-1].rstrip(), " " * indent + piece.lstrip()
            lines.append(longer)
        else:
            lines[-1] = longer
    return tuple(line.rstrip() for line in lines)


def _pieces(text: str, width: int, level: int = 0) -> Iterator[str]:
    if cell_len(text.strip()) <= width:
        yield text
    elif level == len(_PLACES):
        yield from chop_cells(text, max(2, width))
    else:
        for part in _PLACES[level].split(text):
            yield from _pieces(part, width, level + 1)


@dataclass(frozen=True)
class Column:
    """Cells of one column, the header first. words: whether it names rows, so that it stands left and in each block."""

    cells: tuple[str, ...]
    words: bool

    @property
    def whole(self) -> int:
        """The width at which nothing is folded."""
        return max(map(cell_len, self.cells))

    @functools.cached_property
    def least(self) -> int:
        """The narrowest width at which it reads well: of names the longest word, of numbers what no bracket holds."""
        if self.words:
            indent = INDENT if self.whole > 2 * INDENT else 0
            return min(self.whole, indent + max(_longest(cell, 2) for cell in self.cells))
        head, *cells = self.cells
        return max([min(_longest(head, 2), 16), *(_longest(cell, 0) for cell in cells)])

    def lines(self, row: int, width: int) -> tuple[str, ...]:
        return folded(self.cells[row], width, INDENT if self.words else 0)


def _longest(text: str, level: int) -> int:
    """Cells of the longest piece of `text`, split at the places down to `level`; a remark in [] is split at spaces."""
    pieces = [text]
    for place in _PLACES[: level + 1]:
        pieces = [part.strip() for piece in pieces for part in place.split(piece)]
    if level == 0:
        pieces = [part for piece in pieces for part in (piece.split() if piece.startswith("[") else [piece])]
    return max(map(cell_len, pieces), default=0)


# Columns that are printed side by side, each with its width.
Block = tuple[tuple[Column, int], ...]


def blocks(columns: Sequence[Column], width: int, keep: int = 0) -> list[Block]:
    """The columns in blocks that fit `width`, each with the names of the rows, in as few lines as that takes.

    keep: columns at the left that are folded last.
    """
    names, numbers = ([column for column in columns if column.words is kind] for kind in (True, False))
    plain = [column.whole for column in columns]
    if _together(plain) <= width:
        return [tuple(zip(columns, plain, strict=True))]
    found = []
    for widths in ([column.whole for column in numbers], [column.least for column in numbers]):
        rooms = [width, *(width - _together([*widths[: k + 1], 0]) for k in range(len(widths)))]
        for room in dict.fromkeys(rooms):
            told = _shrunk(names, min(room, width - (GAP + NARROW if numbers else 0)), keep)
            most = max(NARROW, width - _together([*told, 0]))
            found.append(_packed(names, told, numbers, [min(each, most) for each in widths], width))
    return min(found, key=_height)


def _together(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _shrunk(names: Sequence[Column], room: int, keep: int) -> list[int]:
    """Widths of columns of names that fit `room` together: those give way first that hold little for their width."""
    widths = [column.whole for column in names]
    loads = [sum(map(cell_len, column.cells)) for column in names]
    least = [column.least for column in names]
    kept = [column.whole if place < keep else least[place] for place, column in enumerate(names)]
    for floors in (kept, least, [min(NARROW, each) for each in least]):
        while _together(widths) > room:
            wide = [place for place, floor in enumerate(floors) if widths[place] > floor]
            if not wide:
                break
            widths[min(wide, key=lambda place: loads[place] / widths[place])] -= 1
    return widths


def _packed(
    names: Sequence[Column], told: Sequence[int], numbers: Sequence[Column], widths: Sequence[int], width: int
) -> list[Block]:
    start = tuple(zip(names, told, strict=True))
    packed = [start]
    for column in zip(numbers, widths, strict=True):
        longer = (*packed[-1], column)
        if len(packed[-1]) > len(start) and _together([each for _, each in longer]) > width:
            packed.append((*start, column))
        else:
            packed[-1] = longer
    return packed


def _height(found: Sequence[Block]) -> int:
    """Lines that the blocks take; each further one counts as some: what stands side by side is easier to compare."""
    rows = range(len(found[0][0][0].cells))
    lines = sum(max(len(column.lines(row, width)) for column, width in block) for block in found for row in rows)
    return lines + BLOCK * (len(found) - 1)


def print_grid(
    console: Console,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str = "",
    words: int = 1,
    keep: int = 0,
    sections: Collection[int] = (),
) -> None:
    """Title, header and rows, with no cell cut.

    A terminal has them in blocks of columns that fit its width, each with the names of the rows; a pipe or a file has a
    line for each row, whatever its length, and no frame.
    words: how many columns at the left name a row. keep: how many of these are folded only where the others cannot be.
    sections: rows that an empty line stands before.
    """
    texts = [[_text(cell, console) for cell in row] for row in (header, *rows)]
    columns = [Column(tuple(cells), place < words) for place, cells in enumerate(zip(*texts, strict=True))]
    if title:
        _print(console, _text(title, console), "bold", fold=True)
    if not console.is_terminal:
        for row in range(len(texts)):
            for line in _row([(column, column.whole) for column in columns], row):
                _print(console, line)
        console.print()
        return
    found = blocks(columns, console.width, keep)
    if words == len(columns) and (stacked := _stacked(columns, console.width)) and len(stacked) < _height(found):
        for line in stacked:
            _print(console, line, "" if line.startswith(" ") else "bold")
        console.print()
        return
    for block in found:
        for line in _row(block, 0):
            _print(console, line, "bold")
        _print(console, shown("─", console.encoding) * min(_together([width for _, width in block]), console.width))
        for row in range(1, len(texts)):
            if row - 1 in sections:
                console.print()
            for line in _row(block, row):
                _print(console, line)
        console.print()


def _stacked(columns: Sequence[Column], width: int) -> list[str]:
    """Each row's name, and below it what the other columns hold, as far as they hold anything."""
    lines: list[str] = []
    heads = [column.cells[0] for column in columns[2:]]
    for name, *texts in zip(*(column.cells[1:] for column in columns), strict=True):
        facts = [f"{head}: {text}" for head, text in zip(heads, texts[1:], strict=True) if text]
        told = (*texts[:1], "; ".join(facts))
        lines += folded(name, width)
        lines += [" " * INDENT + line for text in told if text for line in folded(text, width - INDENT)]
    return lines


def _text(cell: str, console: Console) -> str:
    return shown(" ".join(visible(cell).splitlines()).replace("\t", " "), console.encoding)


def _row(block: Sequence[tuple[Column, int]], row: int) -> Iterator[str]:
    """The lines of a row, header or not."""
    cells = [column.lines(row, width) for column, width in block]
    for number in range(max(map(len, cells))):
        parts = []
        for (column, width), lines in zip(block, cells, strict=True):
            text = lines[number] if number < len(lines) else ""
            space = " " * (width - cell_len(text))
            parts.append(text + space if column.words else space + text)
        yield (" " * GAP).join(parts).rstrip()


def _print(console: Console, line: str, style: str = "", *, fold: bool = False) -> None:
    console.print(Text(line, style), soft_wrap=not (fold and console.is_terminal), highlight=False)


def print_sentence(console: Console, text: str) -> None:
    """A sentence, wrapped between words where a terminal is narrower, and on one line elsewhere."""
    _print(console, shown(visible(text), console.encoding), fold=True)
