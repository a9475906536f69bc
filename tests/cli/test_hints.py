"""What an error tells the user to type is typed as it stands, in a shell: it must be taken, and mean the likeliest."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from robusteval.errors import UserError
from robusteval.settings.data import DataConfig
from robusteval.settings.grammar import pieces
from robusteval.tasks.load import load_evaluation, load_task
from robusteval.tasks.user_tests import read_tests

# label values of a file, in turn; outputs of a model; options beside; label value -> class by the hint
HINTS: list[tuple[list[str], tuple[str, ...], dict[str, Any], dict[str, str]]] = [
    (["pos ", "pos", "neg"], ("neg", "pos"), {}, {"pos ": "pos"}),
    (["1,0", "0,5"], ("low", "high"), {}, {"0,5": "low"}),
    (["1 star", "2 stars"], ("1_star", "2_star"), {}, {"1 star": "1_star"}),
    (["it's", "no"], ("its", "no"), {}, {"it's": "its"}),
    (["$HOME", "no"], ("home", "no"), {}, {"$HOME": "home"}),
    (["1", "2"], ("0", "1"), {}, {"1": "0", "2": "1"}),
    (["1", "2"], ("negative", "positive"), {}, {"1": "negative", "2": "positive"}),
    (["1", "2"], ("negative", "positive"), {"labels": ("negative", "positive")}, {"1": "negative", "2": "positive"}),
    (["0", "4"], ("negative", "positive"), {}, {"0": "negative", "4": "positive"}),
    (["0", "4"], ("negative", "positive"), {"labels": ("negative", "positive")}, {"0": "negative", "4": "positive"}),
    (["1", "2", "4", "5"], ("negative", "positive"), {}, {"1": "negative", "5": "positive"}),
    (["1", "3", "5"], tuple(f"LABEL_{n}" for n in range(5)), {}, {"1": "LABEL_0", "3": "LABEL_2", "5": "LABEL_4"}),
    (["-1", "1"], ("negative", "positive"), {}, {"-1": "negative"}),
]


def file(folder: Path, labels: list[str]) -> str:
    path = folder / "rows.tsv"
    cells = "".join(f"text {row}\t{labels[row % len(labels)]}\n" for row in range(12))
    path.write_text(f"text\tlabel\n{cells}", encoding="utf-8")
    return str(path)


def hint(said: str, option: str) -> tuple[str, ...]:
    """The label map of an error, as a shell reads it."""
    found = re.search(f"as in {option} ?(.*)", said)
    assert found, said
    return pieces(shlex.split(found[1])[0].removesuffix(","))


@pytest.mark.parametrize(("labels", "outputs", "options", "expected"), HINTS)
def test_the_label_map_of_an_error_can_be_typed(
    labels: list[str], outputs: tuple[str, ...], options: dict[str, Any], expected: dict[str, str], tmp_path: Path
) -> None:
    path = file(tmp_path, labels)
    with pytest.raises(UserError) as error:
        load_evaluation("mine", DataConfig(dev_file=path, text_columns=("text",), **options), outputs)
    told = hint(str(error.value), "--label-map")
    rest = {label: outputs[-1] for label in labels if label not in expected and label not in outputs}
    given = (*told, *(f'"{label}"={target}' for label, target in rest.items()))
    data = load_evaluation("mine", DataConfig(dev_file=path, text_columns=("text",), label_map=given), outputs)
    meant = {**{label: label for label in labels}, **rest, **expected}
    read = [data.task.labels[label] for label in data.dev.labels]
    assert read == [meant[labels[row % len(labels)]] for row in range(12)]


def test_a_test_of_the_users_own_is_told_where_its_label_map_stands(tmp_path: Path) -> None:
    train = tmp_path / "train.csv"
    train.write_text("text,label\n" + "".join(f"words {row},{row % 2}\n" for row in range(8)))
    path = file(tmp_path, ["1", "2"])
    given = {"train_file": str(train), "dev_share": 0.5, "text_columns": ("text",)}
    with pytest.raises(UserError, match="as in --test other=FILE:1=0,2=1$") as error:
        load_task("mine", DataConfig(**given, tests=(f"other={path}",)))  # type: ignore[arg-type]
    (told,) = shlex.split(str(error.value).rpartition("--test ")[2])
    config = DataConfig(**given, tests=(told.replace("FILE", path),))  # type: ignore[arg-type]
    assert read_tests(config)[0].config.label_map == ("1=0", "2=1")
    assert load_task("mine", config).tests["other"].examples.labels.tolist() == [0, 1] * 6


def test_a_column_of_numbers_is_told_and_many_columns_are_not_listed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,label\n" + "".join(f"{row},{row % 2}\n" for row in range(8)))
    given = {"dev_file": str(path), "text_columns": ("id",)}
    notices = load_evaluation("mine", DataConfig(**given), ("0", "1")).notices  # type: ignore[arg-type]
    assert "mine dev: column 'id' holds numbers only; is it the text?" in notices
    path.write_text(",".join(f"c{place}" for place in range(500)) + "\n" + "x," * 499 + "x\n")
    with pytest.raises(UserError, match="it has c0, .*, c19 and 480 others; a file without a header"):
        load_evaluation("mine", DataConfig(dev_file=str(path), text_columns=("phrase",)), ("0", "1"))


def test_a_column_that_numbers_the_rows_is_no_label(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text,label\n" + "".join(f"words {row},{row}\n" for row in range(24)))
    data = DataConfig(train_file=str(path), dev_share=0.5, text_columns=("text",))
    with pytest.raises(UserError, match="'label' holds 24 distinct values in 24 rows, so it names no classes"):
        load_task("mine", data)


def test_a_task_that_was_named_is_not_forgotten_beside_files(invoke: Any, tmp_path: Path) -> None:
    path = file(tmp_path, ["0", "1"])
    for command in (("evaluate", "minilm"), ("attack", "minilm", "--attack", "deepwordbug")):
        said = invoke(*command, "--task", "demo-sentiment", "--dev-file", path, "--text-columns", "text").stderr
        assert "task: 'demo-sentiment' is a registered task" in said, command


def test_the_folder_beside_the_one_that_was_meant_is_named(tmp_path: Path) -> None:
    rows = tmp_path / "my data" / "glue" / "sst2" / "validation.jsonl"
    rows.parent.mkdir(parents=True)
    rows.write_text('{"sentence": "good", "label": 1}\n')
    for given in (rows.parent, rows.parent.parent):
        with pytest.raises(UserError, match="did you mean --data-dir ") as error:
            load_evaluation("sst2", DataConfig(data_dir=str(given)))
        (meant,) = shlex.split(str(error.value).partition("--data-dir ")[2].removesuffix("?"))
        assert len(load_evaluation("sst2", DataConfig(data_dir=meant)).dev) == 1
    with pytest.raises(UserError, match="has no glue/mrpc/validation.parquet$"):
        load_evaluation("mrpc", DataConfig(data_dir=str(rows.parent)))


def test_an_experiment_is_neither_a_checkpoint_nor_a_file_of_results(invoke: Any, tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text("{}")
    run = tmp_path / "runs" / "one"
    (run / "attacks").mkdir(parents=True)
    asked = ("evaluate", str(tmp_path), "--task", "demo-sentiment")
    assert "it is an experiment, which kept no checkpoints (--no-keep-models)" in invoke(*asked).stderr
    (run / "model").mkdir()
    (run / "model" / "config.json").write_text("{}")
    assert f"it is an experiment, whose checkpoints are {run / 'model'}" in invoke(*asked).stderr
    results = run / "attacks" / "deepwordbug.jsonl"
    results.write_text("")
    for folder in (tmp_path, run, run.parent, results.parent):
        done = invoke("transcript", str(folder))
        assert f"is a folder, not a file of attack results; it holds {results}" in done.stderr, folder
        assert done.refused


def test_texts_of_a_users_own_test_that_are_cut_are_counted(invoke: Any, tiny_folder: Path, tmp_path: Path) -> None:
    train, long = tmp_path / "train.csv", tmp_path / "long.csv"
    train.write_text("text,label\n" + "".join(f"good {row},{row % 2}\n" for row in range(20)))
    long.write_text("text,label\n" + "".join(f"{'good ' * 40}{row},{row % 2}\n" for row in range(6)))
    plan = invoke(
        "train-and-attack", "--no-page", "--model", str(tiny_folder), "--train-file", str(train), "--dev-share", "0.2",
        "--text-columns", "text", "--max-length", "32", "--suites", "clean", "--attacks", "", "--dry-run",
        "--out", str(tmp_path / "out"), "--test", f"long={long}",
    )  # fmt: skip
    assert "note: 6 of 6 test long texts are cut to 32 tokens (max_length)" in plan.stdout, plan.stderr
    tested = invoke(
        "evaluate", str(tiny_folder), "--dev-file", str(train), "--text-columns", "text", "--max-length", "32",
        "--suites", "clean", "--labels", "0,1", "--test", f"long={long}",
    )  # fmt: skip
    assert "note: 6 of 6 test long texts are cut to 32 tokens (max_length)" in tested.stdout, tested.stderr
