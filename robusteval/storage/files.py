"""Writing so that nothing finished is lost and nothing half-done stays: atomic replacement and fsynced lines.

Whatever the disk refuses becomes one sentence here (UserError), so that no caller meets an OSError.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from robusteval.errors import UserError

# What a write that was killed leaves: a folder of `replacing`, or such a file or folder of an earlier version.
_LEFTOVER = re.compile(r"\.robusteval-[0-9a-f]{16}\.tmp|\..+\.\d+\.(tmp|old)")
_GO_ON = "then the same command goes on; nothing finished is lost"
_REMEDIES = {
    errno.ENOSPC: f"make room there, {_GO_ON}",
    errno.EDQUOT: f"make room within the quota, {_GO_ON}",
    errno.EFBIG: f"raise the limit on the size of files, {_GO_ON}",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: f"make it writable, {_GO_ON}",
    errno.EPERM: f"make it writable, {_GO_ON}",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "a link on the way leads back to itself; choose another place",
    errno.ENOTDIR: "a file stands where a folder should be; choose another place",
    errno.EEXIST: "something else stands in its place; move that away",
    errno.EISDIR: "a folder stands in its place; move that away",
    errno.ENOTEMPTY: "a folder stands in its place; move that away",
    errno.ENOLCK: "choose a folder on a disk that has locks",
    errno.EOPNOTSUPP: "choose a folder on a disk that has locks",
}


# ---- what cannot be written --------------------------------------------------------------------------------------


def errno_of(error: BaseException) -> int | None:
    """The system's number of an error that it gave; None for any other error.

    Libraries in Rust (safetensors, tokenizers) and C++ (pyarrow) may say it in their text alone.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    told = re.search(r"\(os error (\d+)\)|\[errno (\d+)\]", str(error), re.IGNORECASE)
    return int(told[1] or told[2]) if told else None


@contextmanager
def writing(path: Path, need: int = 0, field: str = "out") -> Iterator[None]:
    """Turn an error that the disk gives in this block into a UserError that says what stands in the way of `path`.

    need: bytes that are to be written, as far as that is known; field: what the user called the place.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # errors of pyarrow and safetensors are no OSError; without a code it is raised again
        code = errno_of(error)
        if code is None:
            raise
        raise UserError(cannot_be_written(path, code, need, field)) from error


def cannot_be_written(path: Path, code: int, need: int = 0, field: str = "out") -> str:
    """One sentence: the path, the reason, for a full disk how much is free and needed, and what to do."""
    room = ""
    if code == errno.ENOSPC:
        room = f" ({_megabytes(_free(path))} MB are free, {_megabytes(max(need, 4096))} MB are needed)"
    remedy = _REMEDIES.get(code, f"see to the disk, {_GO_ON}")
    return f"{field}: {str(path)!r} cannot be written: {os.strerror(code)}{room}; {remedy}"


def disk_trouble(error: Exception, path: Path) -> str | None:
    """The sentence for an error of a disk that is full, broken or read-only, met outside of `writing`; else None.

    path: where this was probably about to be written, if the error does not tell.
    """
    code = errno_of(error)
    if code not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO):
        return None
    return cannot_be_written(Path(getattr(error, "filename", None) or path), code)


def _megabytes(size: int) -> str:
    return f"{-(-size // 10**5) / 10:.1f}"


def _free(path: Path) -> int:
    """Bytes that are free where `path` lies or would lie."""
    for place in (path, *path.absolute().parents):
        try:
            return shutil.disk_usage(place).free
        except OSError:
            continue
    return 0


def check_place(path: Path, *, folder: bool, field: str = "out") -> None:
    """Raise UserError where `path` cannot become a folder (or a file) that is written to; nothing is made."""
    try:
        _check_place(path, folder, field)
    except OSError as error:
        raise UserError(cannot_be_written(path, errno_of(error) or errno.EIO, field=field)) from error


def _check_place(path: Path, folder: bool, field: str) -> None:
    whole = path.absolute()
    for place in (whole, *whole.parents):
        try:
            mode = os.stat(place).st_mode
        except (FileNotFoundError, NotADirectoryError):
            if place.is_symlink():
                raise UserError(f"{field}: {str(place)!r} is a link to nothing; choose another place") from None
            continue
        break
    if place == whole and stat.S_ISDIR(mode) != folder:
        raise UserError(f"{field}: {str(path)!r} is a {'file' if folder else 'folder'}")
    if place == whole and not folder and not stat.S_ISREG(mode):
        raise UserError(f"{field}: {str(path)!r} is no regular file")
    if place != whole and not stat.S_ISDIR(mode):
        raise UserError(f"{field}: {str(place)!r} is a file")
    if not os.access(place, os.W_OK):
        raise UserError(f"{field}: {str(place)!r} cannot be written to")
    longest = os.pathconf(place, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    if any(len(os.fsencode(part)) > longest for part in whole.parts):
        raise OSError(errno.ENAMETOOLONG, "")


# ---- writing -----------------------------------------------------------------------------------------------------


@contextmanager
def replacing(path: Path, field: str = "out") -> Iterator[Path]:
    """Where to write a file or folder that takes the place of `path`, whole, when the block ends well.

    What is there until then stays if the block does not; nothing half-done remains. The modes are those that the
    user's umask gives, whoever wrote the files.
    """
    place = path.parent / f".robusteval-{secrets.token_hex(8)}.tmp"
    try:
        with writing(path, field=field):
            path.parent.mkdir(parents=True, exist_ok=True)
            place.mkdir()
        new = place / path.name
        yield new
        with writing(path, field=field):
            _settle(new, place.stat().st_mode & 0o666)
            if new.is_dir() and path.is_dir():
                os.replace(path, place / f"{path.name[:100]}.old")
            os.replace(new, path)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _settle(new: Path, mode: int) -> None:
    """Force what was written to disk, where a full one shows at the latest; safetensors makes its files private."""
    for file in [new] if not new.is_dir() else [each for each in new.rglob("*") if each.is_file()]:
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())
        file.chmod(mode)


def write_atomic(path: Path, content: str | bytes, field: str = "out") -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(path, field) as new, writing(path, len(data), field):
        new.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def as_json(held: Any, indent: int | None = None) -> str:
    """Plain values as JSON; a number that is not finite is null."""
    return json.dumps(_finite(held), indent=indent, ensure_ascii=False) + "\n"


def _finite(held: Any) -> Any:
    if isinstance(held, float):
        return held if math.isfinite(held) else None
    if isinstance(held, dict):
        return {key: _finite(value) for key, value in held.items()}
    return [_finite(each) for each in held] if isinstance(held, list | tuple) else held


def append_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Append one JSON line per record and force them to disk; a torn last line is mended first."""
    lines = b"".join(map(json_line, records))
    if not lines:
        return
    with writing(path, len(lines)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as handle:
            _drop_torn_line(handle)
            handle.write(lines)
            handle.flush()
            os.fsync(handle.fileno())


def json_line(record: Mapping[str, Any]) -> bytes:
    """The line of a record, as `append_lines` writes it."""
    return (json.dumps(dict(record), ensure_ascii=False) + "\n").encode()


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


def is_leftover(name: str) -> bool:
    """Whether a file or folder of this name was left by a write that was killed."""
    return _LEFTOVER.fullmatch(name) is not None


def clear_leftovers(folder: Path) -> None:
    """Remove from `folder` what killed writers left there; nobody may be writing in it."""
    try:
        found = [path for path in folder.iterdir() if is_leftover(path.name)]
    except OSError:
        return
    for path in found:
        with writing(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
