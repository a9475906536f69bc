"""What the files of a resource hold, in a few digits: an attack with another WordNet is another attack."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from robusteval.errors import UserError

DIGITS = 16
CHUNK = 2**20
# Copies of a model for other frameworks, gigabytes in a full download of the hub: nothing here opens them.
OTHER_FRAMEWORKS = (".h5", ".mlmodel", ".mlpackage", ".msgpack", ".onnx", ".ot", ".tflite")


def described(paths: Sequence[Path]) -> str:
    """Of each file or folder "<name> sha256:<first 16 digits>", comma separated.

    A file's digits are those of `sha256sum FILE`; a folder's are the sha256 of what `sha256sum` prints of all its
    files, named relative to it and sorted. Hidden files (notes of downloaders) and models for other frameworks are
    left out. UserError where a file cannot be read.
    """
    try:
        return ", ".join(f"{path.name} sha256:{_digest(path)[:DIGITS]}" for path in paths)
    except OSError as error:
        raise UserError(f"resources: {str(error.filename)!r} cannot be read ({error.strerror})") from error


Stamp = tuple[tuple[str, int, int], ...]


def stamp(paths: Sequence[Path]) -> Stamp:
    """Name, size and date of all files in `paths`, which tell whether a file has changed without reading it."""
    files = (file for path in paths for file in (_files(path) if path.is_dir() else [path]) if file.exists())
    return tuple((str(file), state.st_size, state.st_mtime_ns) for file in files for state in [file.stat()])


def _digest(path: Path) -> str:
    if not path.is_dir():
        return _digest_of_file(path)
    files = sorted((file.relative_to(path).as_posix(), file) for file in _files(path))
    lines = (f"{_digest_of_file(file)}  {name}\n" for name, file in files)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    def stop(error: OSError) -> None:
        raise error

    # The hub's cache is made of links.
    for place, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        folders[:] = [name for name in folders if _counts(name)]
        yield from (Path(place, name) for name in names if _counts(name))


def _counts(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(OTHER_FRAMEWORKS)


def _digest_of_file(path: Path) -> str:
    state = path.stat()
    return _read(path.absolute(), state.st_size, state.st_mtime_ns)


@functools.cache
def _read(path: Path, size: int, changed: int) -> str:
    """The sha256 of a file, computed once in a process for a file that has neither changed in size nor in date."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
