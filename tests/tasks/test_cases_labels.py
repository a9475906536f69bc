"""Labels as users have them: none, several in a cell, one class in two spellings, and whose names count."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import robusteval
from robusteval.errors import UserError
from robusteval.experiments.rows import remedies
from robusteval.methods.compose import build_method
from robusteval.models.label_order import match_labels, name_labels
from robusteval.settings.codec import from_dict, to_dict
from robusteval.settings.data import DataConfig
from robusteval.settings.runs import MethodConfig, RunSpec
from robusteval.tasks.base import Task
from robusteval.tasks.labels import distribution
from robusteval.tasks.load import load_evaluation, load_task
from robusteval.tasks.naming import read_label_map
from support import field_cases, tiny

ROWS = 12


def write(folder: Path, kind: str, cells: list[Any], name: str = "train") -> str:
    """A file whose rows have these labels in turn, as its kind writes them."""
    labels = [cells[row % len(cells)] for row in range(ROWS)]
    texts = [f"text {name} {row}" for row in range(ROWS)]
    path = folder / f"{name}.{kind}"
    if kind == "csv":
        pd.DataFrame({"text": texts, "label": labels}).to_csv(path, index=False)
    elif kind == "jsonl":
        pd.DataFrame({"text": texts, "label": pd.Series(labels, dtype=object)}).to_json(
            path, orient="records", lines=True
        )
    else:
        pq.write_table(pa.table({"text": texts, "label": pa.array(labels)}), path)
    return str(path)


def load(folder: Path, kind: str, cells: list[Any], dev: list[Any] | None = None, **options: Any) -> Any:
    dev_kind = options.pop("dev_kind", kind)
    return load_task(
        "mine",
        DataConfig(
            train_file=write(folder, kind, cells), dev_file=write(folder, dev_kind, dev or cells, "dev"),
            text_columns=("text",), **options,
        ),
    )  # fmt: skip


SEVERAL = "row 0 holds several labels"
# (kind, labels in turn, options, class names or what is said)
FILES: list[tuple[str, list[Any], dict[str, Any], tuple[str, ...] | str]] = [
    # no gold label
    (
        "jsonl",
        ["entailment", "-", "neutral"],
        {},
        r"row 1 has no label \(-\); 4 of 12 rows have none .also 4, 7, 10.; --drop-unlabelled",
    ),
    ("jsonl", ["entailment", "-", "neutral"], {"drop_unlabelled": True}, ("entailment", "neutral")),
    ("jsonl", [0, 1, 2, -1], {}, r"row 3 has no label \(-1\); 3 of 12 rows"),
    ("jsonl", [0, 1, 2, -1], {"drop_unlabelled": True}, ("0", "1", "2")),
    ("csv", ["0", "1", "2", "-1"], {"drop_unlabelled": True}, ("0", "1", "2")),
    (
        "csv",
        ["a", "b", ""],
        {},
        r"row 2 has no label; 4 of 12 rows have none .also 5, 8, 11.; --drop-unlabelled leaves such rows out$",
    ),
    ("csv", ["a", "b", ""], {"drop_unlabelled": True}, ("a", "b")),
    ("csv", ["a", "b", "   "], {}, "row 2 has no label"),
    # scores as spreadsheets in half of the world write them, and labels that number the rows
    ("csv", ["0,5", "3,25", "4,0"], {}, "row 0 holds '0,5', which looks like a score with a decimal comma"),
    ("jsonl", ["-1,5", "3,25", "4"], {}, "row 0 holds '-1,5', which looks like a score with a decimal comma"),
    ("csv", ["0,5", "1,5"], {"label_type": "class"}, ("0,5", "1,5")),
    ("jsonl", ["a", "b", None], {}, "row 2 has no label"),
    ("parquet", ["a", "b", None], {"drop_unlabelled": True}, ("a", "b")),
    ("parquet", [0.0, 1.0, float("nan")], {}, "row 2 has no label"),
    ("csv", ["0.5", "1.5", ""], {}, "row 2 has no label"),
    ("jsonl", ["-", "-", "-"], {"drop_unlabelled": True}, "the split is unlabelled"),
    # where -1 and - are classes
    ("jsonl", [-1, 1], {}, ("-1", "1")),
    ("jsonl", [-1, 0, 1], {}, ("-1", "0", "1")),
    ("jsonl", [-1, 0, 1], {"drop_unlabelled": True}, ("0", "1")),
    ("csv", ["-2", "-1", "0", "1", "2"], {}, ("-2", "-1", "0", "1", "2")),
    ("csv", ["-2", "-1", "0", "1", "2"], {"drop_unlabelled": True}, ("-2", "-1", "0", "1", "2")),
    ("csv", ["+", "-"], {}, ("+", "-")),
    ("jsonl", [-1, 0, 1, 2], {"labels": ("-1", "0", "1", "2")}, ("-1", "0", "1", "2")),
    ("jsonl", ["yes", "no", "-"], {"label_map": ("-=unsure",)}, ("no", "unsure", "yes")),
    # several labels in a cell
    ("jsonl", [[1, 0, 1], [0, 1, 0]], {}, SEVERAL),
    ("parquet", [[1, 0, 1], [0, 1, 0]], {}, SEVERAL),
    ("csv", ["[1, 0, 1]", "[0, 1, 0]"], {}, SEVERAL),
    ("csv", ["[1 0 1]", "[0 1 0]"], {}, SEVERAL),
    ("csv", ["['a', 'b']", "['b']"], {}, SEVERAL),
    ("csv", ["['a' 'b']", "['b']"], {}, SEVERAL),
    ("csv", ["(1, 0)", "(0, 1)"], {}, SEVERAL),
    ("csv", ["{'a': 1}", "{'b': 1}"], {}, SEVERAL),
    ("csv", ["[]", "[1]"], {}, SEVERAL),
    ("jsonl", [{"a": 1}, {"b": 1}], {}, SEVERAL),
    ("parquet", [b"a", b"b"], {}, "row 0 holds b'a'"),
    ("csv", ["a", "b", "a,b"], {}, "'a,b' seems to hold several ones"),
    ("csv", ["a", "b", "a|b"], {"labels": ("a", "b", "a|b")}, ("a", "b", "a|b")),
    ("csv", ["[CLS]", "[neutral]", "(none)"], {}, ("(none)", "[CLS]", "[neutral]")),
    # one class in two spellings
    ("csv", ["Pos", "neg", "pos"], {}, r"'Pos' \(4 rows\) and 'pos' \(4 rows\) look like one class; --label-map"),
    ("csv", ["Pos", "neg", "pos"], {"label_map": ("Pos=pos",)}, ("neg", "pos")),
    ("csv", ["Pos", "neg", "pos"], {"labels": ("Pos", "neg", "pos")}, ("Pos", "neg", "pos")),
    ("jsonl", ["pos", "neg", "pos "], {}, "look like one class; --label-map '\"pos \"=pos'"),
    ("jsonl", ["pos", "neg", "pos "], {"label_map": ('"pos "=pos',)}, ("neg", "pos")),
    ("csv", ["01", "2", "1"], {}, "'01' .* and '1' .* look like one class"),
    ("csv", ["01", "02", "10"], {}, ("01", "02", "10")),
    ("jsonl", ["caf\u00e9", "bar", "cafe\u0301"], {}, "look like one class"),
    ("jsonl", ["\uff41", "b", "a"], {}, "look like one class"),
    ("jsonl", ["a", "b", "a\u200b"], {}, "look like one class"),
    ("jsonl", ["a", "b", "a\u00a0"], {}, "look like one class"),
    ("csv", ["1.0", "2", "1"], {}, ("1", "2")),
    # words stay words
    ("csv", ["None", "nan", "NA", "null"], {}, ("NA", "None", "nan", "null")),
    ("jsonl", ["None", "nan", "null"], {}, ("None", "nan", "null")),
    ("parquet", ["None", "nan", "N/A"], {}, ("N/A", "None", "nan")),
    ("csv", ["true", "FALSE"], {}, ("False", "True")),
    ("csv", ["true", "false", "maybe"], {}, ("false", "maybe", "true")),
    # names for integers, in their order
    ("jsonl", [0, 1, 2], {"labels": ("no", "maybe", "yes")}, ("no", "maybe", "yes")),
    ("csv", ["1", "2", "3"], {"labels": ("no", "maybe", "yes")}, "the integers 0 to 2, but a row has the label 3"),
    ("csv", ["a", "b", "c"], {"labels": ("b", "a", "c")}, ("b", "a", "c")),
    ("csv", ["a", "b", "c"], {"labels": ("a", "b")}, "unknown name 'c'"),
    ("csv", ["a", "b", "c"], {"label_map": ("c=a|b",)}, "a row to train on has one class"),
    ("csv", ["a", "b", "c"], {"label_map": ("c",)}, "'c' is not value=class"),
    ("csv", ["a", "b", "c"], {"label_map": ("d=e",)}, "label_map: d: unknown name 'e'"),
    ("csv", ["a", "b", "c"], {"label_map": ("c=b", "c=a")}, "'c' is given twice"),
    ("csv", ["a"], {}, "holds 1 distinct label"),
    ("csv", ["0.5", "1.5"], {"labels": ("a", "b")}, "unknown name"),
    ("csv", ["0.5", "1e300"], {}, "row 1 holds '1e300', .* is not a finite score"),
]


@pytest.mark.parametrize(("kind", "cells", "options", "expected"), FILES)
def test_labels_of_a_training_file(
    kind: str, cells: list[Any], options: dict[str, Any], expected: tuple[str, ...] | str, tmp_path: Path
) -> None:
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected):
            load(tmp_path, kind, cells, **options)
        return
    data = load(tmp_path, kind, cells, **options)
    assert data.task.labels == expected
    assert len(data.train) == len(data.dev) and set(data.train.labels.tolist()) == set(range(len(expected)))


# (train, dev, their kinds, what dev's rows are called, or what is said)
DEVS: list[tuple[list[Any], list[Any], str, str, list[str] | str]] = [
    ([True, False], ["true", "false"], "jsonl", "csv", ["True", "False"]),
    (["true", "false"], [True, False], "csv", "parquet", ["True", "False"]),
    (["true", "false", "maybe"], ["true", "false"], "csv", "csv", ["true", "false"]),
    ([1.0, 2.0], ["1", "2"], "parquet", "csv", ["1", "2"]),
    (["1", "2"], [1.0, 2.0], "jsonl", "parquet", ["1", "2"]),
    (["1.0", "2.0"], [1, 2], "jsonl", "jsonl", ["1.0", "2.0"]),
    ([1, 2], ["1", "2"], "jsonl", "jsonl", ["1", "2"]),
    (
        ["pos", "neg"],
        ["Pos", "neg"],
        "csv",
        "csv",
        "(6 such rows in all); did you mean 'pos'? --label-map Pos=pos says so",
    ),
    (["01", "02"], ["1", "2"], "csv", "csv", "row 4 holds the label '1' (12 such rows in all); did you mean '01'"),
    (["pos", "neg"], ["pos", "neg", "neutral"], "csv", "csv", "row 2 holds the label 'neutral'"),
    ([0, 1], [0, 1, -1], "jsonl", "jsonl", "row 2 has no label (-1)"),
    (["pos", "neg"], [["pos"], ["neg"]], "csv", "jsonl", "row 0 holds several labels"),
]


@pytest.mark.parametrize(("train", "dev", "kind", "dev_kind", "expected"), DEVS)
def test_dev_follows_what_train_decided(
    train: list[Any], dev: list[Any], kind: str, dev_kind: str, expected: list[str] | str, tmp_path: Path
) -> None:
    if isinstance(expected, str):
        with pytest.raises(UserError, match=re.escape(expected)):
            load(tmp_path, kind, train, dev, dev_kind=dev_kind, label_type="class")
        return
    data = load(tmp_path, kind, train, dev, dev_kind=dev_kind, label_type="class")
    assert [data.task.labels[index] for index in data.dev.labels[: len(dev)]] == expected


POLAR, STARS, NLI = (
    ("NEGATIVE", "POSITIVE"),
    tuple(f"LABEL_{i}" for i in range(5)),
    ("contradiction", "entailment", "neutral"),
)
UNNAMED = ("LABEL_0", "LABEL_1", "LABEL_2")
# (a checkpoint's outputs, labels in turn, options, the class of each output and of the rows; or what is said)
CHECKPOINTS: list[tuple[tuple[str, ...], list[Any], dict[str, Any], tuple[Any, Any] | str]] = [
    (POLAR, ["1", "0"], {}, (POLAR, ["POSITIVE", "NEGATIVE"])),
    (POLAR, ["positive", "negative"], {}, (POLAR, ["POSITIVE", "NEGATIVE"])),
    (POLAR, ["1", "1"], {}, "are integers without a 0"),
    (("POSITIVE", "NEGATIVE"), ["1", "0"], {}, "are integers, and which"),
    (("entailment", "not_entailment"), ["1", "0"], {}, "--labels with the names in the order of the integers"),
    (("entailment", "not_entailment"), ["1", "0"], {"labels": ("entailment", "not_entailment")},
     (("entailment", "not_entailment"), ["not_entailment", "entailment"])),
    (POLAR, ["1", "0", "2"], {}, "0, 1, 2 are integers"),
    (POLAR, ["good", "bad"], {}, "label 'bad' is none of the model's (NEGATIVE, POSITIVE)"),
    (POLAR, ["good", "bad"], {"label_map": ("good=positive", "bad=negative")}, (POLAR, ["POSITIVE", "NEGATIVE"])),
    (POLAR, ["good", "bad"], {"label_map": ("good=positiv", "bad=negative")}, "did you mean 'POSITIVE'"),
    (STARS, ["1", "2", "3"], {}, "--label-map 1=LABEL_0,2=LABEL_1,3=LABEL_2"),
    (STARS, ["1", "2", "3", "4", "5"], {}, "--label-map 1=LABEL_0"),
    (STARS, ["1", "2", "3", "4", "5"], {"labels": ("1", "2", "3", "4", "5")},
     (("1", "2", "3", "4", "5"), ["1", "2", "3", "4", "5"])),
    (STARS, ["0", "3", "1"], {}, (STARS, ["LABEL_0", "LABEL_3", "LABEL_1"])),
    (STARS, ["0", "5"], {}, "0, 5 are integers"),
    (STARS, ["1", "2", "3"], {"label_map": ("1=LABEL_0", "2=LABEL_1", "3=LABEL_2")},
     (STARS, ["LABEL_0", "LABEL_1", "LABEL_2"])),
    # five stars for two classes: many values, one class
    (POLAR, ["1", "2", "5"], {"label_map": ("1=negative", "2=negative", "5=positive")},
     (POLAR, ["NEGATIVE", "NEGATIVE", "POSITIVE"])),
    (NLI, ["0", "1", "2"], {}, "are integers, and which of the model's classes (contradiction, entailment, neutral)"),
    (NLI, ["0", "1", "2"], {"labels": ("entailment", "neutral", "contradiction")},
     (NLI, ["entailment", "neutral", "contradiction"])),
    (UNNAMED, ["0", "1", "2"], {"labels": ("entailment", "neutral", "contradiction")},
     (("entailment", "neutral", "contradiction"), ["entailment", "neutral", "contradiction"])),
    (UNNAMED, ["neutral", "entailment"], {"labels": ("entailment", "neutral", "contradiction")},
     (("entailment", "neutral", "contradiction"), ["neutral", "entailment"])),
    (UNNAMED, ["0", "1"], {"labels": ("entailment", "neutral")}, "2 names are given, but the checkpoint has 3 outputs"),
    # HANS: one class of the file, two outputs
    (NLI, ["entailment", "non-entailment"], {"label_map": ("non-entailment=neutral|contradiction",)},
     (("non-entailment", "entailment", "non-entailment"), ["entailment", "non-entailment"])),
    (NLI, ["0", "1"], {"label_map": ("0=entailment", "1=neutral|contradiction")},
     (("neutral|contradiction", "entailment", "neutral|contradiction"), ["entailment", "neutral|contradiction"])),
    (NLI, ["0", "1"], {"labels": ("entailment", "rest"), "label_map": ("rest=neutral|contradiction",)},
     (("rest", "entailment", "rest"), ["entailment", "rest"])),
    (NLI, ["0", "1", "2"], {"label_map": ("0=entailment", "1=neutral|contradiction", "2=neutral")}, "would answer"),
    (("True", "False"), ["true", "false"], {}, (("True", "False"), ["True", "False"])),
    (("Pos", "pos"), ["pos", "Pos"], {}, (("Pos", "pos"), ["pos", "Pos"])),
    (NLI, ["entailment", "-", "neutral"], {}, "row 1 has no label (-); 4 of 12 rows"),
    (NLI, ["entailment", "-", "neutral"], {"drop_unlabelled": True}, (NLI, ["entailment", "neutral", "entailment"])),
    ((), ["1.5", "2.5"], {"labels": ("a", "b")}, "the checkpoint gives a score"),
]  # fmt: skip


@pytest.mark.parametrize(("outputs", "cells", "options", "expected"), CHECKPOINTS)
def test_a_file_speaks_of_what_a_checkpoint_answers(
    outputs: tuple[str, ...], cells: list[Any], options: dict[str, Any], expected: tuple[Any, Any] | str, tmp_path: Path
) -> None:
    data = DataConfig(dev_file=write(tmp_path, "csv", cells, "dev"), text_columns=("text",), **options)
    if isinstance(expected, str):
        with pytest.raises(UserError, match=re.escape(expected)):
            load_evaluation("mine", data, outputs)
        return
    found = load_evaluation("mine", data, outputs)
    answers, names = expected
    assert (found.task.outputs or found.task.labels) == answers
    assert [found.task.labels[index] for index in found.dev.labels[: len(cells)]] == names


def parquet_with_names(path: Path, names: list[str], integers: list[int], text: str = "text") -> str:
    """A Parquet file as `datasets` writes it: integers, and their names in the schema."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({text: Value("string"), "label": ClassLabel(names=names)})
    rows = {text: [f"{path.stem} {row}" for row in range(len(integers))], "label": integers}
    Dataset.from_dict(rows, features=features).to_parquet(str(path))
    return str(path)


def test_names_that_datasets_gives_to_integers_count(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    names = ["world", "sports", "business"]
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    rows = Dataset.from_dict({"text": ["a", "b", "c", "d"], "label": [2, 0, 1, 2]}, features=features)
    model = tiny.model(num_labels=3)
    model.config.id2label = {0: "Business", 1: "World", 2: "Sports"}
    task = Task("news", "own", ("text",), ("business", "sports", "world"), ("accuracy",))
    seen: list[Any] = []
    robusteval.evaluate(
        model, task, tokenizer=tiny.tokenizer(), dataset=rows, suites=("clean",), device="cpu", max_length=32,
        record=lambda suite, value, number, each: seen.append(each.gold.tolist()),
    )  # fmt: skip
    assert seen == [[0, 2, 1, 0]], "business, world, sports, business in the task's order"


def test_names_in_a_parquet_file_count(tmp_path: Path) -> None:
    names, integers = ["world", "sports", "business"], [2, 0, 1, 2, 0]
    shared: dict[str, Any] = {"text_columns": ("text",)}
    dev = parquet_with_names(tmp_path / "dev.parquet", names, integers)
    train = parquet_with_names(tmp_path / "t.parquet", names, integers)
    data = load_task("mine", DataConfig(train_file=train, dev_file=dev, **shared))
    assert data.task.labels == tuple(names), "in the order of the file's integers"
    assert data.train.labels.tolist() == data.dev.labels.tolist() == integers
    # another file, with names in another order or as text, means the same classes
    shuffled = parquet_with_names(tmp_path / "d.parquet", ["business", "sports", "world"], [0, 1, 2])
    again = load_task("mine", DataConfig(train_file=str(tmp_path / "t.parquet"), dev_file=shuffled, **shared))
    assert [again.task.labels[index] for index in again.dev.labels] == ["business", "sports", "world"]
    seen = load_evaluation("mine", DataConfig(dev_file=dev, **shared), ("Business", "World", "Sports"))
    assert [seen.task.labels[index] for index in seen.dev.labels] == [
        "Business",
        "World",
        "Sports",
        "Business",
        "World",
    ]
    with pytest.raises(UserError, match="'business' is none of the model's"):
        load_evaluation("mine", DataConfig(dev_file=dev, **shared), ("LABEL_0", "LABEL_1", "LABEL_2"))
    without = parquet_with_names(tmp_path / "n.parquet", names, [0, -1])
    with pytest.raises(UserError, match=r"row 1 has no label \(-1\)"):
        load_evaluation("mine", DataConfig(dev_file=without, **shared), tuple(names))


def test_a_declared_tasks_file_with_names_in_another_order(tmp_path: Path) -> None:
    folder = tmp_path / "glue" / "sst2"
    folder.mkdir(parents=True)
    for split, names in (("train", ["positive", "negative"]), ("validation", ["negative", "positive"])):
        parquet_with_names(folder / f"{split}.parquet", names, [0, 1, 1], "sentence")
    data = load_task("sst2", DataConfig(data_dir=str(tmp_path)))
    assert data.train.labels.tolist() == [1, 0, 0] and data.dev.labels.tolist() == [0, 1, 1]
    assert "sst2 train: labels by the names that the data gives them: 0 = positive, 1 = negative" in data.notices


def test_a_label_map_beside_the_integers_of_a_declared_task(tmp_path: Path) -> None:
    folder = tmp_path / "glue" / "rte"
    folder.mkdir(parents=True)
    for split in ("train", "validation"):
        rows = {"sentence1": [f"{split} {row}" for row in range(4)], "sentence2": ["b"] * 4, "label": [0, 1, 2, 0]}
        pd.DataFrame(rows).to_parquet(folder / f"{split}.parquet")
    with pytest.raises(UserError, match="row 2 holds the label 2; valid: 0 to 1"):
        load_task("rte", DataConfig(data_dir=str(tmp_path)))
    data = load_task("rte", DataConfig(data_dir=str(tmp_path), label_map=("2=not_entailment",)))
    assert data.train.labels.tolist() == [0, 1, 1, 0]
    with pytest.raises(UserError, match="label_map: 2: unknown name 'neutral'"):
        load_task("rte", DataConfig(data_dir=str(tmp_path), label_map=("2=neutral",)))
    with pytest.raises(UserError, match="labels: 'rte' names its classes itself"):
        load_task("rte", DataConfig(data_dir=str(tmp_path), labels=("a", "b")))


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("vanilla", "try more steps (--epochs, 3 here), another rate (--learning-rate, 2e-05 here)"),
        ("match", "another rate (--learning-rate, 2e-05 here), or match:temperature=0.1"),
        ("match:temperature=0.1", "another rate (--learning-rate, 2e-05 here)"),
        ("pats+match", "or pats:learning_rate=3e-4:noise_lr_scale=true, or match:temperature=0.1"),
    ],
)
def test_a_run_that_collapsed_says_what_to_try(method: str, told: str) -> None:
    said = remedies(RunSpec(method=MethodConfig.parse(method)))
    assert told in said and (method != "match:temperature=0.1" or said.endswith(told))
    for preset in build_method(MethodConfig.parse(method)).remedies:
        assert not build_method(MethodConfig.parse(preset)).remedies, "a remedy is a method of its own"


def test_ten_like_classes_and_many_are_told_shortly(tmp_path: Path) -> None:
    data = load(tmp_path, "csv", ["a", "b", "b"])
    assert distribution(data.train, data.task) == "a (4), b (8); majority b, 66.7 %"
    many = load(tmp_path, "csv", [f"c{row}" for row in range(12)])
    assert distribution(many.train, many.task) == (
        "c0 (1), c1 (1), c10 (1), c11 (1), c2 (1), c3 (1), 6 others (1 to 1 each); majority c0, 8.3 %"
    )
    assert any(notice.startswith("classes with a single training row: c0, c1") for notice in many.notices)
    scores = load(tmp_path, "csv", ["0.5", "1.5"])
    assert distribution(scores.train, scores.task) == "scores 0.5 to 1.5, mean 1"


def test_minus_one_beside_zero_and_one_is_told(tmp_path: Path) -> None:
    notices = load(tmp_path, "jsonl", [-1, 0, 1]).notices
    assert "the label -1 is taken for a class beside 0 and 1; where it means no label, --drop-unlabelled" in notices
    dropped = load(tmp_path, "jsonl", [-1, 0, 1], drop_unlabelled=True).notices
    assert "mine train: rows left out because they have no gold label (-1): 4" in dropped


def test_label_maps_hold_any_sign() -> None:
    assert read_label_map(('"a=b"="c|d"|e', "Sci/Tech=x")) == {"a=b": ("c|d", "e"), "Sci/Tech": ("x",)}


def test_a_record_without_the_new_fields_is_what_it_was() -> None:
    record = to_dict(RunSpec())
    assert not {"labels", "label_map", "drop_unlabelled", "dev_share", "tests"} & set(record["data"])
    asked = RunSpec(data=DataConfig(labels=("a", "b"), dev_share=0.1, drop_unlabelled=True))
    assert from_dict(RunSpec, to_dict(asked)) == asked
    assert asked.name(data="x") != RunSpec().name(data="x")


# the dev share


def test_a_dev_share_is_stratified_and_the_same_for_all(tmp_path: Path) -> None:
    labels = [0] * 60 + [1] * 30 + [2] * 10
    frame = pd.DataFrame({"text": [f"text {row}" for row in range(100)], "label": labels})
    frame.sample(frac=1, random_state=1).to_csv(tmp_path / "all.csv", index=False)
    config = DataConfig(train_file=str(tmp_path / "all.csv"), text_columns=("text",), dev_share=0.2)
    data = load_task("mine", config)
    assert np.bincount(data.dev.labels).tolist() == [12, 6, 2] and len(data.train) == 80
    assert not set(data.train.ids) & set(data.dev.ids)
    assert load_task("mine", config).fingerprint == data.fingerprint
    assert any(
        notice.startswith("dev: 20 rows split off from the training file (0.2, of each") for notice in data.notices
    )
    assert load_task("mine", DataConfig(**{**vars(config), "dev_share": 0.1})).fingerprint != data.fingerprint


def test_rows_with_the_same_texts_stay_on_one_side(tmp_path: Path) -> None:
    texts = [f"text {row % 20}" if row % 2 else f"Text  {row % 20} " for row in range(80)]
    pd.DataFrame({"text": texts, "label": [row % 2 for row in range(80)]}).to_csv(tmp_path / "all.csv", index=False)
    data = load_task("mine", DataConfig(train_file=str(tmp_path / "all.csv"), text_columns=("text",), dev_share=0.25))
    sides = [{" ".join(text.lower().split()) for text in rows.texts[0]} for rows in (data.train, data.dev)]
    assert not sides[0] & sides[1] and len(data.dev) == 24
    assert not any("also stands in the training set" in notice for notice in data.notices)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dev_share": 0.0}, "dev_share: 0.0 is out of range"),
        ({"dev_share": 1.0}, "dev_share: 1.0 is out of range"),
        ({"dev_share": 0.01}, "leaves all to train on"),
        ({}, "--train-file and --dev-share 0.1"),
    ],
)
def test_a_dev_share_that_cannot_be(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_task("mine", DataConfig(train_file=write(tmp_path, "csv", ["a", "b"]), text_columns=("text",), **options))
    with pytest.raises(UserError, match="dev_share: --dev-file is given too"):
        load(tmp_path, "csv", ["a", "b"], dev_share=0.5)
    with pytest.raises(UserError, match="'demo-sentiment' has a dev split"):
        load_task("demo-sentiment", DataConfig(dev_share=0.5))


def test_scores_are_split_at_random(tmp_path: Path) -> None:
    rows = pd.DataFrame({"text": [f"text {row}" for row in range(40)], "label": np.linspace(0.1, 5, 40)})
    rows.to_csv(tmp_path / "all.csv", index=False)
    data = load_task("mine", DataConfig(train_file=str(tmp_path / "all.csv"), text_columns=("text",), dev_share=0.25))
    assert (len(data.train), len(data.dev)) == (30, 10) and data.task.regression


# the given cases

Invoke = Callable[..., field_cases.Done]


def run_case(
    name: str, cases: Path, models: Path, invoke: Invoke, monkeypatch: Any, out: Path, *more: str
) -> list[Any]:
    folder = next(cases.glob(f"{name}-*"))
    monkeypatch.chdir(folder)
    return [invoke(*line.robusteval, *more) for line in field_cases.command_lines(folder, MODELS=models, OUT=out)]


def test_case_03_rows_without_gold(
    cases: Path, case_models: Path, invoke: Invoke, monkeypatch: Any, tmp_path: Path
) -> None:
    given = ("03", cases, case_models, invoke, monkeypatch)
    for done in run_case(*given, tmp_path / "refused"):
        assert done.refused and "5 of 20 rows have none (also " in done.stderr
    for done in run_case(*given, tmp_path / "dropped", "--drop-unlabelled"):
        assert done.returncode == 0, done.stderr
        assert "no gold label (-" in done.stdout and re.search(r"clean +accuracy +15 ", done.stdout)
        assert done.stdout.count("(5)") >= 3, "three classes of five rows"


def test_case_08_several_labels(
    cases: Path, case_models: Path, invoke: Invoke, monkeypatch: Any, tmp_path: Path
) -> None:
    *labels, words, more_words = run_case("08", cases, case_models, invoke, monkeypatch, tmp_path)
    for done in labels:
        assert done.refused and "row 0 holds several labels" in done.stderr
    for done in (words, more_words):
        assert done.refused and "row 0 holds ['good'" in done.stderr and "not text" in done.stderr


def test_case_09_classes_called_none_and_nan(
    cases: Path, case_models: Path, invoke: Invoke, monkeypatch: Any, tmp_path: Path
) -> None:
    *named, hole = run_case("09", cases, case_models, invoke, monkeypatch, tmp_path)
    for done, names in zip(named, [("AGAINST", "FAVOR", "None")] * 3 + [("cmn", "nan", "yue")], strict=True):
        assert done.returncode == 0 and re.search(r"clean +accuracy +20 ", done.stdout), done.stderr
        assert all(f"{name} (" in done.stdout for name in names)
        assert (" collapsed]" in done.stdout) == ("another rate (--learning-rate" in done.stdout)
    assert hole.refused and "row 7 has no label" in hole.stderr


def test_case_18_a_class_whose_name_holds_a_sign(
    cases: Path, case_models: Path, invoke: Invoke, monkeypatch: Any, tmp_path: Path
) -> None:
    name, quoted, index = run_case("18", cases, case_models, invoke, monkeypatch, tmp_path)
    assert name.refused and '"Sci/Tech", or give its index, 1' in name.stderr
    for done in (quoted, index):
        assert done.returncode == 0 and "removed 6, kept Sci/Tech 6" in done.stdout, done.stderr


def test_case_22_a_file_that_does_not_speak_the_checkpoints_language(
    cases: Path, case_models: Path, invoke: Invoke, monkeypatch: Any, tmp_path: Path
) -> None:
    none, one, _, numbers, names, stars = run_case("22", cases, case_models, invoke, monkeypatch, tmp_path)
    assert none.refused and "unlabelled" in none.stderr
    assert one.refused and "row 7 has no label (-1)" in one.stderr
    assert "0 = NEGATIVE, 1 = POSITIVE" in numbers.stdout
    assert field_cases.accuracy(numbers) == field_cases.accuracy(names) == "100.00"
    assert stars.refused and "--label-map 1=LABEL_0,2=LABEL_1,3=LABEL_2" in stars.stderr
    shifted = invoke(
        "evaluate", str(case_models / "bert-five"), "--dev-file", "stars.csv", "--text-columns", "text", "--suites",
        "clean", "--label-map", "1=LABEL_0,2=LABEL_1,3=LABEL_2",
    )  # fmt: skip
    assert field_cases.accuracy(shifted) == "100.00"


def test_a_checkpoint_of_several_labels_at_once_is_refused() -> None:
    config = tiny.model().config
    config.problem_type = "multi_label_classification"
    with pytest.raises(UserError, match="answers several labels at once"):
        match_labels("many", config, ("a", "b"))


def test_outputs_that_differ_in_capitals_only_keep_them() -> None:
    config = tiny.model().config
    name_labels(config, ("pos", "Pos"))
    assert match_labels("odd", config, ("Pos", "pos")).order == (1, 0)
    assert match_labels("odd", config, ("pos", "Pos")).order == ()
    name_labels(config, ("POSITIVE", "NEGATIVE"))
    assert match_labels("even", config, ("negative", "positive")).order == (1, 0)
