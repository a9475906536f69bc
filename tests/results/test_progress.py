"""How far an experiment is: from markers alone, for runs that are done, under way, failed, left and not begun."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from robusteval.results.asked import Wanted
from robusteval.results.frames import frame_of_lines, rows_frame
from robusteval.results.progress import project, standing
from robusteval.results.rows import Note, Row, row_line
from robusteval.results.store import RunFolder
from robusteval.storage.files import json_line


def wanted(name: str, method: str = "vanilla", seed: int = 0, task: str = "sst2") -> Wanted:
    return Wanted(name, "minilm", task, method, "none", seed, {"clean": "x", "attack/pwws": "y"}, "cell")


def finish(out: Path, name: str, **seconds: float) -> RunFolder:
    folder = RunFolder(out / "runs" / name)
    folder.path.mkdir(parents=True)
    for stage, taken in seconds.items():
        folder.finish_stage(stage.replace("_", "/"), [], seconds=taken)
    return folder


def test_every_state_and_what_is_left(tmp_path: Path) -> None:
    finish(tmp_path, "a", train=100, clean=10, attack_pwws=40).finish(keep_model=True)
    finish(tmp_path, "b", train=200)
    failed = finish(tmp_path, "c", train=100)
    (failed.path / "error.txt").write_text("Traceback\n  line\nValueError: no\n")
    damaged = finish(tmp_path, "d", train=1)
    damaged.rows_path.write_text('{"stage": "train", "seal": "wrong"}\n')
    running = finish(tmp_path, "e")
    steps = [{"step": step, "loss": 1.0, "seconds": 9.0 if step == 0 else 0.5} for step in range(10)]
    (running.path / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in steps))
    running.write_record("config.json", {"spec": {"train": {"max_steps": None, "epochs": 2, "batch_size": 8}}})
    running.write_record("environment.json", {"scenario": {"rows": 60}})
    asked = [wanted("a"), wanted("b", "match"), wanted("c", "match", 1), wanted("d"), wanted("e", "tdt"), wanted("f")]
    with running.lock():
        found = [standing(tmp_path, each) for each in asked]
    assert [each.state for each in found] == ["done", "begun", "failed", "failed", "running", "open"]
    assert found[2].trouble == "ValueError: no" and "are not those that were written" in found[3].trouble
    assert found[4].at == "step 10 of 16" and found[4].expected == {"train": 8.0}
    assert found[1].left == ["clean", "attack/pwws"] and found[0].left == []
    left = project([found[0], found[1], found[4], found[5]], tmp_path)
    # by hand: b and e miss both tests (50 each), e its training (8, as its steps say), f all three (100 + 50)
    assert left.seconds == pytest.approx(50 + 8 + 50 + 150) and left.unknown == ()
    assert left.disk == (tmp_path / "runs" / "a" / "rows.jsonl").stat().st_size
    assert left.told(2).startswith("the rest takes about 2 min 09 s with 2 at a time; about 0 MB more on disk")


def test_what_no_run_has_come_to_is_named_and_not_counted(tmp_path: Path) -> None:
    assert project([standing(tmp_path, wanted("a"))]).told() == "the first 10 steps will tell how long it takes"
    finish(tmp_path, "a", train=30)
    found = [standing(tmp_path, wanted("a")), standing(tmp_path, wanted("b", task="mrpc"))]
    left = project(found)
    assert (left.seconds, left.unknown) == (30.0, ("clean", "attack/pwws"))
    assert left.told() == "the rest takes about 30 s, without clean, attack/pwws, which no run has come to yet"


def test_rows_of_many_runs_are_read_at_once_and_are_the_same() -> None:
    rows = [
        Row("a", "sst2", "match:temperature=2", "label-noise:rate=0.1", 0.1, 3, "mask", "0.2", "dev", "accuracy", 0.5,
            9, 1.5, (Note("told"), Note("again", "test")), (0.25, float("nan")), "minilm", "robustness", 2),
        Row("a", "sst2", "vanilla", "none", None, 3, "clean", "", "dev", "mcc", float("nan"), 9, 0.0, model="minilm",
            collapsed='a "class"', summary=True, in_domain=True, selected_on_dev=True),
        Row("b", "sst2", "vanilla", "none", None, 4, "train", "", "train", "steps", 4.0, 9, 0.0, model="minilm"),
    ]  # fmt: skip
    lines = [json_line(row_line(row))[:-1] for row in rows]
    fast, slow = frame_of_lines(lines, {}), rows_frame(rows)
    assert fast is not None and list(fast.columns) == list(slow.columns)
    for name in slow.columns:
        for one, other in zip(fast[name].tolist(), slow[name].tolist(), strict=True):
            assert one == other or (one != one and (other is None or other != other)) or str(one) == str(other), name
    assert frame_of_lines([b'{"run": "a", "value": 1}'], {}) is None
    assert frame_of_lines([], {}) is None
