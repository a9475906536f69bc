"""The result file of an attack: of one model, of one process, never somebody else's, and kept whatever happens."""

from __future__ import annotations

import functools
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robusteval.attacks.plan import make_plan
from robusteval.attacks.runner import AttackResult, attack_examples
from robusteval.attacks.workers import attack_in_workers
from robusteval.errors import UserError
from robusteval.results.attack_lines import FIELDS, SEAL, AttackLine, begins_a_line, claimed
from robusteval.results.reading import attack_lines
from support import tiny
from support.attack_lines import line
from support.processes import carried_out
from support.victims import LABELS, attack_checkpoint, examples_of, facts, keyword, slow_victim

ROWS = examples_of(["a good film", "so good a story", "really good actors"], [1] * 3)


def attack(out: Path, predict: Any = keyword, **settings: Any) -> AttackResult:
    return attack_examples(predict, ROWS, LABELS, "deepwordbug", out=out, **settings)


def never(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
    raise AssertionError("queried")


def refused(out: Path, message: str, **settings: Any) -> None:
    """The attack asks nothing and says `message`."""
    with pytest.raises(UserError, match=message) as error:
        attack(out, never, **settings)
    assert str(out) in str(error.value)


# ---- one model ---------------------------------------------------------------------------------------------------


def test_a_resume_with_another_checkpoint_is_refused(tmp_path: Path) -> None:
    folders = [tiny.save(tmp_path / f"t{seed}", seed=seed) for seed in (0, 7)]
    out = tmp_path / "a.jsonl"

    def run(folder: Path, **settings: Any) -> AttackResult:
        given = {"max_length": 32, "out": out, **settings}
        return attack_checkpoint(folder, ROWS, LABELS, "deepwordbug", **given)

    first = run(folders[0])
    assert run(folders[0], workers=2).lines == first.lines
    for folder, settings in ((folders[1], {}), (folders[0], {"max_length": 16})):
        with pytest.raises(UserError, match=r"a\.jsonl: the line of id 'row-0' has model .*, but this run has"):
            run(folder, **settings)
    assert json.loads(out.read_text().splitlines()[0])["model"] == first.lines[0]["model"]
    assert '"cpu"' in first.lines[0]["model"]


def test_a_name_for_a_function_is_part_of_its_lines(tmp_path: Path) -> None:
    assert {one["model"] for one in attack(tmp_path / "bare.jsonl").lines} == {""}
    out = tmp_path / "lines.jsonl"
    assert {one["model"] for one in attack(out, model="one").lines} == {"one"}
    assert attack(out, never, model="one").resumed == 3
    refused(out, "has model 'one', but this run has 'two'", model="two")
    refused(out, "has model 'one', but this run has ''")


def test_other_examples_do_not_join_the_lines_of_another_run(tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    attack(out, model="one")
    others = examples_of(["no such text"], [0])
    others = type(others)(others.texts, others.labels, ("other",), "")
    with pytest.raises(UserError, match="the line of id 'row-0' has model 'one'"):
        attack_examples(keyword, others, LABELS, "deepwordbug", out=out, model="two")
    assert len(attack_examples(keyword, others, LABELS, "deepwordbug", out=out, model="one").lines) == 1
    assert attack(out, never, model="one").resumed == 3


# ---- nobody else's file ------------------------------------------------------------------------------------------

LINE = json.dumps(line(), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"my notes, without a newline at the end", "last line is neither complete nor"),
        (b'{"id": "row-0", "text": "my data"}', "last line is neither"),
        (b'{"id": "row-0", "index": 0, "text"', "last line is neither"),
        (b"{}", "last line is neither"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "line 1 is not JSON"),
        (b"my notes\n", "line 1 is not JSON"),
        (b"[1, 2]\n", "line 1 lacks 'id'"),
        (b'{"id": "row-0", "text": "my data"}\n', "line 1 lacks 'index'"),
        (LINE + b"\n" + LINE.replace(b'"model"', b'"victim"') + b"\n", "line 2 lacks 'model'"),
        (LINE + b"\nmy notes", "last line is neither"),
    ],
)  # fmt: skip
def test_a_file_that_holds_something_else_is_left_alone(content: bytes, found: str, tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    out.write_bytes(content)
    refused(out, rf"lines\.jsonl: .*{found}.*give another file")
    assert out.read_bytes() == content
    assert os.listdir(tmp_path) == ["lines.jsonl"]


HARD = json.dumps(line(id='ünï "\\\u2028', original=["\U0001f600"], changed=[[[1, 2, 1, 2]]]), ensure_ascii=False)


@pytest.mark.parametrize("text", [HARD, HARD.replace('"seconds": 0.5', '"seconds": 1.5e-05')])
def test_a_line_may_be_cut_anywhere(text: str) -> None:
    for length in range(len(text.encode()) + 1):
        assert begins_a_line(text.encode()[:length]), length


@given(st.text(max_size=40))
def test_text_begins_no_line(text: str) -> None:
    assert begins_a_line(text.encode(errors="ignore")) == '{"id": "'.startswith(text)


def test_the_fields_of_a_line_come_in_the_order_that_its_beginning_is_told_by(tmp_path: Path) -> None:
    attack(tmp_path / "lines.jsonl")
    for text in (tmp_path / "lines.jsonl").read_text().splitlines():
        assert tuple(json.loads(text)) == (*FIELDS, SEAL)


@pytest.mark.parametrize("kind", ["device", "folder", "pipe"])
def test_what_is_no_regular_file_is_refused(kind: str, tmp_path: Path) -> None:
    out = Path(os.devnull) if kind == "device" else tmp_path / "lines.jsonl"
    if kind == "folder":
        out.mkdir()
    if kind == "pipe":
        os.mkfifo(out)
    refused(out, "is no regular file")


# ---- a file that cannot be written -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["file/lines.jsonl", "file/deeper/lines.jsonl", "long" * 80])
def test_a_file_that_cannot_be_written_is_said_before_the_first_query(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    refused(tmp_path / name, "^out: '.*' cannot be written: ")
    assert os.listdir(tmp_path) == ["file"]


def test_an_attack_that_never_began_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="returned shape"):
        attack(tmp_path / "new" / "lines.jsonl", lambda texts: np.zeros((len(texts), 3), np.float32))
    assert os.listdir(tmp_path / "new") == []


@pytest.mark.parametrize("workers", [0, 1])
def test_a_disk_that_fills_up_keeps_the_finished_lines(workers: int, tiny_folder: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    out = tmp_path / "lines.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(done: int, total: int, line: AttackLine) -> None:
        # room for the half of a line
        resource.setrlimit(resource.RLIMIT_FSIZE, (out.stat().st_size + 300, limits[1]))

    def run(**settings: Any) -> AttackResult:
        if not workers:
            return attack(out, **settings)
        given = {"max_length": 32, "workers": workers, "out": out, **settings}
        return attack_checkpoint(tiny_folder, ROWS, LABELS, "deepwordbug", **given)

    try:
        with pytest.raises(UserError, match=r"lines\.jsonl' cannot be written: .*nothing finished is lost"):
            run(progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert out.read_bytes().count(b"\n") == 1
    assert not out.read_bytes().endswith(b"\n")
    assert run().resumed == 1
    assert [one["id"] for one in attack_lines(out)] == list(ROWS.ids)


# ---- one process -------------------------------------------------------------------------------------------------


def test_an_example_that_was_attacked_twice_counts_once(tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    first = attack(out).lines
    twice = [{**first[1], "outcome": "failed"}, {**first[0], "outcome": "failed"}]
    with out.open("a") as handle:
        handle.writelines(json.dumps(one) + "\n" for one in twice)
    assert attack(out, never).lines == first
    assert attack_lines(out) == list(first)
    # of another model, seed or recipe it is another attack
    others = [line(), line(model="other"), line(seed=4), line(recipe="pruthi"), line(queries=99)]
    out.write_text("".join(json.dumps(one) + "\n" for one in others))
    assert attack_lines(out) == others[:4]


def test_a_second_process_on_the_same_file_is_refused(tmp_path: Path) -> None:
    out, said = tmp_path / "lines.jsonl", []
    other = tmp_path / "link.jsonl"
    other.symlink_to(out)

    def again(done: int, total: int, line: AttackLine) -> None:
        for path in (out, other):
            with pytest.raises(UserError) as error:
                attack(path, never)
            said.append(str(error.value))

    attack(out, progress=again)
    assert said == [f"out: another process is working on '{path}'" for path in (out, other)] * 3
    assert len(out.read_text().splitlines()) == 3
    assert sorted(os.listdir(tmp_path)) == ["lines.jsonl", "link.jsonl"]


def test_the_lock_of_a_killed_process_holds_nobody_up(tmp_path: Path) -> None:
    (tmp_path / ".lines.jsonl.lock").touch()
    assert len(attack(tmp_path / "lines.jsonl").lines) == 3
    assert os.listdir(tmp_path) == ["lines.jsonl"]


def test_a_lock_that_its_last_holder_takes_away_is_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    out, lock, real, calls = tmp_path / "lines.jsonl", tmp_path / ".lines.jsonl.lock", fcntl.flock, []

    def late(handle: Any, operation: int) -> None:
        calls.append(operation)
        if len(calls) == 1:
            lock.unlink()
        real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with claimed(out):
        assert len(calls) == 2
        assert lock.exists()
        with pytest.raises(UserError, match="another process"), claimed(out):
            pass
    assert not lock.exists()


MANY = examples_of(["the film was good and the story was really very good"] * 8, [1] * 8)


def slow(folder: Path) -> Callable[[], Any]:
    return functools.partial(slow_victim, folder)


def killed_at_work(folder: Path, out: Path) -> None:
    """In a process of its own: have two processes attack, and be killed after the first line."""

    def progress(done: int, total: int, line: AttackLine) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    plan = make_plan(MANY, LABELS, "deepwordbug")
    attack_in_workers(slow(folder), plan, workers=2, out=out, progress=progress)


def test_when_the_parent_is_killed_its_workers_stop_too(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"
    done = carried_out(functools.partial(killed_at_work, tiny_folder, out))
    assert done.returncode == -signal.SIGKILL, done.stderr
    with claimed(out):
        pass
    time.sleep(0.3)
    held = out.read_bytes()
    time.sleep(3)
    assert out.read_bytes() == held
    result = attack_in_workers(slow(tiny_folder), make_plan(MANY, LABELS, "deepwordbug"), parallel=8, out=out)
    assert 1 <= result.resumed < len(MANY)
    assert len(out.read_text().splitlines()) == len(MANY)
    assert facts(attack_lines(out)) == facts(result.lines)
