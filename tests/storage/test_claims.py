"""Claims: one holder at a time, whoever dies, is suspended or comes at the same moment."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from robusteval.results.store import RunFolder
from robusteval.storage import claims
from robusteval.storage.claims import Claim, ClaimLost, Held, Holder, claimed, holder

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are seen through /proc")

HOLD = """
import sys, time
from pathlib import Path
from robusteval.storage.claims import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def left_by_another_machine(folder: Path, seconds: float, number: int = 1) -> Path:
    """A claim that was last touched so many seconds ago."""
    folder.mkdir(exist_ok=True)
    claim = folder / f".claim.{number}"
    claim.write_text(json.dumps(vars(Holder("elsewhere", 1, "another system", "5", f"token {number}"))))
    touched = time.time() - seconds
    os.utime(claim, (touched, touched))
    return claim


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine from which no holder's process can be seen."""
    monkeypatch.setattr(claims, "_system", lambda: "")


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds tmp_path / "work"."""
    arguments = [sys.executable, "-c", HOLD, str(tmp_path / "work")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None and started.stdout.readline() == "held\n"
        yield started
        started.kill()


def until(true: Callable[[], Any]) -> None:
    last = time.monotonic() + 20
    while not true():
        assert time.monotonic() < last, "it never came"
        time.sleep(0.01)


def test_one_holds_it_and_gives_it_back(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    with claimed(folder) as claim:
        claim.check()
        assert holder(folder) == Holder(**json.loads((folder / ".claim.1").read_text()))
        with pytest.raises(Held, match=rf"^out: process {os.getpid()} on .* is working on '.*work'$"), claimed(folder):
            pass
        claim.check()
    assert holder(folder) is None and list(folder.iterdir()) == []
    with pytest.raises(ValueError, match="of the work"), claimed(folder):
        raise ValueError("of the work")
    assert list(folder.iterdir()) == []


@needs_proc
def test_a_dead_process_of_this_machine_is_known_at_once(tmp_path: Path, process: subprocess.Popen[str]) -> None:
    folder = tmp_path / "work"
    with pytest.raises(Held, match=f"process {process.pid}"), claimed(folder):
        pass
    # a living one of this machine holds it however long it was not touched, as after a night asleep
    os.utime(folder / ".claim.1", (1, 1))
    assert holder(folder) is not None
    process.send_signal(signal.SIGKILL)
    until(lambda: holder(folder) is None)  # though nobody has asked after it yet
    with claimed(folder):
        assert [path.name for path in folder.iterdir()] == [".claim.2"]
    # the same number later is another process
    gone = Holder("here", os.getpid(), claims._system(), "1", "token")
    (folder / ".claim.1").write_text(json.dumps(vars(gone)))
    assert gone.visible and holder(folder) is None


def test_what_another_machine_left_is_taken_by_its_age(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    left_by_another_machine(folder, 50)
    with pytest.raises(Held, match="process 1 on elsewhere"), claimed(folder):
        pass
    left_by_another_machine(folder, 70)
    (folder / ".robusteval-0123456789abcdef.tmp").touch()
    with claimed(folder):
        assert [path.name for path in folder.iterdir()] == [".claim.2"]
    # one that is killed between making the file and writing into it has an age too
    claim = folder / ".claim.1"
    claim.touch()
    with pytest.raises(Held, match="another process"), claimed(folder):
        pass
    os.utime(claim, (1, 1))
    with claimed(folder):
        pass
    # and so has one that was killed while it took over: two are left then
    left_by_another_machine(folder, 70, 1)
    left_by_another_machine(folder, 69, 2)
    with claimed(folder):
        assert [path.name for path in folder.iterdir()] == [".claim.3"]


def test_ages_are_of_the_file_systems_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose own clock is an hour ahead takes nothing that is fresh, and one an hour behind takes what is
    stale."""
    left_by_another_machine(tmp_path / "fresh", 1)
    left_by_another_machine(tmp_path / "stale", 70)
    now = time.time()
    for wrong in (-3600, 3600):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: now + wrong)
        assert holder(tmp_path / "fresh") is not None
        assert holder(tmp_path / "stale") is None


@pytest.mark.usefixtures("unseen")
def test_a_claim_is_touched_while_it_is_held(tmp_path: Path) -> None:
    with claimed(tmp_path / "work", beat=0.02) as claim:
        os.utime(claim.path, (1, 1))
        until(lambda: claim.path.stat().st_mtime > 1)
        assert holder(tmp_path / "work") is not None


def take_over(folder: Path) -> Claim:
    """What another machine does when this one was not heard of."""
    (claim,) = folder.glob(".claim.*")
    os.utime(claim, (1, 1))
    return Claim(*claims._taken(folder, 60), 60)


@pytest.mark.usefixtures("unseen")
def test_who_lost_it_stops_and_writes_no_more(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "work")
    with folder.lock():
        folder.finish_stage("train", [])
        other = take_over(folder.path)
        for _ in range(2):
            with pytest.raises(ClaimLost, match="has taken over '.*work'"):
                folder.finish_stage("clean", [])
    assert folder.stages() == {"train"}
    # the other's claim stands, and stands for that one alone
    other.check()
    other.release()
    assert not list(folder.path.glob(".claim.*"))


@pytest.mark.usefixtures("unseen")
def test_who_lost_it_is_told_at_work_even_where_another_began_at_the_same_number(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    others: list[Claim] = []

    def work() -> None:
        with claimed(folder, beat=0.02):
            take_over(folder).release()
            others.append(Claim(*claims._taken(folder, 60), 60))
            last = time.monotonic() + 20
            while time.monotonic() < last:
                with suppress(Exception):  # as work that goes on after errors
                    time.sleep(0.001)

    began = time.monotonic()
    with pytest.raises(ClaimLost):
        work()
    assert time.monotonic() - began < 15
    (other,) = others
    assert other.path.name == ".claim.1"
    other.check()


@pytest.mark.usefixtures("unseen")
def test_who_gives_it_back_is_not_told_later(tmp_path: Path) -> None:
    """A thread that finds the claim lost while its holder is leaving raises nothing in what the holder does next."""
    told = 0
    for turn in range(40):
        try:
            with claimed(tmp_path / "work", beat=0.001) as claim:
                claim.path.unlink()
                time.sleep(0.0002 * (turn % 10))
        except ClaimLost:
            told += 1
        time.sleep(0.003)
    assert told < 40


@pytest.mark.usefixtures("unseen")
def test_of_many_that_see_it_stale_one_gets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(8)
    judged = claims._left

    def left(folder: Path, found: Any, stale: float) -> bool:
        """All have read the claims before any acts on it."""
        verdict = judged(folder, found, stale)
        if found == claims._claims(folder) and not getattr(local, "read", False):
            local.read = True
            together.wait(10)
        return verdict

    def take(folder: Path) -> Any:
        local.read = False
        try:
            return claims._taken(folder, 60)
        except Held:
            return None

    local = threading.local()
    with ThreadPoolExecutor(8) as pool:
        for turn in range(15):
            folder = tmp_path / str(turn)
            left_by_another_machine(folder, 70)
            monkeypatch.setattr(claims, "_left", left)
            taken = [each for each in pool.map(take, [folder] * 8) if each is not None]
            monkeypatch.setattr(claims, "_left", judged)
            assert len(taken) == 1
            assert [path.name for path in folder.iterdir()] == [".claim.2"]


def count(folder: Path, turns: int, done: Any) -> None:
    """So many times: hold the folder, and add one to its number in a way that loses what another adds meanwhile."""
    while turns:
        try:
            with claimed(folder):
                number = int((folder / "number").read_text())
                time.sleep(0.0005)
                (folder / "number").write_text(str(number + 1))
                turns -= 1
        except Held:
            time.sleep(0.0005)
    done.put(True)


def test_processes_that_come_at_the_same_moment_are_in_there_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "number").write_text("0")
    context = multiprocessing.get_context("fork")
    done = context.Queue()
    processes = [context.Process(target=count, args=(tmp_path, 40, done)) for _ in range(3)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(60)
    assert (tmp_path / "number").read_text() == "120"
