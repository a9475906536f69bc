"""Rows as a source gave them: cells by column, and what was read and decided to get them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

# marks, in a frame's `attrs`: cells are the text of the file, so that label cells may be read as numbers
AS_WRITTEN = "as_written"
# and column -> class names in the order of the integers that stand in it
CLASSES = "classes"


@dataclass(frozen=True)
class Table:
    """files: what was read, in order; decisions: what was decided in reading them, a clause each.

    quote: the sign around cells of a text table, "" where quotation marks are letters, None where there are none.
    """

    frame: pd.DataFrame
    files: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    quote: str | None = None

    @property
    def record(self) -> dict[str, str]:
        """Files and decisions in words, for the record of where rows came from."""
        files = self.files if len(self.files) < 4 else (self.files[0], "...", self.files[-1])
        record = {"files": ", ".join(files), "read": "; ".join(self.decisions)}
        return {key: text for key, text in record.items() if text}


def make_frame(
    columns: Mapping[str, Sequence[Any]], classes: Mapping[str, Sequence[str]] | None = None, as_written: bool = False
) -> pd.DataFrame:
    """A frame whose cells stay what they are: pandas' own types turn integers beside a hole into fractions."""
    frame = pd.DataFrame({name: pd.Series(list(cells), dtype=object) for name, cells in columns.items()})
    frame.attrs[AS_WRITTEN] = as_written
    frame.attrs[CLASSES] = {column: tuple(names) for column, names in (classes or {}).items()}
    return frame


def faults(count: int, first: Sequence[str]) -> str:
    """How many faults there are, and the first few."""
    return f"{count} of them ({', '.join(first)}{', ...' if count > len(first) else ''})"


def class_names(frame: pd.DataFrame, column: str) -> tuple[str, ...]:
    """The names that the file itself gives to the integers of a column, in order; empty where it gives none."""
    return tuple(frame.attrs.get(CLASSES, {}).get(column, ()))
