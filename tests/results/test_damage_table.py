"""Damage of every kind to every file of a run, finished and unfinished: named in one sentence, or without effect."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robusteval.errors import UserError
from robusteval.experiments.outcome import finished_runs
from robusteval.experiments.plan import Plan
from robusteval.pipeline.transfer import transfer
from robusteval.results.asked import check_folder
from robusteval.results.store import RunFolder, check_evaluation
from robusteval.storage.reading import LARGEST, read_lines
from robusteval.training.record import TrainingRecord
from support import tiny
from support.small_experiment import done, options, small_plan, timeless

Change = Callable[[Path], object]


class Runs:
    """A finished experiment of one run, and how it looked when its attack was under way."""

    def __init__(self, place: Path) -> None:
        import pandas as pd

        paths = []
        for name, count, seed in (("train", 96, 0), ("dev", 24, 5)):
            texts, labels = tiny.sentences(count, seed=seed)
            frame = pd.DataFrame({"review": texts, "verdict": ["good" if label else "bad" for label in labels]})
            paths.append(place / f"{name}.csv")
            frame.to_csv(paths[-1], index=False)
        self.plan: Plan = small_plan(tiny.save(place / "model"), (paths[0], paths[1]))
        self.finished = place / "finished"
        assert done(self.plan, self.finished)[0] == 0
        self.rows = timeless(self.plan, self.finished)
        self.training = self.stopped_in_training(place / "training")
        self.unfinished = shutil.copytree(self.finished, place / "unfinished")
        folder = self.folder(self.unfinished).path
        for name, cut in (("rows.jsonl", b'{"stage": "calibration"'), ("attacks/deepwordbug.jsonl", b'"row-2"')):
            lines = (folder / name).read_bytes().splitlines(keepends=True)
            last = next((number for number, line in enumerate(lines) if cut in line), len(lines) - 1)
            (folder / name).write_bytes(b"".join(lines[: last + (name == "rows.jsonl")]))

    def stopped_in_training(self, out: Path) -> Path:
        save, saved = TrainingRecord.save, []

        def stop(record: TrainingRecord, *arguments: Any) -> None:
            save(record, *arguments)
            saved.append(record)
            if len(saved) == 2:
                raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingRecord, "save", stop)
            with pytest.raises(KeyboardInterrupt):
                done(self.plan, out)
        return out

    def folder(self, out: Path) -> RunFolder:
        return self.plan.jobs[0].folder(out)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


# ---- kinds of damage ---------------------------------------------------------------------------------------------


def edited(old: str, new: str) -> Change:
    """The first occurrence of a text is another one."""

    def change(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def in_line(change: Callable[[dict[str, Any]], object], which: Callable[[dict[str, Any]], bool]) -> Change:
    """One line holds something else."""

    def changed(path: Path) -> None:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        change(next(filter(which, lines)))
        path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    return changed


def row(**values: Any) -> Change:
    return in_line(lambda line: line.update(values), lambda line: line.get("suite") == "clean")


def without(field: str) -> Change:
    return in_line(lambda line: line.pop(field), lambda line: field in line)


def appended(text: bytes) -> Change:
    return lambda path: path.write_bytes(path.read_bytes() + text)


def is_now(text: bytes) -> Change:
    return lambda path: path.write_bytes(text)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def no_line(number: int) -> Change:
    def change(path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        del lines[number]
        path.write_bytes(b"".join(lines))

    return change


def gone(path: Path) -> None:
    path.unlink()


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe_instead(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def link_to_itself(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def device_instead(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


NESTED = b"[" * 100_000
LONG = b'{"x": "' + b"a" * LARGEST + b'"}'
ANY_FILE: dict[str, Change] = {
    "gone": gone, "empty": is_now(b""), "half": half, "a bit flipped": flipped, "a folder": folder_instead,
    "a pipe": pipe_instead, "a link to itself": link_to_itself, "a device": device_instead,
    "another file's": is_now(b"\x89PNG\r\n\x1a\n"),
}  # fmt: skip
ANY_TEXT: dict[str, Change] = {
    "not UTF-8": appended(b"\xff\xfe\n"), "nested without end": appended(b'{"x": ' + NESTED + b"\n"),
    "a long line": appended(LONG + b"\n"), "NaN": appended(b'{"value": NaN}\n'), "a list": appended(b"[1, 2]\n"),
    "a huge number": appended(b'{"value": 1' + b"0" * 5000 + b"}\n"), "text behind": appended(b"my notes\n"),
}  # fmt: skip
DAMAGE: list[tuple[str, str, Change]] = [
    *[(name, kind, change) for kind, change in ANY_FILE.items() for name in (
        "rows.jsonl", "config.json", "environment.json", "train.jsonl", "predictions/clean.parquet",
        "attacks/deepwordbug.jsonl",
    )],
    *[(name, kind, change) for kind, change in ANY_TEXT.items() for name in (
        "rows.jsonl", "environment.json", "attacks/deepwordbug.jsonl",
    )],
    *[("analysis/calibration.parquet", kind, ANY_FILE[kind]) for kind in ("gone", "a bit flipped")],
    *[(f"model/{name}", "a bit flipped", flipped) for name in ("model.safetensors", "config.json", "tokenizer.json")],
    ("rows.jsonl", "a value", row(value=0.987)),
    ("rows.jsonl", "a metric", row(metric="f1")),
    ("rows.jsonl", "a method", row(method="match")),
    ("rows.jsonl", "a seed", row(seed=7)),
    ("rows.jsonl", "a count", row(n=-3)),
    ("rows.jsonl", "a word for a number", row(value="high")),
    ("rows.jsonl", "a list for a number", row(value=[0.5])),
    ("rows.jsonl", "an endless number", edited('"value": ', '"value": 1e999, "was": ')),
    ("rows.jsonl", "a repeated key", edited('"value": ', '"value": 1, "value": ')),
    ("rows.jsonl", "an unknown field", row(colour="red")),
    ("rows.jsonl", "a missing field", without("metric")),
    ("rows.jsonl", "no value", without("value")),
    ("rows.jsonl", "another run's", row(run="mine.vanilla.none.s0.00000000")),
    ("rows.jsonl", "a row less", no_line(0)),
    ("rows.jsonl", "a test's end less", no_line(3)),
    ("rows.jsonl", "an empty line", edited("\n", "\n\n")),
    ("rows.jsonl", "a file elsewhere", edited("predictions/clean", "../../experiment")),
    ("rows.jsonl", "a digest", in_line(lambda line: line["files"].update(x="0"), lambda line: "files" in line)),
    ("environment.json", "a version", edited('"torch": "', '"torch": "9')),
    ("environment.json", "no record of versions", is_now(b'{"versions": [1], "hardware": 3}')),
    ("environment.json", "what continued it", is_now(b'{"continued": {"a": 1}}')),
    ("attacks/deepwordbug.jsonl", "an outcome", edited('"outcome": "', '"outcome": "error", "was": "')),
    ("attacks/deepwordbug.jsonl", "an unknown outcome", edited('"outcome": "', '"outcome": "un')),
    ("attacks/deepwordbug.jsonl", "a count of queries", edited('"queries": ', '"queries": 1')),
    ("attacks/deepwordbug.jsonl", "a negative count", edited('"queries": ', '"queries": -')),
    ("attacks/deepwordbug.jsonl", "a prediction", edited('"predicted_after": "', '"predicted_after": "x')),
    ("attacks/deepwordbug.jsonl", "a text less", edited('"perturbed": ["', '"perturbed": [], "was": ["')),
    ("attacks/deepwordbug.jsonl", "a missing field", without("gold")),
    ("attacks/deepwordbug.jsonl", "a number for a text", edited('"original": [', '"original": [3, ')),
]  # fmt: skip


# A run that goes on takes seconds where a finished one is only read: of these, some kinds stand for the others.
SOME = {
    "config.json": {"gone", "half", "a pipe"},
    "attacks/deepwordbug.jsonl": {"gone", "half", "a pipe", "not UTF-8", "an outcome", "a count of queries"},
}
CASES = [
    (state, *each)
    for state in ("finished", "unfinished")
    for each in DAMAGE
    if state == "finished" or each[1] in SOME.get(each[0], {each[1]})
]


@pytest.mark.parametrize(("state", "name", "kind", "change"), CASES, ids=["-".join(each[:3]) for each in CASES])
def test_damage_is_named_or_without_effect(
    state: str, name: str, kind: str, change: Change, runs: Runs, tmp_path: Path
) -> None:
    out = shutil.copytree(getattr(runs, state), tmp_path / "out")
    folder = runs.folder(out).path
    change(folder / name)
    began = time.monotonic()
    code, said = done(runs.plan, out)
    assert time.monotonic() - began < 60  # none hangs: most take 0.1 s, a run that goes on takes a second
    title = runs.plan.jobs[0].title
    failures = [line for line in said.splitlines() if line.startswith("failed:")]
    if code == 0:
        # nothing was wrong with what counts: the numbers are those of the whole run
        assert timeless(runs.plan, out) == runs.rows
        assert failures == []
        # what no number of a finished run depends on any more, and a run that was begun anew
        unread = name.startswith("model/") or (name == "rows.jsonl" and kind in ("gone", "empty", "half"))
        unread |= state == "unfinished" and not name.startswith("model/")
        assert unread, said
        return
    assert code == 2
    (failure,) = failures
    assert failure.startswith(f"failed: {title}: "), said
    assert Path(name).name in failure, said
    assert str(folder) in failure, said
    assert "Traceback" not in said
    assert finished_runs(runs.plan, options(out), {title}) == {}
    assert "accuracy" not in said  # no table of what is not to be believed
    # what the sentence says helps: only that run is done anew
    if kind == "a value":
        shutil.rmtree(folder)
        assert done(runs.plan, out)[0] == 0
        assert timeless(runs.plan, out) == runs.rows


IN_TRAINING: list[tuple[str, str, Change]] = [
    *[("state.safetensors", kind, change) for kind, change in ANY_FILE.items()],
    *[("train.jsonl", kind, ANY_FILE[kind]) for kind in ("gone", "half", "a folder", "a pipe")],
    ("train.jsonl", "not UTF-8", ANY_TEXT["not UTF-8"]),
    ("train.jsonl", "no step", without("step")),
    ("train.jsonl", "a word for a step", in_line(lambda line: line.update(step="two"), lambda line: True)),
]


@pytest.mark.parametrize(("name", "kind", "change"), IN_TRAINING, ids=[f"{each[0]}-{each[1]}" for each in IN_TRAINING])
def test_damage_to_a_training_that_was_stopped(
    name: str, kind: str, change: Change, runs: Runs, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = shutil.copytree(runs.training, tmp_path / "out")
    folder = runs.folder(out).path
    assert (folder / "state.safetensors").exists()
    change(folder / name)
    code, said = done(runs.plan, out)
    if code:
        assert f"failed: {runs.plan.jobs[0].title}: " in said and name in said and "Traceback" not in said
        return
    assert timeless(runs.plan, out) == runs.rows
    if name == "state.safetensors" and kind != "gone":
        assert "state.safetensors is damaged" in caplog.text


def test_a_finished_run_is_left_out_and_the_others_stay(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    plan = small_plan(tiny_folder, csv_files, ("vanilla", "match"))
    assert done(plan, out)[0] == 0
    damaged = plan.jobs[1].folder(out)
    row(value=0.987)(damaged.rows_path)
    code, said = done(plan, out)
    assert code == 2
    assert "98.7" not in said
    assert f"failed: match seed 0: {damaged.rows_path}: the lines up to line" in said
    remedy = f"delete the folder {str(damaged.path)!r} and give the same command again"
    assert f"{remedy}: only this run is done anew" in said
    assert "no result for match seed 0" in said and "vanilla seed 0: finished before" in said
    before = plan.jobs[0].folder(out).rows_path.stat().st_mtime_ns
    shutil.rmtree(damaged.path)
    assert done(plan, out)[0] == 0
    assert plan.jobs[0].folder(out).rows_path.stat().st_mtime_ns == before


def test_a_run_of_an_earlier_version_bears_no_seal_and_counts(runs: Runs, tmp_path: Path) -> None:
    out = shutil.copytree(runs.finished, tmp_path / "out")
    path = runs.folder(out).rows_path
    lines = [{key: line[key] for key in line if key not in ("files", "seal", "kept")} for line in read_lines(path)]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    code, said = done(runs.plan, out)
    assert code == 0
    assert "no seal, so that a change of the files would not be noticed: vanilla seed 0" in said
    assert timeless(runs.plan, out) == runs.rows
    # begun by the earlier version, finished by this one: all of it is sealed then
    whole = lines[: next(number for number, line in enumerate(lines) if line.get("stage") == "clean") + 1]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in whole))
    code, said = done(runs.plan, out)
    assert code == 0 and "no seal" not in said
    row(value=0.987)(path)
    assert done(runs.plan, out)[0] == 2


RESULTS = [(kind, change) for name, kind, change in DAMAGE if name.startswith("attacks/") and kind != "half"]


@pytest.mark.parametrize(("kind", "change"), RESULTS, ids=[kind for kind, _ in RESULTS])
def test_results_of_an_attack_that_are_damaged_are_not_shown(
    kind: str, change: Change, runs: Runs, tmp_path: Path, invoke: Any
) -> None:
    path = tmp_path / "lines.jsonl"
    shutil.copy(runs.folder(runs.finished).path / "attacks" / "deepwordbug.jsonl", path)
    assert invoke("transcript", str(path)).returncode == 0
    change(path)
    for arguments in (("transcript", str(path)), ("freeze", str(path), "--out", str(tmp_path / "set.parquet"))):
        end = invoke(*arguments)
        assert end.returncode == 2
        assert end.stderr.startswith("error: ") and end.stderr.count("\n") == 1 and "lines.jsonl" in end.stderr
    assert not (tmp_path / "set.parquet").exists()


@pytest.mark.parametrize("name", ["model/model.safetensors", "attacks/deepwordbug.jsonl", "config.json", "rows.jsonl"])
def test_nothing_damaged_is_transferred(name: str, runs: Runs, tmp_path: Path) -> None:
    out = shutil.copytree(runs.finished, tmp_path / "out")
    flipped(runs.folder(out).path / name)
    with pytest.raises(UserError, match=f"{Path(name).name}: .*only this run is done anew"):
        transfer(out, "cpu")


# ---- the experiment's own file -----------------------------------------------------------------------------------

LAUGHS = b"a: &a [x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (letter, letter, b", ".join([b"*%c" % (letter - 1)] * 9)) for letter in b"bcdefghi"
)
YAML: list[tuple[str, Change, str]] = [
    ("a bomb", is_now(LAUGHS), "has a tag or an anchor"),
    ("a tag", edited("seeds:", "seeds: !!python/object/apply:os.system ['true']\nx:"), "has a tag or an anchor"),
    ("a tab", edited("train:\n  ", "train:\n\t"), "is not readable as YAML"),
    ("a repeated key", appended(b"seeds: [5]\n"), "'seeds' is given twice"),
    ("nested", is_now(b"base: " + NESTED), "nests too deep"),
    ("nested maps", is_now(b"".join(b" " * n + b"a:\n" for n in range(200))), "nests too deep"),
    ("a list", is_now(b"- 1\n"), "is no mapping of fields"),
    ("a word", is_now(b"hello"), "is no mapping of fields"),
    ("not UTF-8", is_now(b"\xff\xfe\x00x"), "it is not UTF-8"),
    ("two documents", appended(b"---\nbase: 1\n"), "is not readable as YAML"),
    ("a date that is none", edited("seeds:", "x: 2001-99-99\nseeds:"), "is not readable as YAML"),
    ("too large", is_now(b"base: " + b"a" * 2**21), "larger than a megabyte"),
    ("too many digits", edited("max_steps: 4", "max_steps: " + "4" * 5000), "is not readable as YAML"),
    ("an unknown field", edited("train:", "trains: 1\ntrain:"), "unknown name 'trains'"),
    ("a wrong type", edited("max_steps: 4", "max_steps: four"), "train.max_steps: 'four' is not a valid int"),
    ("a wrong shape", edited("train:", "methods: 3\ntrains:"), "is given twice"),
    ("no record", is_now(b"base: 3\n"), "base: 3 is no mapping of fields"),
    ("parts that are none", is_now(b"methods:\n- label: x\n  parts: [[1, 2, 3]]\n"), "does not hold 2 values"),
    ("endless", edited("max_steps: 4", "max_steps: .inf"), "max_steps"),
    ("a folder", folder_instead, "is a folder"),
    ("a pipe", pipe_instead, "is no regular file"),
    ("a device", device_instead, "is no regular file"),
    ("a link to itself", link_to_itself, "a link on the way leads back to itself"),
]


@pytest.mark.parametrize(("change", "message"), [each[1:] for each in YAML], ids=[kind for kind, *_ in YAML])
def test_an_experiment_file_that_is_none(change: Change, message: str, runs: Runs, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(runs.finished / "experiment.yaml", out)
    change(out / "experiment.yaml")
    began = time.monotonic()
    with pytest.raises(UserError) as error:
        check_folder(out)
    assert time.monotonic() - began < 30
    assert str(error.value).startswith("out: ") and message in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 1000


def test_an_experiment_begun_before_a_field_existed_goes_on(runs: Runs, tmp_path: Path) -> None:
    shutil.copy(runs.finished / "experiment.yaml", tmp_path)
    path = tmp_path / "experiment.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "time_limit" not in line))
    check_folder(tmp_path)


@pytest.mark.parametrize("left", [(), (".lock",), ("experiment.yaml",), (".robusteval-0123456789abcdef.tmp",),
                                  (".experiment.yaml.123.tmp", ".lock")])  # fmt: skip
def test_what_a_command_left_that_was_stopped_at_its_very_start_is_no_hindrance(
    left: tuple[str, ...], runs: Runs, tmp_path: Path
) -> None:
    for name in left:
        (tmp_path / name).touch()
    check_folder(tmp_path)
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UserError, match="is not empty and holds no experiment"):
        check_folder(tmp_path)


# ---- places that cannot be used ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("x" * 300, "choose a shorter name"),
        ("new/" + "x" * 300, "choose a shorter name"),
        ("/".join(["x" * 200] * 30), "choose a shorter name"),
        ("loop", "leads back to itself"),
        ("loop/below", "leads back to itself"),
        ("nowhere", "is a link to nothing"),
        ("nowhere/below", "is a link to nothing"),
        ("file", "is a file"),
        ("file/below", "is a file"),
    ],
)
def test_places_that_cannot_be_used(place: str, message: str, runs: Runs, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("no-such-place")
    (tmp_path / "file").write_text("mine")
    before = sorted(os.listdir(tmp_path))
    for check in (check_folder, check_evaluation):
        with pytest.raises(UserError, match=message):
            check(tmp_path / place)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("name", ["runs", "report", ".lock"])
def test_something_else_in_the_place_of_a_part(name: str, runs: Runs, tmp_path: Path) -> None:
    shutil.copy(runs.finished / "experiment.yaml", tmp_path)
    if name == ".lock":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).touch()
    with pytest.raises(UserError, match="is a file" if name != ".lock" else "is no regular file"):
        check_folder(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (is_now(b'{"accuracy": 0.9}'), "is none of this program's"),
        (is_now(b"[1]"), "is no object with fields"),
        (is_now(b"accuracy 0.9"), "is not JSON"),
        (is_now(b'{"x": ' + NESTED), "nests too deep"),
        (is_now(LONG), "no such file is larger than 16 MB"),
        (gone, "holds no evaluation"),
        (folder_instead, "is a folder"),
        (pipe_instead, "is no regular file"),
        (link_to_itself, "leads back to itself"),
    ],
)
def test_the_evaluation_of_another_program_is_not_replaced(change: Change, message: str, tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    (tmp_path / "evaluation.json").touch()
    change(tmp_path / "evaluation.json")
    with pytest.raises(UserError, match=message):
        check_evaluation(tmp_path)
