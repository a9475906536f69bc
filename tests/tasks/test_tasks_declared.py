"""What a declaration can say of its rows, the errors that name what is there, and the example of docs/tasks.md."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from robusteval.errors import UserError
from robusteval.evaluation.ood import class_map
from robusteval.results.rows import Row, row_line
from robusteval.settings.data import DataConfig
from robusteval.storage.files import append_lines
from robusteval.tasks import TASKS
from robusteval.tasks.base import Task, Transfer
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import TaskData, load_evaluation, load_split, load_task, load_transfer
from robusteval.tasks.sources import RowsMissing
from robusteval.tasks.table import Table
from support.places import DOCS

NLI = TASKS["snli"]
CSL = TASKS["csl"]
TEXT = (DOCS / "tasks.md").read_text()
AVERAGE, DECLARATION, REGISTRATION = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def nli(labels: list[Any], **more: Any) -> pd.DataFrame:
    count = len(labels)
    return pd.DataFrame(
        {"premise": [f"p{i}" for i in range(count)], "hypothesis": ["h"] * count, "label": labels, **more}
    )


@pytest.mark.parametrize("mark", [-1, "-1", "-", -1.0])
def test_rows_without_a_gold_label_are_counted(mark: Any) -> None:
    examples = examples_from_frame(nli([0, mark, 2, mark, 1]), NLI, "train")
    assert examples.texts[0] == ("p0", "p2", "p4")
    assert examples.ids == ("0", "2", "4")
    assert examples.labels.tolist() == [0, 2, 1]
    assert examples.source["unlabelled"] == "2"
    own = examples_from_frame(nli([0, mark, 2], idx=[7, 8, 9]), NLI, "train")
    assert own.ids == ("7", "9")


def test_a_row_at_fault_keeps_its_number_behind_dropped_ones() -> None:
    with pytest.raises(UserError, match="snli train: column 'label': row 2 holds the label 3"):
        examples_from_frame(nli([-1, 0, 3]), NLI, "train")
    with pytest.raises(UserError, match="snli train: column 'hypothesis': row 2 is empty text"):
        examples_from_frame(nli([-1, 0, 1], hypothesis=["a", "b", ""]), NLI, "train")


def test_a_split_without_any_gold_label_is_an_error() -> None:
    with pytest.raises(UserError, match="snli test: column 'label': the split is unlabelled"):
        examples_from_frame(nli([-1, -1]), NLI, "test")


def test_only_a_declared_task_drops_rows() -> None:
    with pytest.raises(UserError, match=r"mnli train: column 'label': row 1 has no label \(-1\); 1 of 2 rows"):
        examples_from_frame(nli([0, -1]), TASKS["mnli"], "train")


def test_dropped_rows_are_a_notice(tmp_path: Path) -> None:
    folder = tmp_path / "snli" / "snli"
    folder.mkdir(parents=True)
    nli([0, -1, 1]).to_parquet(folder / "train.parquet")
    nli([2, 1], premise=["x", "y"]).to_parquet(folder / "validation.parquet")
    data = load_task("snli", DataConfig(data_dir=str(tmp_path)))
    assert data.notices[0] == "snli train: rows left out because they have no gold label (-1): 1"
    assert data.notices[1:] == (
        "classes with no training row: contradiction",
        "classes with a single training row: entailment, neutral",
    )
    assert len(data.train) == 2


def csl(**changes: Any) -> pd.DataFrame:
    keyword = [np.asarray(["波束形成", "H1N1亚型,A型"]), ["声呐"]]
    return pd.DataFrame({"abst": ["声呐成像", "图像"], "keyword": keyword, "label": [1, 0], **changes})


def test_a_list_of_keywords_is_joined_and_protected(tmp_path: Path) -> None:
    examples = examples_from_frame(csl(), CSL, "train")
    assert examples.texts[1] == ("波束形成;H1N1亚型,A型", "声呐")
    assert CSL.changeable() == ("abst",)
    with pytest.raises(UserError, match="columns: 'keyword' of 'csl' must stay as it is; valid: abst"):
        CSL.changeable(("keyword",))
    with pytest.raises(UserError, match="row 1 is empty text"):
        examples_from_frame(csl(keyword=[["a"], []]), CSL, "train")
    with pytest.raises(UserError, match=r"row 0 holds \[1\], which is not text"):
        examples_from_frame(csl(keyword=[[1], ["a"]]), CSL, "train")
    with pytest.raises(UserError, match=r"row 1 holds \['声呐'\], which is not text"):
        examples_from_frame(csl(keyword=["a", ["声呐"]]), replace(CSL, separator=""), "train")


def test_class_names_that_are_numbers() -> None:
    apps = examples_from_frame(pd.DataFrame({"sentence": ["x", "y"], "label": [118, 0]}), TASKS["iflytek"], "train")
    assert apps.labels.tolist() == [118, 0]
    with pytest.raises(UserError, match="row 0 holds the label 119"):
        examples_from_frame(pd.DataFrame({"sentence": ["x"], "label": [119]}), TASKS["iflytek"], "train")
    # CLUE's codes are no indices
    with pytest.raises(UserError, match="row 0 holds the label 102; valid: 0 to 14"):
        examples_from_frame(pd.DataFrame({"sentence": ["x"], "label": [102]}), TASKS["tnews"], "train")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three inference sets with one row per class, whose splits have the names that samples have."""
    for place, splits in (
        ("glue/mnli", ("train_sample", "validation_matched", "validation_mismatched_1k")),
        ("snli/snli", ("train_sample", "validation")),
        ("clue/cmnli", ("validation",)),
    ):
        (tmp_path / place).mkdir(parents=True)
        for split in splits:
            nli([0, 1, 2]).to_parquet(tmp_path / place / f"{split}.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("snli", {}, "no split 'train'; it has train_sample, validation (say --train-split train_sample)"),
        ("mnli", {"dev_split": "mismatched"}, "(say --dev-split validation_mismatched_1k)"),
        # a dev split is never proposed for training
        ("cmnli", {"train_split": None}, "has no split 'train'; it has validation"),
        ("csl", {}, "has no clue/csl/train.parquet"),
        ("fewclue-csl", {}, "has no fewclue/csl/train.parquet"),
    ],
)
def test_missing_splits_are_named(name: str, more: dict[str, Any], message: str, folder: Path) -> None:
    sample = "train_sample" if "dev_split" in more else None
    with pytest.raises(UserError) as error:
        load_task(name, DataConfig(**{"data_dir": str(folder), "train_split": sample, **more}))
    assert message in str(error.value)
    assert "--train-split validation" not in str(error.value)


def test_the_training_split_cannot_be_the_dev_split(folder: Path) -> None:
    given = {"data_dir": str(folder), "train_split": "train_sample"}
    message = "dev_split: 'train_sample' of 'snli' is the training split; evaluation needs other rows"
    with pytest.raises(UserError, match=message):
        load_task("snli", DataConfig(**given, dev_split="train_sample"))
    with pytest.raises(UserError, match="dev_split: 'validation' of 'snli' is the training split"):
        load_task("snli", DataConfig(data_dir=str(folder), train_split="validation"))
    # a finished checkpoint may be looked at on any split
    assert len(load_evaluation("snli", DataConfig(data_dir=str(folder), dev_split="train_sample")).dev) == 3


def test_rows_of_a_transfer(folder: Path) -> None:
    data = load_task("mnli", DataConfig(data_dir=str(folder), train_split="train_sample", eval_limit=2))
    assert len(load_transfer(Transfer("snli"), data)) == 2
    with pytest.raises(RowsMissing, match=r"it has .* \(say ood:splits=mnli_mismatched=validation_mismatched_1k\)"):
        load_transfer(Transfer("mnli_mismatched"), data, "ood:splits=mnli_mismatched=")
    assert len(load_transfer(Transfer("mnli_mismatched", "validation_mismatched_1k"), data)) == 2


def test_a_revision_belongs_to_its_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def from_hub(task: Task, split: str, revision: str) -> Any:
        asked.append((task.name, revision))
        return Table(nli([0, 1, 2], question1="a", question2="b", label=[0, 1, 1])), {"origin": "hub"}

    monkeypatch.setattr("robusteval.tasks.load.from_hub", from_hub)
    data = load_task("mnli", DataConfig(revision="abc"))
    for transfer in data.task.transfers:
        if transfer.task != "sick":
            load_transfer(transfer, data)
    revisions = dict(asked)
    assert {name for name, revision in revisions.items() if revision == "abc"} == {"mnli", "mnli_mismatched", "qqp"}
    assert revisions["snli"] == revisions["adv_mnli"] == "main"


def test_what_is_not_on_the_hub_is_said() -> None:
    with pytest.raises(RowsMissing, match="'fewclue-bustm' has no hub source; give --data-dir with fewclue/bustm/"):
        load_split(TASKS["fewclue-bustm"], "validation", DataConfig())


def test_every_declaration_is_sound() -> None:
    for entry in TASKS:
        task = TASKS[entry.name]
        assert len(set(task.labels)) == len(task.labels)
        assert set(task.perturbable) <= set(task.text_columns)
        assert len({transfer.task for transfer in task.transfers}) == len(task.transfers)
        for transfer in task.transfers:
            class_map(task, TASKS[transfer.task], transfer.labels)
        hash(task)


def test_the_average_over_experiments_of_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MATCH-Tuning, Table 2: vanilla, and MATCH as the second seed."""
    published = {
        "sst2": {("adv_sst2", "accuracy"): (47.57, 51.35)},
        "mnli": {("adv_mnli", "accuracy"): (34.99, 35.54), ("adv_mnli_mismatched", "accuracy"): (30.00, 31.07),
                 ("average", "score"): (32.50, 33.31)},
        "rte": {("adv_rte", "accuracy"): (41.73, 52.52)},
        "qnli": {("adv_qnli", "accuracy"): (46.40, 47.52)},
        "qqp": {("adv_qqp", "accuracy"): (38.45, 41.45), ("adv_qqp", "f1"): (27.59, 32.62)},
    }  # fmt: skip
    for task, values in published.items():
        for seed in (0, 1):
            rows = [
                Row("", task, "vanilla", scenario, None, seed, "advglue", name, "", metric, each[seed] / scale, 9, 0.0)
                for (name, metric), each in values.items()
                for scenario, scale in (("none", 100), ("minority:keep=0.3", 200))
            ]
            append_lines(tmp_path / "out" / task / "runs" / str(seed) / "rows.jsonl", map(row_line, rows))
    monkeypatch.chdir(tmp_path)
    exec(compile(AVERAGE, "docs/tasks.md", "exec"), {})
    assert capsys.readouterr().out == "vanilla 0 40.24\nvanilla 1 44.35\n"


@pytest.fixture
def boolq() -> Iterator[str]:
    """The example's module and registration line, as a reader would add them."""
    name = "robusteval.tasks.superglue"
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(DECLARATION, name, "exec"), module.__dict__)
    exec(REGISTRATION, {"TASKS": TASKS})
    yield "boolq"
    del sys.modules[name], TASKS._entries["boolq"]


def test_the_example_of_the_docs(boolq: str, tmp_path: Path) -> None:
    folder = tmp_path / "superglue" / "boolq"
    folder.mkdir(parents=True)
    for split, passages in (("train", ["a b", "c d"]), ("validation", ["e f", "g"])):
        rows = pd.DataFrame({"question": ["is it", "was it"], "passage": passages, "label": [0, 1]})
        rows.to_parquet(folder / f"{split}.parquet")
    data = load_task(boolq, DataConfig(data_dir=str(tmp_path)))
    assert isinstance(data, TaskData)
    assert data.dev.text(0) == ("is it", "e f")
    assert data.task.labels == ("false", "true")
    test_every_declaration_is_sound()
