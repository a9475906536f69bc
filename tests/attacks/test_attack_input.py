"""What cannot be attacked, or not as one might think, is said before the first query."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import robusteval
from robusteval.attacks.runner import attack_examples
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.settings.data import DataConfig
from robusteval.tasks.examples import examples_from_frame
from support import tiny
from support.specs import spec_of

TASK = tiny.TASK


def rows(*texts: str) -> pd.DataFrame:
    return pd.DataFrame({"text": texts, "label": [index % 2 for index in range(len(texts))]})


def save(folder: Path, labels: tuple[str, ...] | None = None) -> Path:
    """The tiny checkpoint, its classes named where names are given."""
    model = tiny.model()
    if labels:
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {label: index for index, label in enumerate(labels)}
    model.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of all batches that any model is asked for."""
    asked: list[int] = []
    real = Predictor.encoded

    def counting(self: Predictor, encoded: Any, *names: Any) -> Any:
        asked.append(len(encoded))
        return real(self, encoded, *names)

    monkeypatch.setattr(Predictor, "encoded", counting)
    return asked


SHARED: dict[str, Any] = {"max_length": 32, "device": "cpu"}


def attack(model: Any, frame: pd.DataFrame, recipe: str = "deepwordbug", **more: Any) -> Any:
    return robusteval.attack(model, TASK, recipe, dataset=frame, **{**SHARED, **more})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (("bad", "fine"), "names its labels bad, fine but the task names them bad, good"),
        (("bad", "so", "good"), "has 3 labels but the task has 2 (bad, good); --label-map says which"),
    ],
)
def test_a_checkpoint_with_other_labels(
    labels: tuple[str, ...], message: str, tmp_path: Path, queries: list[int]
) -> None:
    model = tiny.model(num_labels=len(labels))
    model.config.id2label = dict(enumerate(labels))
    model.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(UserError) as error:
        attack(str(tmp_path), rows("good film", "bad film"))
    assert message in str(error.value)
    assert queries == []


def test_a_checkpoint_without_names_or_with_other_capitals_is_taken(tmp_path: Path) -> None:
    for name, labels in (("generic", None), ("capitals", ("Bad", "GOOD"))):
        folder = save(tmp_path / name, labels)
        assert attack(str(folder), rows("good film", "bad film")).summary.errors == 0


def test_a_model_in_memory_with_other_labels(queries: list[int]) -> None:
    with pytest.raises(UserError, match="it has 3 outputs but the task needs 2"):
        attack(tiny.model(num_labels=3), rows("good film"), tokenizer=tiny.tokenizer())
    assert queries == []


def test_lines_of_another_model_in_memory_are_not_taken_for_this_ones(tmp_path: Path) -> None:
    model, frame = tiny.model(), rows("the good film was quite good", "the plot was very dull and cold")
    given: dict[str, Any] = {"tokenizer": tiny.tokenizer(), "out": tmp_path / "lines.jsonl"}
    assert attack(model, frame, **given).resumed == 0
    assert attack(tiny.model(), frame, **given).resumed == 2
    with torch.no_grad():
        next(iter(model.parameters()))[0, 0] += 1
    with pytest.raises(UserError, match="lines.jsonl.* model"):
        attack(model, frame, **given)


def test_a_model_in_training_mode_is_attacked_without_dropout() -> None:
    frame = rows("the good film was quite good", "the plot was very dull and cold")
    model = tiny.model(dropout=0.5)

    def timeless(result: Any) -> list[dict[str, Any]]:
        return [{key: value for key, value in line.items() if key != "seconds"} for line in result.lines]

    expected = timeless(attack(model, frame, tokenizer=tiny.tokenizer()))
    assert timeless(attack(model.train(), frame, tokenizer=tiny.tokenizer())) == expected
    # the driver below the API leaves the model in the mode in which it found it
    model.train()
    predictor = Predictor(model, tiny.tokenizer(), 32)
    examples = examples_from_frame(frame, TASK, "dev")
    result = attack_examples(predictor.logits, examples, TASK.labels, "deepwordbug", text_columns=("text",))
    assert [line["outcome"] for line in timeless(result)] == [line["outcome"] for line in expected]
    assert model.training


@pytest.mark.parametrize("text", ["", " \n"])
def test_empty_text(text: str, queries: list[int]) -> None:
    with pytest.raises(UserError, match="tiny dataset: column 'text': row 1 is empty text"):
        attack(tiny.model(), rows("good film", text), tokenizer=tiny.tokenizer())
    assert queries == []


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("deepwordbugs", "attack recipe: unknown name 'deepwordbugs'; did you mean 'deepwordbug'"),
        ("seq2sick", "is left out"),
        ("hotflip", "missing resources"),
    ],
)
def test_a_recipe_that_cannot_run(recipe: str, message: str, tmp_path: Path, queries: list[int]) -> None:
    out = tmp_path / "lines.jsonl"
    with pytest.raises(UserError) as error:
        attack(tiny.model(), rows("good film"), recipe, tokenizer=tiny.tokenizer(), out=out)
    assert message in str(error.value)
    assert queries == []
    assert not out.exists()


def test_a_missing_resource_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, queries: list[int]
) -> None:
    monkeypatch.setenv("TA_CACHE_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(UserError) as error:
        attack(
            tiny.model(), rows("good film"), "textfooler", tokenizer=tiny.tokenizer(), resources_dir=tmp_path
        )  # fmt: skip
    message = str(error.value)
    assert "attack recipe 'textfooler': missing resources" in message
    for part in ("counter-fitted vectors", "looked for", "supply:", str(tmp_path)):
        assert part in message
    assert queries == []


LONG = " ".join(["the", "film", "was", "good"] * 20)


def test_more_tokens_than_the_model_reads(queries: list[int]) -> None:
    with pytest.raises(UserError, match=r"max_length: 65 tokens is more than this model can read \(64\)"):
        attack(tiny.model(), rows("good film"), tokenizer=tiny.tokenizer(), max_length=65)
    assert queries == []


def test_a_text_over_the_limit_is_attacked_only_on_demand_whole_and_judged_by_what_the_model_sees() -> None:
    model, tokenizer = tiny.model(), tiny.tokenizer()
    line = attack(model, rows(LONG), tokenizer=tokenizer, max_length=16, truncate=True).lines[0]
    assert line["words"] == 80
    assert line["outcome"] != "error"
    # whatever stands beyond the limit changes no score
    predict = Predictor(model, tokenizer, 16).logits
    scores = torch.softmax(torch.from_numpy(predict([(" ".join(LONG.split()[:14]),)])), dim=1)[0].tolist()
    assert line["scores_before"] == pytest.approx(scores, abs=1e-5)


def test_texts_over_the_limit_are_counted_before_an_attack(caplog: pytest.LogCaptureFixture) -> None:
    long = " ".join(LONG.split()[:30])
    model, tokenizer, texts = tiny.model(), tiny.tokenizer(), rows(long, "bad film", long)
    told = r"2 of 3 texts to attack are longer than 16 tokens \(max_length\)"
    with pytest.raises(UserError, match=f"^attack: {told}.*; --max-length (\\d+) holds all, --truncate") as refused:
        attack(model, texts, tokenizer=tokenizer, max_length=16)
    attack(model, texts, tokenizer=tokenizer, max_length=16, truncate=True)
    assert re.search(told, caplog.text)
    caplog.clear()
    enough = int(str(refused.value).partition("--max-length ")[2].split()[0])
    with pytest.raises(UserError, match="longer than"):
        attack(model, texts, tokenizer=tokenizer, max_length=enough - 1)
    attack(model, texts, tokenizer=tokenizer, max_length=enough)
    assert "longer than" not in caplog.text


def test_the_plan_of_an_experiment_counts_texts_over_the_limit(tmp_path: Path, tiny_folder: Path) -> None:
    from robusteval.experiments.plan import make_plan
    from robusteval.settings.attack import AttackConfig
    from robusteval.settings.evaluation import EvalConfig
    from robusteval.settings.runs import RunSpec
    from robusteval.settings.work import WorkConfig

    for name, texts in (("train", ["good film", "bad film"]), ("dev", [LONG, "bad plot", LONG])):
        pd.DataFrame({"text": texts, "label": (["good", "bad", "good"])[: len(texts)]}).to_csv(tmp_path / f"{name}.csv")
    data = DataConfig(
        train_file=str(tmp_path / "train.csv"), dev_file=str(tmp_path / "dev.csv"), text_columns=("text",)
    )
    base = RunSpec(model=str(tiny_folder), task="own", data=data, evaluation=EvalConfig(suites=("clean",)))
    spec = spec_of(base, ["vanilla"], [0], {"max_length": 16})
    with pytest.raises(UserError, match=r"^attack: 2 of 3 texts to attack are longer than 16 tokens.* --truncate"):
        make_plan(spec, WorkConfig(tmp_path / "out", device="cpu"))
    base = dataclasses.replace(base, attack=AttackConfig(truncate=True))
    spec = spec_of(base, ["vanilla"], [0], {"max_length": 16})
    plan = make_plan(spec, WorkConfig(tmp_path / "out", device="cpu"))
    assert "2 of 3 dev texts are cut to 16 tokens (max_length)" in plan.notices
    assert any("2 of 3 texts to attack are longer than 16 tokens" in notice for notice in plan.notices)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--attack", "pwsw"), "attack recipe: unknown name 'pwsw'; did you mean 'pwws'"),
        (("--attack", "a2t"), "attack recipe 'a2t': missing resources"),
        (("--max-length", "65"), "max_length: 65 tokens is more than this model can read (64)"),
        (("--columns", "text"), "columns: unknown name 'text'"),
        (("--attack-examples", "0"), "attack_examples: 0 is out of range"),
        (("--query-budget", "0"), "query_budget: 0 is out of range"),
        (("--task", "demo-nli"), "registered task; give files of your own another name"),
    ],
)
def test_the_command_says_so_in_one_sentence(
    arguments: tuple[str, ...],
    message: str,
    tiny_folder: Path,
    tmp_path: Path,
    queries: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from robusteval.cli import main

    file, out = tmp_path / "dev.csv", tmp_path / "lines.jsonl"
    pd.DataFrame({"review": ["good film", "bad film"], "label": ["LABEL_1", "LABEL_0"]}).to_csv(file)
    arguments = (
        "robusteval", "attack", str(tiny_folder), "--dev-file", str(file), "--text-columns", "review",
        "--device", "cpu", "--max-length", "32", "--out", str(out), *arguments,
    )  # fmt: skip
    monkeypatch.setattr("sys.argv", list(arguments))
    with pytest.raises(SystemExit) as end:
        main()
    errors = capsys.readouterr().err
    assert end.value.code == 2
    assert message in errors
    assert "Traceback" not in errors
    assert queries == []
    assert not out.exists()
