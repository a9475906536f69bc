"""Tables written as text: cells between separators, with or without quotation marks around them.

A file does not say whether a quotation mark at a cell's beginning encloses the cell or is a letter, so both readings
are tried, and one holds only where every physical line is accounted for and all records have as many cells as the
header. The rule by which one of two that hold is taken stands in docs/tasks.md; `_better` is its code.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from robusteval.dialect import Dialect, named
from robusteval.errors import UserError
from robusteval.tasks.table import faults

Rows = list[list[str]]
SIGNS = ("\t", ",", ";", "|")
LETTERS, CLOSES = "quotation marks are letters", "quotation marks enclose cells"


@dataclass
class Way:
    """A text read by one separator and one quote ("" where quotation marks are letters).

    rows: cells by record, the header first; broken: why the quotes enclose nothing; bad: of the first records with
    another number of cells, where they begin and how many they have; wrong: how many such records there are.
    names, start, stop: the columns and the cells of each record that belong to them, where it holds.
    exact: all records have as many cells as the header; told: what else was found.
    """

    delimiter: str
    quote: str
    rows: Rows = field(default_factory=list)
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

    def columns(self, header: bool) -> dict[str, Sequence[str]]:
        data = self.rows[1:] if header else self.rows
        cells: list[Sequence[str]] = list(zip(*data, strict=True)) if data else [()] * self.stop
        return dict(zip(self.names, cells[self.start : self.stop], strict=True))


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

    def restore(self, rows: Rows) -> Rows:
        return [[cell.replace(self.stray, "\r") for cell in row] for row in rows] if self.stray else rows


def read_delimited(text: str, usual: str, dialect: Dialect, where: str) -> tuple[dict[str, Sequence[str]], list[str]]:
    """Cells by column, as text, and what was decided.

    usual: the separator that the file's name stands for, "" where it stands for none. where: the file, for errors.
    Raises UserError where no reading holds, or where two do and nothing speaks for one of them.
    """
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{where}: line {line} holds a NUL, which no text has; name its encoding (--encoding utf-16)")
    lines = Lines.of(text)
    first = next((line for line in lines.plain() if line), "")
    if not first:
        raise UserError(f"{where} is empty")
    way, decisions = _by_separator(lines, first, usual, dialect, where)
    if lines.mixed and _mixed(lines, way):
        decisions.append("line ends are mixed, and a carriage return before a line feed is part of the end")
    names = way.names
    if dialect.header and len(set(names)) < len(names):
        twice = Counter(names)
        way.names = [
            f"{name} (column {place})".strip() if twice[name] > 1 else name for place, name in enumerate(names, 1)
        ]
        often = ", ".join(repr(name) for name, count in twice.items() if count > 1 and name)
        decisions += [f"{often} names several columns: choose one by its place"] if often else []
    if not dialect.header:
        start = " | ".join(cell if len(cell) < 30 else f"{cell[:27]}..." for cell in way.rows[0])
        decisions.append(f"no header, the first row is {start}")
    way.rows = lines.restore(way.rows)
    return way.columns(dialect.header), decisions


def _by_separator(lines: Lines, first: str, usual: str, dialect: Dialect, where: str) -> tuple[Way, list[str]]:
    """The reading by the separator that was given, else by the usual one, else by the only one that holds."""
    if dialect.delimiter is not None:
        return _by_quote(lines, dialect.delimiter, dialect, where)
    there = [sign for sign in dict.fromkeys((usual or "\t", *SIGNS)) if sign in first]
    if not there:
        return _by_quote(lines, usual or "\t", dialect, where)
    found: dict[str, tuple[Way, list[str]]] = {}
    failed: dict[str, UserError] = {}
    for sign in there:
        try:
            found[sign] = _by_quote(lines, sign, dialect, where)
        except UserError as error:
            failed[sign] = error
    found = {sign: each for sign, each in found.items() if each[0].stop - each[0].start > 1}
    if not found:
        raise failed[next(iter(failed))] if failed else UserError(f"{where} has one column only: {first[:60]!r}")
    if len(found) > 1 and usual not in found:
        signs = " and by ".join(map(named, found))
        raise UserError(f"{where} can be separated by {signs}: say which with --delimiter")
    taken = usual if usual in found else next(iter(found))
    way, decisions = found[taken]
    others = [named(sign) for sign in found if sign != taken]
    if others:
        decisions = [f"separated by {named(taken)}, though {' or '.join(others)} fit too (--delimiter)", *decisions]
    elif taken != usual:
        decisions = [f"separated by {named(taken)}", *decisions]
    return way, decisions


def _by_quote(lines: Lines, delimiter: str, dialect: Dialect, where: str) -> tuple[Way, list[str]]:
    """The reading with or without quotes that holds, or the better one."""
    quote = '"' if dialect.quote is None else dialect.quote
    opened = quote and (lines.text.startswith(quote) or any(mark + quote in lines.text for mark in (delimiter, "\n")))
    ways = []
    if dialect.quote is None or not opened:
        ways.append(_unquoted(lines, delimiter, dialect.header, where))
    if opened:
        ways.append(_quoted(lines, delimiter, quote, dialect.header, where))
    good = [way for way in ways if way.holds]
    if not good:
        raise _refusal(ways, dialect, where)
    way, doubt = good[0], ""
    if len(ways) == 2:
        if len(good) == 2:
            way, doubt = _better(good[0], good[1], dialect, where)
        elif not way.quote:
            _check_letters(way, ways[1], dialect, where)
    decisions = []
    if opened and dialect.quote is None:
        other = "--quote none keeps them" if way.quote else "--quote double takes them off"
        decisions.append((CLOSES if way.quote else LETTERS) + (f", by rule: {doubt} ({other})" if doubt else ""))
    if way.quote:
        _check_spaces(way, dialect, where)
    return way, decisions + way.told


def _unquoted(lines: Lines, delimiter: str, header: bool, where: str) -> Way:
    """Every line a record, every separator a boundary."""
    physical = lines.plain()
    way = Way(delimiter, "", [line.split(delimiter) for line in physical if line])
    starts = (number for number, line in enumerate(physical, 1) if line)
    _fit(way, starts, header, where)
    last = next((place for place, line in enumerate(reversed(physical)) if line), 0)
    blank = len(physical) - last - len(way.rows)
    if blank:
        way.told.append(f"blank lines left out: {blank}")
    return way


def _quoted(lines: Lines, delimiter: str, quote: str, header: bool, where: str) -> Way:
    """As RFC 4180 has it: a quote opens at a cell's beginning, is doubled inside, and closes at the cell's end."""
    way = Way(delimiter, quote)
    limit = csv.field_size_limit(sys.maxsize)  # an article is longer than the 128 KiB that csv expects
    reader = csv.reader(io.StringIO(lines.text, newline=""), delimiter=delimiter, quotechar=quote, strict=True)
    begun = 0
    try:
        for row in reader:
            if row:
                way.rows.append(row)
            begun = reader.line_num
    except csv.Error as error:
        open_end = "unexpected end" in str(error)
        what = "is never closed" if open_end else f"is closed in the middle of the cell (line {reader.line_num})"
        way.broken = f"a quotation mark of the record at line {begun + 1} {what}"
        return way
    finally:
        csv.field_size_limit(limit)
    _fit(way, _starts(lines, delimiter, quote), header, where)
    return way


def _starts(lines: Lines, delimiter: str, quote: str) -> Iterator[int]:
    """The line at which each record begins."""
    reader = csv.reader(io.StringIO(lines.text, newline=""), delimiter=delimiter, quotechar=quote)
    line = 1
    for row in reader:
        if row:
            yield line
        line = reader.line_num + 1


def _fit(way: Way, starts: Iterator[int], header: bool, where: str) -> None:
    """Say which cells belong to which column, or which records have another number of cells."""
    widths = Counter(map(len, way.rows[1:] if header else way.rows))
    if not header:
        width = widths.most_common(1)[0][0]
        way.names = [str(place) for place in range(width)]
        way.stop = width
    else:
        way.names = [name.strip() for name in way.rows[0]]
        way.stop = width = len(way.names)
        if len(widths) == 1 and width not in widths and _shifted(way, next(iter(widths)), where):
            return
    if set(widths) <= {width}:
        return
    way.wrong = sum(count for each, count in widths.items() if each != width)
    for line, row in zip(starts, way.rows, strict=False):
        if len(row) != width:
            way.bad.append(f"line {line} has {len(row)}")
            if len(way.bad) == 5:
                break


def _shifted(way: Way, width: int, where: str) -> bool:
    """Whether all lines alike have cells that no name stands over, and which: at the end, or row names in front."""
    named_cells, data = len(way.names), way.rows[1:]
    if width == named_cells - 1 and not way.names[-1]:
        way.names, way.stop, way.exact = way.names[:-1], width, False
        return True
    if width < named_cells:
        return False
    at_end = not any(any(row[named_cells:]) for row in data)
    firsts = [row[0] for row in data]
    in_front = width == named_cells + 1 and all(map(str.isdecimal, firsts)) and len(set(firsts)) == len(firsts)
    if at_end and in_front and len(data) > 1:
        raise UserError(
            f"{where}: its lines have {width} cells and the header {named_cells}; the first cell may be a row name or "
            "the last one nothing, so name the missing column in the header"
        )
    if at_end:
        way.exact = False
        way.told.append(f"lines end in {width - named_cells} separator(s) more than the header, with nothing behind")
    elif in_front:
        way.start, way.stop, way.exact = 1, width, False
        way.told.append("row names in front, over which the header has no name, left out")
    return at_end or in_front


def _better(letters: Way, quoted: Way, dialect: Dialect, where: str) -> tuple[Way, str]:
    """One of two readings that hold, and what spoke for it where the other was possible too."""
    quote = quoted.quote
    rows = [len(way.rows) - dialect.header for way in (letters, quoted)]
    widths = [way.stop - way.start for way in (letters, quoted)]
    if letters.exact != quoted.exact:
        return (letters if letters.exact else quoted), ""
    if dialect.header and any(name.startswith(quote) for name in letters.rows[0]):
        return quoted, ""
    same = rows[0] == rows[1] and widths[0] == widths[1]
    if same and _whole_columns(letters, quoted, dialect.header):
        return quoted, "they are around every cell of a column"
    ends = (line[0][:1] + line[-1][-1:] for line in letters.rows[dialect.header :])
    if rows[0] == rows[1] and all(each == quote + quote for each in ends):
        return quoted, "every line begins and ends with one"
    if quoted.delimiter in ",;":
        return quoted, f"as usual between {named(quoted.delimiter)}"
    if same:
        return letters, f"as usual between {named(quoted.delimiter)}"
    raise UserError(
        f"{where} has {rows[0]} rows of {widths[0]} cells where quotation marks are letters and {rows[1]} of "
        f"{widths[1]} where they enclose cells: say which with --quote none or --quote double"
    )


def _whole_columns(letters: Way, quoted: Way, header: bool) -> bool:
    """Whether each column has quotes around all of its cells but empty ones, or around none."""
    columns = (zip(*way.rows[header:], strict=True) for way in (letters, quoted))
    return all(
        len({cell.startswith(quoted.quote) for cell, content in zip(raw, cells, strict=True) if content}) < 2
        for raw, cells in zip(*columns, strict=True)
    )


def _check_letters(letters: Way, quoted: Way, dialect: Dialect, where: str) -> None:
    """Raise UserError where quotation marks cannot be meant as letters although they enclose nothing by the rule."""
    quote = quoted.quote
    columns = letters.columns(dialect.header)
    why = quoted.broken or _ragged(quoted)
    remedy = "mend it there, or say --quote none, where quotation marks are letters"
    if dialect.header and any(name.startswith(quote) for name in letters.rows[0]):
        raise UserError(f"{where}: its header has quotation marks around names, but {why}; {remedy}")
    inner: list[str] = []
    for name, cells in columns.items():
        around = [cell for cell in cells if len(cell) > 1 and cell[0] == cell[-1] == quote]
        inner += [cell[1:-1] for cell in around if quote in cell[1:-1]]
        if len(around) > len(cells) / 2:
            raise UserError(
                f"{where}: column {name!r} has quotation marks around {len(around)} of {len(cells)} cells, but {why}; "
                f"{remedy}"
            )
    if inner and all(re.sub(r"\\.", "", text).count(quote) == 0 for text in inner):
        raise UserError(
            f"{where}: its quotation marks are escaped by backslashes, which is not read; double them in the file, or "
            "say --quote none, where they and the backslashes are letters"
        )


def _check_spaces(way: Way, dialect: Dialect, where: str) -> None:
    """Raise UserError where spaces before the quotes keep them from enclosing their cells."""
    pattern = re.compile(rf"\s+{way.quote}.*{way.quote}\s*", re.DOTALL)
    for name, cells in way.columns(dialect.header).items():
        odd = sum(cell[:1].isspace() and bool(pattern.fullmatch(cell)) for cell in cells)
        if odd > len(cells) / 2:
            raise UserError(
                f"{where}: column {name!r} has a space before the quotation marks of {odd} cells, which then are "
                "letters; take the spaces out, or say --quote none where that is meant"
            )


def _ragged(way: Way) -> str:
    width = way.stop - way.start
    return f"{faults(way.wrong, way.bad)}, where {width} cells are expected"


def _refusal(ways: Sequence[Way], dialect: Dialect, where: str) -> UserError:
    """Why no reading holds, told of the one that comes nearest."""
    way = min(ways, key=lambda each: (bool(each.broken), each.wrong))
    if way.broken:
        return UserError(f"{where}: {way.broken}; mend it there, or say --quote none, where they are letters")
    other = "".join(f"; as for quotation marks, {each.broken}" for each in ways if each.broken)
    where_from = "the header has" if dialect.header else "most lines have"
    return UserError(
        f"{where}: rows with another number of cells than {where_from} ({way.stop - way.start}, separated by "
        f"{named(way.delimiter)}): {faults(way.wrong, way.bad)}{other}; texts that hold a separator need quotation "
        "marks around them, and --delimiter or --quote decides how the file is read"
    )


def _mixed(lines: Lines, way: Way) -> bool:
    """Whether some records end in a line feed and others in both signs; line ends inside cells do not count."""
    both = lines.text.count("\r\n")
    bare = lines.text.count("\n") - both
    if way.quote:
        inside = [cell for row in way.rows for cell in row if "\n" in cell]
        both_inside = sum(cell.count("\r\n") for cell in inside)
        bare -= sum(cell.count("\n") for cell in inside) - both_inside
        both -= both_inside
    return both > 0 and bare > 0
