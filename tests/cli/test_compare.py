"""`compare` on the command line: checkpoints, evaluations, runs and methods, its exit codes, and what it refuses."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
from transformers import AutoModelForSequenceClassification

from support import tiny
from support.field_cases import Done
from support.small_experiment import done, small_plan

Invoke = Callable[..., Done]
ROWS = "--dev-file {dev} --text-columns review --label-column verdict --max-length 32 --device cpu"


class Places(NamedTuple):
    """Two checkpoints that differ, the second one's outputs in the other order; a file of rows; an experiment."""

    a: Path
    b: Path
    dev: Path
    experiment: Path

    def words(self, text: str) -> list[str]:
        return shlex.split(text.format(**self._asdict()))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder = tmp_path_factory.mktemp("compare")
    for name, seed, labels in (("a", 0, ["bad", "good"]), ("b", 4, ["Good", "Bad"])):
        tiny.save(folder / name, seed=seed)
        model = AutoModelForSequenceClassification.from_pretrained(folder / name)
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {label: index for index, label in enumerate(labels)}
        model.save_pretrained(folder / name)
    files = []
    for name, count in (("train", 48), ("dev", 24)):
        texts, gold = tiny.sentences(count, seed=count)
        verdict = ["good" if label else "bad" for label in gold]
        frame = pd.DataFrame({"review": texts, "verdict": verdict, "from": [row // 2 for row in range(count)]})
        frame.to_csv(folder / f"{name}.csv", index=False)
        files.append(folder / f"{name}.csv")
    plan = small_plan(folder / "a", (files[0], files[1]), ("vanilla", "rdrop"))
    assert done(plan, folder / "experiment", keep_models=True)[0] == 0
    return Places(folder / "a", folder / "b", files[1], folder / "experiment")


def test_two_checkpoints(places: Places, invoke: Invoke, tmp_path: Path) -> None:
    """The second orders its labels otherwise and spells them otherwise: it is measured as `evaluate` does."""
    tests = "--suites clean,mask --rates 0.3 --sets 2 --attacks deepwordbug --attack-examples 4"
    given = f"compare {{a}} {{b}} {ROWS} {tests} --cluster from --json"
    ended = invoke(
        *places.words(given), "--fail-if", "clean accuracy difference >= 0", "--fail-if", "accuracy value > 100"
    )
    assert ended.returncode == 3, ended.stderr
    held = json.loads(ended.stdout)
    alone = invoke(
        *places.words(f"evaluate {{b}} {ROWS} --suites clean,mask --rates 0.3 --sets 2 --out {tmp_path / 'b'}")
    )
    assert alone.returncode == 0, alone.stderr
    rows = [json.loads(line) for line in (tmp_path / "b" / "rows.jsonl").read_text().splitlines()]
    expected = {(row["suite"], row["metric"]): row["value"] for row in rows if "suite" in row}
    measured = {(line["suite"], line["metric"]): line for line in held["tests"]}
    for key in (("clean", "accuracy"), ("mask", "accuracy"), ("clean", "macro_f1")):
        assert measured[key]["b"] == pytest.approx(expected[key])
        assert (measured[key]["n"], measured[key]["originals"]) == (24, 12)
    assert ("attack", "accuracy_under_attack") in measured
    assert [each["failed"] for each in held["conditions"]] == [True, False, False]
    assert (
        "FAIL clean accuracy difference >= 0" in ended.stderr and "pass mask@0.3 accuracy value > 100" in ended.stderr
    )
    texts = set(pd.read_csv(places.dev)["review"])
    assert held["examples"] and all(set(each["texts"]) <= texts for each in held["examples"])
    assert {each["gold"] for each in held["examples"]} <= {"bad", "good"}
    assert "other tokens" not in " ".join(held["notes"])


def test_a_checkpoint_against_a_kept_evaluation(places: Places, invoke: Invoke, tmp_path: Path) -> None:
    """It is tested with the settings of the evaluation; once both are kept, nothing is tested again."""
    kept = tmp_path / "kept"
    before = invoke(*places.words(f"evaluate {{a}} {ROWS} --suites clean,mask --rates 0.3 --sets 2 --out {kept}"))
    assert before.returncode == 0, before.stderr
    rows = ROWS.replace("--max-length 32", "")
    ended = invoke(*places.words(f"compare {kept} {{b}} {rows} --json --fail-if 'accuracy drop > 100'"))
    assert ended.returncode == 0, ended.stderr
    measured = json.loads(ended.stdout)["tests"]
    assert {(line["suite"], line["value"]) for line in measured} == {("clean", ""), ("mask", "0.3")}
    other = tmp_path / "other"
    invoke(*places.words(f"evaluate {{b}} {ROWS} --suites clean --out {other}"))
    both = invoke(*places.words(f"compare {kept} {other}"))
    assert both.returncode == 0 and "measured for A alone: mask@0.3" in both.stdout, both.stderr
    # ids alone where nobody says where the texts are
    texts = pd.read_csv(places.dev)["review"].tolist()
    assert "gold bad" in both.stdout and not any(each in both.stdout for each in texts)
    told = invoke(*places.words(f"compare {kept} {other} {ROWS.partition(' --max')[0]}"))
    assert any(each in told.stdout for each in texts), told.stderr
    refused = invoke(*places.words(f"compare {kept} {other} --suites clean"))
    assert refused.returncode == 2 and "suites: it has no effect here: A and B were tested already" in refused.stderr


def test_methods_and_runs_of_an_experiment(places: Places, invoke: Invoke) -> None:
    methods = invoke(
        *places.words("compare {experiment}:vanilla {experiment}:rdrop --fail-if 'clean accuracy drop > 101'")
    )
    assert methods.returncode == 0, methods.stderr
    assert (
        "One seed says nothing of the methods" in methods.stdout and "pass clean accuracy drop > 101" in methods.stdout
    )
    assert "attack deepwordbug" in methods.stdout and "calibration" in methods.stdout
    runs = sorted((places.experiment / "runs").iterdir())
    models = invoke("compare", *map(str, runs))
    assert models.returncode == 0, models.stderr
    assert "not the methods that trained them" in models.stdout


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{a} {a}", "b: '{a}' is A itself"),
        ("{a} {a}/../a", "is A itself"),
        ("{a}", "b: not given, and it is needed"),
        ("{a} nowhere", "model: unknown name 'nowhere'"),
        ("{a} {dev}", "is a file; name the folder of a checkpoint"),
        (
            "{experiment} {experiment}:rdrop",
            "a: '{experiment}' is an experiment; name one of its methods, {experiment}:",
        ),
        ("{experiment}:vanilla {experiment}:rdorp", "unknown name 'rdorp'; did you mean 'rdrop'"),
        ("{experiment}:vanilla {b}", "'{experiment}:vanilla' is a method, of which there are several models"),
        ("{experiment}:vanilla {experiment}:rdrop --sets 2", "sets: it has no effect here"),
        ("{experiment}:vanilla {experiment}:rdrop --task sst2", "was tested on mine, not on 'sst2'"),
        ("{experiment}:vanilla {experiment}:rdrop --fail-if 'clean acuracy drop > 1'", "did you mean 'clean accuracy'"),
        ("{experiment}:vanilla {experiment}:rdrop --primary 'mask accuracy'", "primary: unknown name 'mask accuracy'"),
        ("{a} {b} --fail-if 'accuracy falls'", "fail_if: 'accuracy falls' is not [SUITE[@VALUE]] METRIC drop|gain"),
        (
            "{a} {b} --rates 0.3 --fail-if 'mask@0.2 accuracy drop > 1'",
            "unknown name 'mask@0.2'; did you mean 'mask@0.3'",
        ),
        ("{a} {b} --suites clean --fail-if 'mask accuracy drop > 1'", "fail_if: unknown name 'mask'"),
        ("{a} {b} --examples -1", "examples: -1 is out of range"),
        ("{a} {b} --attacks deepwordbg", "did you mean 'deepwordbug'"),
        (
            "{a} {b} --suites clean --eval-limit 4 --cluster origin",
            "cluster: there is no column 'origin'; the rows have review",
        ),
    ],
)
def test_what_is_refused(places: Places, invoke: Invoke, given: str, words: str) -> None:
    tested = " " + ROWS if "{a} {b} --" in given else ""
    ended = invoke("compare", *places.words(given + tested))
    assert ended.returncode == 2, ended.stdout
    said = " ".join(ended.stderr.split())
    assert words.format(**places._asdict()) in said and "Traceback" not in said
