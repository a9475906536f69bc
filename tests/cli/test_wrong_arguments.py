"""A table of wrong command lines: each ends with one sentence and exit code 2, at once, and nothing is written."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from robusteval.attacks.resources.offline import load_textattack
from support import tiny
from support.field_cases import Done

TRAIN = "train-and-attack --model {model} --train-file {train} --dev-file {dev} --text-columns review --label-column verdict --max-length 32 --device cpu --out {out}"  # noqa: E501
BUILT_IN = "train-and-attack --model {model} --max-length 32 --device cpu --out {out}"
EVALUATE = "evaluate {model} --max-length 32 --device cpu --out {out} --dev-file {dev} --text-columns review --label-column verdict --labels bad,good"  # noqa: E501
ATTACK = "attack {model} --max-length 32 --device cpu --out {out}.jsonl --dev-file {dev} --text-columns review --label-column verdict --labels bad,good"  # noqa: E501
HUGE = "9" * 400
LONG = "x" * 300

# command, further arguments, words of the sentence
TABLE: list[tuple[str, str, str]] = [
    # the form of a command line
    ("trian", "", "command: unknown name 'trian'; did you mean 'transfer'"),
    ("--versoin", "", "option: unknown name '--versoin'; did you mean '--version'"),
    (TRAIN, "--epoks 3", "option: unknown name '--epoks'; did you mean '--epochs'"),
    (EVALUATE, "--suits clean", "did you mean '--suites'"),
    (ATTACK, "--atack pruthi", "did you mean '--attack'"),
    (TRAIN, "surplus", "train-and-attack: got unexpected extra argument"),
    (TRAIN, "--epochs", "epochs: requires an argument"),
    (TRAIN, "--dry-run=yes", "dry_run: does not take a value"),
    ("evaluate", "", "checkpoint: not given, and it is needed"),
    ("attack", "", "checkpoint: not given, and it is needed"),
    ("transcript", "", "results: not given, and it is needed"),
    ("transfer", "", "experiment: not given, and it is needed"),
    ("freeze {results}", "", "out: not given, and it is needed"),
    ("freeze --out {out}.parquet", "", "results: not given, and it is needed"),
    ("run", "", "spec: not given, and it is needed"),
    ("plan", "", "spec: not given, and it is needed"),
    ("list tasks methods", "", "list: got unexpected extra argument"),
    ("doctor now", "", "doctor: got unexpected extra argument"),
    # numbers that are none
    (TRAIN, "--epochs many", "epochs: 'many' is not a number"),
    (TRAIN, "--epochs ''", "epochs: '' is not a number"),
    (TRAIN, "--epochs 1,5", "epochs: '1,5' is not a number"),
    (TRAIN, "--max-steps 1.5", "max_steps: '1.5' is not a whole number"),
    (TRAIN, "--max-steps 1e3", "max_steps: '1e3' is not a whole number"),
    (TRAIN, "--batch-size ٣", "batch_size: '٣' is not a whole number"),
    (TRAIN, "--workers two", "workers: 'two' is not a whole number"),
    (EVALUATE, "--sets 0x3", "sets: '0x3' is not a whole number"),
    (ATTACK, "--seed one", "seed: 'one' is not a whole number"),
    ("transcript {results}", "--limit few", "limit: 'few' is not a whole number"),
    # numbers that no machine holds, or that are not a number
    (TRAIN, "--epochs inf", "epochs: inf is not a finite number"),
    (TRAIN, "--epochs nan", "epochs: nan is not a finite number"),
    (TRAIN, "--learning-rate inf", "learning_rate: inf is not a finite number"),
    (TRAIN, "--learning-rate 1e999", "learning_rate: inf is not a finite number"),
    (TRAIN, "--learning-rate nan", "learning_rate: nan is not a finite number"),
    (TRAIN, "--weight-decay inf", "weight_decay: inf is not a finite number"),
    (TRAIN, "--clip-norm inf", "clip_norm: inf is not a finite number"),
    (TRAIN, "--clip-norm nan", "clip_norm: nan is not a finite number"),
    (TRAIN, "--warmup nan", "warmup: nan is not a finite number"),
    (TRAIN, "--dropout inf", "dropout: inf is not a finite number"),
    (TRAIN, "--time-limit inf", "time_limit: inf is not a finite number"),
    (TRAIN, "--time-limit nan", "time_limit: nan is not a finite number"),
    (TRAIN, "--checkpoint-seconds inf", "checkpoint_seconds: inf is not a finite number"),
    (TRAIN, "--dev-share nan", "dev_share: nan is not a finite number"),
    (TRAIN, "--rates inf", "rates: inf is out of range"),
    (TRAIN, "--rates nan", "rates: nan is out of range"),
    (TRAIN, "--rates 1e999", "rates: inf is out of range"),
    (TRAIN, f"--max-steps {HUGE}", "max_steps: "),
    (TRAIN, f"--batch-size {HUGE}", "batch_size: "),
    (TRAIN, "--batch-size 99999999999999999999", "batch_size: 99999999999999999999 is out of range"),
    (TRAIN, "--max-length 99999999999999999999", "max_length: 99999999999999999999 is out of range"),
    (TRAIN, "--attack-examples 99999999999999999999", "attack_examples: 99999999999999999999 is out of range"),
    (TRAIN, "--train-limit 99999999999999999999", "train_limit: 99999999999999999999 is out of range"),
    (TRAIN, "--sets 1000000000", "sets: 1000000000 is out of range"),
    (TRAIN, "--max-errors 99999999999999999999", "max_errors: 99999999999999999999 is out of range"),
    (TRAIN, "--methods match:temperature=1e999", "match:temperature: inf is out of range"),
    (TRAIN, "--methods match:temperature=.inf", "match:temperature: inf is out of range"),
    (TRAIN, "--methods match:temperature=.nan", "match:temperature: nan is out of range"),
    (TRAIN, "--methods vanilla:learning_rate=1e999", "learning_rate: inf is out of range"),
    (TRAIN, "--scenario label-noise:rate=.nan", "label-noise:rate: nan is out of range"),
    (EVALUATE, "--sets 99999999999999999999", "sets: 99999999999999999999 is out of range"),
    (EVALUATE, "--max-length 99999999999999999999", "max_length: 99999999999999999999 is out of range"),
    (ATTACK, "--query-budget 99999999999999999999", "query_budget: 99999999999999999999 is out of range"),
    (ATTACK, "--seed 99999999999999999999", "seed: 99999999999999999999 is out of range"),
    (ATTACK, f"--seed {HUGE}", "seed: "),
    (ATTACK, "--time-limit inf", "time_limit: inf is not a finite number"),
    # numbers out of range
    (TRAIN, "--epochs 0", "epochs: 0.0 is out of range"),
    (TRAIN, "--epochs=-0", "epochs: -0.0 is out of range"),
    (TRAIN, "--max-steps 0", "max_steps: 0 is out of range"),
    (TRAIN, "--batch-size=-1", "batch_size: -1 is out of range"),
    (TRAIN, "--accumulation 17", "accumulation: 17 is out of range"),
    (TRAIN, "--warmup 2", "warmup: 2.0 is out of range"),
    (TRAIN, "--dropout 1", "dropout: 1.0 is out of range"),
    (TRAIN, "--max-length 2", "max_length: 2 is out of range"),
    (TRAIN, "--train-limit 0", "train_limit: 0 is out of range"),
    (TRAIN, "--eval-limit=-5", "eval_limit: -5 is out of range"),
    (TRAIN, "--workers 0", "workers: 0 is out of range"),
    (TRAIN, "--workers 100000", "workers: 100000 is out of range"),
    (TRAIN, "--attack-examples 0", "attack_examples: 0 is out of range"),
    (TRAIN, "--query-budget 0", "query_budget: 0 is out of range"),
    (TRAIN, "--time-limit 0", "time_limit: 0.0 is out of range"),
    (TRAIN, "--max-errors=-1", "max_errors: -1 is out of range"),
    (TRAIN, "--checkpoint-seconds=-1", "checkpoint_seconds: -1.0 is out of range"),
    (TRAIN, "--sets 0", "sets: 0 is out of range"),
    (TRAIN, "--dev-share 1", "dev_share: 1.0 is out of range"),
    (EVALUATE, "--rates 2", "rates: 2.0 is out of range"),
    (EVALUATE, "--eval-limit 0", "eval_limit: 0 is out of range"),
    (EVALUATE, "--max-length 1", "max_length: 1 is out of range"),
    (ATTACK, "--attack-examples 0", "attack_examples: 0 is out of range"),
    (ATTACK, "--seed=-1", "seed: -1 is out of range"),
    (ATTACK, "--workers 0", "workers: 0 is out of range"),
    (ATTACK, "--attack-parallel=-1", "attack_parallel: -1 is out of range"),
    (ATTACK, "--time-limit=-1", "time_limit: -1.0 is out of range"),
    (ATTACK, "--eval-limit 0", "eval_limit: 0 is out of range"),
    ("transcript {results}", "--limit=-1", "limit: -1 is out of range"),
    ("transcript {results}", "--limit 0", "limit: 0 is out of range"),
    # seeds and rates
    (TRAIN, "--seeds none", "seeds: 'none' is neither a count nor"),
    (TRAIN, "--seeds ''", "seeds: '' names no seed"),
    (TRAIN, "--seeds 0", "seeds: '0' names no seed"),
    (TRAIN, "--seeds=-1", "seeds: '-1' names no seed"),
    (TRAIN, "--seeds 1,1", "seeds: 1 is given twice"),
    (TRAIN, "--seeds 1,-1", "seeds: '1,-1' names no seed"),
    (TRAIN, "--seeds 1.5", "seeds: '1.5' is neither a count nor"),
    (TRAIN, "--seeds 1_000", "seeds: '1_000' is neither a count nor"),
    (TRAIN, "--seeds ٣", "seeds: '٣' is neither a count nor"),
    (TRAIN, "--seeds 1000000", "seeds: 1000000 are more than the 1000"),
    (TRAIN, "--seeds 1000000000000000000000000000000", "are more than the 1000"),
    (TRAIN, f"--seeds {HUGE}", "are more than the 1000"),
    (TRAIN, "--seeds 0,99999999999999999999", "seed: 99999999999999999999 is out of range"),
    (TRAIN, "--rates half", "rates: 'half' is not a comma-separated list of numbers"),
    (TRAIN, "--rates 0.1,0.1", "rates: 0.1 is given twice"),
    (TRAIN, "--rates 1_0", "rates: '1_0' is not a comma-separated list of numbers"),
    # names
    (TRAIN, "--methods mach", "method: unknown name 'mach'; did you mean 'match'"),
    (TRAIN, "--methods ''", "methods: none given"),
    (TRAIN, "--methods vanilla,vanilla", "methods: vanilla is given twice"),
    (TRAIN, "--methods match+match", "cannot be combined"),
    (TRAIN, "--methods match:temprature=2", "did you mean 'temperature'"),
    (TRAIN, "--methods match:temperature", "is not key=value"),
    (TRAIN, "--methods vanilla:epochs=0", "epochs: 0.0 is out of range"),
    (TRAIN, "--methods vanilla:epochs=many", "epochs: 'many' is not a valid float"),
    (TRAIN, "--suites maks", "suite: unknown name 'maks'; did you mean 'mask'"),
    (TRAIN, "--suites mask,mask", "suites: mask is given twice"),
    (TRAIN, "--suites flatness:directons=2", "did you mean 'directions'"),
    (TRAIN, "--scenario label-nois", "scenario: unknown name 'label-nois'; did you mean 'label-noise'"),
    (TRAIN, "--scenario label-noise:rat=0.1", "did you mean 'rate'"),
    (TRAIN, "--scenario none,none", "scenarios: none is given twice"),
    (TRAIN, "--attacks deepwordbugg", "attack recipe: unknown name 'deepwordbugg'; did you mean 'deepwordbug'"),
    (TRAIN, "--attacks pruthi,pruthi", "attacks: pruthi is given twice"),
    (TRAIN, "--attacks seq2sick", "'seq2sick' is left out"),
    (TRAIN, "--attacks nowhere.py:Recipe", "attack recipe"),
    (TRAIN, "--optimizer sgd", "optimizer: unknown name 'sgd'"),
    (TRAIN, "--precision fp8", "precision: unknown name 'fp8'"),
    (TRAIN, "--select first", "select: unknown name 'first'"),
    (TRAIN, "--attack-precision int8", "attack_precision: unknown name 'int8'"),
    (TRAIN, "--label-type klass", "label_type: unknown name 'klass'; did you mean 'class'"),
    (TRAIN, "--device gpu", "device: 'gpu' is no device"),
    (TRAIN, "--device meta", "device: 'meta' is no device"),
    (TRAIN, "--device cuda:99999999999", "device: 'cuda:99999999999' is no device"),
    (TRAIN, "--device ''", "device: '' is no device"),
    (TRAIN, "--track board", "track: unknown tracker 'board'"),
    (TRAIN, "--encoding utf-9", "encoding: unknown name 'utf-9'"),
    (TRAIN, "--columns revieww", "columns: unknown name 'revieww'; did you mean 'review'"),
    (EVALUATE, "--device gpu", "device: 'gpu' is no device"),
    (EVALUATE, "--suites ''", "suites: none given"),
    (EVALUATE, "--suites clean,maks", "did you mean 'mask'"),
    (EVALUATE, "--columns revieww", "columns: unknown name 'revieww'"),
    (ATTACK, "--attack ''", "attack: no recipe is named"),
    (ATTACK, "--attack pws", "did you mean 'pwws'"),
    (ATTACK, "--attack pruthi,pruthi", "attack: pruthi is given twice"),
    (ATTACK, "--attack-precision fp16", "attack_precision: unknown name 'fp16'"),
    (BUILT_IN, "--task sst3", "task: unknown name 'sst3'; did you mean 'sst2'"),
    (BUILT_IN, "--task ''", "task: unknown name ''"),
    ("evaluate {model}", "--task demo-sentimental", "did you mean 'demo-sentiment'"),
    ("evaluate minilmm", "", "model: unknown name 'minilmm'; did you mean 'minilm'"),
    ("evaluate ''", "", "model: it is empty"),
    ("attack nowhere", "", "model: unknown name 'nowhere'"),
    ("list tasks2", "", "list: unknown name 'tasks2'; did you mean 'tasks'"),
    ("doctor", "--attack pws", "unknown name 'pws'; did you mean 'pwws'"),
    ("doctor", "--resources {tmp}/nowhere", "resources: there is no folder"),
    ("transcript {results}", "--outcome won", "outcome: unknown name 'won'"),
    ("transfer {tmp}", "--device gpu", "device: 'gpu' is no device"),
    # text that no name holds
    (TRAIN, "--mask-token 'a\x00b'", "mask_token: 'a\\x00b' holds the control character '\\x00'"),
    (TRAIN, "--methods 'match\x1b[31m'", "holds the control character '\\x1b'"),
    (TRAIN, "--label-column 'a\nb'", "label_column: 'a\\nb' holds the control character"),
    (BUILT_IN, "--task 'demo\udcff'", "holds bytes that are no text in UTF-8"),
    ("evaluate 'mod\udcffel'", "", "holds bytes that are no text in UTF-8"),
    ("transcript 'lines\udcff.jsonl'", "", "holds bytes that are no text in UTF-8"),
    (BUILT_IN, "--task '../up'", "task: unknown name '../up'"),
    (TRAIN, "--task '../up'", "task: '../up' cannot name a data set"),
    # places
    (BUILT_IN, "--task sst2 --data-dir {tmp}/nowhere", "data_dir: there is no folder"),
    (BUILT_IN, "--task sst2 --data-dir {file}", "data_dir: there is no folder"),
    (BUILT_IN, "--task sst2 --data-dir ~nobody-here/data", "in the home of a user that is not known here"),
    (BUILT_IN, "--task sst2 --data-dir {loop}", "data_dir: "),
    (BUILT_IN, "--task sst2 --data-dir ''", "data_dir: it is empty"),
    (BUILT_IN, f"--task sst2 --data-dir {{tmp}}/{LONG}", "data_dir: "),
    (BUILT_IN, "--task sst2 --data-dir {tmp}", "data_dir: "),
    ("train-and-attack --train-file {tmp}/no.csv --dev-file {dev} --text-columns review", "", "train_file: there is"),
    ("train-and-attack --train-file {tmp} --dev-file {dev} --text-columns review", "", "train_file: "),
    ("train-and-attack --train-file {fifo} --dev-file {dev} --text-columns review", "", "train_file: "),
    ("train-and-attack --train-file /dev/zero --dev-file {dev} --text-columns review", "", "train_file: "),
    ("train-and-attack --train-file {empty} --dev-file {dev} --text-columns review", "", "train_file: "),
    ("train-and-attack --train-file {loop} --dev-file {dev} --text-columns review", "", "train_file: "),
    (f"train-and-attack --train-file {{tmp}}/{LONG}.csv --dev-file {{dev}} --text-columns review", "", "train_file: "),
    ("train-and-attack --train-file '' --dev-file {dev} --text-columns review", "", "train_file: it is empty"),
    ("train-and-attack --train-file {train} --dev-file ~nobody-here/d.csv --text-columns review", "", "dev_file: "),
    (TRAIN, "--out {file}", "out: "),
    (TRAIN, "--out {file}/deeper", "out: "),
    (TRAIN, "--out {folder}", "is not empty and holds no experiment"),
    (TRAIN, "--out {loop}", "out: "),
    (TRAIN, f"--out {{tmp}}/{LONG}", "out: "),
    (TRAIN, "--out ~nobody-here/out", "out: '~nobody-here/out' is in the home of a user"),
    (TRAIN, "--out /dev/null", "out: "),
    (TRAIN, "--out /proc/nowhere", "out: "),
    (TRAIN, "--resources {file}", "resources: there is no folder"),
    (TRAIN, "--model {file}", "model: "),
    (TRAIN, "--model {folder}", "has no config.json"),
    (TRAIN, "--model {tmp}/nowhere", "model: there is no folder"),
    (TRAIN, "--model {loop}", "model: "),
    (TRAIN, "--model ~nobody-here/model", "model: '~nobody-here/model' is in the home of a user"),
    (TRAIN, f"--model {LONG}", "model: "),
    (TRAIN, "--model 'a b/c d'", "model: 'a b/c d' is neither a folder nor the name of a repository"),
    (EVALUATE, "--out {folder}", "is not empty and holds no evaluation"),
    (EVALUATE, "--out {file}", "out: "),
    (EVALUATE, "--out {loop}", "out: "),
    (EVALUATE, "--out {file}/deeper", "out: "),
    (ATTACK, "--out {folder}", "out: "),
    (ATTACK, "--out {file}", "no file of attack results"),
    (ATTACK, "--out {file}/deeper.jsonl", "out: "),
    (ATTACK, "--out /dev/full", "out: "),
    (ATTACK, "--out {loop}", "out: "),
    (ATTACK, "--cache {file}", "cache: "),
    (ATTACK, "--cache {folder}", "cache: "),
    (ATTACK, "--cache {database}", "cache: "),
    (ATTACK, "--resources {tmp}/nowhere", "resources: there is no folder"),
    ("attack {folder}", "", "has no config.json"),
    ("transcript {tmp}/nowhere.jsonl", "", "results: there is no file"),
    ("transcript {folder}", "", "results: "),
    ("transcript {empty}", "", "results: "),
    ("transcript {file}", "", "is not JSON"),
    ("transcript {fifo}", "", "results: "),
    ("transcript /dev/zero", "", "results: "),
    ("transcript {loop}", "", "results: "),
    (f"transcript {LONG}", "", "results: "),
    ("transcript {results}", "--html {file}", "html: "),
    ("transcript {results}", "--html {results}", "html: "),
    ("transcript {results}", "--html {folder}", "html: "),
    ("transcript {results}", "--html {file}/page.html", "html: "),
    ("transcript {results}", "--html ~nobody-here/page.html", "html: "),
    ("freeze {results}", "--out {out}.csv", "must end in .parquet"),
    ("freeze {results}", "--out {mine}", "out: "),
    ("freeze {results}", "--out {file}/set.parquet", "out: "),
    ("freeze {results}", f"--out {{tmp}}/{LONG}.parquet", "out: "),
    ("freeze {results}", "--out {out}.parquet --text-columns a,b", "text_columns: "),
    ("freeze {results} {results}", "--out {out}.parquet", "results: "),
    ("freeze {tmp}/nowhere.jsonl", "--out {out}.parquet", "results: there is no file"),
    ("transfer {tmp}/nowhere", "", "experiment: "),
    ("transfer {file}", "", "experiment: "),
    ("transfer {folder}", "", "holds no experiment.yaml"),
    ("transfer {loop}", "", "experiment: "),
    ("run {tmp}/nowhere.yaml", "", "spec: there is no file"),
    ("run match-tuning/table-33", "", "spec: neither a file nor a recipe: unknown name 'match-tuning/table-33'"),
    ("run ''", "", "spec: it is empty"),
    ("run {file}", "", "is no mapping of fields"),
    ("run {empty}", "", "is no mapping of fields"),
    ("run {folder}", "", "spec: "),
    ("run {loop}", "", "spec: "),
    ("run {fifo}", "", "spec: "),
    ("run /dev/zero", "", "spec: "),
    (f"run {LONG}", "", "spec: "),
    ("run match-tuning/table-3", "--scale tiny", "scale: unknown name 'tiny'"),
    ("run demo", "--scale small", "scale: 'small' is for recipes; 'demo' is a spec"),
    ("run demoo", "", "did you mean 'demo'"),
    ("report", "", "experiment: name the folder of one, or say --example"),
    ("report {folder}", "--example", "experiment: name the folder of one, or say --example"),
    ("report", "--example --out {file}", "out: "),
    ("run match-tuning/table-3", "--methods mach", "did you mean 'match'"),
    ("plan match-tuning/table-3", "--seeds 0", "seeds: '0' names no seed"),
    # columns and labels
    (TRAIN, "--text-columns revieww", "there is no column 'revieww'; did you mean 'review'"),
    (TRAIN, "--text-columns ''", "text_columns: not given"),
    (TRAIN, "--text-columns review,review", "text_columns: 'review' is given twice"),
    (TRAIN, "--text-columns review,verdict", "text_columns: 'verdict' is the label column"),
    (TRAIN, "--text-columns a,b,c", "text_columns: one or two are needed, not 3"),
    (TRAIN, "--label-column verdictt", "no column 'verdictt'; did you mean 'verdict'"),
    (TRAIN, "--label-type score", "which is not a finite score"),
    (EVALUATE, "--text-columns revieww", "there is no column 'revieww'"),
    (EVALUATE, "--label-column verdictt", "no column 'verdictt'"),
    # options that contradict each other, or have no effect
    ("train-and-attack --train-file {train} --text-columns review", "", "dev_file: not given"),
    ("train-and-attack --dev-file {dev} --text-columns review", "", "train_file: not given"),
    (TRAIN, "--dev-file {train}", "is the training file"),
    (TRAIN, "--task sst2", "task: 'sst2' is a registered task"),
    (TRAIN, "--data-dir {folder}", "data_dir: it has no effect here: the rows come from files of your own"),
    (TRAIN, "--train-split train", "train_split: it has no effect here"),
    (TRAIN, "--revision v2", "revision: it has no effect here"),
    (TRAIN, "--cue 0.5", "cue: it has no effect here: only the built-in tasks have a cue"),
    (TRAIN, "--model-revision v2", "model_revision: it has no effect here"),
    (TRAIN, "--dev-share 0.1", "dev_share: --dev-file is given too"),
    (BUILT_IN, "--text-columns text", "text_columns: it has no effect here: the task 'demo-sentiment' declares it"),
    (BUILT_IN, "--label-type class", "label_type: it has no effect here"),
    (BUILT_IN, "--data-dir {folder}", "data_dir: it has no effect here: the rows of 'demo-sentiment' are built in"),
    (BUILT_IN, "--train-split train --dev-split train", "is the training split"),
    (BUILT_IN, "--task sst2 --cue 0.5", "cue: it has no effect here"),
    (BUILT_IN, "--cue 2", "cue"),
    (BUILT_IN, "--cue nan", "cue: nan is not a finite number"),
    ("evaluate {model}", "--label-column label", "label_column: it has no effect here"),
    (EVALUATE, "--data-dir {folder}", "data_dir: it has no effect here"),
    (EVALUATE, "--dev-split dev", "dev_split: it has no effect here"),
    (ATTACK, "--revision v2", "revision: it has no effect here"),
    ("attack {model}", "--text-columns text", "text_columns: it has no effect here"),
]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> dict[str, Path]:
    """Files and folders of every kind that can stand in the way; `out` is none of them."""
    load_textattack()  # what some row imports for all others is not its own time
    tmp = tmp_path_factory.mktemp("wrong")
    made = {name: tmp / name for name in ("folder", "loop", "fifo", "file", "database", "out")}
    made |= {"tmp": tmp, "model": tiny_folder, "empty": tmp / "empty.csv", "results": tmp / "lines.jsonl"}
    made |= {"train": tmp / "train.csv", "dev": tmp / "dev.csv", "mine": tmp / "mine.parquet"}
    for name, seed in (("train", 0), ("dev", 5)):
        texts, labels = tiny.sentences(32, seed=seed)
        frame = pd.DataFrame({"review": texts, "verdict": ["good" if label else "bad" for label in labels]})
        frame.to_csv(made[name], index=False)
    frame.to_parquet(made["mine"])
    (tmp / "folder").mkdir()
    (tmp / "folder" / "precious.txt").write_text("mine")
    made["file"].write_text("mine\n")
    made["empty"].write_text("")
    made["loop"].symlink_to(made["loop"])
    os.mkfifo(made["fifo"])
    with sqlite3.connect(made["database"]) as database:
        database.execute("CREATE TABLE precious (mine TEXT)")
    line = {
        "id": "0", "index": 0, "recipe": "deepwordbug", "seed": 3, "model": "", "stopwords": "nltk", "resources": {},
        "text_columns": ["text"], "columns": ["text"], "query_budget": None, "gold": "good", "outcome": "succeeded",
        "original": ["a fine film"], "perturbed": ["a fnie film"], "predicted_before": "good", "predicted_after": "bad",
        "scores_before": [0.125, 0.875], "scores_after": [0.75, 0.25], "queries": 21, "model_rows": 20,
        "cached_rows": 0, "changed": [[[1, 2, 1, 2]]], "words_changed": 1, "words": 3, "similarity": None,
        "seconds": 0.5, "message": "",
    }  # fmt: skip
    made["results"].write_text(json.dumps(line) + "\n")
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, and what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if not path.is_symlink()
    }


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("command", "more", "words"), TABLE)
def test_one_sentence_at_once_and_nothing_written(
    command: str,
    more: str,
    words: str,
    places: dict[str, Path],
    invoke: Callable[..., Done],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = contents(places["tmp"])
    arguments = shlex.split(f"{command} {more}".format_map({name: str(path) for name, path in places.items()}))
    began = time.process_time()
    done = invoke(*arguments)
    seconds = time.process_time() - began
    assert done.refused, (done.returncode, done.stdout[-500:], done.stderr[-1500:])
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert seconds < 5, seconds
    assert contents(places["tmp"]) == before
    assert not list(tmp_path.iterdir())


def test_the_table_is_as_large_as_it_is_said_to_be() -> None:
    assert len(TABLE) >= 150
    assert len(set(TABLE)) == len(TABLE)
