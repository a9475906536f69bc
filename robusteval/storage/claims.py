"""Claims: which process does a piece of work, among many on this machine and on others that share the folder.

A claim is a file `.claim.N` in the folder of the work, made by exclusive creation, which also file systems without
locks have. Its holder touches it now and then and removes it in the end. A claim whose holder is gone is taken over by
creating the next number: of several that try, one gets it. A process of this machine is known to be gone as soon as it
is; one of another machine, when its claim has not been touched for a while by the clock of the file system itself.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from robusteval.errors import UserError
from robusteval.storage.files import clear_leftovers, writing

# Seconds between two touches, and without one until a claim is stale.
BEAT, STALE = 10.0, 60.0
_NAME = re.compile(r"\.claim\.(\d+)")


class ClaimLost(BaseException):
    """Another process has taken the claim over, so nothing more may be written; raised where its holder is at work.

    No Exception, so that nothing which goes on after errors goes on after this one.
    """


@dataclass(frozen=True)
class Holder:
    """Who made a claim: which process of which machine. token: of this claim alone.

    system: what processes share that see each other by number, and started: what tells a process from a later one of
    the same number; both are empty where the system does not say.
    """

    host: str = ""
    pid: int = 0
    system: str = ""
    started: str = ""
    token: str = ""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.host else "another process"

    @property
    def visible(self) -> bool:
        """Whether it can be seen from here if the process lives."""
        return bool(self.system and self.started) and self.system == _system()

    @property
    def lives(self) -> bool:
        return _started(self.pid) == self.started


class Held(UserError):
    """Another process holds the folder."""

    def __init__(self, folder: Path, who: Holder) -> None:
        super().__init__(f"out: {who} is working on {str(folder)!r}")
        self.who = who


class Claim:
    """A folder that this process holds.

    It is touched by a thread; where another process took it over meanwhile, ClaimLost is raised in the thread that
    made it, at once, and from `check`.
    """

    def __init__(self, path: Path, mine: Holder, beat: float) -> None:
        self.path, self._mine = path, mine
        self._thread = threading.get_ident()
        self._ended, self._lock = threading.Event(), threading.Lock()
        threading.Thread(target=self._touch_often, args=(beat,), daemon=True).start()

    def check(self) -> None:
        """Raise ClaimLost unless the claim stands; whoever is about to write what cannot be taken back asks before."""
        if not self._touch():
            raise ClaimLost(f"another process has taken over {str(self.path.parent)!r}")

    def release(self) -> None:
        """Let others have it. What was raised here until then arrives here at the latest."""
        with self._lock:
            self._ended.set()
        if self._touch():
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _touch(self) -> bool:
        """Give the claim the time of now, as its file system has it; False where it is no longer this one."""
        try:
            if _read(self.path) != self._mine:
                return False
            os.utime(self.path)
        except FileNotFoundError:
            return False
        except OSError:  # a folder that cannot be reached for a moment
            pass
        return True

    def _touch_often(self, beat: float) -> None:
        while not self._ended.wait(beat):
            stands = self._touch()
            with self._lock:
                if not stands and not self._ended.is_set():
                    # raised at that thread's next line of Python
                    error = ctypes.py_object(ClaimLost)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), error)
                    return


@contextmanager
def claimed(folder: Path, *inside: str, beat: float = BEAT, stale: float = STALE) -> Iterator[Claim]:
    """Hold `folder`, made where it is missing, for this process.

    What killed writers left in it, and in its folders `inside`, is cleared: nobody else writes there now.
    beat, stale: seconds between touches, and without one until a claim of another machine counts as left.
    Raises Held where another process holds it, and ClaimLost as `Claim`.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        claim = Claim(*_taken(folder, stale), beat)
    try:
        for place in (folder, *(folder / name for name in inside)):
            clear_leftovers(place)
        yield claim
    finally:
        claim.release()


def holder(folder: Path, stale: float = STALE) -> Holder | None:
    """Who holds the folder; None where nobody does who is still there."""
    found = _claims(folder)
    return found[max(found)] if found and not _left(folder, found, stale) else None


def is_claim(name: str) -> bool:
    """Whether a file of this name is a claim."""
    return _NAME.fullmatch(name) is not None


def _taken(folder: Path, stale: float) -> tuple[Path, Holder]:
    """The claim that this process made; Held where another has one.

    Whoever creates the next number wins, and removes those before it. But what was read before may be of yesterday:
    all claims may have been given back since, and another process begun again at the first number. So a claim counts
    only where, once it stands, there is nothing beside it but what is left.
    """
    found = _claims(folder)
    if not _left(folder, found, stale):
        raise _held(folder, found)
    path, mine = folder / f".claim.{max(found, default=0) + 1}", _this_process()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        raise _held(folder, _claims(folder)) from None
    try:
        with os.fdopen(descriptor, "w") as file:
            json.dump(vars(mine), file)
        others = {number: each for number, each in _claims(folder).items() if path.suffix != f".{number}"}
        if not _left(folder, others, stale):
            raise _held(folder, others)
        for number in others:
            (folder / f".claim.{number}").unlink(missing_ok=True)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path, mine


def _held(folder: Path, found: Mapping[int, Holder]) -> Held:
    return Held(folder, found[max(found)] if found else Holder())


def _claims(folder: Path) -> dict[int, Holder]:
    """The claims in a folder, by number; a nameless process made one that is being written."""
    found = {}
    with suppress(FileNotFoundError):
        for name in os.listdir(folder):
            if match := _NAME.fullmatch(name):
                with suppress(FileNotFoundError):
                    found[int(match[1])] = _read(folder / name)
    return found


def _read(path: Path) -> Holder:
    try:
        return Holder(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        return Holder()


def _left(folder: Path, found: Mapping[int, Holder], stale: float) -> bool:
    """Whether all these claims are left by processes that are gone."""
    return all(
        not each.lives if each.visible else _age(folder / f".claim.{number}") > stale for number, each in found.items()
    )


def _age(path: Path) -> float:
    """Seconds since a claim was touched, by the clock of the file system; 0 where that cannot be told."""
    probe = path.with_name(f".robusteval-{secrets.token_hex(8)}.tmp")
    try:
        # a file that is opened is asked after at its server, not in what this machine remembers of it
        with open(path, "rb") as claim, open(probe, "wb") as now:
            return os.fstat(now.fileno()).st_mtime - os.fstat(claim.fileno()).st_mtime
    except OSError:
        return 0.0
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


# ---- processes ---------------------------------------------------------------------------------------------------


def _this_process() -> Holder:
    return Holder(socket.gethostname(), os.getpid(), _system(), _started(os.getpid()), secrets.token_hex(8))


@functools.cache
def _system() -> str:
    """The machine since its last start, and its name space of process numbers; empty where there are no such files."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When a process began, in clock ticks since the system did; empty where there is none."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    # a dead one may wait there for somebody who asks after it
    return "" if state in "ZX" else fields[18]
