"""A text as records of cells, by one separator and one quote, and whether that accounts for every line."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from robusteval.errors import UserError


@dataclass
class Way:
    """A text read by one separator and one quote ("" where quotation marks are letters).

    first: cells of the first record, which is the header unless there is none. cells: of all records behind the header,
    one after the other, each of `width` cells; none are kept where records differ. records: how many there are.
    broken: why the quotes enclose nothing; bad: of the first records with another number of cells, where they begin and
    how many they have; wrong: how many such records there are.
    names, start, stop: the columns and the cells of each record that belong to them, where it holds.
    exact: all records have as many cells as the header; told: what else was found.
    """

    delimiter: str
    quote: str
    first: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    width: int = 0
    records: int = 0
    broken: str = ""
    bad: list[str] = field(default_factory=list)
    wrong: int = 0
    names: list[str] = field(default_factory=list)
    start: int = 0
    stop: int = 0
    exact: bool = True
    told: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.broken and not self.wrong

    def column(self, place: int) -> list[str]:
        return self.cells[place :: self.width] if self.cells else []

    def columns(self) -> dict[str, list[str]]:
        return {name: self.column(place) for place, name in enumerate(self.names, self.start)}


@dataclass(frozen=True)
class Lines:
    """A text whose line ends are known; `stray` stands for carriage returns that end no line."""

    text: str
    stray: str
    mixed: bool

    @classmethod
    def of(cls, text: str) -> Lines:
        if "\r" not in text:
            return cls(text, "", False)
        if "\n" not in text:
            return cls(text.replace("\r", "\n"), "\n", False)
        stray = next(chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in text)
        unended, count = re.subn(r"\r(?!\n)", stray, text)
        return cls(unended, stray if count else "", "\r\n" in text)

    def plain(self) -> list[str]:
        """Every physical line without its end."""
        lines = (self.text.replace("\r\n", "\n") if self.mixed else self.text).split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    def restore(self, cells: list[str]) -> list[str]:
        return [cell.replace(self.stray, "\r") for cell in cells] if self.stray else cells


def opens(text: str, delimiter: str, quote: str) -> bool:
    """Whether some cell begins with the quote."""
    return text.startswith(quote) or any(mark + quote in text for mark in (delimiter, "\n"))


def by_lines(lines: Lines, delimiter: str, header: bool, where: str) -> Way:
    """Every line a record, every separator a boundary."""
    physical = lines.plain()
    while not physical[-1]:
        physical.pop()
    begin = next(place for place, line in enumerate(physical) if line)
    filled = [line for line in physical if line]
    widths = [line.count(delimiter) + 1 for line in filled]
    way = Way(delimiter, "", filled[0].split(delimiter))
    if len(filled) < len(physical) - begin:
        way.told.append(f"blank lines left out: {len(physical) - begin - len(filled)}")
    data = filled[1:] if header else filled
    if len(set(widths[header:])) == 1:
        way.cells = delimiter.join(data).split(delimiter)
    _fit(way, widths, (number for number, line in enumerate(physical, 1) if line), header, where)
    return way


def by_quotes(lines: Lines, delimiter: str, quote: str, header: bool, where: str) -> Way:
    """As RFC 4180 has it: a quote opens at a cell's beginning, is doubled inside, and closes at the cell's end."""
    way = Way(delimiter, quote)
    widths: list[int] = []
    limit = csv.field_size_limit(sys.maxsize)  # an article is longer than the 128 KiB that csv expects
    reader = csv.reader(io.StringIO(lines.text, newline=""), delimiter=delimiter, quotechar=quote, strict=True)
    begun = 0
    try:
        for row in reader:
            if row:
                way.cells += row
                widths.append(len(row))
            begun = reader.line_num
    except csv.Error as error:
        open_end = "unexpected end" in str(error)
        what = "is never closed" if open_end else f"is closed in the middle of the cell (line {reader.line_num})"
        way.broken = f"a quotation mark of the record at line {begun + 1} {what}"
        return way
    finally:
        csv.field_size_limit(limit)
    way.first = way.cells[: widths[0]]
    if header:
        del way.cells[: widths[0]]
    _fit(way, widths, _starts(lines, delimiter, quote), header, where)
    return way


def _starts(lines: Lines, delimiter: str, quote: str) -> Iterator[int]:
    """The line at which each record begins."""
    reader = csv.reader(io.StringIO(lines.text, newline=""), delimiter=delimiter, quotechar=quote)
    line = 1
    for row in reader:
        if row:
            yield line
        line = reader.line_num + 1


def _fit(way: Way, widths: list[int], starts: Iterator[int], header: bool, where: str) -> None:
    """Say which cells belong to which column, or which records have another number of cells."""
    counts = Counter(widths[header:])
    way.records = len(widths) - header
    expected = widths[0] if header else counts.most_common(1)[0][0]
    way.names = _unique(way) if header else [str(place) for place in range(expected)]
    way.stop = expected
    if len(counts) == 1:
        way.width = next(iter(counts))
        if way.width == expected or _shifted(way, where):
            return
    way.cells = []
    way.wrong = way.records - counts[expected]
    for line, width in zip(starts, widths, strict=False):
        if width != expected:
            way.bad.append(f"line {line} has {width}")
            if len(way.bad) == 5:
                break


def _unique(way: Way) -> list[str]:
    """The cells of the header as names, those that stand there twice with their places."""
    names = [name.strip() for name in way.first]
    twice = {name for name, count in Counter(names).items() if count > 1}
    often = ", ".join(repr(name) for name in dict.fromkeys(names) if name in twice and name)
    way.told += [f"{often} names several columns: choose one by its place"] if often else []
    return [f"{name} (column {place})".strip() if name in twice else name for place, name in enumerate(names, 1)]


def _shifted(way: Way, where: str) -> bool:
    """Whether all lines alike have cells that no name stands over, and which: at the end, or row names in front."""
    over = way.width - len(way.names)
    if over < 0:
        # the header alone ends in separators
        if any(name.strip() for name in way.first[way.width :]):
            return False
        way.names, way.stop, way.exact = way.names[: way.width], way.width, False
        return True
    at_end = not any(any(way.column(place)) for place in range(len(way.names), way.width))
    firsts = way.column(0)
    in_front = over == 1 and all(map(str.isdecimal, firsts)) and len(set(firsts)) == len(firsts)
    if at_end and in_front and way.records > 1:
        raise UserError(
            f"{where}: its lines have {way.width} cells and the header {len(way.names)}; the first cell may be a row "
            "name or the last one nothing, so name the missing column in the header"
        )
    if at_end:
        way.exact = False
        way.told.append(f"lines end in {over} separator(s) more than the header, with nothing behind")
    elif in_front:
        way.start, way.stop, way.exact = 1, way.width, False
        way.told.append("row names in front, over which the header has no name, left out")
    return at_end or in_front
