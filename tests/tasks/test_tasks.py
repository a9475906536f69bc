"""Where rows come from, and every mistake in them that must be found before training."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from robusteval.errors import UserError
from robusteval.settings.data import DataConfig
from robusteval.tasks import TASKS
from robusteval.tasks.base import Task
from robusteval.tasks.examples import examples_from_frame, own_task
from robusteval.tasks.load import load_evaluation, load_task, sample
from robusteval.tasks.sources import from_hub

PAIR = Task("pair", "test", ("left", "right"), ("no", "yes"), ("accuracy",))
SCORE = Task("score", "test", ("left",), (), ("pearson",), score_range=(0, 5))


def frame(**changes: Any) -> pd.DataFrame:
    return pd.DataFrame({"left": ["a b", "c"], "right": ["d", "e f"], "label": [0, 1], **changes})


def test_examples_are_converted_and_fingerprinted() -> None:
    examples = examples_from_frame(frame(), PAIR, "train")
    assert examples.texts == (("a b", "c"), ("d", "e f"))
    assert examples.labels.dtype == np.int64
    assert examples.text(1) == ("c", "e f")
    assert examples.fingerprint == examples_from_frame(frame(), PAIR, "dev").fingerprint
    assert examples.fingerprint != examples_from_frame(frame(label=[1, 1]), PAIR, "train").fingerprint
    # the boundary between columns counts
    moved = frame(left=["a", "c"], right=["b d", "e f"])
    assert examples.fingerprint != examples_from_frame(moved, PAIR, "train").fingerprint
    assert examples.take([1]).ids == ("1",)
    assert examples_from_frame(frame(label=["yes", "no"]), PAIR, "train").labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("task", "changes", "message"),
    [
        (PAIR, {"left": ["a", 3.5]}, "pair train: column 'left': row 1 holds 3.5, which is not text"),
        (PAIR, {"left": ["a", 5]}, "pair train: column 'left': row 1 holds 5, which is not text"),
        (PAIR, {"left": ["a", "  "]}, "pair train: column 'left': row 1 is empty text"),
        (PAIR, {"left": ["a", None]}, "row 1 is missing"),
        (PAIR, {"label": [0, 2]}, "row 1 holds the label 2; valid: 0 to 1 (no, yes)"),
        (PAIR, {"label": [0, 0.5]}, "row 1 holds the label 0.5"),
        (PAIR, {"label": [0, "maybe"]}, "row 1 holds the label 'maybe'"),
        (PAIR, {"label": [0, None]}, "row 1 has no label; 1 of 2 rows have none; --drop-unlabelled leaves"),
        (PAIR, {"label": [-1, -1]}, "the split is unlabelled (no row has a gold label)"),
        (SCORE, {"label": [0.5, float("nan")]}, "row 1 has no label"),
        (SCORE, {"label": [0.5, float("inf")]}, "not a finite score"),
        (SCORE, {"label": [0.5, 6.0]}, "row 1 holds 6, outside 0 to 5"),
        (SCORE, {"label": ["0.5", "high"]}, "row 1 holds 'high', which is not a finite score"),
    ],
)
def test_bad_rows_are_named(task: Task, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        examples_from_frame(frame(**changes), task, "train")
    assert message in str(error.value)


def test_missing_columns_and_empty_splits() -> None:
    with pytest.raises(UserError, match="there is no column 'left'; did you mean 'lefft'"):
        examples_from_frame(frame().rename(columns={"left": "lefft"}), PAIR, "train")
    with pytest.raises(UserError, match="pair train: there are no rows"):
        examples_from_frame(frame().iloc[:0], PAIR, "train")


def own(rows: pd.DataFrame, label_column: str, label_type: Any) -> Task:
    return own_task(rows, "mine", DataConfig(text_columns=("t",), label_column=label_column, label_type=label_type))[0]


def test_labels_of_a_users_file() -> None:
    classes = own(pd.DataFrame({"t": ["x"] * 3, "y": ["b", "a", "b"]}), "y", "auto")
    assert classes.labels == ("a", "b")
    integers = own(pd.DataFrame({"t": ["x"] * 3, "y": [10, 9, 10]}), "y", "auto")
    assert integers.labels == ("9", "10")
    scores = own(pd.DataFrame({"t": ["x"] * 3, "y": [0.5, 1.0, 2.0]}), "y", "auto")
    assert scores.regression
    forced = own(pd.DataFrame({"t": ["x"] * 3, "y": [1, 2, 3]}), "y", "score")
    assert forced.regression
    with pytest.raises(UserError, match="holds 1 distinct label"):
        own(pd.DataFrame({"t": ["x"], "y": ["a"]}), "y", "auto")
    with pytest.raises(UserError, match="no column 'label'"):
        own(pd.DataFrame({"t": ["x"], "y": ["a"]}), "label", "auto")


@pytest.mark.parametrize(
    ("trained", "seen", "message"),
    [
        # a number that is no class of the user's own data is never taken for an index
        ([1, 2], [0, 1], "row 0 holds the label 0; valid: '1', '2'"),
        (["good", "bad"], [0, 1], "row 1 holds the label 1 (2 such rows in all); valid: 'bad', 'good'"),
        # the row at fault is named, not the first one
        (["good", "bad"], ["good", "goood"], "row 1 holds the label 'goood'; did you mean 'good'"),
        (["good", "bad"], ["good", " bad"], "row 1 holds the label ' bad'; did you mean 'bad'"),
    ],
)
def test_dev_labels_must_be_training_labels(trained: list[Any], seen: list[Any], message: str) -> None:
    task = own(pd.DataFrame({"t": ["x", "y"], "y": trained}), "y", "auto")
    with pytest.raises(UserError) as error:
        examples_from_frame(pd.DataFrame({"t": ["x", "y"], "y": seen}), task, "dev")
    assert message in str(error.value)


def test_whole_numbers_are_the_same_class_however_written() -> None:
    task = own(pd.DataFrame({"t": ["x", "y"], "y": [1.0, 2.0]}), "y", "class")
    assert task.labels == ("1", "2")
    assert examples_from_frame(pd.DataFrame({"t": ["x"], "y": [2]}), task, "dev").labels.tolist() == [1]


def test_own_files_need_a_name_of_their_own(csv_files: tuple[Path, Path]) -> None:
    given: dict[str, Any] = {
        "train_file": str(csv_files[0]),
        "dev_file": str(csv_files[1]),
        "text_columns": ("review",),
    }
    for name, message in (("sst2", "'sst2' is a registered task"), ("a/b", "'a/b' cannot name a data set")):
        with pytest.raises(UserError, match=message):
            load_task(name, DataConfig(**given, label_column="verdict"))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_files_of_the_users_own(kind: str, tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": ["NA", "a, b\nc", "null", "d"], "label": ["x", "y", "x", "y"]})
    config = {}
    for name, part in (("train", rows), ("dev", rows.iloc[2:])):
        path = tmp_path / f"{name}.{kind}"
        if kind in ("csv", "tsv"):
            part.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
        elif kind == "jsonl":
            part.to_json(path, orient="records", lines=True)
        else:
            part.to_parquet(path)
        config[f"{name}_file"] = str(path)
    data = load_task("mine", DataConfig(**config, text_columns=("text",)))
    # words that look like missing values stay words
    assert data.train.texts == (("NA", "a, b\nc", "null", "d"),)
    assert data.task.labels == ("x", "y")
    assert data.notices[-1] == "2 of 2 dev rows have a text that also stands in the training set"
    seen = load_evaluation("mine", DataConfig(dev_file=config["dev_file"], text_columns=("text",)), ("x", "y"))
    assert seen.dev.labels.tolist() == [0, 1]


def own_files(folder: Path, kind: str, train: str, dev: str = "", **settings: Any) -> DataConfig:
    """The configuration of a data set of one's own, whose files hold these lines; dev: the training rows by default."""
    paths = {}
    for name, lines in (("train", train), ("dev", dev or train)):
        path = folder / f"{name}.{kind}"
        path.write_text(lines, encoding="utf-8")
        paths[f"{name}_file"] = str(path)
    return DataConfig(**paths, text_columns=("text",), **settings)


@pytest.mark.parametrize(("kind", "mark"), [("csv", ","), ("tsv", "\t")])
def test_text_in_a_table_stays_as_it_is_written(kind: str, mark: str, tmp_path: Path) -> None:
    for cells in (["007", "12"], ["1.50", "2e3"], ["true", "False"], ["NA", "null"], ["nan", "None"], ["3", " x "]):
        lines = f"text,label\n{cells[0]},1\n{cells[1]},2\n".replace(",", mark)
        data = load_task("mine", own_files(tmp_path, kind, lines))
        assert data.train.texts == (tuple(cells),)
        assert data.task.labels == ("1", "2") and data.train.labels.tolist() == [0, 1]
    for empty in ("text,label\n12,1\n,2\n", 'text,label\n12,1\n"",2\n'):
        with pytest.raises(UserError, match="mine train: column 'text': row 1 is empty text"):
            load_task("mine", own_files(tmp_path, kind, empty.replace(",", mark)))


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        ("jsonl", ["a", 5], "mine train: column 'text': row 1 holds 5, which is not text"),
        ("jsonl", [5, 6], "mine train: column 'text': row 0 holds 5, which is not text"),
        ("parquet", [5, 6], "mine train: column 'text': row 0 holds 5, which is not text"),
        ("jsonl", ["a", None], "mine train: column 'text': row 1 is missing"),
        ("parquet", ["a", None], "mine train: column 'text': row 1 is missing"),
        ("jsonl", ["007", "5"], ""),
        ("parquet", ["007", "5"], ""),
    ],
)
def test_a_number_is_not_text(kind: str, cells: list[Any], message: str, tmp_path: Path) -> None:
    rows = [{"text": cell, "label": label} for cell, label in zip(cells, ("x", "y"), strict=True)]
    config = own_files(tmp_path, kind, "\n".join(json.dumps(row) for row in rows))
    if kind == "parquet":
        for path in (config.train_file, config.dev_file):
            pd.DataFrame(rows).to_parquet(str(path))
    if not message:
        assert load_task("mine", config).train.texts == (tuple(cells),)
        return
    with pytest.raises(UserError, match=re.escape(message)):
        load_task("mine", config)


# (label cells of a CSV file, label_type, class names or None for scores, labels)
CSV_LABELS = [
    (["2", "10", "2"], "auto", ("2", "10"), [0, 1, 0]),
    (["1.0", "2", "2.0"], "auto", ("1", "2"), [0, 1, 1]),
    (["007", "8", "007"], "auto", ("007", "8"), [0, 1, 0]),
    (["true", "False", "TRUE"], "auto", ("False", "True"), [1, 0, 1]),
    (["1.0", "x", "1.0"], "auto", ("1.0", "x"), [0, 1, 0]),
    (["NA", "null", "NA"], "auto", ("NA", "null"), [0, 1, 0]),
    (["very good", '"a, ""b"""', "very good"], "auto", ('a, "b"', "very good"), [1, 0, 1]),
    (["0.5", "1", "1e1"], "auto", None, [0.5, 1, 10]),
    (["1", "2", "3"], "score", None, [1, 2, 3]),
]  # fmt: skip


@pytest.mark.parametrize(("cells", "label_type", "names", "labels"), CSV_LABELS)
def test_labels_in_a_table_are_numbers_where_all_are(
    cells: list[str], label_type: Any, names: tuple[str, ...] | None, labels: list[float], tmp_path: Path
) -> None:
    lines = "text,label\n" + "".join(f"{row},{cell}\n" for row, cell in enumerate(cells))
    config = own_files(tmp_path, "csv", lines, label_type=label_type)
    data = load_task("mine", config)
    assert data.task.labels == (names or ()) and data.task.regression == (names is None)
    assert data.train.labels.tolist() == labels == data.dev.labels.tolist()
    seen = load_evaluation("mine", dataclasses.replace(config, train_file=None), names or ())
    assert seen.dev.labels.tolist() == labels


def test_a_label_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="mine train: column 'label': row 1 has no label"):
        load_task("mine", own_files(tmp_path, "csv", "text,label\na,1\nb,\nc,2\n"))
    with pytest.raises(UserError, match="mine dev: column 'label': row 0 holds the label '3'; valid: '1', '2'"):
        load_task("mine", own_files(tmp_path, "csv", "text,label\na,1\nb,2\n", "text,label\na,3\n"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_file": "absent.csv"}, "train_file: there is no file 'absent.csv'"),
        ({"dev_file": None}, "dev_file: not given"),
        ({"text_columns": ()}, "text_columns: not given"),
        ({"text_columns": ("a", "b", "c")}, "text_columns: one or two are needed, not 3"),
        ({"text_columns": ("revew",)}, "there is no column 'revew'; did you mean 'review'"),
        ({"label_column": "verdikt"}, "no column 'verdikt'; did you mean 'verdict'"),
        ({"text_columns": ("verdict",)}, "text_columns: 'verdict' is the label column"),
        ({"text_columns": ("review", "review")}, "text_columns: 'review' is given twice"),
    ],
)
def test_mistakes_about_files(changes: dict[str, Any], message: str, csv_files: tuple[Path, Path]) -> None:
    given = {
        "train_file": str(csv_files[0]), "dev_file": str(csv_files[1]), "text_columns": ("review",),
        "label_column": "verdict",
    }  # fmt: skip
    with pytest.raises(UserError) as error:
        load_task("mine", DataConfig(**{**given, **changes}))
    assert message in str(error.value)


def test_the_training_file_cannot_be_the_dev_file(csv_files: tuple[Path, Path]) -> None:
    one = str(csv_files[0])
    with pytest.raises(UserError, match="evaluation needs other rows"):
        load_task("mine", DataConfig(train_file=one, dev_file=one, text_columns=("review",)))


def test_a_sample_is_fixed_and_nested() -> None:
    examples = examples_from_frame(
        pd.DataFrame({"left": [f"w{i}" for i in range(50)], "right": "x", "label": 0}), PAIR, "t"
    )
    small, large = sample(examples, 10), sample(examples, 30)
    assert set(small.ids) < set(large.ids)
    assert list(small.ids) == sorted(small.ids, key=int)
    assert sample(examples, 10).fingerprint == small.fingerprint
    assert sample(examples, 99) is examples


def hub_layout(folder: Path) -> Path:
    """A data set repository as the hub lays it out: Parquet per configuration, listed in the README."""
    (folder / "pair").mkdir(parents=True)
    frame().to_parquet(folder / "pair" / "train-00000-of-00001.parquet")
    frame(label=[1, 0]).to_parquet(folder / "pair" / "validation-00000-of-00001.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: pair\n  data_files:\n"
        "  - split: train\n    path: pair/train-*\n  - split: validation\n    path: pair/validation-*\n---\n"
    )
    return folder


def test_loading_from_a_hub_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    task = Task("pair", "test", ("left", "right"), ("no", "yes"), ("accuracy",), hub=str(hub_layout(tmp_path / "hub")),
                config="pair")  # fmt: skip
    table, record = from_hub(task, "validation", "main")
    assert examples_from_frame(table.frame, task, "validation", record).labels.tolist() == [1, 0]
    assert record["revision"] == "main"
    with pytest.raises(UserError, match="task: 'pair' has no split 'test' on the hub"):
        from_hub(task, "test", "main")


def test_a_hub_out_of_reach_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"task: 'sst2' could not be loaded from the hub .*give --data-dir"):
        load_task("sst2", DataConfig())


def test_a_sample_never_stands_in_for_a_split(tmp_path: Path) -> None:
    folder = tmp_path / "glue" / "mnli"
    folder.mkdir(parents=True)
    pd.DataFrame({"premise": ["a"], "hypothesis": ["b"], "label": [0]}).to_parquet(folder / "train_sample.parquet")
    with pytest.raises(UserError) as error:
        load_task("mnli", DataConfig(data_dir=str(tmp_path)))
    assert "has no split 'train'; it has train_sample (say --train-split train_sample)" in str(error.value)
    with pytest.raises(UserError, match="has no glue/sst2/train.parquet"):
        load_task("sst2", DataConfig(data_dir=str(tmp_path)))
    with pytest.raises(UserError, match="data_dir: there is no folder"):
        load_task("sst2", DataConfig(data_dir=str(tmp_path / "absent")))


# official row counts of the dev sets
@pytest.mark.parametrize(
    ("name", "count", "adversarial"),
    [
        ("cola", 1043, {}),
        ("sst2", 872, {"adv_sst2": 148}),
        ("mrpc", 408, {}),
        ("stsb", 1500, {}),
        ("qqp", 40430, {"adv_qqp": 78}),
        ("mnli", 9815, {"adv_mnli": 121, "adv_mnli_mismatched": 162}),
        ("qnli", 5463, {"adv_qnli": 148}),
        ("rte", 277, {"adv_rte": 81}),
    ],
)
def test_real_glue_rows(name: str, count: int, adversarial: dict[str, int], data_dir: Path) -> None:
    sampled = name in ("qqp", "mnli", "qnli")
    config = DataConfig(data_dir=str(data_dir), train_split="train_sample" if sampled else None)
    data = load_task(name, config)
    assert len(data.dev) == count
    assert {key: len(rows) for key, rows in data.adversarial.items()} == adversarial
    assert len(data.train) > 2000
    assert data.task.regression == (name == "stsb")


def test_every_registered_task_is_well_formed() -> None:
    for entry in TASKS:
        task = TASKS[entry.name]
        assert task.name == entry.name
        assert 1 <= len(task.text_columns) <= 2
        assert task.metrics
        for other in task.adversarial:
            assert TASKS[other].labels == task.labels
            assert TASKS[other].text_columns == task.text_columns
