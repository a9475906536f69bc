"""Frozen adversarial sets and transfer: what was made against one model, read by another."""

from __future__ import annotations

import contextlib
import io
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from robusteval.attacks.results.frozen_sets import freeze, frozen_frame, write_frozen
from robusteval.cli import main
from robusteval.errors import UserError
from robusteval.evaluation.transfer import over_seeds, transfer_matrix
from robusteval.report.transfer import caption, grids, markdown
from robusteval.results.reading import Source, attack_lines, source_of
from robusteval.storage.reading import read_lines
from robusteval.tasks.base import Task
from robusteval.tasks.examples import examples_from_frame
from support import tiny
from support.attack_lines import UNREACHED, line
from support.experiments import command

MODEL = Source("lines")
ROWS = "rows.jsonl"


def call(*arguments: str) -> tuple[int, str, str]:
    """The command line in this process: exit code, standard output, standard error."""
    out, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["robusteval", *arguments])
        patch.setenv("COLUMNS", "200")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as end:
            main()
    return int(end.value.code or 0), out.getvalue(), errors.getvalue()


def write_lines(path: Path, *lines: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path


def words(*good: str) -> Callable[[Sequence[tuple[str, ...]]], npt.NDArray[np.float32]]:
    """A model that finds a text good (class 1) where its last column has one of these words."""

    def predict(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        return np.array([[0, 1 if set(text[-1].split()) & set(good) else -1] for text in texts], np.float32)

    return predict


# ---- frozen sets -------------------------------------------------------------------------------------------------


def test_only_successes_are_frozen_with_all_that_says_where_they_come_from() -> None:
    lines = [
        line(),
        line(id="row-1", outcome="failed"),
        line(id="row-2", outcome="skipped"),
        line(id="row-3", outcome="error", **UNREACHED),
    ]
    frame = frozen_frame(lines, Source("run-7", "match", "abc"))
    assert frame.to_dict("records") == [
        {
            "text": "a fnie film", "label": "good", "id": "row-0", "recipe": "deepwordbug", "source": "run-7",
            "method": "match", "checkpoint": "abc", "seed": 3, "predicted": "bad", "original_text": "a fine film",
        }
    ]  # fmt: skip


SIDES: dict[str, Any] = {"text_columns": ["premise", "hypothesis"], "original": ["one", "two"]}
PAIR = line(columns=["hypothesis"], perturbed=["one", "tow"], **SIDES)


def test_a_pair_with_a_protected_side_is_frozen_under_its_names(tmp_path: Path) -> None:
    out = tmp_path / "set.parquet"
    code, said, errors = call("freeze", str(write_lines(tmp_path / "lines.jsonl", PAIR)), "--out", str(out))
    assert code == 0, errors
    assert "--text-columns premise,hypothesis --label-column label" in said
    frame = pd.read_parquet(out)
    assert list(frame.columns[:3]) == ["premise", "hypothesis", "label"]
    assert frame[["premise", "hypothesis", "original_hypothesis"]].values.tolist() == [["one", "tow", "two"]]


def test_text_columns_may_be_given_other_names() -> None:
    frame = frozen_frame([PAIR], MODEL, ["a", "b"])
    assert frame[["a", "b", "original_b"]].values.tolist() == [["one", "tow", "two"]]
    with pytest.raises(UserError, match="text_columns: a, b, c names 3 of the 2 text columns of 'lines'; name all"):
        frozen_frame([PAIR], MODEL, ["a", "b", "c"])
    for names in (["premise", "label"], ["original_b", "b"], ["b", "b"]):
        with pytest.raises(UserError, match="text_columns: a frozen set has another column"):
            frozen_frame([PAIR], MODEL, names)


def test_lines_without_the_names_of_their_columns_are_refused(tmp_path: Path) -> None:
    old = {key: value for key, value in line().items() if key != "text_columns"}
    with pytest.raises(UserError, match="line 1 lacks 'text_columns': no file of attack results"):
        attack_lines(write_lines(tmp_path / "lines.jsonl", old))


def test_nothing_to_freeze_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UserError, match="^results: none of the 2 attacks on 'lines' succeeded: nothing to freeze$"):
        frozen_frame([line(outcome="failed"), line(outcome="skipped")], MODEL)
    gone = line(perturbed=[" "])
    with pytest.raises(UserError, match="left empty text"):
        frozen_frame([gone], MODEL)
    assert len(frozen_frame([gone, line(id="row-1")], MODEL)) == 1
    assert "1 texts are empty after the attack and left out" in caplog.text


def test_an_example_has_a_row_for_each_recipe_and_source(tmp_path: Path) -> None:
    first = write_lines(tmp_path / "a.jsonl", line())
    files = [first, write_lines(tmp_path / "b.jsonl", line()), write_lines(tmp_path / "c.jsonl", line(recipe="pruthi"))]
    frame = freeze(files)
    assert frame[["id", "recipe", "source"]].values.tolist() == [
        ["row-0", "deepwordbug", "a"], ["row-0", "deepwordbug", "b"], ["row-0", "pruthi", "c"],
    ]  # fmt: skip
    with pytest.raises(UserError, match="are both 'deepwordbug' with seed 3 on 'a'"):
        freeze([first, write_lines(tmp_path / "other" / "a.jsonl", line())])
    assert len(freeze([first, write_lines(tmp_path / "other" / "a.jsonl", line(seed=4))])) == 2
    with pytest.raises(UserError, match=r"b\.jsonl' has other text columns"):
        freeze([first, write_lines(tmp_path / "b.jsonl", line(text_columns=["review"]))])


def test_a_run_is_named_as_the_source(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "my-data.match.none.s0.12345678"
    file = write_lines(run / "attacks" / "deepwordbug.jsonl", line())
    assert source_of(file) == Source("deepwordbug")
    (run / "config.json").write_text(json.dumps({"spec": {"method": {"label": "match:temperature=2"}}}))
    assert source_of(file) == Source(run.name, "match:temperature=2")
    (run / "environment.json").write_text(json.dumps({"checkpoint_sha256": "abc"}))
    assert source_of(file) == Source(run.name, "match:temperature=2", "abc")


def test_a_frozen_set_reads_back_as_examples_of_the_task(tmp_path: Path) -> None:
    hard = "ünïcode \u2028 \"quoted\", comma\n'NA' \u0000"
    path = tmp_path / "deep" / "set.parquet"
    write_frozen(frozen_frame([line(perturbed=[hard]), line(gold="bad", predicted_after="good")], MODEL), path)
    assert [file.name for file in path.parent.iterdir()] == ["set.parquet"]
    task = Task("frozen", "file", ("text",), ("bad", "good"), ("accuracy",))
    examples = examples_from_frame(pd.read_parquet(path), task, "frozen")
    assert examples.texts == ((hard, "a fnie film"),)
    assert examples.labels.tolist() == [1, 0]
    with pytest.raises(UserError, match="is a folder"):
        write_frozen(pd.DataFrame({"text": ["a"]}), path.parent)


# ---- the matrix --------------------------------------------------------------------------------------------------


def test_the_matrix_by_hand() -> None:
    # model "fine" knows two words, model "warm" one; both attacks take the word that the attacked model knows
    fine = [
        line(original=["a fine film"], perturbed=["a fnie film"]),
        line(original=["fine and warm"], perturbed=["fnie and wram"]),
        line(original=["warm"], perturbed=["wram warm"]),  # for one who does not read the first word
        line(original=["so fine"], perturbed=["so fnie"], outcome="failed"),
    ]
    warm = [line(gold="bad", original=["fine"], perturbed=["warm"])]
    frame = transfer_matrix(
        {"fine": fine, "warm": warm, "none": [line(outcome="failed")]},
        {"fine": words("fine"), "warm": words("warm")},
        ("bad", "good"),
    )
    found = {(row["source"], row["target"]): row for row in frame.to_dict("records")}
    assert list(frame.columns) == ["source", "target", "n", "accuracy", "right_before", "transfer_rate"]
    # "fine" was right on two of the three originals, and is wrong on both of them now
    assert found["fine", "fine"]["right_before"] == 2
    assert found["fine", "fine"]["transfer_rate"] == 1
    assert found["fine", "fine"]["accuracy"] == 0
    # "warm" was right on the second and third; it falls for the second
    assert found["fine", "warm"] == {
        "source": "fine", "target": "warm", "n": 3, "accuracy": 1 / 3, "right_before": 2, "transfer_rate": 0.5,
    }  # fmt: skip
    assert found["warm", "warm"]["accuracy"] == 0
    # "fine" was wrong before, so its mistake now is no transfer
    assert found["warm", "fine"]["right_before"] == 0
    assert math.isnan(found["warm", "fine"]["transfer_rate"])
    assert found["none", "fine"]["n"] == 0
    assert math.isnan(found["none", "fine"]["accuracy"])
    with pytest.raises(UserError, match="transfer: 'fine' has the gold label 'good', outside no, yes"):
        transfer_matrix({"fine": fine}, {"fine": words("fine")}, ("no", "yes"))


def matrix(seed: int, source: str, target: str, n: int, accuracy: float, right: int, rate: float) -> dict[str, Any]:
    return {
        "model": "m", "task": "t", "recipe": "pwws", "scenario": "none", "seed": seed, "source": source,
        "target": target, "n": n, "accuracy": accuracy, "right_before": right, "transfer_rate": rate,
    }  # fmt: skip


def test_averages_and_grids_by_hand() -> None:
    frame = pd.DataFrame(
        [
            matrix(0, "a", "a", 4, 0.0, 4, 1.0),
            matrix(0, "a", "b|c", 4, 0.25, 2, 0.5),
            matrix(1, "a", "a", 6, 0.0, 6, 1.0),
            matrix(1, "a", "b|c", 6, 0.75, 0, math.nan),
        ]
    )
    averages = over_seeds(frame)
    row = averages[averages.target == "b|c"].iloc[0]
    assert (row.seeds, row.n, row.accuracy, row.right_before, row.transfer_rate) == (2, 10, 0.5, 2, 0.5)
    assert row.accuracy_std == pytest.approx(math.sqrt(0.125))
    assert math.isnan(row.transfer_rate_std)
    first, second = grids(averages)
    assert first.title == "pwws: accuracy on the adversarial texts"
    assert first.header == ("source \\ target", "a", "b|c")
    assert first.rows == (("a", "0.0 ± 0.0 (10)", "50.0 ± 35.4 (10)"),)
    assert second.rows == (("a", "100.0 ± 0.0 (10)", "50.0 (2)"),)
    text = markdown(frame, averages)
    assert "| a | 0.0 ± 0.0 (10) | 50.0 ± 35.4 (10) |" in text
    assert "b\\|c" in text
    assert "mean over 2 seeds (0, 1)" in text and "by construction" in text
    assert "Runs are missing" not in text
    assert "Runs are missing" in caption(frame.iloc[:3])
    lonely = [matrix(0, "a", "a", 0, math.nan, 0, math.nan), matrix(0, "b", "b", 3, 0.0, 3, 1.0)]
    assert next(grids(over_seeds(pd.DataFrame(lonely)))).rows == (("a", "–", "–"), ("b", "–", "0.0 (3)"))


# ---- a whole experiment ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def experiment(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[tuple[Path, Path]]:
    """Two methods with two seeds, their models kept; and a dev file."""
    folder = tmp_path_factory.mktemp("transfer")
    files = []
    for name, count, seed in (("train", 160, 0), ("dev", 24, 5)):
        texts, labels = tiny.sentences(count, seed=seed)
        path = folder / f"{name}.csv"
        pd.DataFrame({"review": texts, "verdict": ["good" if one else "bad" for one in labels]}).to_csv(path)
        files.append(path)
    arguments = command(
        tiny_folder, (files[0], files[1]), folder / "out", "--max-steps", "60", "--batch-size", "8",
        "--attack-examples", "10", "--seeds", "2", "--methods", "vanilla,match", "--suites", "clean",
        "--quiet",
    )  # fmt: skip
    code, out, errors = call(*arguments[3:])
    assert code == 0, out + errors
    yield folder / "out", files[1]
    shutil.rmtree(folder)


def test_a_frozen_set_is_evaluated_like_any_file(experiment: tuple[Path, Path], tmp_path: Path) -> None:
    out, _ = experiment
    runs = sorted((out / "runs").iterdir())
    results = [str(run / "attacks" / "deepwordbug.jsonl") for run in runs if ".s0." in run.name]
    frozen = tmp_path / "set.parquet"
    code, said, errors = call("freeze", *results, "--out", str(frozen))
    assert code == 0, errors
    frame = pd.read_parquet(frozen)
    assert len(results) == 2
    assert set(frame["method"]) == {"match", "vanilla"}
    assert set(frame["source"]) == {run.name for run in runs if ".s0." in run.name}
    hint = said.splitlines()[1].split()
    assert hint[:3] == ["robusteval", "evaluate", "CHECKPOINT"]
    victim = next(run for run in runs if run.name.startswith("my-data.vanilla.none.s0"))
    arguments = [str(victim / "model"), *hint[3:], "--suites", "clean", "--max-length", "32", "--device", "cpu"]
    code, said, errors = call("evaluate", *arguments, "--out", str(tmp_path / "table"))
    assert code == 0, errors
    table = pd.read_csv(tmp_path / "table" / "table.csv")
    accuracy = table[table.metric == "accuracy"]["mean"].iloc[0]
    # it is wrong on all that was made against it, and right on some of the rest
    own = frame["source"] == victim.name
    assert accuracy <= (~own).mean()
    code, _, errors = call("freeze", *results, "--out", str(tmp_path / "set.csv"))
    assert (code, "must end in .parquet" in errors) == (2, True)


def test_the_transfer_of_an_experiment(experiment: tuple[Path, Path]) -> None:
    out, _ = experiment
    code, said, errors = call("transfer", str(out), "--device", "cpu")
    assert code == 0, errors
    assert "deepwordbug: accuracy on the adversarial texts" in said
    averages = pd.read_csv(out / "report" / "transfer.csv")
    assert averages[["source", "target"]].values.tolist() == [
        ["vanilla", "vanilla"], ["match", "vanilla"], ["vanilla", "match"], ["match", "match"],
    ]  # fmt: skip
    assert set(averages["seeds"]) == {2}
    diagonal = averages[averages.source == averages.target]
    assert (diagonal["n"] > 0).all()
    assert (diagonal["accuracy"] == 0).all() and (diagonal["transfer_rate"] == 1).all()
    assert (diagonal["right_before"] == diagonal["n"]).all()
    succeeded = {
        method: sum(
            one["outcome"] == "succeeded"
            for run in (out / "runs").glob(f"my-data.{method}.*")
            for one in attack_lines(run / "attacks" / "deepwordbug.jsonl")
        )
        for method in ("vanilla", "match")
    }
    assert dict(zip(averages["source"], averages["n"], strict=True)) == succeeded
    text = (out / "report" / "transfer.md").read_text()
    assert "| source \\ target | vanilla | match |" in text


def test_what_cannot_be_transferred_is_said(experiment: tuple[Path, Path], tmp_path: Path) -> None:
    def damaged(name: str, change: Callable[[Path], object]) -> str:
        copy = tmp_path / name
        shutil.copytree(experiment[0], copy)
        change(copy)
        code, _, errors = call("transfer", str(copy), "--device", "cpu")
        assert code == 2
        return " ".join(errors.split())

    def again(copy: Path) -> None:
        run = next((copy / "runs").glob("my-data.match.none.s1*"))
        other = shutil.copytree(run, run.with_name("my-data.match.none.s1.00000000"))
        shutil.rmtree(copy / "asked")  # as in a folder of an earlier version, which says nowhere which runs are meant
        lines = [{key: line[key] for key in line if key not in ("files", "seal")} for line in read_lines(other / ROWS)]
        lines = [{**line, "run": other.name} if "run" in line else line for line in lines]
        (other / ROWS).write_text("".join(json.dumps(line) + "\n" for line in lines))

    def remove(pattern: str) -> Callable[[Path], object]:
        return lambda copy: [shutil.rmtree(folder) for folder in copy.glob(pattern)]

    kept = "kept no model; run the experiment in another folder, without --no-keep-models"
    assert kept in damaged("models", remove("runs/*s1*/model"))
    assert "deepwordbug.jsonl: cannot be read: No such file" in damaged("attacks", remove("runs/*/attacks"))
    assert "has no finished run" in damaged("runs", remove("runs/*"))
    assert "are the same run; remove the outdated one" in damaged("twice", again)
    assert "holds no experiment.yaml" in damaged("yaml", lambda copy: (copy / "experiment.yaml").unlink())
