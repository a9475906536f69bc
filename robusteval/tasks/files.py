"""A file of rows, by what its name ends in; every source reads its files here."""

from __future__ import annotations

import dataclasses
import gzip
import zlib
from pathlib import Path

from robusteval.errors import UserError
from robusteval.settings.dialect import Dialect
from robusteval.tasks.arrow import parquet_frame, saved_frame
from robusteval.tasks.decoding import decode
from robusteval.tasks.delimited import read_delimited
from robusteval.tasks.objects import read_json, read_json_lines
from robusteval.tasks.table import Table, make_frame

SEPARATORS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ""}
JSON = {".json": read_json, ".jsonl": read_json_lines, ".ndjson": read_json_lines}
READABLE = (*SEPARATORS, *JSON, ".parquet")
# how files begin that are not what their name says
FOREIGN = {
    b"PAR1": "Parquet: name it .parquet",
    b"PK\x03\x04": "a zip archive or an Excel workbook: unpack it, or export it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: export it as CSV",
    b"version https://git-lfs": "the pointer of a file that Git LFS keeps: fetch it with git lfs pull",
    b"<!doctype html": "a web page, not the file that it offers: download that",
    b"<html": "a web page, not the file that it offers: download that",
    b"%PDF": "a PDF: export it as CSV",
    b"BZh": "compressed with bzip2: unpack it",
    b"\xfd7zXZ": "compressed with xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard: unpack it",
    b"SQLite format 3": "an SQLite database: export it as CSV",
}


def read_table(path: Path, field: str, dialect: Dialect) -> Table:
    """The rows of a file (.gz too), or of a folder that `datasets.save_to_disk` wrote.

    Every cell of a text table is the text that stands there: "007" keeps its zeros, "NA" is a word.
    field: the option that named the file, for errors.
    Raises UserError for whatever cannot be read, or could be read in more than one way.
    """
    where = f"{field}: {str(path)!r}"
    try:
        if path.is_dir():
            return _told(path, Table(saved_frame(path, where), decisions=_idle(dialect)))
        if not path.exists():
            raise UserError(f"{field}: there is no file {str(path)!r}")
        if not path.is_file():
            raise UserError(f"{where} is no regular file")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise UserError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    name = path.name.lower().removesuffix(".gz")
    kind = Path(name).suffix
    if kind not in READABLE:
        raise UserError(f"{field}: {path.name!r} ends in {kind!r}; readable are {', '.join(READABLE)}, and .gz of each")
    return _told(path, _table(_unpacked(data, where), kind, dialect, where))


def _unpacked(data: bytes, where: str) -> bytes:
    """Without gzip, whose sign is in the file whatever it is called."""
    try:
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{where} cannot be unpacked: {error}") from error
    if not data:
        raise UserError(f"{where} is empty")
    return data


def _table(data: bytes, kind: str, dialect: Dialect, where: str) -> Table:
    if kind == ".parquet":
        return Table(parquet_frame(data, where), decisions=_idle(dialect))
    start = data[:64].lstrip().lower()
    for begin, what in FOREIGN.items():
        if data.startswith(begin) or start.startswith(begin):
            raise UserError(f"{where} is {what}")
    text, decisions = decode(data, dialect.encoding, where)
    if kind in JSON:
        frame, more = JSON[kind](text, where)
        return Table(frame, decisions=(*decisions, *more, *_idle(dialect, "--encoding")))
    columns, quote, more = read_delimited(text, SEPARATORS[kind], dialect, where)
    return Table(make_frame(columns, as_written=True), decisions=(*decisions, *more), quote=quote)


def _idle(dialect: Dialect, *used: str) -> tuple[str, ...]:
    """A clause about options that decide nothing here."""
    idle = [option for option in dialect.decided if option not in used]
    return (f"{', '.join(idle)} decides nothing in such a file",) if idle else ()


def _told(path: Path, table: Table) -> Table:
    decisions = (f"{path.name}: {', '.join(table.decisions)}",) if table.decisions else ()
    return dataclasses.replace(table, files=(path.name,), decisions=decisions)
