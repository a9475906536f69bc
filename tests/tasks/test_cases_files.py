"""Files as users have them: separators, quotes, encodings, headers, shards, folders, and what is no table at all."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from robusteval.errors import UserError
from robusteval.settings.data import DataConfig
from robusteval.tasks.base import Task
from robusteval.tasks.files import read_table
from robusteval.tasks.load import load_evaluation, load_split, load_task
from robusteval.tasks.sources import RowsMissing, from_hub
from robusteval.tasks.table import class_names
from support import field_cases

Invoke = Callable[..., field_cases.Done]


def lines_of(cases: Path, name: str, monkeypatch: pytest.MonkeyPatch, **places: Path) -> list[list[str]]:
    folder = cases / name
    monkeypatch.chdir(folder)
    lines = field_cases.command_lines(folder, **places)
    return [line.robusteval for line in lines if line.words[0] == "robusteval"]


def test_glue_tsv_of_the_field(
    cases: Path, case_models: Path, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    places = {"MODELS": case_models, "OUT": tmp_path, "DATA": data_dir}
    train, evaluate = lines_of(cases, "01-glue-tsv-quotes", monkeypatch, **places)
    done = invoke(*train)
    assert done.returncode == 0 and "train 12, dev 12 rows" in done.stdout
    assert "train.tsv: quotation marks are letters" in done.stdout
    rows = pd.read_parquet(data_dir / "glue" / "mnli" / "validation_matched.parquet")
    lines = [f"{a}\t{b}\tLABEL_{c}\n" for a, b, c in zip(rows.premise, rows.hypothesis, rows.label, strict=True)]
    (tmp_path / "mnli.tsv").write_text("premise\thypothesis\tlabel\n" + "".join(lines))
    done = invoke(*evaluate)
    assert done.returncode == 0 and "9815" in done.stdout


def test_a_field_more_than_the_header_of_the_field(
    cases: Path, case_models: Path, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in lines_of(cases, "02-csv-extra-field", monkeypatch, MODELS=case_models, OUT=tmp_path):
        done = invoke(*line)
        assert done.returncode == 0 and "train 12, dev 12 rows" in done.stdout
        assert "lines end in 1 separator(s) more than the header" in done.stdout
        assert "train: no (6), yes (6)" in done.stdout


def test_hub_file_names_of_the_field(
    cases: Path, case_models: Path, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in lines_of(cases, "13-hub-file-names", monkeypatch, MODELS=case_models, OUT=tmp_path):
        done = invoke(*line)
        assert done.returncode == 0, done.stderr
        rows = "train 12, dev 24 rows"
        assert rows in done.stdout and "train from glue/sst2/train-00000-of-0000" in done.stdout
        told = "adv_sst2 from adv_glue/adv_sst2/validation-00000-of-00001.parquet" in done.stdout
        assert told or "hub-shards" in line


def test_dev_json_of_the_field(
    cases: Path, case_models: Path, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = lines_of(cases, "22-unlabelled-test", monkeypatch, MODELS=case_models, OUT=tmp_path)
    done = invoke(*next(line for line in lines if "dev.json" in line))
    assert done.returncode == 0 and "dev.json: rows of 'sst2'" in done.stdout


def read(folder: Path, name: str, content: bytes | str, **options: Any) -> Any:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, "dev_file", DataConfig(**options).dialect)


FRENCH = "text,label\ncafé crème,1\n"
CHINESE = "文本,标签\n这部电影很好看,好\n"


def packed(content: bytes) -> bytes:
    """The same bytes in every process: they are part of a test's name."""
    return gzip.compress(content, mtime=0)


ROWS = 'text,label\n"good, really",1\nbad,0\n'
TWO: dict[str, list[Any]] = {"text": ["good, really", "bad"], "label": ["1", "0"]}

# (file, content, options, columns that are read, what is told)
READ: list[tuple[str, bytes | str, dict[str, Any], dict[str, list[Any]], str]] = [
    ("a.csv", ROWS, {}, TWO, "quotation marks enclose cells"),
    ("a.csv", "\ufeff" + ROWS, {}, TWO, ""),
    ("a.csv", ROWS.replace("\n", "\r\n"), {}, TWO, ""),
    ("a.csv", ROWS.replace("\n", "\r"), {}, TWO, ""),
    ("a.csv", ROWS.replace("1\n", "1\r\n"), {}, TWO, "line ends are mixed"),
    ("a.csv", ROWS.encode("utf-16"), {}, TWO, "encoded in utf-16"),
    ("a.csv", "\ufeff".encode("utf-16-be") + ROWS.encode("utf-16-be"), {}, TWO, "encoded in utf-16"),
    ("a.csv", ROWS.encode("utf-16-le"), {}, TWO, "encoded in utf-16-le, by its empty bytes"),
    ("a.csv", ROWS.encode("utf-32"), {}, TWO, "encoded in utf-32"),
    ("a.csv", FRENCH.encode("latin-1"), {"encoding": "latin-1"}, {"text": ["café crème"], "label": ["1"]}, ""),
    ("a.csv", CHINESE.encode("gbk"), {"encoding": "gbk"}, {"文本": ["这部电影很好看"], "标签": ["好"]}, ""),
    ("a.csv.gz", packed(ROWS.encode()), {}, TWO, ""),
    ("a.csv", packed(ROWS.encode()), {}, TWO, ""),
    ("a.txt", ROWS, {}, TWO, "separated by commas"),
    ("a.CSV", ROWS, {}, TWO, ""),
    # a separator that is not what the name says
    ("a.csv", "text;label\nx, y;1\nz;0\n", {}, {"text": ["x, y", "z"], "label": ["1", "0"]}, "separated by semicolons"),
    ("a.csv", "text\tlabel\nx, y\t1\nz\t0\n", {}, {"text": ["x, y", "z"], "label": ["1", "0"]}, "separated by tabs"),
    ("a.tsv", ROWS, {}, TWO, "separated by commas"),
    ("a.csv", "text|label\nx, y|1\n", {}, {"text": ["x, y"], "label": ["1"]}, "separated by bars"),
    ("a.csv", "a;b,c;d\n1;2,3;4\n", {}, {"a;b": ["1;2"], "c;d": ["3;4"]}, "though semicolons fit too"),
    ("a.csv", "a;b,c;d\n1;2,3;4\n", {"delimiter": "semicolon"}, {"a": ["1"], "b,c": ["2,3"], "d": ["4"]}, ""),
    ("a.txt", "text^label\nx^1\n", {"delimiter": "^"}, {"text": ["x"], "label": ["1"]}, ""),
    ("a.tsv", "text\tlabel\nx\t1\n", {"delimiter": "\\t"}, {"text": ["x"], "label": ["1"]}, ""),
    ("a.csv", "sep=;\r\n" + 'text;label\r\n"x, y";1\r\n', {}, {"text": ["x, y"], "label": ["1"]}, ""),
    ("a.csv", FRENCH, {"encoding": "cp1252"}, {"text": ["cafÃ© crÃ¨me"], "label": ["1"]}, "its bytes are UTF-8 too"),
    # quotes by hand
    ("a.csv", "text,label\n'x, y',1\n", {"quote": "single"}, {"text": ["x, y"], "label": ["1"]}, ""),
    ("a.tsv", 'text\tlabel\n"x"\t1\n', {"quote": "none"}, {"text": ['"x"'], "label": ["1"]}, ""),
    ("a.tsv", 'text\tlabel\n"x"\t1\ny\t0\n', {"quote": '"'}, {"text": ["x", "y"], "label": ["1", "0"]}, ""),
    ("a.tsv", 'text\tlabel\n"x"\t1\ny\t0\n', {}, {"text": ['"x"', "y"], "label": ["1", "0"]}, "letters, by rule"),
    ("a.csv", 'text,label\n"x",1\ny,0\n', {}, {"text": ["x", "y"], "label": ["1", "0"]}, "cells, by rule"),
    ("a.csv", 'text|label\n"x"|1\ny|0\n', {}, {"text": ["x", "y"], "label": ["1", "0"]}, "as usual between bars"),
    ("a.tsv", '"text"\t"label"\n"x"\t"1"\n', {}, {"text": ["x"], "label": ["1"]}, "enclose cells"),
    ("a.csv", f'text,label\n"{"long " * 50000}",1\n', {}, {"text": ["long " * 50000], "label": ["1"]}, ""),
    # a cell more or fewer than the header
    ("a.csv", "t,y\na,1,,\nb,0,,\n", {}, {"t": ["a", "b"], "y": ["1", "0"]}, "lines end in 2 separator(s) more"),
    ("a.csv", "t,y,\na,1\nb,0\n", {}, {"t": ["a", "b"], "y": ["1", "0"]}, ""),
    ("a.csv", "t,y,,\na,1\nb,0\n", {}, {"t": ["a", "b"], "y": ["1", "0"]}, ""),
    ("a.csv", "t,y,\na,1,\n", {}, {"t": ["a"], "y": ["1"], "": [""]}, ""),
    ("a.csv", '"t","y"\n"1","a","u"\n"2","b","v"\n', {}, {"t": ["a", "b"], "y": ["u", "v"]}, "row names in front"),
    ("a.tsv", "t\ty\n3\ta\tu\n7\tb\tv\n", {}, {"t": ["a", "b"], "y": ["u", "v"]}, "row names in front"),
    ("a.csv", "t,y\n\na,1\n\n\nb,0\n\n\n", {}, {"t": ["a", "b"], "y": ["1", "0"]}, "blank lines left out: 3"),
    # headers
    ("a.csv", " t , y\na,1\n", {}, {"t": ["a"], "y": ["1"]}, ""),
    ("a.csv", "t,t,y\na,b,1\n", {}, {"t (column 1)": ["a"], "t (column 2)": ["b"], "y": ["1"]}, "several columns"),
    ("a.csv", "a,1\nb,0\n", {"header": False}, {"0": ["a", "b"], "1": ["1", "0"]}, "the first row is a | 1"),
    ("a.csv", "t,y\n", {}, {"t": [], "y": []}, ""),
    # signs that end a line only for some
    ("a.tsv", "t\ty\na\u2028b\x85c\t1\n", {}, {"t": ["a\u2028b\x85c"], "y": ["1"]}, ""),
    ("a.tsv", "t\ty\na\rb\t1\n", {}, {"t": ["a\rb"], "y": ["1"]}, "carriage returns that end no line"),
    ("a.jsonl", '{"t": "a\u2028b"}\n\n{"t": null}\n', {}, {"t": ["a\u2028b", None]}, ""),
    # JSON
    ("a.json", '[{"t": "a", "y": 1}, {"y": 0, "t": "b"}]', {}, {"t": ["a", "b"], "y": [1, 0]}, ""),
    ("a.json", '{"t": ["a", "b"], "y": [true, false]}', {}, {"t": ["a", "b"], "y": [True, False]}, ""),
    ("a.json", pd.DataFrame({"t": ["a", "b"], "y": [1, 0]}).to_json(), {}, {"t": ["a", "b"], "y": [1, 0]}, ""),
    ("a.json", '{"t": "a", "y": 1}\n{"t": "b", "y": 0}\n', {}, {"t": ["a", "b"], "y": [1, 0]}, "one object a line"),
    ("a.jsonl", '[{"t": "a", "y": 1}]', {}, {"t": ["a"], "y": [1]}, "one JSON array"),
    ("a.ndjson", '\ufeff{"t": "a", "y": 1}', {}, {"t": ["a"], "y": [1]}, ""),
    ("a.jsonl.gz", packed(b'{"t": "a", "y": 1}\n{"t": "b"}'), {}, {"t": ["a", "b"], "y": [1, None]}, ""),
    ("a.json", '{"sst2": [{"t": "a", "y": 1}], "rte": []}', {}, {"t": ["a"], "y": [1]}, "rows of 'sst2'"),
    ("a.json", '{"version": "1.1", "data": [{"t": "a", "y": 1}]}', {}, {"t": ["a"], "y": [1]}, "rows of 'data'"),
    ("a.jsonl", '{"t": "a"}', {"delimiter": "tab"}, {"t": ["a"]}, "--delimiter decides nothing in such a file"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "columns", "told"), READ)
def test_what_is_read(
    name: str, content: bytes | str, options: dict[str, Any], columns: dict[str, list[Any]], told: str, tmp_path: Path
) -> None:
    table = read(tmp_path, name, content, **options)
    assert {column: table.frame[column].tolist() for column in table.frame} == columns
    assert told in " ".join(table.decisions)
    assert table.files == (name,)


BAD_LINES = "t,y\n" + "a,1\n" * 3 + "a,b,1\n" * 7
# (file, content, options, what is said)
REFUSED: list[tuple[str, bytes | str, dict[str, Any], str]] = [
    ("a.csv", BAD_LINES, {},
     "(2, separated by commas): 7 of them (line 5 has 3, line 6 has 3, line 7 has 3, line 8 has 3, line 9 has 3, ...)"),
    ("a.tsv", "t\ty\na\t1\nb\n", {}, "1 of them (line 3 has 1)"),
    ("a.csv", "t,y\na,b,1\nc,d,0\n", {}, "2 of them (line 2 has 3, line 3 has 3)"),
    ("a.csv", "t,y,z\na,1\n", {}, "(3, separated by commas): 1 of them (line 2 has 2)"),
    # row names and an empty last column look alike
    ("a.csv", "t,y\n1,a,\n2,b,\n", {}, "the first cell may be a row name or the last one nothing"),
    ("a.csv", 'x,y\n"a\nb",1\n"c,d,0\n', {}, "is never closed"),
    ("a.csv", '"t","y"\n"say \\"x\\" loud","1"\n', {}, "its header has quotation marks around names, but"),
    ("a.csv", 't,y\n"say "x" loud",1\n"fine",0\n', {}, "column 't' has quotation marks around 2 of 2 cells, but"),
    ("a.tsv", 't\ty\n"say \\"x\\" loud"\t1\nfine\t0\nfine\t1\n', {}, "escaped by backslashes"),
    ("a.csv", 't, y\n"a, b", "yes"\n"c, d", "no"\n', {}, "a space before the quotation marks of 2 cells"),
    ("a.tsv", 't\ty\n"a\t0\nb"\t1\n', {}, "2 rows of 2 cells where quotation marks are letters and 1 of 2 where they"),
    ("a.tsv", 't\ty\n" a\t1\n', {"quote": "double"}, "is never closed; mend it there, or say --quote none"),
    ("a.txt", "a,b;c\n1,2;3\n", {}, "can be separated by commas and by semicolons: say which with --delimiter"),
    ("a.csv", "t,y\rab,1\rc\nd,0\r", {}, "lines end in carriage returns, and cells hold line feeds"),
    ("a.csv", "\ufefft,y\na,1\n\ufefft,y\nb,0\n", {}, "rows that repeat the header: 1 of them (row 1)"),
    ("a.csv", "t,y\na,1\nt,y\nb,0\n", {}, "rows that repeat the header: 1 of them (row 1); take them out"),
    ("a.csv", "", {}, "is empty"),
    ("a.csv", "\n\n", {}, "is empty"),
    ("a.jsonl", "", {}, "is empty"),
    ("a.csv", "t,y\na\0b,1\n", {}, "line 2 holds a NUL"),
    ("a.csv", FRENCH.encode("cp1252"), {},
     "line 2 holds the byte 0xe9, which is none of its signs; say --encoding cp1252 (reads "),
    ("a.csv", CHINESE.encode("gbk"), {}, "--encoding gbk (reads '文本,标签')"),
    ("a.csv", CHINESE.encode("gbk"), {"encoding": "utf-8"}, "is not utf-8: line 1 holds the byte 0xce"),
    ("a.csv", "t,y\né,1\né,1\n".encode() + b"\xe9,0\n", {}, "1 of them (line 4), 2 others beyond ASCII are"),
    ("a.csv", "t,y\n".encode("utf-16") + b"a", {}, "begins as utf-16 does, but"),
    ("a.jsonl", '{"t": "a"}\n{"t": "b",}\nx\n{"t": "c"}', {}, "lines that are no JSON: 2 of them (line 2, line 3)"),
    ("a.jsonl", '{"t": "a"}\n[1]\n"x"\n', {},
     "rows that are no objects of named cells: 2 of them (line 2 is a list, line 3 is a str)"),
    ("a.json", '{"t": "a",', {}, "is no JSON: "),
    ("a.json", '{"t": ["a", "b"], "y": [1]}', {}, "its columns differ in their rows (t 2, y 1)"),
    ("a.json", '{"x": [{"t": "a"}], "y": [{"t": "b"}, {"t": "c"}]}', {}, "lists of rows: x (1 rows), y (2 rows)"),
    ("a.json", "[" * 100000, {}, "nested too deeply"),
    ("a.json", "3", {}, "holds int alone"),
    ("a.jsonl", '{"t": "a\\ud83d b", "y": 1}', {}, "column 't': row 0 holds half of a surrogate pair"),
    ("a.parquet", b"PAR1 not really PAR1", {}, "cannot be read as Parquet"),
    ("a.csv", b"PAR1....", {}, "is Parquet: name it .parquet"),
    ("a.csv", b"PK\x03\x04....", {}, "a zip archive or an Excel workbook"),
    ("a.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", {}, "fetch it with git lfs pull"),
    ("a.csv", "<!DOCTYPE html><html>", {}, "is a web page"),
    ("a.xlsx", b"PK\x03\x04....", {}, "ends in '.xlsx'; readable are .csv, .tsv"),
    ("a.csv.gz", packed(ROWS.encode())[:-12], {}, "cannot be unpacked"),
    ("a.csv.gz", packed(b""), {}, "is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "message"), REFUSED)
def test_what_is_refused(
    name: str, content: bytes | str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, name, content, **options)
    assert message in str(error.value)
    assert "dev_file" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "utf8x"}, "encoding: unknown name 'utf8x'; did you mean"),
        ({"encoding": "hex"}, "encoding: unknown name 'hex'"),
        ({"delimiter": "::"}, "delimiter: '::' cannot separate columns"),
        ({"delimiter": "x"}, "delimiter: 'x' cannot separate columns"),
        ({"delimiter": '"'}, "cannot separate columns"),
        ({"delimiter": ""}, "delimiter: '' cannot separate columns"),
        ({"quote": "`"}, "quote: '`' cannot enclose cells"),
    ],
)
def test_wrong_ways_to_read_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        DataConfig(**options)
    assert message in str(error.value)


# the shape of public files as they lie on the net, with text of our own: (file, content, options, texts, labels)
PUBLIC: list[tuple[str, str, dict[str, Any], list[list[str]], list[str]]] = [
    ("news.csv", '"3","Tin up, lead down","Prices of ""tin"" rose, lead fell."\n"1","Vote","A vote was held\\nin May."',
     {"header": False, "text_columns": ("1", "2"), "label_column": "0"},
     [["Tin up, lead down", "Vote"], ['Prices of "tin" rose, lead fell.', "A vote was held\\nin May."]], ["3", "1"]),
    ("films.csv", 'review,sentiment\n"A fine film.<br /><br />""Great"", said he",positive\nDull and long,negative\n',
     {"text_columns": ("review",), "label_column": "sentiment"},
     [['A fine film.<br /><br />"Great", said he', "Dull and long"]], ["positive", "negative"]),
    ("phrases.tsv", "sentence\tlabel\nit 's a warm , \" honest \" film \t1\n\" dull \t0\n",
     {"text_columns": ("sentence",), "label_column": "label"},
     [["it 's a warm , \" honest \" film ", '" dull ']], ["1", "0"]),
    ("grammar.tsv", "ab01\t1\t\tThe cat sat.\nab01\t0\t*\tCat the sat.\n",
     {"header": False, "text_columns": ("3",), "label_column": "1"}, [["The cat sat.", "Cat the sat."]], ["1", "0"]),
    ("pairs.txt", 'gold_label\tsentence1\tsentence2\tpairID\nneutral\tA man eats.\tA man eats "pie".\t1#0\n'
     "entailment\tA dog runs.\tA dog moves.\t2#1\n",
     {"text_columns": ("sentence1", "sentence2"), "label_column": "gold_label"},
     [["A man eats.", "A dog runs."], ['A man eats "pie".', "A dog moves."]], ["neutral", "entailment"]),
    ("pairs.jsonl", '{"gold_label": "neutral", "sentence1": "A man eats.", "annotator_labels": ["neutral"]}\n'
     '{"annotator_labels": [], "gold_label": "contradiction", "sentence1": "A dog runs."}\n',
     {"text_columns": ("sentence1",), "label_column": "gold_label"},
     [["A man eats.", "A dog runs."]], ["neutral", "contradiction"]),
    ("goods.csv", 'id;text;stars\n1;"It works; well, mostly.";good\n2;Broken;bad\n',
     {"text_columns": ("text",), "label_column": "stars"}, [["It works; well, mostly.", "Broken"]], ["good", "bad"]),
    ("tweets.csv", '"0","17","Mon May 11","NONE","ann","@bob is it? really, so"\n"4","18","Tue","NONE","bob","yes"\n',
     {"header": False, "text_columns": ("5",), "label_column": "0"}, [["@bob is it? really, so", "yes"]], ["0", "4"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "options", "texts", "labels"), PUBLIC)
def test_files_shaped_as_public_ones(
    name: str, content: str, options: dict[str, Any], texts: list[list[str]], labels: list[str], tmp_path: Path
) -> None:
    for split in ("train", "dev"):
        (tmp_path / split).mkdir()
        (tmp_path / split / name).write_text(content)
    data = load_task(
        "mine", DataConfig(train_file=str(tmp_path / "train" / name), dev_file=str(tmp_path / "dev" / name), **options)
    )
    assert [list(column) for column in data.train.texts] == texts == [list(column) for column in data.dev.texts]
    assert [data.task.labels[int(label)] for label in data.train.labels] == labels


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("a,1\nb,0\n", ("text",), "no column 'text'; it has a, 1; a file without a header is read with --no-header"),
        ("text,label\nb,0\n", ("0",), "columns are named by their place, 0 for the first, only with --no-header"),
        ("Text,label\nb,0\n", ("text",), "there is no column 'text'; did you mean 'Text'?"),
        ("text,text,label\na,b,0\n", ("text",), "did you mean 'text (column 1)'?"),
        ("text,label\n", ("text",), "there are no rows"),
        ("text,label\n,0\nb,1\n,1\n", ("text",), "row 0 is empty text, row 2 is empty text (2 such rows in all)"),
    ],
)  # fmt: skip
def test_columns_that_are_not_there(content: str, columns: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(UserError) as error:
        load_evaluation("mine", DataConfig(dev_file=str(tmp_path / "a.csv"), text_columns=columns), ("0", "1"))
    assert message in str(error.value)


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "train.csv").write_text(ROWS)
    for path, message in (
        (tmp_path / "none.csv", "dev_file: there is no file"),
        (tmp_path / "loop.csv", "dev_file: there is no file"),
        (tmp_path / ("x" * 300 + ".csv"), "cannot be read: File name too long"),
        (tmp_path / "some", "is a folder, and not one that datasets.save_to_disk wrote; files in it: train.csv"),
        (Path("/dev/null"), "is no regular file"),
        (Path("~nobody-of-that-name/a.csv"), "there is no file"),
    ):
        with pytest.raises(UserError, match=message):
            load_evaluation("mine", DataConfig(dev_file=str(path), text_columns=("text",)), ("0", "1"))


def test_cells_of_parquet(tmp_path: Path) -> None:
    day = datetime.date(2020, 1, 2)
    columns: dict[str, Any] = {
        "large": pa.array(["a", "b", None], pa.large_string()),
        "category": pa.array(["x", "y", "x"]).dictionary_encode(),
        "hole": pa.array([2**60 + 1, None, 3], pa.int64()),
        "money": pa.array([decimal.Decimal("1.00"), None, decimal.Decimal("2.50")], pa.decimal128(5, 2)),
        "day": pa.array([day, None, day]),
        "bytes": pa.array([b"a", b"b", None]),
        "list": pa.array([["a"], [], None]),
        "struct": pa.array([{"a": 1}, {"a": 2}, None]),
        "float": pa.array([1.0, 2.0, None], pa.float32()),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    frame = read_table(tmp_path / "a.parquet", "dev_file", DataConfig().dialect).frame
    assert {name: frame[name].tolist() for name in frame} == {
        "large": ["a", "b", None], "category": ["x", "y", "x"], "hole": [2**60 + 1, None, 3], "money": [1, None, 2.5],
        "day": [day, None, day], "bytes": [b"a", b"b", None], "list": [["a"], [], None],
        "struct": [{"a": 1}, {"a": 2}, None], "float": [1.0, 2.0, None],
    }  # fmt: skip
    for column, message in (
        ("large", "row 2 is missing"), ("bytes", "row 0 holds "), ("list", "row 0 holds "), ("struct", "row 0 holds "),
        ("day", "row 0 holds "), ("float", "row 0 holds 1.0, which is not text"),
    ):  # fmt: skip
        config = DataConfig(dev_file=str(tmp_path / "a.parquet"), text_columns=(column,), label_column="category")
        with pytest.raises(UserError, match=f"column '{column}': {message}"):
            load_evaluation("mine", config, ("x", "y"))


def test_ids_are_places_whatever_the_index_and_whatever_is_left_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": [-1, 1, 0]}, index=[7, 7, 3])
    for name in ("train", "odd"):
        path = tmp_path / "some" / "pair" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        (frame if name == "odd" else frame.reset_index(drop=True)).to_parquet(path)
    task = dataclasses.replace(PAIR, drop_unlabelled=True)
    for name in ("train", "odd"):
        rows = load_split(task, name, DataConfig(data_dir=str(tmp_path)))
        assert rows.texts == (("b", "c"),) and rows.ids == ("1", "2")


def test_what_datasets_saved(tmp_path: Path) -> None:
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["poor", "fine"])})
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 1]}, features=features)
    rows.select([2, 0]).save_to_disk(str(tmp_path / "saved"))
    DatasetDict({"train": rows, "test": rows}).save_to_disk(str(tmp_path / "several"))
    rows.to_parquet(str(tmp_path / "a.parquet"))
    read_as = DataConfig().dialect
    saved = read_table(tmp_path / "saved", "dev_file", read_as)
    assert saved.frame["text"].tolist() == ["c", "a"] and saved.frame["label"].tolist() == [1, 0]
    for table in (saved, read_table(tmp_path / "a.parquet", "dev_file", read_as)):
        assert class_names(table.frame, "label") == ("poor", "fine")
    assert len(read_table(tmp_path / "several" / "test", "dev_file", read_as).frame) == 3
    with pytest.raises(UserError, match=r"holds several splits: name the folder of one \(test, train\)"):
        read_table(tmp_path / "several", "dev_file", read_as)
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be read as a saved data set"):
        read_table(tmp_path / "saved", "dev_file", read_as)


PAIR = Task("pair", "some", ("text",), ("no", "yes"), ("accuracy",), config="plain")
SINGLE = Task("single", "single", ("text",), ("no", "yes"), ("accuracy",))


def write_rows(path: Path, *texts: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"text": list(texts), "label": [number % 2 for number in range(len(texts))]})
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)


# (task, files with their rows, split, rows or what is said)
FOLDERS: list[tuple[Task, dict[str, str], str, str]] = [
    (PAIR, {"some/pair/train.parquet": "ab"}, "train", "ab"),
    (PAIR, {"some/pair/train-00000-of-00001.parquet": "ab"}, "train", "ab"),
    (PAIR, {"some/pair/train-00001-of-00002.parquet": "c", "some/pair/train-00000-of-00002.parquet": "ab"}, "train",
     "abc"),
    (PAIR, {"some/pair/train-00000-of-00001-0123456789abcdef.parquet": "ab"}, "train", "ab"),
    (PAIR, {"some/plain/train-00000-of-00001.parquet": "ab"}, "train", "ab"),
    (PAIR, {"some/pair/data/train-00000-of-00001.parquet": "ab"}, "train", "ab"),
    (SINGLE, {"single/data/train-00000-of-00001.parquet": "ab"}, "train", "ab"),
    (PAIR, {"some/pair/train.csv": "ab"}, "train", "ab"),
    (PAIR, {"some/pair/train-00000-of-00001.parquet": "ab"}, "train-00000-of-00001", "ab"),
    (PAIR, {"some/pair/train-00001-of-00002.parquet": "ab"}, "train-00001-of-00002", "ab"),
    (PAIR, {"some/pair/train-00000-of-00001.parquet": "ab"}, "dev", "has no split 'dev'; it has train"),
    (PAIR, {"some/pair/train-00000-of-00003.parquet": "ab"}, "train",
     "lacks train-00001-of-00003.parquet, train-00002-of-00003.parquet"),
    (PAIR, {"some/pair/train-00001-of-00002.parquet": "ab"}, "train", "lacks train-00000-of-00002.parquet"),
    (PAIR, {"some/pair/train.parquet": "a", "some/pair/train-00000-of-00001.parquet": "b"}, "train", "'train' may be "),
    (PAIR, {"some/pair/train.parquet": "a", "some/pair/train.csv": "b"}, "train", "'train' may be "),
    (PAIR, {"some/pair/train.parquet": "a", "some/plain/train.parquet": "b"}, "train", "'train' may be "),
    (PAIR, {"some/pair/train-00000-of-00001.parquet": "a", "some/pair/train-00000-of-00002.parquet": "b"}, "train",
     "may be "),
    (PAIR, {"some/pair/train-00000-of-00001-0123456789.parquet": "a", "some/pair/train-00000-of-00001.parquet": "b"},
     "train", "has two files for one part of 'train'"),
    (PAIR, {"other/train.parquet": "a"}, "train", "has no some/pair/train.parquet"),
]  # fmt: skip


@pytest.mark.parametrize(("task", "files", "split", "expected"), FOLDERS)
def test_splits_of_a_folder(task: Task, files: dict[str, str], split: str, expected: str, tmp_path: Path) -> None:
    for file, texts in files.items():
        write_rows(tmp_path / file, *texts)
    config = DataConfig(data_dir=str(tmp_path))
    if " " not in expected:
        rows = load_split(task, split, config)
        assert rows.texts == (tuple(expected),) and rows.ids == tuple(map(str, range(len(expected))))
        assert rows.source["files"] == ", ".join(sorted(files))
        assert ("is one of 2 shards" in rows.source.get("read", "")) == (split == "train-00001-of-00002")
        return
    with pytest.raises(UserError) as error:
        load_split(task, split, config)
    assert expected in str(error.value)
    # what is there but cannot be used is wrong, not missing
    assert isinstance(error.value, RowsMissing) == ("has no" in expected)


def test_shards_must_be_alike_and_whole(tmp_path: Path) -> None:
    config = DataConfig(data_dir=str(tmp_path))
    first, second = (tmp_path / "some" / "pair" / f"train-0000{number}-of-00002.parquet" for number in (0, 1))
    write_rows(first, "a")
    pd.DataFrame({"words": ["b"], "label": [1]}).to_parquet(second)
    with pytest.raises(UserError, match="has other columns or classes than"):
        load_split(PAIR, "train", config)
    second.write_bytes(b"PAR1")
    with pytest.raises(UserError, match="cannot be read as Parquet") as error:
        load_split(PAIR, "train", config)
    assert not isinstance(error.value, RowsMissing)


def test_a_damaged_test_set_is_no_missing_one(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        path = tmp_path / "glue" / "sst2" / f"{split}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"sentence": [f"{split} a", "b"], "label": [0, 1]}).to_parquet(path)
    config = DataConfig(data_dir=str(tmp_path))
    assert "adv_sst2" in load_task("sst2", config).missing
    other = tmp_path / "adv_glue" / "adv_sst2" / "validation.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"no Parquet")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        load_task("sst2", config)
    pd.DataFrame({"text": ["a"], "label": [0]}).to_parquet(other)
    with pytest.raises(UserError, match="there is no column 'sentence'"):
        load_task("sst2", config)


def test_how_files_are_read_is_no_option_of_rows_from_elsewhere() -> None:
    with pytest.raises(UserError, match="encoding: --encoding says how a file is read, and 'demo-nli' comes from none"):
        load_task("demo-nli", DataConfig(encoding="gbk"))


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (ConnectionError("no net"), RowsMissing),
        (TimeoutError("slow"), RowsMissing),
        (FileNotFoundError("no such repository"), RowsMissing),
        (ValueError('Unknown split "validation". Should be one of [...]'), RowsMissing),
        (ValueError("BuilderConfig 'plain' not found"), UserError),
        (pa.ArrowInvalid("Parquet magic bytes not found"), UserError),
        (OSError(28, "No space left on device"), UserError),
        (KeyError("a fault of the program"), KeyError),
    ],
)
def test_only_rows_out_of_reach_are_missing(
    raised: Exception, kind: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    def load_dataset(*_: object, **__: object) -> object:
        raise raised

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    task = Task("pair", "some", ("text",), ("no", "yes"), ("accuracy",), hub="some/pair")
    with pytest.raises(kind) as error:
        from_hub(task, "validation", "main")
    assert type(error.value) is kind


def test_options_say_how_files_are_read(tiny_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    lines = ["'warm; lovely film';good", "'dull; cold é plot';bad", "'great story';good", "'awful scene';bad"]
    for name in ("train", "dev"):
        (tmp_path / f"{name}.txt").write_bytes("".join(f"{line}\n" for line in lines).encode("cp1252"))
    given = [
        "--dev-file", str(tmp_path / "dev.txt"), "--text-columns", "0", "--label-column", "1", "--encoding", "cp1252",
        "--delimiter", "semicolon", "--quote", "'", "--no-header",
    ]  # fmt: skip
    done = invoke(
        "train-and-attack", "--model", str(tiny_folder), "--train-file", str(tmp_path / "train.txt"), *given,
        "--methods", "vanilla", "--seeds", "1", "--suites", "clean", "--attacks", "", "--dry-run", "--quiet",
        "--max-length", "32", "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 0 and "train from train.txt" in done.stdout and "bad (2), good (2)" in done.stdout
    assert "note: train.txt: no header, the first row is warm; lovely film | good" in done.stdout
    named = ["--labels", "bad,good", "--max-length", "32"]
    done = invoke("evaluate", str(tiny_folder), *given, *named, "--suites", "clean")
    assert done.returncode == 0 and "dev.txt: no header" in done.stdout
    done = invoke("attack", str(tiny_folder), *given, *named, "--attack", "deepwordbug", "--attack-examples", "1")
    assert done.returncode == 0 and "dev.txt: no header" in done.stdout
    assert invoke("evaluate", str(tiny_folder), *given, "--delimiter", "::").refused


def test_dev_json_of_several_tasks_is_refused_by_their_names(tiny_folder: Path, tmp_path: Path, invoke: Invoke) -> None:
    rows = [{"sentence": "warm film", "label": 0, "idx": 0}]
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"sst2": rows, "qnli": rows * 2, "rte": []}))
    done = invoke("evaluate", str(tiny_folder), "--dev-file", str(path), "--text-columns", "sentence")
    assert done.refused and "several lists of rows: sst2 (1 rows), qnli (2 rows)" in done.stderr
