"""A file of logits that attacks have already asked for: shared by recipes, processes and repeated runs.

It is an SQLite database with a write-ahead log: a process that is killed leaves it whole, several may use it
at a time, and its size does not show in memory. The folder must be on a local disk, as SQLite's log demands.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError

logger = logging.getLogger(__name__)

Text = tuple[str, ...]

WAIT_SECONDS = 60.0
RETRY_SECONDS = 0.01
# SQLite takes 999 parameters in one statement in its older versions.
KEYS_AT_ONCE = 500
MEMORY_KIB = 4096
CHECK_BYTES = 8


def victim_name(
    sha256: str,
    labels: Sequence[str],
    max_length: int,
    device: str,
    precision: str = "fp32",
    method: str = "",
    outputs: Sequence[str] = (),
) -> str:
    """A model by all that decides its logits besides the text.

    sha256: of the checkpoint (`hashes.checkpoint_sha256`); method: one that answers differently from its checkpoint;
    outputs: the class that each output answers, where its own names do not say it.
    """
    told = [list(outputs)] if outputs else []
    return json.dumps([sha256, list(labels), max_length, device, precision, method, *told])


def _check(key: bytes, value: bytes) -> bytes:
    """What follows a value in the file, so that one is known that is not what was written."""
    return hashlib.blake2b(key + value, digest_size=CHECK_BYTES).digest()


def _opened(key: bytes, value: Any) -> npt.NDArray[np.float32] | None:
    """The logits of an entry; None where it was damaged, or written by an earlier version without a check."""
    if not isinstance(value, bytes) or len(value) % 4 or len(value) <= CHECK_BYTES:
        return None
    row = value[:-CHECK_BYTES]
    return np.frombuffer(row, np.float32) if value == row + _check(key, row) else None


class LogitsCache:
    """Logits by text, for one model.

    path: the file, made where there is none; any number of models may share it.
    model: whatever decides the logits besides the text, as `victim_name` puts it together.
    UserError where the file is not such a database or cannot be made. One that cannot be read or written later on, as
    on a full disk, is told of once and then left alone: it saves time, and no result depends on it.
    """

    def __init__(self, path: Path, model: str) -> None:
        self.path, self.model = path, model
        self._usable = True
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
            self._check_own()
            self._keep_a_log()
            for setting in ("synchronous = NORMAL", f"cache_size = -{MEMORY_KIB}"):
                self._database.execute(f"PRAGMA {setting}")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS logits (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
            )

    def get(self, texts: Sequence[Text], num_labels: int) -> dict[Text, npt.NDArray[np.float32]]:
        """The logits [num_labels] of those of `texts` that are known."""
        by_key = {self._key(text): text for text in texts}
        keys = list(by_key)
        found = {}
        with self._done_without():
            for start in range(0, len(keys), KEYS_AT_ONCE):
                some = keys[start : start + KEYS_AT_ONCE]
                marks = ", ".join("?" * len(some))
                for key, value in self._database.execute(f"SELECT key, value FROM logits WHERE key IN ({marks})", some):
                    row = _opened(key, value)
                    if row is not None and len(row) == num_labels and np.isfinite(row).all():
                        found[by_key[key]] = row
        return found

    def put(self, texts: Sequence[Text], logits: npt.NDArray[np.float32]) -> None:
        """Keep logits [n, K] of n texts; those that are known stay as they are."""
        keyed = [(self._key(text), row.tobytes()) for text, row in zip(texts, logits, strict=True)]
        rows = [(key, value + _check(key, value)) for key, value in keyed]
        if not rows or not self._usable:
            return
        with self._done_without():
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR IGNORE INTO logits VALUES (?, ?)", rows)
            self._database.execute("COMMIT")

    def count(self) -> int:
        """How many texts the file knows, of all models."""
        with self._explained():
            return int(self._database.execute("SELECT count(*) FROM logits").fetchone()[0])

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> LogitsCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check_own(self) -> None:
        """UserError where the file is a database of something else."""
        tables = {name for (name,) in self._database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables - {"logits"}:
            self._database.close()
            raise UserError(f"cache: {str(self.path)!r} is a database of something else; name another file")

    def _keep_a_log(self) -> None:
        """Several processes may make the file at once; SQLite answers all but one of them without waiting."""
        last = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > last:
                    raise
                time.sleep(RETRY_SECONDS)

    @contextmanager
    def _done_without(self) -> Iterator[None]:
        """Say once where the file can no longer be read or written, and go on without it."""
        try:
            with self._explained():
                yield
        except UserError as error:
            if self._usable:
                logger.warning("%s; the attack goes on without it", error)
            self._usable = False
            with suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")

    def _key(self, text: Text) -> bytes:
        return hashlib.sha256(json.dumps([self.model, *text]).encode()).digest()[:16]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"cache: {str(self.path)!r} cannot be used ({error}); it can be deleted at no loss but time"
            ) from error
        except OSError as error:
            raise UserError(f"cache: {str(self.path)!r} cannot be written ({error.strerror})") from error
