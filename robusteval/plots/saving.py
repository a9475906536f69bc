"""Pictures as files: the same bytes each time, text that stays text, and a word where a glyph is missing."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

from robusteval.errors import unknown_name
from robusteval.plots.style import Picture, look
from robusteval.storage.files import write_atomic

FORMATS = ("png", "svg", "pdf")
# no date and no version: what is drawn alike is alike
_METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None},
             "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}  # fmt: skip
_MISSING = re.compile(r"Glyph \d+ \((.*?)\) missing from")


class MissingGlyphs(UserWarning):
    """Characters that no installed font has."""


def rendered(figure: Picture, ending: str = "png") -> bytes:
    """A picture's bytes as "png", "svg" or "pdf"; warns with MissingGlyphs, once, where characters have no font."""
    if ending not in FORMATS:
        raise unknown_name("format", ending, FORMATS)
    held = io.BytesIO()
    with look(), warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        figure.savefig(held, format=ending, metadata=_METADATA[ending])
    if any(_MISSING.search(str(each.message)) for each in met):
        warnings.warn(
            "a picture has characters that no installed font has, and shows boxes for them; for Chinese, Japanese and "
            "Korean install fonts-noto-cjk (Debian, Ubuntu), google-noto-sans-cjk-fonts (Fedora) or noto-fonts-cjk "
            "(Arch)",
            MissingGlyphs,
            stacklevel=2,
        )
    return held.getvalue()


def svg(figure: Picture) -> str:
    """A picture as an <svg> element, without what an XML file has before it."""
    text = rendered(figure, "svg").decode()
    return text[text.index("<svg") :]


def save(figure: Picture, path: Path | str) -> None:
    """Write a picture, in the format of the file's ending: .png, .svg or .pdf."""
    place = Path(path)
    write_atomic(place, rendered(figure, place.suffix.removeprefix(".").lower()))
