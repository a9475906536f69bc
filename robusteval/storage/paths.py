"""A place that the user names, before anything is read or written there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from robusteval.errors import UserError

_REASONS = {
    errno.ENAMETOOLONG: "its name is longer than the system allows",
    errno.ELOOP: "it is a link that leads back to itself",
    errno.EACCES: "a folder on the way to it may not be entered",
}


def user_path(text: str, field: str) -> Path:
    """The path that `text` means, with "~" for a home folder; there may be nothing there.

    Raises UserError for a text that names no place: an empty one, an unknown user's home, a name that is too long, a
    link to itself, a sign that no name can hold.
    """
    check_text(text, field)
    if not text.strip():
        raise UserError(f"{field}: it is empty; name a place, or leave the option out")
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{field}: {text!r} is in the home of a user that is not known here") from None
    try:
        os.stat(path)
    except OSError as error:
        if error.errno in _REASONS:
            raise UserError(f"{field}: {_short(text)} cannot be used: {_REASONS[error.errno]}") from None
    return path


def check_text(text: str, field: str) -> None:
    """Raise UserError for text that can be kept in no file: bytes that are no UTF-8, and control characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        told = f"{field}: {_short(text)} holds bytes that are no text in UTF-8"
        raise UserError(f"{told}; write or name it otherwise") from None
    bad = next((sign for sign in text if ord(sign) < 32 or ord(sign) == 127), None)
    if bad is not None:
        raise UserError(f"{field}: {_short(text)} holds the control character {bad!r}, which no name or value has")


def _short(text: str) -> str:
    return repr(text) if len(text) <= 100 else f"{text[:60]!r}... ({len(text)} characters)"
