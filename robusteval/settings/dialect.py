"""How a file of rows is to be read: what the user decided by hand, and what the reader is to decide."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from robusteval.errors import UserError, unknown_name

AUTO = "auto"
DELIMITERS = {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|", "space": " "}
QUOTES = {"none": "", "double": '"', "single": "'"}


@dataclass(frozen=True)
class Dialect:
    """None means that the reader decides.

    encoding: a codec's name; delimiter: one sign; quote: the sign around cells, "" where there is none.
    header: the first line holds the names of the columns.
    likely: the quote of the training file, for a file beside it that can be read in both ways.
    """

    encoding: str | None = None
    delimiter: str | None = None
    quote: str | None = None
    header: bool = True
    likely: str | None = None

    @classmethod
    def of(cls, encoding: str, delimiter: str, quote: str, header: bool) -> Dialect:
        """From what the user wrote: "auto", a sign or its name; UserError for what is neither."""
        dialect = cls(_encoding(encoding), _delimiter(delimiter), _quote(quote), header)
        if dialect.delimiter is not None and dialect.delimiter == dialect.quote:
            raise UserError(f"delimiter: {delimiter!r} is also the quote; the two must differ")
        return dialect

    @property
    def decided(self) -> dict[str, str]:
        """What was decided by hand, by option."""
        given = {"--encoding": self.encoding, "--delimiter": self.delimiter, "--quote": self.quote}
        options = {option: value for option, value in given.items() if value is not None}
        return options if self.header else {**options, "--no-header": ""}


def named(sign: str) -> str:
    """A sign as a sentence names it."""
    names = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", " ": "spaces"}
    return names.get(sign, repr(sign))


def _encoding(text: str) -> str | None:
    if text == AUTO:
        return None
    try:
        # a codec such as "hex" makes bytes of bytes
        if isinstance(codecs.lookup(text).decode(b"")[0], str):
            return text
    except (LookupError, ValueError, UnicodeError):
        pass
    known = ["utf-8", "utf-16", "latin-1", "cp1252", "gbk", "gb18030", "big5", "shift_jis", "euc-kr", "cp1251"]
    raise unknown_name("encoding", text, known)


def _delimiter(text: str) -> str | None:
    if text == AUTO:
        return None
    sign = DELIMITERS.get(text, "\t" if text == "\\t" else text)
    if len(sign) != 1 or sign.isalnum() or sign in "\r\n\"'\0\ufeff":
        raise UserError(
            f"delimiter: {text!r} cannot separate columns; give one sign that is no letter, digit or quotation mark, "
            f"or one of {', '.join(DELIMITERS)}"
        )
    return sign


def _quote(text: str) -> str | None:
    if text == AUTO:
        return None
    sign = QUOTES.get(text, text)
    if sign not in QUOTES.values():
        raise UserError(f"quote: {text!r} cannot enclose cells; valid: \", ' or one of {', '.join(QUOTES)}")
    return sign
