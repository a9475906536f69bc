"""The grammar of options that hold several things: "name:key=value+name", "a,b", "a/b", with names that hold any sign.

A name that holds a sign which separates stands in double quotes: "Sci/Tech", "a,b"; a quotation mark inside it is
doubled. A quotation mark anywhere but at the ends of a name is a letter. FILE.py:OBJECT is one name; its path stands
in quotes only where it holds a comma, a colon, a plus or a quotation mark.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from typing import Any

import yaml

from robusteval.errors import UserError
from robusteval.registry import is_file, pinned, result_name

Part = tuple[str, dict[str, Any]]

MOST_SEEDS = 1000

SIGNS = ",:=+/|>"
QUOTING = "a name that holds one of , : = + / | > stands in double quotes"
_QUOTED = re.compile(rf'(^|[{SIGNS}])(\s*)("(?:[^"]|"")*")(?=\s*(?:$|[{SIGNS}]))')
# where an entry may begin: a path, which ends in .py (on Windows with its drive), and what of the file is meant
_FILE = re.compile(r'(^|[,+])(\s*)((?:[A-Za-z]:[\\/])?[^,:+"]*\.py:[^,:+="]*)(?=$|[,:+])')
_WHOLE = re.compile(r'"((?:[^"]|"")*)"')
# from here on in Unicode lie characters for private use: they stand for quoted names while a text is cut
_FIRST = 0xF0000


class _Masked:
    """A text whose quoted names and objects in files are a single character each, so that it can be cut at signs."""

    def __init__(self, text: str) -> None:
        self._names: list[str] = []
        self.text = _FILE.sub(self._hide, _QUOTED.sub(self._hide, text))

    def _hide(self, match: re.Match[str]) -> str:
        self._names.append(match[3])
        return f"{match[1]}{match[2]}{chr(_FIRST + len(self._names) - 1)}"

    def restore(self, piece: str) -> str:
        return "".join(self._names[n] if 0 <= (n := ord(c) - _FIRST) < len(self._names) else c for c in piece)


def cut(text: str, sign: str) -> list[str]:
    """The pieces of a text between the signs that stand outside quotes, stripped; their quotes stay.

    >>> cut('a, "b, c"', ",")
    ['a', '"b, c"']
    """
    masked = _Masked(text)
    return [masked.restore(piece.strip()) for piece in masked.text.split(sign)]


def cut_once(text: str, sign: str) -> tuple[str, str, str]:
    """What stands before and after the first sign outside quotes, stripped, as `str.partition` does."""
    masked = _Masked(text)
    head, found, tail = masked.text.partition(sign)
    return masked.restore(head.strip()), found, masked.restore(tail.strip())


def name(text: str) -> str:
    """A name without the quotes that protect it.

    >>> name('"Sci/Tech"')
    'Sci/Tech'
    """
    whole = _WHOLE.fullmatch(text.strip())
    return whole[1].replace('""', '"') if whole else text.strip()


def written(plain: str) -> str:
    """A name as it must be written in an option: in quotes where it holds a sign that separates.

    >>> written("Sci/Tech")
    '"Sci/Tech"'
    """
    marked = any(sign in plain for sign in SIGNS) or plain != plain.strip() or plain[:1] == '"' or not plain
    return '"' + plain.replace('"', '""') + '"' if marked else plain


def mapping(pairs: Iterable[tuple[str, str]]) -> str:
    """Values and their classes as a shell must be given them, in quotes of the shell's own where it needs them.

    >>> print(mapping([("pos ", "pos"), ("neg", "neg")]))
    '"pos "=pos,neg=neg'
    """
    return shlex.quote(",".join(f"{written(value)}={written(target)}" for value, target in pairs))


def pieces(text: str) -> tuple[str, ...]:
    """The entries of a comma-separated list as they are written, for what reads them further."""
    return tuple(filter(None, cut(text, ",")))


def listed(text: str) -> tuple[str, ...]:
    """The names of a comma-separated list."""
    return tuple(name(piece) for piece in pieces(text))


def number(text: str) -> str:
    """A number in digits that everybody reads alike; ValueError for 1_000 or the digits of another script."""
    if not text.isascii() or "_" in text:
        raise ValueError(text)
    return text


def numbers(text: str, name: str, kind: Callable[[str], Any]) -> tuple[Any, ...]:
    """The numbers of a comma-separated list; UserError, which begins with `name`, where it is none."""
    try:
        return tuple(kind(number(part)) for part in listed(text))
    except ValueError:
        raise UserError(f"{name}: {text!r} is not a comma-separated list of numbers") from None


def seeds_of(given: Any) -> Any:
    """Seeds from how many there are to be, 3 or "3" for 0, 1, 2, or from which, "4,7"; a list is left as it is.

    UserError for a text that is neither, and where there are none or more than one experiment may have.
    """
    if not isinstance(given, str | int) or isinstance(given, bool):
        return given
    text = str(given)
    try:
        numbers = tuple(int(number(part)) for part in listed(text))
    except ValueError:
        raise UserError(f"seeds: {text!r} is neither a count nor a comma-separated list") from None
    if not numbers or min(numbers) < 0 or (len(numbers) == 1 and "," not in text and numbers[0] < 1):
        raise UserError(f"seeds: {text!r} names no seed; give a count of at least 1, or numbers from 0")
    count = len(numbers) if "," in text else numbers[0]
    if count > MOST_SEEDS:
        raise UserError(f"seeds: {count} are more than the {MOST_SEEDS} that one experiment may have")
    return numbers if "," in text else tuple(range(numbers[0]))


def compact(text: str) -> str:
    """A text without the spaces around its signs."""
    masked = _Masked(text)
    return masked.restore(re.sub(r"\s*([:=+/|>])\s*", r"\1", masked.text.strip()))


def ladder(text: str) -> list[str]:
    """The texts that one with "a/b/c" for a value stands for; itself where it has no such value."""
    masked = _Masked(text)
    found = re.search(r"=([^:+/]*(?:/[^:+/]*)+)", masked.text)
    if not found:
        return [text]
    head, tail = masked.text[: found.start(1)], masked.text[found.end(1) :]
    return [each for value in found[1].split("/") for each in ladder(masked.restore(head + value + tail))]


def parse_part(text: str, kind: str) -> Part:
    """Read `name[:key=value...]`; kind: the field that holds the text, for errors.

    >>> parse_part("match:temperature=2", "methods")
    ('match', {'temperature': 2})
    """
    called, *pairs = cut(text, ":")
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = cut_once(pair, "=")
        if not equals or not key:
            raise UserError(f"{kind}: {pair!r} in {text!r} is not key=value; {QUOTING}")
        settings[key] = scalar(value, kind)
    return name(called), settings


def parse_parts(text: str, kind: str) -> tuple[Part, ...]:
    """Read `name[:key=value...][+name...]`."""
    return tuple(parse_part(part, kind) for part in cut(text, "+"))


def part_name(text: str) -> str:
    """The name in `name[:key=value...]`."""
    return name(cut_once(text, ":")[0])


def pinned_parts(text: str, kind: str) -> str:
    """The text of one part or several, with every object in a file named as `registry.pinned` does."""
    return _renamed(text, lambda each: written(pinned(each, kind)))


def label(text: str) -> str:
    """The text of one part or several as results bear it: without the places of files, and with their content."""
    return _renamed(text, result_name)


def _renamed(text: str, rename: Callable[[str], str]) -> str:
    parts = cut(text, "+")
    if not any(is_file(part_name(part)) for part in parts):
        return text
    cuts = ((part, *cut_once(part, ":")) for part in parts)
    return "+".join(
        f"{rename(name(head))}{colon}{rest}" if is_file(name(head)) else part for part, head, colon, rest in cuts
    )


def scalar(text: str, kind: str) -> Any:
    """A setting's value: a YAML scalar, with 1e-5 read as the number that everyone means; in quotes always a word."""
    if _WHOLE.fullmatch(text):
        return name(text)
    if '"' in text:
        return text  # several names, which the setting itself takes apart
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # a date that is none is a ValueError
        raise UserError(f"{kind}: {text!r} is not a setting's value") from None
    if isinstance(value, bool) and text.lower() not in ("true", "false"):
        return text  # "no" is a word here
    if re.fullmatch(r"[+-]?0[0-9]+", text):
        return text  # YAML has 010 for eight, and it may be the name of a class
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value if value is None or isinstance(value, int | float | list | dict) else text  # a date is a word


def missing_name(given: str, known: Iterable[str]) -> str:
    """What to say of a name that is the beginning or the end of a known one, cut off at a sign; else nothing."""
    for index, each in enumerate(known):
        if any(sign in each for sign in SIGNS) and given and (each.startswith(given) or each.endswith(given)):
            return (
                f"{each!r} holds a sign that separates settings: write it in double quotes, {written(each)}, or give "
                f"its index, {index}"
            )
    return ""
