"""Reading what a run or a user left: every file that is damaged, foreign or no file at all ends in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from robusteval.errors import UserError, first_line

# No line and no record of ours comes near this size; parsing a larger one would only take long.
LARGEST = 16 * 2**20


def read_bytes(path: Path, largest: int | None = None) -> bytes | None:
    """The content of `path`; None where there is no such file.

    UserError where it is no regular file, such as a pipe that never ends, where it is larger than `largest` bytes or
    cannot be read.
    """
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode):
            raise UserError(f"{path}: is no regular file")
        if largest is not None and state.st_size > largest:
            raise UserError(f"{path}: is {state.st_size / 1e6:.0f} MB long; no such file is larger than 16 MB")
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def complete_lines(path: Path) -> tuple[list[bytes], bytes]:
    """The lines of `path` (empty ones too), and what follows its last newline; an absent file has none.

    UserError as `read_bytes`.
    """
    *lines, torn = (read_bytes(path) or b"").split(b"\n")
    return lines, torn


def parse_json(text: bytes, where: str) -> Any:
    """The value of one JSON text.

    UserError, which begins with `where`, for anything else: also NaN, a key given twice, and what nests without end.
    """
    if len(text) > LARGEST:
        raise UserError(f"{where} is {len(text) / 1e6:.0f} MB long; nothing here is larger than 16 MB")
    try:
        return json.loads(text.decode(), object_pairs_hook=_distinct, parse_constant=_no_number)
    except RecursionError:
        raise UserError(f"{where} is not JSON of this program: it nests too deep") from None
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise UserError(f"{where} is not JSON ({reason})") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"{_first_repeated(key for key, _ in pairs)!r} is given twice")
    return found


def _first_repeated(keys: Iterable[Any]) -> Any:
    """The first key that came before; None where all differ."""
    seen = set()
    return next((key for key in keys if key in seen or seen.add(key)), None)  # type: ignore[func-returns-value]  # add gives None, which is meant


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of `path`, without a torn last one; an absent file has none. UserError names line and reason."""
    return [line for _, line in numbered_lines(path)]


def numbered_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """As `read_lines`, each with its number in the file."""
    lines = []
    for number, text in enumerate(complete_lines(path)[0], 1):
        if text:
            line = parse_json(text, f"{path}: line {number}")
            if not isinstance(line, dict):
                raise UserError(f"{path}: line {number} is no object with fields")
            lines.append((number, line))
    return lines


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in `path`; None where there is no such file. UserError for anything else."""
    text = read_bytes(path, LARGEST)
    if text is None:
        return None
    found = parse_json(text, f"{path}:")
    if not isinstance(found, dict):
        raise UserError(f"{path}: is no object with fields")
    return found


def read_yaml(path: Path) -> dict[str, Any] | None:
    """The mapping in `path`; None where there is no such file. UserError as `parse_yaml`."""
    text = read_bytes(path, LARGEST)
    return None if text is None else parse_yaml(text, str(path))


def parse_yaml(text: bytes, where: str) -> dict[str, Any]:
    """The mapping of one YAML text.

    UserError, which begins with `where`, for anything else, also for what no file of ours has and what could keep a
    reader busy for ever: tags, anchors, a key given twice, more than 20 levels or a megabyte.
    """
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]  # its base is chosen at run time
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            twice = _first_repeated(key.value for key, _ in node.value if isinstance(key.value, str))
            if twice is not None:
                raise ValueError(f"{twice!r} is given twice")
            return super().construct_mapping(node, deep)

    try:
        if len(text) > 2**20:
            raise ValueError("it is larger than a megabyte")
        written, depth = text.decode(), 0
        event: Any
        for event in yaml.parse(written, Loader=base):
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise ValueError(f"line {line} has a tag or an anchor")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > 20:
                raise ValueError(f"line {line} nests too deep")
        found = yaml.load(written, Loader=Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark: Any = getattr(error, "problem_mark", None)
        reason = f"line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else first_line(error)
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else reason
        raise UserError(f"{where}: is not readable as YAML of this program: {reason}") from None
    if not isinstance(found, dict):
        raise UserError(f"{where}: is no mapping of fields")
    return found


# ---- digests -----------------------------------------------------------------------------------------------------


def file_sha256(path: Path) -> str:
    """sha256 of a file's content; UserError where it is no regular file or cannot be read."""
    digest = hashlib.sha256()
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UserError(f"{path}: is no regular file")
        with open(path, "rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()
