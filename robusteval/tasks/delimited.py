"""Tables written as text: cells between separators, with or without quotation marks around them.

A file does not say whether a quotation mark at a cell's beginning encloses the cell or is a letter, so both readings
are tried, and one holds only where every physical line is accounted for and all records have as many cells as the
header. The rule by which one of two that hold is taken stands in docs/tasks.md; `_better` is its code.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from robusteval.errors import UserError
from robusteval.settings.dialect import Dialect, named
from robusteval.tasks.records import Lines, Way, by_lines, by_quotes, opens
from robusteval.tasks.table import faults

SIGNS = ("\t", ",", ";", "|")
LETTERS, CLOSES = "quotation marks are letters", "quotation marks enclose cells"


def read_delimited(
    text: str, usual: str, dialect: Dialect, where: str
) -> tuple[dict[str, list[str]], str | None, list[str]]:
    """Cells by column, as text; the quote (see `Table`); and what was decided.

    usual: the separator that the file's name stands for, "" where it stands for none. where: the file, for errors.
    Raises UserError where no reading holds, or where two do and nothing speaks for one of them.
    """
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise UserError(f"{where}: line {line} holds a NUL, which no text has; name its encoding (--encoding utf-16)")
    # Excel's way to name the separator; an empty line in its place keeps the numbers of the others
    said = re.match(r"sep=([^\r\n])(?=\r?\n)", text)
    if said and dialect.delimiter is None:
        text, dialect = text[said.end() :], dataclasses.replace(dialect, delimiter=said[1])
    lines = Lines.of(text)
    filled = re.search(r"[^\r\n]+", lines.text)
    if filled is None:
        raise UserError(f"{where} is empty")
    first = filled[0]
    if dialect.header and lines.stray not in ("", "\n") and lines.stray in first:
        raise UserError(f"{where}: lines end in carriage returns, and cells hold line feeds; end lines in line feeds")
    way, decisions = _by_separator(lines, first, usual, dialect, where)
    if lines.mixed and _mixed(lines, way):
        decisions.append("line ends are mixed, and a carriage return before a line feed is part of the end")
    if lines.stray not in ("", "\n"):
        decisions.append("carriage returns that end no line are part of the text")
    if dialect.header:
        _check_joined(way, where)
    else:
        start = " | ".join(cell if len(cell) < 30 else f"{cell[:27]}..." for cell in way.first)
        decisions.append(f"no header, the first row is {start}")
    columns = {name: lines.restore(cells) for name, cells in way.columns().items()}
    opened = opens(lines.text, way.delimiter, way.quote or '"')
    return columns, way.quote if opened else None, decisions


def _check_joined(way: Way, where: str) -> None:
    """Raise UserError where rows repeat the header: files with a header each were joined."""
    raw = way.first[: len(way.names)]
    columns = list(way.columns().values())
    again = [row for row, cell in enumerate(columns[0]) if cell.removeprefix("\ufeff") == raw[0]]
    again = [row for row in again if [column[row] for column in columns[1:]] == raw[1:]]
    if again:
        rows = faults(len(again), [f"row {row}" for row in again[:5]])
        raise UserError(f"{where}: rows that repeat the header: {rows}; take them out where files were joined")


def _by_separator(lines: Lines, first: str, usual: str, dialect: Dialect, where: str) -> tuple[Way, list[str]]:
    """The reading by the separator that was given, else by the usual one, else by the only one that holds."""
    if dialect.delimiter is not None:
        return _by_quote(lines, first, dialect.delimiter, dialect, where)
    there = [sign for sign in dict.fromkeys((usual or "\t", *SIGNS)) if sign in first]
    if not there:
        return _by_quote(lines, first, usual or "\t", dialect, where)
    found: dict[str, tuple[Way, list[str]]] = {}
    failed: dict[str, UserError] = {}
    for sign in there:
        try:
            found[sign] = _by_quote(lines, first, sign, dialect, where)
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


def _by_quote(lines: Lines, first: str, delimiter: str, dialect: Dialect, where: str) -> tuple[Way, list[str]]:
    """The reading with or without quotes that holds, or the better one."""
    quote = '"' if dialect.quote is None else dialect.quote
    opened = quote and opens(lines.text, delimiter, quote)
    ways = [by_quotes(lines, delimiter, quote, dialect.header, where)] if opened else []
    # names of columns are not written with quotation marks of their own
    sure = dialect.header and opened and ways[0].holds and ways[0].exact and opens(first, delimiter, quote)
    if not opened or (dialect.quote is None and not sure):
        ways.insert(0, by_lines(lines, delimiter, dialect.header, where))
    good = [way for way in ways if way.holds]
    if not good:
        raise _refusal(ways, dialect, where)
    way, doubt = good[0], ""
    if len(ways) == 2:
        if len(good) == 2:
            way, doubt = _better(good[0], good[1], lines.text, dialect, where)
        elif not way.quote:
            _check_letters(way, ways[1], dialect, where)
    decisions = []
    if opened and dialect.quote is None:
        other = "--quote none keeps them" if way.quote else "--quote double takes them off"
        decisions.append((CLOSES if way.quote else LETTERS) + (f", by rule: {doubt} ({other})" if doubt else ""))
    if way.quote:
        _check_spaces(way, lines.text, where)
    return way, decisions + way.told


def _better(letters: Way, quoted: Way, text: str, dialect: Dialect, where: str) -> tuple[Way, str]:
    """One of two readings that hold, and what spoke for it where the other was possible too."""
    quote = quoted.quote
    if letters.exact != quoted.exact:
        return (letters if letters.exact else quoted), ""
    if dialect.header and any(name.startswith(quote) for name in letters.first):
        return quoted, ""
    if dialect.likely is not None:
        return (quoted if dialect.likely else letters), "as in the training file"
    one_to_one = letters.records == quoted.records
    same = one_to_one and letters.width == quoted.width
    if same and _whole_columns(letters, quoted):
        return quoted, "they are around every cell of a column"
    first, last = letters.column(0), letters.column(letters.width - 1)
    if one_to_one and all(a[:1] == b[-1:] == quote for a, b in zip(first, last, strict=True)):
        return quoted, "every line begins and ends with one"
    if quoted.delimiter != "\t":  # the one format that is defined without quotes
        return quoted, f"as usual between {named(quoted.delimiter)}"
    if same:
        doubled = ", though some are doubled, as pandas and spreadsheets do it" if quote + quote in text else ""
        return letters, f"as usual between {named(quoted.delimiter)}{doubled}"
    raise UserError(
        f"{where} has {letters.records} rows of {letters.width} cells where quotation marks are letters and "
        f"{quoted.records} of {quoted.width} where they enclose cells: say which with --quote none or --quote double"
    )


def _whole_columns(letters: Way, quoted: Way) -> bool:
    """Whether each column has quotes around all of its cells but empty ones, or around none."""
    return all(
        len({cell.startswith(quoted.quote) for cell, content in zip(raw, cells, strict=True) if content}) < 2
        for raw, cells in zip(letters.columns().values(), quoted.columns().values(), strict=True)
    )


def _check_letters(letters: Way, quoted: Way, dialect: Dialect, where: str) -> None:
    """Raise UserError where quotation marks cannot be meant as letters although they enclose nothing by the rule."""
    quote = quoted.quote
    why = quoted.broken or _ragged(quoted)
    remedy = "mend it there, or say --quote none, where quotation marks are letters"
    if dialect.header and any(name.startswith(quote) for name in letters.first):
        raise UserError(f"{where}: its header has quotation marks around names, but {why}; {remedy}")
    inner: list[str] = []
    for name, cells in letters.columns().items():
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


def _check_spaces(way: Way, text: str, where: str) -> None:
    """Raise UserError where spaces before the quotes keep them from enclosing their cells."""
    if not any(f"{mark} {way.quote}" in text for mark in (way.delimiter, "\n")):
        return
    pattern = re.compile(rf" +{way.quote}.*{way.quote} *", re.DOTALL)
    for name, cells in way.columns().items():
        odd = sum(cell.startswith(" ") and bool(pattern.fullmatch(cell)) for cell in cells)
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
        inside = [cell for cell in way.cells if "\n" in cell]
        both_inside = sum(cell.count("\r\n") for cell in inside)
        bare -= sum(cell.count("\n") for cell in inside) - both_inside
        both -= both_inside
    return both > 0 and bare > 0
