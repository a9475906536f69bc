"""What a command leaves on standard output: lines for people, or its numbers as JSON and nothing else."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

from robusteval.cli.options import option
from robusteval.runtime.terminal import Screen
from robusteval.storage.files import as_json as text_of

AsJson = Annotated[bool, option("--json", help="Print it as JSON, and nothing else on standard output.")]
EveryRow = Annotated[bool, option("--all-rows", help="Print what it cost and counts of rows, too; files have them.")]


@dataclass(frozen=True)
class Shown:
    """How a command shows what it found. as_json: for programs; every: rows of cost and counts of rows, too."""

    as_json: bool = False
    every: bool = False

    def screen(self, **settings: Any) -> Screen:
        """For people: where standard output is for JSON alone, that is standard error."""
        return Screen(stderr=self.as_json, **settings)


def print_json(held: Any) -> None:
    """Plain values, for programs; a number that is not finite is null."""
    sys.stdout.write(text_of(held, indent=2))
