"""The Python interface takes names in files as the command line does, and what was trained with one is tried later."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import torch

from robusteval import api
from robusteval.errors import UserError
from robusteval.registry import result_name
from robusteval.tasks.base import Task
from support import others, tiny

SMALL = {"max_steps": 4, "max_length": 32, "learning_rate": 1e-3, "batch_size": 8}


def test_train_evaluate_and_attack_take_names_in_files(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = others.mine(tmp_path)
    monkeypatch.chdir(tmp_path)
    trained = api.train(str(tiny_folder), "mine.py:OPINION", "mine.py:Smoothing:share=0.5", quiet=True, **SMALL)
    plain = api.train(str(tiny_folder), "mine.py:OPINION", "mine.py:Smoothing:share=0", quiet=True, **SMALL)
    vanilla = api.train(str(tiny_folder), "mine.py:OPINION", quiet=True, **SMALL)
    weights = [each.model.classifier.weight for each in (trained, plain, vanilla)]
    assert torch.equal(weights[1], weights[2]) and not torch.equal(weights[0], weights[1])
    assert trained.task.name == result_name(f"{file}:OPINION")
    folder = trained.save(tmp_path / "model")
    result = api.evaluate(
        folder, "mine.py:OPINION", suites=["clean", "mine.py:Longest:rows=3", "mine.py:mirror"], rates=(0.5,),
        max_length=32, out=tmp_path / "out",
    )  # fmt: skip
    suites = ["clean", *(result_name(f"{file}:{name}") for name in ("Longest", "mirror"))]
    assert list(dict.fromkeys(each.suite for each in result.measurements)) == suites
    assert sorted(path.stem for path in (tmp_path / "out" / "predictions").iterdir()) == sorted(suites)
    attacked = api.attack(folder, "mine.py:OPINION", "mine.py:typos", examples=2, max_length=32)
    assert {line["recipe"] for line in attacked.lines} == {result_name(f"{file}:typos")}
    # what was trained knows its task, from any folder
    monkeypatch.chdir(tmp_path.parent)
    kept = api.evaluate(trained, suites=["clean"])
    assert kept.measurements[0].metrics == result.measurements[0].metrics
    assert [line["id"] for line in api.attack(trained, examples=2).lines] == [line["id"] for line in attacked.lines]
    file.write_text(file.read_text() + "# another content\n")
    with pytest.raises(UserError, match="mine.py"):
        api.evaluate(trained, suites=["clean"])


def test_a_task_of_ones_own_is_not_taken_for_the_registered_one_of_that_name() -> None:
    own = Task("demo-sentiment", "test", ("text",), ("bad", "good"), ("accuracy",))
    texts, labels = tiny.sentences(16, seed=0)
    trained = api.train(
        tiny.model(), own, tokenizer=tiny.tokenizer(), train_dataset=pd.DataFrame({"text": texts, "label": labels}),
        quiet=True, **SMALL,
    )  # fmt: skip
    for use in (api.evaluate, api.attack):
        with pytest.raises(UserError, match="^dataset: not given; a Task of your own needs its rows"):
            use(trained)


def test_a_suite_that_yields_something_else_is_told_by_name(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(
        "from robusteval.evaluation.base import Suite\n"
        "class Odd(Suite):\n    def run(self, subject):\n        yield subject.measure('clean', '', 'dev',"
        " subject.data.dev, subject.clean)\n"
    )
    with pytest.raises(UserError, match=r"^suite 'odd.Odd.\w{8}': its run must yield Measurements that bear its name"):
        api.evaluate(
            tiny.model(), "demo-sentiment", tokenizer=tiny.tokenizer(), suites=[f"{tmp_path}/odd.py:Odd"], max_length=32
        )
