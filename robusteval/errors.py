"""The one exception for a user's mistake: a clear sentence, exit code 2, never a traceback."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Collection, Iterable


class UserError(Exception):
    """Something the user gave cannot be used. The message names the field and the value."""

    exit_code = 2


def first_line(error: BaseException) -> str:
    """What an error says first; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def describe_error(error: BaseException, file: str = "") -> str:
    """Kind, message, and the line of `file` where it happened."""
    frames = traceback.extract_tb(error.__traceback__) if file else ()
    lines = [frame.lineno for frame in frames if frame.filename == file]
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{where}"


def nearest(value: str, valid: Iterable[str], n: int = 3) -> list[str]:
    """The valid names closest to `value`, best first; matching ignores case."""
    names = {name.lower(): name for name in valid}
    close = difflib.get_close_matches(value.lower(), list(names), n=n, cutoff=0.5)
    return [names[name] for name in close]


def unknown_name(field: str, value: object, valid: Iterable[str]) -> UserError:
    """A UserError that says which names exist, the nearest first."""
    names = sorted(valid)
    close = nearest(str(value), names)
    meant = f"did you mean {' or '.join(repr(name) for name in close)}?"
    hint = meant if close else f"valid names: {', '.join(names)}"
    return UserError(f"{field}: unknown name {str(value)!r}; {hint}")


def some(names: Collection[str], most: int = 3) -> str:
    """The first names of many."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
