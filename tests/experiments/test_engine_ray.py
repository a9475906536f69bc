"""Runs on a Ray cluster that is begun for them: one whose worker is killed or runs out of memory, and its end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from robusteval.experiments import ray as on_ray
from robusteval.experiments.engine import run_jobs
from robusteval.settings.work import WorkConfig
from support import odd_runs
from support.odd_runs import attempts, jobs_named

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'robusteval[ray]'")


def test_a_worker_of_a_cluster_is_killed_or_runs_out_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "_attempt", odd_runs.attempt)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray.cloudpickle.register_pickle_by_value(odd_runs)
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    told: dict[str, str] = {}
    jobs, work = jobs_named("a", "killed", "short", "doomed", "b"), WorkConfig(tmp_path, engine="ray", device="cpu")
    failed = run_jobs(jobs, work, lambda job, message: told.update({job.title: message}))
    assert {told[title] for title in ("a", "b", "killed", "short")} == {"done"}
    assert "ended early twice (WorkerCrashedError)" in told["doomed"] and [job.title for job, _ in failed] == ["doomed"]
    pids = {title: attempts(work.out, title) for title in told}
    assert {title: len(several) for title, several in pids.items()} == {
        "a": 1, "b": 1, "killed": 2, "short": 2, "doomed": 2,
    }  # fmt: skip
    assert str(os.getpid()) not in {pid for several in pids.values() for pid in several}
    assert not ray.is_initialized()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
