"""Tests of one's own: files that a model is tested on under a name, with classes that it may call otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import robusteval
from robusteval.errors import UserError
from robusteval.settings.data import DataConfig
from robusteval.tasks.load import load_evaluation, load_task
from robusteval.tasks.user_tests import read_tests
from support import tiny

NLI = ("entailment", "neutral", "contradiction")


def pairs(count: int, labels: list[Any], seed: int = 3) -> pd.DataFrame:
    first, second = tiny.sentences(count, seed=seed)[0], tiny.sentences(count, seed=seed + 1)[0]
    return pd.DataFrame(
        {"premise": first, "hypothesis": second, "gold": [labels[row % len(labels)] for row in range(count)]}
    )


@pytest.fixture(scope="module")
def nli_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny classifier of pairs that names its outputs as many public NLI models do: in an order of its own."""
    folder = tmp_path_factory.mktemp("nli") / "checkpoint"
    model = tiny.model(num_labels=3, seed=4)
    model.config.id2label = dict(enumerate(("CONTRADICTION", "ENTAILMENT", "NEUTRAL")))
    model.config.label2id = {name: index for index, name in model.config.id2label.items()}
    model.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def nli_files(tmp_path: Path) -> dict[str, Path]:
    """HANS-like rows (two classes, integers), ANLI-like ones (three, integers) and rows with names, as files."""
    frames = {
        "hans": pairs(30, [0, 1], 5), "anli": pairs(31, [0, 1, 2, 2], 7), "named": pairs(24, list(NLI), 9),
        "words": pairs(26, ["entailment", "non-entailment"], 11),
    }  # fmt: skip
    paths = {}
    for name, frame in frames.items():
        paths[name] = tmp_path / f"{name}.jsonl"
        frame.to_json(paths[name], orient="records", lines=True)
    return paths


def by_hand(out: Path, suite: str, value: str, gold: list[int], groups: list[list[int]]) -> float:
    """Accuracy from the predictions that lie on disk: the likeliest output, then the class it answers."""
    frame = pd.read_parquet(out / "predictions" / f"{suite}.parquet")
    frame = frame[frame["value"] == value]
    assert frame["gold"].tolist() == gold
    logits = np.stack(frame["logits"].to_list())
    assert logits.shape == (len(gold), len(groups))
    return float(np.mean(logits.argmax(axis=1) == np.asarray(gold)))


def plain_logits(checkpoint: str, path: Path) -> np.ndarray:
    """Logits in the checkpoint's own order, by transformers alone, a row at a time."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(checkpoint).eval()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    frame = pd.read_json(path, lines=True)
    with torch.no_grad():
        rows = [
            model(**tokenizer(a, b, truncation=True, return_tensors="pt")).logits[0].numpy()
            for a, b in zip(frame.premise, frame.hypothesis, strict=True)
        ]
    return np.stack(rows)


COLUMNS = ("--text-columns", "premise,hypothesis", "--label-column", "gold")
QUICK = ("--suites", "clean", "--max-length", "40", "--device", "cpu")


def test_integers_and_two_classes_on_an_nli_checkpoint_by_hand(
    nli_checkpoint: str, nli_files: dict[str, Path], tmp_path: Path, invoke: Callable[..., Any]
) -> None:
    out = tmp_path / "out"
    done = invoke(
        "evaluate", nli_checkpoint, "--dev-file", str(nli_files["anli"]), *COLUMNS, *QUICK, "--out", str(out),
        "--labels", "entailment,neutral,contradiction",
        "--test", f"hans={nli_files['hans']}:0=entailment,1=neutral|contradiction",
        "--test", f"words={nli_files['words']}:label-map=non-entailment=neutral|contradiction",
        "--test", f"named={nli_files['named']}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = {
        (row["suite"], row["suite_value"], row["metric"]): (row["value"], row["n"])
        for row in map(json.loads, (out / "rows.jsonl").read_text().splitlines())
        if "value" in row
    }
    # the checkpoint's own outputs: contradiction 0, entailment 1, neutral 2
    anli = plain_logits(nli_checkpoint, nli_files["anli"])
    gold = [(0, 1, 2, 2)[row % 4] for row in range(31)]
    right = float(np.mean(np.asarray([2, 0, 1])[anli.argmax(1)] == np.asarray(gold)))
    assert scores["clean", "", "accuracy"] == (pytest.approx(right), 31)
    for name, count in (("hans", 30), ("words", 26)):
        entailed = plain_logits(nli_checkpoint, nli_files[name]).argmax(1) == 1
        expected = float(np.mean(entailed == (np.arange(count) % 2 == 0)))
        assert scores["test", name, "accuracy"] == (pytest.approx(expected), count)
        assert 0 < expected < 1
        frame = pd.read_parquet(out / "predictions/test.parquet").query("value == @name")
        names = {"hans": ("neutral|contradiction", "entailment"), "words": ("non-entailment", "entailment")}[name]
        predicted = np.stack(frame["logits"].to_list()).argmax(1)
        gold_names = [names[1 - row % 2] for row in range(count)]
        classes = {gold_name: int(index) for gold_name, index in zip(gold_names, frame["gold"], strict=True)}
        assert sorted(classes.values()) == [0, 1]
        assert float(np.mean(predicted == frame["gold"])) == pytest.approx(expected)
    named = plain_logits(nli_checkpoint, nli_files["named"])
    right = float(np.mean(np.asarray([2, 0, 1])[named.argmax(1)] == np.arange(24) % 3))
    assert scores["test", "named", "accuracy"] == (pytest.approx(right), 24)
    assert ("test", "hans", "macro_f1") in scores
    assert "test hans: the model's classes taken as " in done.stdout and "the likeliest decides" in done.stdout


HANS = ("0=entailment", "1=neutral|contradiction")


def test_two_classes_of_three_in_evaluate_and_attack_by_hand(
    nli_checkpoint: str, nli_files: dict[str, Path], tmp_path: Path, invoke: Callable[..., Any]
) -> None:
    entailed = plain_logits(nli_checkpoint, nli_files["hans"]).argmax(1) == 1
    gold = np.arange(30) % 2 == 0
    out = tmp_path / "out"
    done = invoke(
        "evaluate", nli_checkpoint, "--dev-file", str(nli_files["hans"]), *COLUMNS, "--max-length", "40", "--suites",
        "clean,mask", "--sets", "1", "--device", "cpu", "--label-map", ",".join(HANS), "--out", str(out),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "CONTRADICTION = NEUTRAL|CONTRADICTION" in done.stdout and done.stdout.count("the likeliest decides") == 2
    frame = pd.read_parquet(out / "predictions/clean.parquet")
    assert len(frame["logits"][0]) == 2
    # class 0 is what the first output answers: neutral or contradiction
    assert frame["predicted"].tolist() == entailed.astype(int).tolist()
    assert frame["gold"].tolist() == gold.astype(int).tolist()
    (value,) = [
        row["value"]
        for row in map(json.loads, (out / "rows.jsonl").read_text().splitlines())
        if row.get("suite") == "clean" and row["metric"] == "accuracy"
    ]
    assert value == pytest.approx(float(np.mean(entailed == gold)))
    # attacked rows are those that are right by the same rule, in one process and in two
    data = DataConfig(
        dev_file=str(nli_files["hans"]), text_columns=("premise", "hypothesis"), label_column="gold", label_map=HANS
    )
    shared: dict[str, Any] = {"data": data, "device": "cpu", "max_length": 40, "examples": 6, "query_budget": 20}
    plain = robusteval.attack(nli_checkpoint, "mine", "deepwordbug", **shared)
    assert {line["gold"] for line in plain.lines} <= {"ENTAILMENT", "NEUTRAL|CONTRADICTION"}
    for line in plain.lines:
        row = int(line["id"])
        assert (line["outcome"] == "skipped") == (entailed[row] != gold[row])
    cached = robusteval.attack(nli_checkpoint, "mine", "deepwordbug", cache=tmp_path / "logits.sqlite", **shared)
    assert [line["outcome"] for line in cached.lines] == [line["outcome"] for line in plain.lines]
    # what the cache knows of one meaning of the outputs is not taken for another
    other = DataConfig(**{**vars(data), "label_map": ("1=entailment", "0=neutral|contradiction")})
    swapped = robusteval.attack(
        nli_checkpoint, "mine", "deepwordbug", cache=tmp_path / "logits.sqlite", **{**shared, "data": other}
    )
    for line in swapped.lines:
        assert (line["outcome"] == "skipped") == (entailed[int(line["id"])] == gold[int(line["id"])])


def test_a_declared_task_on_a_checkpoint_with_other_classes(nli_checkpoint: str, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "glue" / "rte"
    folder.mkdir(parents=True)
    frame = pairs(20, [0, 1], 13).rename(columns={"premise": "sentence1", "hypothesis": "sentence2", "gold": "label"})
    frame.to_parquet(folder / "validation.parquet")
    pairs(20, [0, 1], 13).to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    entailed = plain_logits(nli_checkpoint, tmp_path / "rows.jsonl").argmax(1) == 1
    shared: dict[str, Any] = {"suites": ("clean",), "device": "cpu", "max_length": 40}
    data = DataConfig(data_dir=str(tmp_path / "data"), label_map=("not_entailment=neutral|contradiction",))
    result = robusteval.evaluate(nli_checkpoint, "rte", data=data, **shared)
    expected = float(np.mean(entailed == (np.arange(20) % 2 == 0)))
    assert result.scores["clean", "", "accuracy"] == pytest.approx(expected)
    model, tokenizer = tiny.model(num_labels=3, seed=4), tiny.tokenizer()
    given = robusteval.evaluate(
        model, "rte", tokenizer=tokenizer, dataset=frame, **shared,
        data=DataConfig(
            labels=("contradiction", "entailment", "neutral"), label_map=("not_entailment=neutral|contradiction",)
        ),
    )  # fmt: skip
    assert given.scores == result.scores
    assert model.config.num_labels == 3 and not model._forward_hooks, "the caller's model is left as it was"
    for config, message in (
        (DataConfig(data_dir=str(tmp_path / "data")), "3 labels but the task has 2"),
        (DataConfig(**{**vars(data), "label_map": ("not_entailment=neutral",)}), "'CONTRADICTION' answers no class"),
        (DataConfig(**{**vars(data), "labels": ("a", "b", "c")}), "names its labels itself"),
    ):
        with pytest.raises(UserError, match=message):
            robusteval.evaluate(nli_checkpoint, "rte", data=config, **shared)


def test_labels_name_the_outputs_of_a_checkpoint_that_names_none(tmp_path: Path) -> None:
    tiny.save(tmp_path / "unnamed", num_labels=3, seed=4)
    shared: dict[str, Any] = {"suites": ("clean",), "device": "cpu", "max_length": 40}
    scores = []
    for labels in (("contradiction", "entailment", "neutral"), ("neutral", "contradiction", "entailment")):
        data = DataConfig(labels=labels, eval_limit=40)
        scores.append(robusteval.evaluate(str(tmp_path / "unnamed"), "demo-nli", data=data, **shared))
    model = tiny.model(num_labels=3, seed=4)
    model.config.id2label = {0: "Contradiction", 1: "Entailment", 2: "Neutral"}
    named = robusteval.evaluate(model, "demo-nli", tokenizer=tiny.tokenizer(), data=DataConfig(eval_limit=40), **shared)
    assert scores[0].scores == named.scores != scores[1].scores
    assert any("LABEL_0 = contradiction, LABEL_1 = entailment" in notice for notice in scores[0].notices)


def test_train_and_attack_tests_on_files_and_knows_them_by_their_rows(
    nli_files: dict[str, Path], tiny_folder: Path, tmp_path: Path, invoke: Callable[..., Any]
) -> None:
    train = tmp_path / "train.jsonl"
    pairs(48, list(NLI), 21).to_json(train, orient="records", lines=True)
    out = tmp_path / "out"
    command = [
        "train-and-attack", "--model", str(tiny_folder), "--train-file", str(train), "--dev-share", "0.25", *COLUMNS,
        "--methods", "vanilla", "--seeds", "1", "--max-steps", "2", "--batch-size", "4", *QUICK, "--attacks", "",
        "--quiet", "--no-page", "--out", str(out),
    ]  # fmt: skip
    tests = ["--test", f"hans={nli_files['hans']}:0=entailment,1=neutral|contradiction"]
    done = invoke(*command, *tests)
    assert done.returncode == 0, done.stderr
    assert "test test: hans 30 rows, " in done.stdout and "majority" in done.stdout
    assert re.search(r"dev: 12 rows split off from the training file \(0.25, of each class alike\)", done.stdout)
    assert re.search(r"test hans +accuracy +30 ", done.stdout)
    (run,) = (out / "runs").iterdir()
    # the same file elsewhere is the same test, another mapping is another run
    moved = nli_files["hans"].with_name("moved.jsonl")
    nli_files["hans"].rename(moved)
    again = invoke(*command, "--test", f"hans={moved}:0=entailment,1=neutral|contradiction")
    assert again.returncode == 0 and "finished before" in again.stdout, again.stderr
    assert [each.name for each in (out / "runs").iterdir()] == [run.name]
    other = invoke(*command, "--test", f"hans={moved}:1=entailment,0=neutral|contradiction")
    assert other.returncode == 0 and len(list((out / "runs").iterdir())) == 2


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("hans", "test: 'hans' is not NAME=FILE"),
        ("a b={hans}", "'a b' cannot name a test"),
        ("hans={hans}x", "there is no file"),
        ("hans={hans}:label_colum=x", "'label_colum=x' in"),
        ("hans={hans}:label_column=x", "there is no column 'x'"),
        ("hans={hans}:text_columns=premise", "reads 2 texts"),
        ("hans={hans}:text_columns=premise,nothing", "there is no column 'nothing'"),
        ("hans={hans}", "as in --test hans=FILE:0=contradiction,1=entailment, or labels= with the names"),
        ("hans={hans}:0=entailment,1=neutral|contradicton", "did you mean 'contradiction'"),
        ("hans={hans}:0=entailment,1=entailment|neutral", "would answer"),
        ("hans={hans}:labels=entailment,neutral,neutral", "neutral is given twice"),
        ("hans={train}", "is the training file"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_runs(
    test: str, message: str, nli_files: dict[str, Path], tmp_path: Path
) -> None:
    train = tmp_path / "train.jsonl"
    pairs(24, list(NLI), 21).to_json(train, orient="records", lines=True)
    text = test.format(hans=nli_files["hans"], train=train)
    columns: dict[str, Any] = {"text_columns": ("premise", "hypothesis"), "label_column": "gold"}
    data = DataConfig(train_file=str(train), dev_share=0.25, tests=(text,), **columns)
    with pytest.raises(UserError) as error:
        load_task("mine", data)
    assert message in str(error.value)


def test_names_are_distinct_and_quotes_protect_a_path() -> None:
    with pytest.raises(UserError, match="test: a is given twice"):
        read_tests(DataConfig(tests=("a=x.csv", "a=y.csv")))
    (test,) = read_tests(
        DataConfig(tests=('a="C:\\my, data\\x.tsv":label-column="a:b":no-header:text-columns=0,"1,5":delimiter=tab',))
    )
    assert test.file == "C:\\my, data\\x.tsv" and test.config.label_column == "a:b" and not test.config.header
    assert test.config.text_columns == ("0", "1,5") and test.config.delimiter == "tab"


def test_training_rows_are_refused_and_shared_ones_told(nli_files: dict[str, Path], tmp_path: Path) -> None:
    train, copy = tmp_path / "train.jsonl", tmp_path / "copy.jsonl"
    frame = pairs(24, list(NLI), 21)
    frame.to_json(train, orient="records", lines=True)
    frame.to_json(copy, orient="records", lines=True)
    shared: dict[str, Any] = {
        "train_file": str(train), "dev_file": str(nli_files["named"]), "text_columns": ("premise", "hypothesis"),
        "label_column": "gold",
    }  # fmt: skip
    with pytest.raises(UserError, match="holds the training rows"):
        load_task("mine", DataConfig(**shared, tests=(f"copy={copy}",)))
    frame.iloc[:7].to_json(copy, orient="records", lines=True)
    notices = load_task("mine", DataConfig(**shared, tests=(f"copy={copy}",))).notices
    assert "7 of 7 test copy rows have a text that also stands in the training set" in notices


def test_scores_have_tests_too(tmp_path: Path) -> None:
    texts, _ = tiny.sentences(12, seed=2)
    frame = pd.DataFrame({"text": texts, "label": np.linspace(0, 5, 12)})
    for name in ("dev", "more"):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    tiny.save(tmp_path / "score", num_labels=1)
    result = robusteval.evaluate(
        str(tmp_path / "score"), "mine", suites=("clean",), device="cpu", max_length=32,
        data=DataConfig(
            dev_file=str(tmp_path / "dev.csv"), text_columns=("text",), tests=(f"more={tmp_path / 'more.csv'}",)
        ),
    )  # fmt: skip
    assert result.scores["test", "more", "spearman"] == result.scores["clean", "", "spearman"]


def test_a_declared_task_and_a_file_with_other_columns(tmp_path: Path) -> None:
    pairs(20, [2, 1, 0]).to_json(tmp_path / "anli.jsonl", orient="records", lines=True)
    settings = "text_columns=premise,hypothesis:label_column=gold"
    labels = "entailment,neutral,contradiction"
    test = f"anli={tmp_path / 'anli.jsonl'}:{settings}"
    data = load_evaluation("demo-nli", DataConfig(tests=(f"{test}:labels={labels}",)))
    assert data.tests["anli"].examples.labels.tolist() == [(2, 1, 0)[row % 3] for row in range(20)]
    with pytest.raises(UserError, match="which of the model's classes"):
        load_evaluation("demo-nli", DataConfig(tests=(test,)))


def test_real_rows_of_two_and_three_classes_by_hand(nli_checkpoint: str, data_dir: Path, tmp_path: Path) -> None:
    """MoNLI has 0 = entailment and 1 = neutral, Breaking NLI the integers of SNLI; the checkpoint orders otherwise."""
    monli, breaking = data_dir / "monli/nmonli/test.parquet", data_dir / "breaking_nli/breaking_nli/test.parquet"
    if not (monli.is_file() and breaking.is_file()):
        pytest.skip("no MoNLI or Breaking NLI beside the real data")
    columns = "text_columns=premise,hypothesis:label_column=label"
    result = robusteval.evaluate(
        nli_checkpoint, "demo-nli", suites=("clean",), device="cpu", max_length=64, out=tmp_path / "out",
        data=DataConfig(
            eval_limit=150,
            tests=(
                f"monli={monli}:0=entailment,1=neutral|contradiction:{columns}",
                f"breaking={breaking}:labels=entailment,neutral,contradiction:{columns}",
            ),
        ),
    )  # fmt: skip
    predicted = pd.read_parquet(tmp_path / "out/predictions/test.parquet")
    for name, path in (("monli", monli), ("breaking", breaking)):
        raw = pd.read_parquet(path)
        raw.index = raw["idx"].astype(str) if raw["idx"].is_unique else raw.index.astype(str)
        mine = predicted[predicted["value"] == name]
        assert len(mine) == 150
        own = raw.loc[mine["id"]].rename(columns={"label": "gold"})
        own.to_json(tmp_path / "some.jsonl", orient="records", lines=True)
        logits = plain_logits(nli_checkpoint, tmp_path / "some.jsonl")  # contradiction, entailment, neutral
        answers = logits.argmax(1) != 1 if name == "monli" else np.asarray([2, 0, 1])[logits.argmax(1)]
        expected = float(np.mean(answers == own["gold"].to_numpy()))
        assert result.scores["test", name, "accuracy"] == pytest.approx(expected)
        assert float(np.mean(mine["predicted"] == mine["gold"])) == pytest.approx(expected)
