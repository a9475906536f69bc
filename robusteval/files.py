"""Writing so that nothing finished is lost: atomic replacement, and lines that are appended and fsynced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from robusteval.errors import UserError


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    data = content.encode() if isinstance(content, str) else content
    with open(temporary, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def append_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Append one JSON line per record and force them to disk; a torn last line is mended first."""
    lines = "".join(json.dumps(dict(record), ensure_ascii=False) + "\n" for record in records)
    if not lines:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as handle:
        _drop_torn_line(handle)
        handle.write(lines.encode())
        handle.flush()
        os.fsync(handle.fileno())


def _drop_torn_line(handle: Any) -> None:
    """Cut what follows the last newline: the half line of a writer that was killed."""
    size = handle.seek(0, os.SEEK_END)
    end = size
    while end > 0:
        start = max(0, end - 4096)
        handle.seek(start)
        chunk = handle.read(end - start)
        newline = chunk.rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        handle.truncate(end)
        handle.seek(end)


def complete_lines(path: Path) -> tuple[list[bytes], bytes]:
    """The lines of `path` (empty ones too), and what follows its last newline; an absent file has none.

    UserError where it is no regular file, such as a device that never ends, or cannot be read.
    """
    try:
        if not path.exists():
            return [], b""
        if not path.is_file():
            raise UserError(f"{path}: is no regular file")
        *lines, torn = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    return lines, torn


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of `path`, without a torn last one; an absent file has none."""
    lines = []
    for number, line in enumerate(complete_lines(path)[0], 1):
        try:
            if line:
                lines.append(json.loads(line))
        except ValueError:
            raise UserError(f"{path}: line {number} is not JSON; delete the line or the file") from None
    return lines
