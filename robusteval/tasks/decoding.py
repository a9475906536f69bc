"""From a file's bytes to its text. An encoding is certain (a mark at the beginning, UTF-8 that holds), or named by the
user; one that could only be guessed is refused with what it may be."""

from __future__ import annotations

import codecs
from collections.abc import Iterator

from charset_normalizer import from_bytes

from robusteval.errors import UserError
from robusteval.tasks.table import faults

# UTF-32 first: its mark begins with UTF-16's
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, encoding: str | None, where: str) -> tuple[str, list[str]]:
    """The text without a byte order mark, and what was decided.

    encoding: what the user named; where: the file, for errors. Raises UserError where the bytes are no such text.
    """
    if encoding is not None:
        try:
            text = data.decode(encoding).removeprefix("\ufeff")
        except UnicodeError as error:
            raise UserError(f"{where} is not {encoding}: {_first_bad(data, error)}; name another --encoding") from error
        other = not data.isascii() and _is_utf8(data) and text != data.decode("utf-8-sig")
        return text, [f"read as {encoding}, though its bytes are UTF-8 too (--encoding)"] if other else []
    for mark, name in MARKS:
        if data.startswith(mark):
            try:
                return data.decode(name), [] if name == "utf-8-sig" else [f"encoded in {name}"]
            except UnicodeError as error:
                raise UserError(
                    f"{where} begins as {name} does, but {_first_bad(data, error)}; the file is damaged, or written in "
                    "two encodings"
                ) from error
    name = _halves(data)
    if name:
        return data.decode(name), [f"encoded in {name}, by its empty bytes (--encoding)"]
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8: {_reason(data, error)}") from error


def _halves(data: bytes) -> str:
    """UTF-16 without a mark: every second byte of a Latin text is empty."""
    start = data[:4096]
    half = len(start) // 2
    for name, empty, full in (("utf-16-le", start[1::2], start[::2]), ("utf-16-be", start[::2], start[1::2])):
        if half and empty.count(0) > 0.7 * half and full.count(0) == 0:
            try:
                data.decode(name)
            except UnicodeError:
                return ""
            return name
    return ""


def _first_bad(data: bytes, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return str(error)
    line = data.count(b"\n", 0, error.start) + 1
    return f"line {line} holds the byte 0x{data[error.start]:02x}, which is none of its signs"


def _reason(data: bytes, error: UnicodeDecodeError) -> str:
    """Where UTF-8 ends, and which encodings the file may have, each with what the place would be."""
    foreign = list(_foreign(data))
    bad = [(number, line) for number, line in foreign if not _is_utf8(line)]
    first = [f"line {number}" for number, _ in bad[:5]]
    if len(bad) < len(foreign) / 2:
        return (
            f"lines that are not are {faults(len(bad), first)}, {len(foreign) - len(bad)} others beyond ASCII are; "
            "these were written in another encoding: mend them, or name one for all (--encoding latin-1)"
        )
    sample = b"\n".join(line for _, line in bad)[:20_000]
    guessed = [match.encoding for match in from_bytes(sample)][:2]
    line = bad[0][1]
    place = next(index for index, byte in enumerate(line) if byte > 127)
    said: dict[str, str] = {}
    for name in dict.fromkeys(["cp1252", "gbk", *guessed]):
        try:
            whole = data.decode(name)
        except (UnicodeError, LookupError):
            continue
        text = line.decode(name, errors="replace")
        begin = max(0, len(line[:place].decode(name, errors="replace")) - 8)
        if whole and text[begin : begin + 16] not in said.values():
            said[name] = text[begin : begin + 16]
    readings = ", ".join(f"--encoding {name} (reads {text!r})" for name, text in list(said.items())[:3])
    return f"{_first_bad(data, error)}; say {readings or '--encoding and its name'}"


def _foreign(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines that hold more than ASCII, with their numbers."""
    return ((number, line) for number, line in enumerate(data.split(b"\n"), 1) if not line.isascii())


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
