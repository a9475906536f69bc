"""What all engines share: which run is next, who else is at it, what is tried once more, and what is never."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from robusteval.errors import UserError
from robusteval.experiments import engine
from robusteval.experiments.engine import End, Engine, Places, check_engine, is_awaited, run_jobs
from robusteval.experiments.jobs import Job
from robusteval.experiments.packing import CONTEXT, MARGIN, USABLE, Packing, kind_of, packed
from robusteval.experiments.ray import share
from robusteval.results.rows import Row
from robusteval.runtime import memory
from robusteval.settings.runs import MethodConfig, RunSpec
from robusteval.settings.work import WorkConfig
from robusteval.storage.claims import Holder
from support.odd_runs import jobs_named

Told = list[tuple[str, str]]
GIB = 2**30


def finish(job: Job, out: Path, rows: Sequence[Row] = ()) -> None:
    folder = job.folder(out)
    with folder.lock():
        folder.finish_stage("train", rows)
        folder.finish(keep_model=False)


class Scripted(Places):
    """Places that end each run as its script says, in the order in which they began; "done" finishes its folder."""

    def __init__(self, out: Path, most: int, ends: dict[str, list[str]]) -> None:
        self.out, self.most, self.ends = out, most, ends
        self.running: list[Job] = []
        self.began: list[tuple[str, ...]] = []
        self.left = False

    def __exit__(self, *error: object) -> None:
        self.left = True

    def room(self, job: Job) -> bool:
        return len(self.running) < self.most

    def begin(self, job: Job) -> None:
        self.running.append(job)
        self.began.append(tuple(each.title for each in self.running))

    def ended(self, seconds: float) -> list[tuple[Job, End]]:
        job = self.running.pop(0)
        kind = (self.ends.get(job.title) or ["done"]).pop(0)
        if kind == "interrupted":
            raise KeyboardInterrupt
        if kind == "done":
            finish(job, self.out)
        return [(job, End(kind, f"{job.title} {kind}"))]  # type: ignore[arg-type]  # as the script says


Run = Callable[..., tuple[Told, Told, Scripted]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Do runs in scripted places: what was reported, what failed, and the places."""
    monkeypatch.setattr(engine, "LOOK_EVERY", 0.01)

    def call(jobs: Sequence[Job], most: int = 2, **ends: list[str]) -> tuple[Told, Told, Scripted]:
        places, told = Scripted(tmp_path, most, ends), Told()
        scripted = Engine(lambda work: None, lambda work, jobs, count, data: places)
        monkeypatch.setattr(engine, "ENGINES", {"local": scripted})
        failed = run_jobs(jobs, WorkConfig(tmp_path), lambda job, message: told.append((job.title, message)))
        return told, [(job.title, message) for job, message in failed], places

    return call


def test_each_is_begun_as_there_is_room_and_one_that_fails_stops_no_other(tmp_path: Path, run: Run) -> None:
    jobs = jobs_named("a", "b", "c", "d")
    finish(jobs[1], tmp_path)
    told, failed, places = run(jobs, a=["failed"])
    assert told == [("b", "finished before"), ("a", "a failed"), ("c", "done"), ("d", "done")]
    assert failed == [("a", "a failed")]
    assert places.began == [("a",), ("a", "c"), ("c", "d")]
    assert places.left
    # all again: only the one that failed is begun
    told, failed, places = run(jobs)
    assert places.began == [("a",)] and failed == []
    # in another order, with fewer or with more, what is done stays done
    told, failed, places = run([jobs[3], jobs[0], *jobs_named("e"), jobs[2]])
    assert told == [("d", "finished before"), ("a", "finished before"), ("c", "finished before"), ("e", "done")]
    assert places.began == [("e",)]


def test_a_lost_one_is_done_once_more_and_then_reported(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    told, failed, _ = run(jobs_named("a", "b", "c"), a=["lost", "done"], b=["lost", "lost"])
    twice = "its worker process ended early twice (b lost); the same command goes on from there"
    assert told == [("a", "done"), ("b", twice), ("c", "done")]
    assert failed == [("b", twice)]
    once = "{0}: its worker process ended early ({0} lost); it is done once more"
    assert caplog.messages == [once.format(name) for name in "ab"]


def test_one_that_ran_out_of_memory_is_done_once_more_with_nothing_beside_it(run: Run) -> None:
    told, failed, places = run(jobs_named("a", "b", "c", "d"), a=["memory", "done"], c=["memory", "memory"])
    assert places.began == [("a",), ("a", "b"), ("b", "c"), ("c", "d"), ("a",), ("c",)]
    assert [title for title, _ in told] == ["b", "d", "a", "c"]
    ((title, message),) = failed
    assert title == "c" and message.startswith("there is not enough memory, also with nothing beside it (c memory)")


def test_an_interruption_ends_what_is_under_way(tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Scripted] = []
    made = Scripted.__init__

    def keep(self: Scripted, *arguments: object) -> None:
        made(self, *arguments)  # type: ignore[arg-type]
        seen.append(self)

    monkeypatch.setattr(Scripted, "__init__", keep)
    with pytest.raises(KeyboardInterrupt):
        run(jobs_named("a", "b", "c"), a=["interrupted"])
    assert seen[0].left and seen[0].began == [("a",), ("a", "b")]


def hold(job: Job, out: Path) -> Path:
    """A claim of another machine, touched just now."""
    claim = job.folder(out).path / ".claim.1"
    claim.parent.mkdir(parents=True, exist_ok=True)
    claim.write_text(json.dumps(vars(Holder("elsewhere", 7, "another system", "5", "token"))))
    return claim


def later(seconds: float, what: Callable[[], object]) -> None:
    threading.Timer(seconds, what).start()


def test_what_another_holds_is_passed_over_awaited_and_taken_as_done(tmp_path: Path, run: Run) -> None:
    jobs = jobs_named("a", "b")
    claim = hold(jobs[0], tmp_path)

    def other_finishes() -> None:
        claim.unlink()
        finish(jobs[0], tmp_path)

    later(0.3, other_finishes)
    told, failed, places = run(jobs)
    awaited = ("a", "held by process 7 on elsewhere, which is waited for")
    assert told == [awaited, ("b", "done"), ("a", "done by another process")]
    assert is_awaited(awaited[1]) and failed == []
    assert places.began == [("b",)]


def test_what_another_holds_is_done_here_where_that_one_dies(tmp_path: Path, run: Run) -> None:
    jobs = jobs_named("a", "b")
    claim = hold(jobs[0], tmp_path)
    later(0.2, lambda: os.utime(claim, (1, 1)))
    told, failed, places = run(jobs)
    assert [title for title, _ in told] == ["a", "b", "a"] and told[-1] == ("a", "done")
    assert places.began == [("b",), ("a",)] and failed == []


def test_one_that_another_took_while_it_was_to_begin_is_awaited_too(tmp_path: Path, run: Run) -> None:
    jobs = jobs_named("a", "b")
    later(0.2, lambda: finish(jobs[0], tmp_path))
    told, failed, _ = run(jobs, a=["held", "held"])
    assert told[0] == ("a", "held by a held, which is waited for")
    # it is told once, and tried as soon as nobody holds it
    assert sorted(title for title, _ in told[1:]) == ["a", "b"]
    assert {message for _, message in told[1:]} <= set(engine.FINE)
    assert failed == []


def test_two_drivers_started_together_do_each_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOOK_EVERY", 0.01)
    jobs, ran = jobs_named(*"abcdefgh"), []

    class Claiming(Scripted):
        def ended(self, seconds: float) -> list[tuple[Job, End]]:
            from robusteval.storage.claims import Held

            job = self.running.pop(0)
            try:
                with job.folder(self.out).lock():
                    if not job.done(self.out):
                        ran.append(job.title)
                        time.sleep(0.02)
                        job.folder(self.out).finish_stage("train", [])
                        job.folder(self.out).finish(keep_model=False)
            except Held as error:
                return [(job, End("held", str(error.who)))]
            return [(job, End("done"))]

    claiming = Engine(lambda work: None, lambda work, jobs, count, data: Claiming(tmp_path, 2, {}))
    monkeypatch.setattr(engine, "ENGINES", {"local": claiming})
    told: dict[int, Told] = {0: [], 1: []}

    def drive(number: int) -> None:
        order = jobs if number == 0 else jobs[::-1]
        run_jobs(order, WorkConfig(tmp_path), lambda job, message: told[number].append((job.title, message)))

    drivers = [threading.Thread(target=drive, args=(number,)) for number in told]
    for each in drivers:
        each.start()
    for each in drivers:
        each.join(30)
    assert sorted(ran) == sorted(job.title for job in jobs)
    for number in told:
        ends = [title for title, message in told[number] if not is_awaited(message)]
        assert sorted(ends) == sorted(job.title for job in jobs)
        assert {message for _, message in told[number] if not is_awaited(message)} <= set(engine.FINE)


# ---- memory ------------------------------------------------------------------------------------------------------


def test_runs_share_a_device_as_far_as_measured_runs_fit() -> None:
    packing = Packing({"cuda:0": 80 * GIB, "cuda:1": 40 * GIB})
    # one that was not measured has a device for itself, the largest first
    assert packing.device("new") == "cuda:0"
    packing.enter("cuda:0", "new")
    assert packing.device("new") == "cuda:1"
    packing.enter("cuda:1", "new")
    assert packing.device("new") is None
    packing.leave("cuda:0", "new")
    packing.measured("new", 20 * GIB)
    packing.measured("new", 10 * GIB)  # the most counts
    # now that they are known, as many as fit: 23.7 GiB each of 76 and 38
    began = []
    while (device := packing.device("new")) is not None:
        began.append(device)
        packing.enter(device, "new")
    assert began == ["cuda:0"] * 3
    need = (MARGIN * 20 * GIB + CONTEXT) / GIB
    assert 3 * need < 80 * USABLE < 4 * need and need < 40 * USABLE < 2 * need
    # and no unknown one beside a known one
    packing.leave("cuda:1", "new")
    packing.enter("cuda:1", "new")
    assert packing.device("other") is None


def test_a_run_that_is_too_large_for_a_device_has_an_empty_one() -> None:
    packing = Packing({"cuda:0": 10 * GIB})
    packing.measured("large", 12 * GIB)
    assert packing.device("large") == "cuda:0"
    packing.enter("cuda:0", "large")
    assert packing.device("large") is None


def test_what_is_not_counted_takes_any_number() -> None:
    packing = Packing({"cpu": 0})
    for _ in range(5):
        assert packing.device("any") == "cpu"
        packing.enter("cpu", "any")


def test_peaks_are_those_of_finished_runs_of_the_kind(tmp_path: Path) -> None:
    method = MethodConfig.parse("rdrop")
    done, open_one, other = (
        Job(RunSpec(seed=seed, method=which), f"run-{seed}", "")
        for seed, which in ((0, method), (1, method), (2, MethodConfig()))
    )
    row = Row(done.name, "t", "rdrop", "none", None, 0, "train", "", "train", "peak_memory_mb", 2048.0, 8, 1.0)
    finish(done, tmp_path, [row])
    packing = packed({"cuda:0": 10 * GIB}, [other, done, open_one], tmp_path)
    assert packing.knows(kind_of(open_one)) and not packing.knows(kind_of(other))
    packing.enter("cuda:0", kind_of(open_one))
    assert packing.device(kind_of(open_one)) == "cuda:0" and packing.device(kind_of(other)) is None


def test_the_share_of_a_gpu_on_ray() -> None:
    assert share(0, 80 * GIB) == 0.01
    assert share(20 * GIB, 80 * GIB) == pytest.approx((1.15 * 20 + 700 / 1024) / 76, abs=0.01)
    assert share(75 * GIB, 80 * GIB) == 1.0


def test_want_of_memory_is_known_whatever_says_so() -> None:
    wrapped = UserError("model: cannot read the longest row")
    wrapped.__cause__ = torch.OutOfMemoryError("CUDA out of memory")
    allocator = RuntimeError(
        "[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory: you tried"
    )
    assert all(map(memory.ran_out, (MemoryError(), torch.OutOfMemoryError("x"), wrapped, allocator)))
    assert not any(
        map(memory.ran_out, (RuntimeError("shape"), UserError("out of memory is only said"), OSError(28, "")))
    )
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**60, dtype=torch.uint8)
    assert memory.ran_out(real.value)


# ---- options -----------------------------------------------------------------------------------------------------


def test_an_engine_that_cannot_work_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util
    import socket

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    work = WorkConfig()
    check_engine(work)

    def said(**options: str) -> str:
        with pytest.raises(UserError) as error:
            check_engine(WorkConfig(**options))  # type: ignore[arg-type]
        return str(error.value)

    assert said(engine="rey") == "engine: unknown name 'rey'; did you mean 'ray'?"
    assert said(address="h:1") == "address: 'h:1' is of no use to the engine 'local'; --engine ray connects to it"
    with monkeypatch.context() as absent:
        absent.setattr(importlib.util, "find_spec", lambda name: None)
        assert said(engine="ray") == "engine: 'ray' needs Ray, which is not installed: pip install 'robusteval[ray]'"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    check_engine(WorkConfig(engine="ray"))
    check_engine(WorkConfig(engine="ray", address="auto"))
    assert "is no HOST:PORT of a Ray cluster" in said(engine="ray", address="nowhere")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert said(engine="ray", address=address) == (
            f"address: no Ray answers at '{address}': something else is there; 'ray start --head' begins one"
        )
    assert said(engine="ray", address=address) == (
        f"address: no Ray answers at '{address}': Connection refused; 'ray start --head' begins one"
    )
    monkeypatch.setenv("RAY_ADDRESS", address)
    assert f"no Ray answers at '{address}'" in said(engine="ray")


def test_the_engines_by_name() -> None:
    assert [entry.name for entry in engine.ENGINES] == ["local", "ray"]
