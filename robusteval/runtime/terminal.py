"""What a terminal, pipe or file can show: the signs that its encoding lacks are replaced here, and nowhere else."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

# Letters raised behind a number, by the plain one.
RAISED = dict(zip("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", strict=True))
# The signs that the package itself prints beyond ASCII, in what every encoding has.
SIGNS = {
    **{raised: f"^{plain}" for plain, raised in RAISED.items()},
    "Δ": "diff", "−": "-", "–": "-", "—": "-", "±": "+-", "×": "x", "→": "->", "≤": "<=", "≥": ">=", "…": "...",
    "·": "-", "•": "*", "“": '"', "”": '"', "θ": "theta", "λ": "lambda", "━": "-", "─": "-",
    "╸": "-", "╺": "-", "│": "|", "╭": "+", "╮": "+", "╰": "+", "╯": "+", "┃": "|",
}  # fmt: skip
HANDLER = "robusteval-signs"


def shown(text: str, encoding: str) -> str:
    """`text` with what `encoding` lacks replaced: a known sign by its likeness, anything else by its escape.

    >>> shown("match (Δ): 3 − 2 中", "ascii")
    'match (diff): 3 - 2 \\\\u4e2d'
    """
    return text.encode(encoding, HANDLER).decode(encoding)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(SIGNS.get(sign) or sign.encode("ascii", "backslashreplace").decode() for sign in signs), error.end


codecs.register_error(HANDLER, _replaced)


class Screen(Console):
    """A rich console that measures text as it will be printed, so that columns stay in line in any encoding."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"emoji": False, **settings})

    @property
    def redraws(self) -> bool:
        """Whether a line may be drawn over: on a terminal that can, not in a log that colours are forced on."""
        return self.is_interactive and self.file.isatty()

    def render_str(self, text: str, **settings: Any) -> Text:
        return super().render_str(shown(text, self.encoding), **settings)


@contextmanager
def printable() -> Iterator[None]:
    """Inside, whatever is printed to standard output or error is printed, and a reader that left is no error."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if hasattr(stream, "reconfigure")]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors=HANDLER)
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            try:
                stream.flush()
                stream.reconfigure(errors=errors)
            except OSError:
                # nobody reads on: what Python still holds for it goes nowhere, without a word at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            except ValueError:  # closed by whoever was called
                continue


@contextmanager
def loading(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Say on a terminal what is being loaded while nothing else can be said; elsewhere nothing."""
    console = Screen(file=sys.stderr)
    if quiet or not console.redraws:
        yield
        return
    with console.status(f"loading {what} ...", spinner="line"):
        yield
