"""A file of logits that attacks have already asked for: shared by recipes, processes and repeated runs.

It is an SQLite database with a write-ahead log: a process that is killed leaves it whole, several may use it
at a time, and its size does not show in memory. The folder must be on a local disk, as SQLite's log demands.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from robusteval.errors import UserError

Text = tuple[str, ...]

WAIT_SECONDS = 60.0
RETRY_SECONDS = 0.01
# SQLite takes 999 parameters in one statement in its older versions.
KEYS_AT_ONCE = 500
MEMORY_KIB = 4096


def victim_name(
    sha256: str, labels: Sequence[str], max_length: int, device: str, precision: str = "fp32", method: str = ""
) -> str:
    """A model by all that decides its logits besides the text.

    sha256: of the checkpoint (`hashes.checkpoint_sha256`); method: one that answers differently from its checkpoint.
    """
    return json.dumps([sha256, list(labels), max_length, device, precision, method])


class LogitsCache:
    """Logits by text, for one model.

    path: the file, made where there is none; any number of models may share it.
    model: whatever decides the logits besides the text, as `victim_name` puts it together.
    UserError, from every method, where the file is not such a database or cannot be written.
    """

    def __init__(self, path: Path, model: str) -> None:
        self.path, self.model = path, model
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=WAIT_SECONDS, isolation_level=None)
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
        with self._explained():
            for start in range(0, len(keys), KEYS_AT_ONCE):
                some = keys[start : start + KEYS_AT_ONCE]
                marks = ", ".join("?" * len(some))
                for key, value in self._database.execute(f"SELECT key, value FROM logits WHERE key IN ({marks})", some):
                    row = np.frombuffer(value, np.float32)
                    if len(row) == num_labels and np.isfinite(row).all():
                        found[by_key[key]] = row
        return found

    def put(self, texts: Sequence[Text], logits: npt.NDArray[np.float32]) -> None:
        """Keep logits [n, K] of n texts; those that are known stay as they are."""
        rows = [(self._key(text), row.tobytes()) for text, row in zip(texts, logits, strict=True)]
        if not rows:
            return
        with self._explained():
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
