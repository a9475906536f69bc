"""Text tables are read as they were written: GLUE's own TSV, and what csv and pandas write, with and without quotes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robusteval.errors import UserError
from robusteval.settings.data import DataConfig
from robusteval.settings.dialect import Dialect
from robusteval.tasks import TASKS
from robusteval.tasks.delimited import read_delimited
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.files import read_table
from robusteval.tasks.load import load_split, load_task

NAMES = ("text", "other", "label")


def glue_tsv(path: Path, columns: dict[str, Sequence[object]]) -> Path:
    """As GLUE's own files are: an index in front, tabs, no quoting."""
    rows = zip(*columns.values(), strict=True)
    lines = ["\t".join(["index", *columns])]
    lines += ["\t".join([str(number), *map(str, row)]) for number, row in enumerate(rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


SPLITS = [
    ("cola", "train"), ("cola", "validation"), ("sst2", "train"), ("sst2", "validation"), ("mrpc", "train"),
    ("mrpc", "validation"), ("mrpc", "test"), ("stsb", "train"), ("stsb", "validation"), ("qqp", "train_sample"),
    ("qqp", "validation"), ("mnli", "train_sample"), ("mnli", "validation_matched"),
    ("mnli", "validation_mismatched_1k"), ("qnli", "train_sample"), ("qnli", "validation"), ("rte", "train"),
    ("rte", "validation"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "split"), SPLITS)
def test_glue_is_read_back_from_its_own_tsv(name: str, split: str, data_dir: Path, tmp_path: Path) -> None:
    task = TASKS[name]
    real = load_split(task, split, DataConfig(data_dir=str(data_dir)))
    columns: dict[str, Sequence[object]] = dict(zip(task.text_columns, real.texts, strict=True))
    path = glue_tsv(tmp_path / f"{split}.tsv", {**columns, "label": real.labels.tolist()})
    read = examples_from_frame(read_table(path, "dev_file", Dialect()).frame, task, split)
    assert read.texts == real.texts
    assert read.labels.tolist() == real.labels.tolist()
    assert read.fingerprint == real.fingerprint


def test_a_quotation_mark_that_is_never_closed_is_a_letter(tmp_path: Path) -> None:
    texts = ['" I will come , she said .', "All is well .", 'He calls it a " success " .', '" No "', "It rains ."] * 2
    labels = ["yes", "no"] * 5
    paths = [
        str(glue_tsv(tmp_path / f"{name}.tsv", {"text": rows, "verdict": labels}))
        for name, rows in (("train", texts), ("dev", texts[::-1]))
    ]
    config = DataConfig(train_file=paths[0], dev_file=paths[1], text_columns=("text",), label_column="verdict")
    data = load_task("mine", config)
    assert data.train.texts == (tuple(texts),) and data.dev.texts == (tuple(texts[::-1]),)
    assert data.train.labels.tolist() == [1, 0] * 5
    assert "train.tsv: quotation marks are letters" in data.notices


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize(("kind", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_what_pandas_wrote_with_quotes_is_read_as_it_was_meant(
    kind: str, delimiter: str, quoting: int, tmp_path: Path
) -> None:
    texts = ['" open', 'say "a"', "a\tb", "a, b", "a\r\nb", "plain"]
    frame = pd.DataFrame({"text": texts, "label": [0, 1, 0, 1, 0, 1]})
    for rows in (frame, frame.iloc[[0, 1, 5]], frame.iloc[5:]):
        path = tmp_path / f"rows.{kind}"
        rows.to_csv(path, sep=delimiter, index=False, quoting=quoting)  # type: ignore[call-overload]
        assert read_table(path, "dev_file", Dialect()).frame["text"].tolist() == rows["text"].tolist()


def test_a_dev_file_is_read_as_its_training_file(tmp_path: Path) -> None:
    # only the training file has a text that needs quotes, so that the dev file alone would be read by the rule for TSV
    train = pd.DataFrame({"text": ["a\tb", 'say "x"', "c", "d"], "label": ["x", "y", "x", "y"]})
    dev = pd.DataFrame({"text": ['say "x" loud', "e"], "label": ["x", "y"]})
    paths = [tmp_path / "train.tsv", tmp_path / "dev.tsv"]
    for frame, path in zip((train, dev), paths, strict=True):
        frame.to_csv(path, sep="\t", index=False)
    alone = read_table(paths[1], "dev_file", Dialect())
    assert "letters, by rule: as usual between tabs, though some are doubled" in alone.decisions[0]
    data = load_task("mine", DataConfig(train_file=str(paths[0]), dev_file=str(paths[1]), text_columns=("text",)))
    assert data.dev.texts == (('say "x" loud', "e"),)


CELL = st.text(alphabet='ab"",;|\t\n\r  1\u2028\x85\x0b\x1cé中\\\'', max_size=8)
LIKELY = st.sampled_from(
    ['"a"', '" open', 'close "', '"a" b', 'say "x"', '""', '"', "a", "b c", '"a ""b"" c"', '"\t', "a, b", '"a, b"', "",
     ' "a"', "1", '"1"']
)  # fmt: skip
TABLES = st.integers(1, 5).flatmap(
    lambda rows: st.tuples(
        st.lists(CELL | LIKELY, min_size=rows, max_size=rows),
        st.lists(CELL | LIKELY, min_size=rows, max_size=rows),
        st.lists(st.sampled_from(["0", "1", "pos", "a"]), min_size=rows, max_size=rows),
    )
)


def check_said(text: str, usual: str, columns: Sequence[list[str]]) -> None:
    """Read back as it was, refused, or told that it could be read otherwise."""
    try:
        found, _, decisions = read_delimited(text, usual, Dialect(), "the file")
    except UserError:
        return
    if list(found.values()) != list(columns):
        assert any(sign in each for each in decisions for sign in ("by rule", "line ends are mixed", "fit too"))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    table=TABLES,
    order=st.permutations(range(3)),
    delimiter=st.sampled_from(",;|\t"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\r\n", "\n", "\r"]),
    usual=st.sampled_from(["", ",", "\t"]),
)
def test_no_table_is_read_as_another_one_without_a_word(
    table: tuple[list[str], ...], order: list[int], delimiter: str, quoting: int, end: str, usual: str
) -> None:
    columns = [table[place] for place in order]
    written = io.StringIO(newline="")
    writer = csv.writer(written, delimiter=delimiter, quoting=quoting, lineterminator=end)  # type: ignore[arg-type]
    writer.writerow(NAMES)
    writer.writerows(zip(*columns, strict=True))
    check_said(written.getvalue(), usual, columns)
    frame = pd.DataFrame(dict(zip(NAMES, columns, strict=True)))
    by_pandas = frame.to_csv(None, sep=delimiter, index=False, quoting=quoting)  # type: ignore[call-overload]
    check_said(by_pandas, usual, columns)
    if not any(sign in cell for column in columns for cell in column for sign in "\t\n\r"):
        raw = "".join("\t".join(row) + end for row in [NAMES, *zip(*columns, strict=True)])
        check_said(raw, "\t", columns)
