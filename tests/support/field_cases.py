"""Cases from the field: a folder each, with input files, command lines, and what must happen."""

from __future__ import annotations

import functools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from support.processes import carried_out, file


@dataclass
class Done:
    """What a command left: exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def refused(self) -> bool:
        """Ended by one sentence that begins with "error:", exit code 2."""
        last = self.stderr.strip().rpartition("\n")[2]
        return self.returncode == 2 and last.startswith("error:") and "Traceback" not in self.stderr


@dataclass
class CommandLine:
    """One line of a case's command.txt: variables set before it, and its words."""

    environment: dict[str, str]
    words: list[str]

    @property
    def robusteval(self) -> list[str]:
        """The arguments of a robusteval command."""
        assert self.words[0] == "robusteval", self.words
        return self.words[1:]


def command_lines(folder: Path, **places: Path) -> list[CommandLine]:
    """The command lines of a case, with $MODELS, $DATA and $OUT put in."""
    text = (folder / "command.txt").read_text()
    for name, place in places.items():
        text = text.replace(f"${name}", str(place))
    found = []
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        environment = {}
        while words and "=" in words[0] and words[0].partition("=")[0].isupper():
            name, _, value = words.pop(0).partition("=")
            environment[name] = value
        if words:
            found.append(CommandLine(environment, words))
    return found


def make_models(cases: Path, folder: Path, *names: str) -> Path:
    """Fill `folder` with the checkpoints of the cases."""
    done = carried_out(functools.partial(file, cases / "make_models.py", str(folder), *names))
    assert done.returncode == 0, done.stderr
    return folder


def accuracy(done: Done, test: str = "clean") -> str:
    """The accuracy that a printed table gives for a test, as it stands there."""
    for line in done.stdout.splitlines():
        cells = [cell for cell in re.split(r"\s*[│┃|]\s*|\s{2,}", line.strip(" │┃|")) if cell]
        if len(cells) > 3 and cells[0] == test and cells[1] == "accuracy":
            return cells[3]
    raise AssertionError(f"no accuracy of {test} in:\n{done.stdout}")
