"""Runs in processes of this machine: one that is killed or runs out of memory, and processes that are gone in time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from robusteval.experiments import local
from robusteval.experiments.engine import FINE, run_jobs
from robusteval.experiments.jobs import Job
from robusteval.settings.work import WorkConfig
from support import odd_runs
from support.odd_runs import attempts, jobs_named

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="that a worker is dead is seen through /proc"
)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkConfig:
    monkeypatch.setattr(local, "_attempt", odd_runs.attempt)
    return WorkConfig(tmp_path, workers=2, device="cpu")


def test_a_worker_is_killed_or_runs_out_of_memory(work: WorkConfig) -> None:
    told: dict[str, str] = {}
    jobs = jobs_named("a", "killed", "b", "short", "doomed", "large", "c")
    failed = run_jobs(jobs, work, lambda job, message: told.update({job.title: message}))
    assert {told[title] for title in ("a", "b", "c", "killed", "short")} == {"done"}
    assert told["doomed"] == "its worker process ended early twice (SIGKILL); the same command goes on from there"
    assert told["large"].startswith("there is not enough memory, also with nothing beside it (no more); fewer rows at")
    assert [job.title for job, _ in failed] == ["doomed", "large"]
    counts = {title: len(attempts(work.out, title)) for title in told}
    assert counts == {"a": 1, "b": 1, "c": 1, "killed": 2, "short": 2, "doomed": 2, "large": 2}
    # none of it here, and what ran out of memory was begun again in another process
    pids = {title: attempts(work.out, title) for title in told}
    assert str(os.getpid()) not in {pid for several in pids.values() for pid in several}
    assert pids["short"][0] != pids["short"][1] and pids["large"][0] != pids["large"][1]
    assert not any(alive(int(pid)) for several in pids.values() for pid in several)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_processes_live_from_run_to_run_and_one_killed_while_idle_is_none(work: WorkConfig) -> None:
    a, b, c = jobs_named("a", "b", "c")
    with local.ENGINE.open(work, [a, b, c], 3, lambda job: None) as places:

        def end_of(job: Job) -> str:
            places.begin(job)
            last = time.monotonic() + 60
            while time.monotonic() < last:
                for ended, end in places.ended(1):
                    assert ended is job
                    return end.kind
            return "never"

        assert [end_of(a), end_of(b)] == ["done", "done"]
        (first,), (second,) = attempts(work.out, "a"), attempts(work.out, "b")
        assert first == second
        os.kill(int(first), signal.SIGKILL)
        # its last thread closes the pipe, later than its first one counts as dead
        assert isinstance(places, local._Workers) and places._idle[0].pipe.poll(10)
        assert end_of(c) == "done" and attempts(work.out, "c") != [first]
    assert not alive(int(attempts(work.out, "c")[0]))


def test_an_error_of_the_command_ends_its_workers(work: WorkConfig) -> None:
    def report(job: Job, message: str) -> None:
        raise KeyboardInterrupt

    jobs = jobs_named("a", "b", "c", "d")
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, work, report)
    begun = [
        pid for job in jobs if (work.out / "attempts" / job.title).exists() for pid in attempts(work.out, job.title)
    ]
    assert begun and not any(alive(int(pid)) for pid in begun)
    # and the same again goes on
    told: dict[str, str] = {}
    assert run_jobs(jobs, work, lambda job, message: told.update({job.title: message})) == []
    assert set(told) == set("abcd") and set(told.values()) <= set(FINE)
