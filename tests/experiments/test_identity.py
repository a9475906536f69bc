"""What a number was measured on and with: nothing of another model, moment or machine gets into it unsaid."""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import robusteval
from robusteval.api import Trained
from robusteval.attacks.plan import make_plan as make_attack_plan
from robusteval.attacks.workers import attack_in_workers
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.experiments.jobs import Job
from robusteval.experiments.plan import Plan, make_plan
from robusteval.experiments.run import execute
from robusteval.methods.compose import build_method
from robusteval.models.saving import save_checkpoint
from robusteval.pipeline.attack import checkpoint_victim
from robusteval.report.experiment import experiment_table
from robusteval.results.attack_lines import finished, forget_errors
from robusteval.results.reading import Run
from robusteval.results.store import RunFolder
from robusteval.runtime import environment
from robusteval.runtime.environment import differences, git_commit, measured_with
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import MethodConfig, RunSpec
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig
from robusteval.storage.reading import read_lines
from robusteval.tasks.examples import examples_from_frame
from robusteval.training.record import TrainingRecord
from robusteval.training.trainer import train
from support import tiny
from support.specs import spec_of

TASK = tiny.TASK
FRAME = pd.DataFrame({"text": ["the good film was quite good", "the plot was very dull and cold"], "label": [1, 0]})


def own_model(folder: Path) -> Path:
    loaded = tiny.loaded()
    save_checkpoint(loaded.model, loaded.tokenizer, folder)
    return folder


def plan_of(
    model: Path, files: tuple[Path, Path], options: WorkConfig, method: str = "vanilla", **settings: Any
) -> Plan:
    data = DataConfig(
        train_file=str(files[0]), dev_file=str(files[1]), text_columns=("review",), label_column="verdict"
    )
    evaluation = EvalConfig(suites=("clean",))
    base = RunSpec(model=str(model), task="mine", data=data, evaluation=evaluation, attack=AttackConfig(examples=4))
    explicit = {"max_steps": 2, "batch_size": 8, "max_length": 32, "learning_rate": 1e-3, **settings}
    return make_plan(spec_of(base, (method,), (0,), explicit), options)


@pytest.fixture
def options(tmp_path: Path) -> WorkConfig:
    return WorkConfig(tmp_path / "out", device="cpu", quiet=True)


def test_another_configuration_or_tokenizer_is_another_run(
    csv_files: tuple[Path, Path], tmp_path: Path, options: WorkConfig
) -> None:
    folder = own_model(tmp_path / "model")
    names = [plan_of(folder, csv_files, options).jobs[0].name]
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    changed = plan_of(folder, csv_files, options)
    names.append(changed.jobs[0].name)
    half = plan_of(folder, csv_files, options, precision="bf16")
    names.append(half.jobs[0].name)
    assert len(set(names)) == 3
    assert "precision" in changed.jobs[0].facts and "precision" not in half.jobs[0].facts


def test_rows_or_a_model_that_change_under_a_run_are_noticed(
    csv_files: tuple[Path, Path], tmp_path: Path, options: WorkConfig
) -> None:
    folder = own_model(tmp_path / "model")
    plan = plan_of(folder, csv_files, options)
    frame = pd.read_csv(csv_files[1])
    frame.iloc[1:].to_csv(csv_files[1], index=False)
    with pytest.raises(UserError, match="data: the rows changed since this command began"):
        execute(plan.jobs[0], options)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    with pytest.raises(UserError, match="model: the files of the model changed since this command began"):
        execute(plan.jobs[0], options, plan.parts[0].data)


def test_a_checkpoint_that_changes_before_a_worker_loads_it_is_noticed(tmp_path: Path) -> None:
    load = functools.partial(checkpoint_victim, own_model(tmp_path / "model"), TASK.labels, 32, "cpu")
    plan = make_attack_plan(examples_from_frame(FRAME, TASK, "dev"), TASK.labels, "deepwordbug")
    with pytest.raises(UserError, match="model: its files changed since this command began"):
        attack_in_workers(load, plan, model="as it was")


def test_the_state_of_another_model_is_refused(tmp_path: Path) -> None:
    config = TrainConfig(max_steps=4, batch_size=8, learning_rate=1e-3)

    def fit(sha256: str, stop: bool) -> None:
        method = build_method(MethodConfig.parse("vanilla"))

        def after_step(step: int) -> None:
            if stop and step == 2:
                raise KeyboardInterrupt

        method.after_step = after_step  # type: ignore[method-assign]
        train(
            dataclasses.replace(tiny.loaded(), sha256=sha256), tiny.encoded(24), config, method, seed=0,
            device=torch.device("cpu"), folder=tmp_path, checkpoint_seconds=0, quiet=True,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        fit("one", stop=True)
    with pytest.raises(UserError, match="belongs to a training with another model"):
        fit("two", stop=False)
    fit("one", stop=False)


def test_a_score_that_is_no_number_is_never_the_best() -> None:
    record, model = TrainingRecord(None, 4, "", None), torch.nn.Linear(1, 1)
    for step, score in enumerate((float("nan"), 0.1, float("nan"), 0.3, 0.2)):
        record.consider(step, score, model, build_method(MethodConfig.parse("vanilla")))
    assert (record.best_step, record.best_score) == (3, 0.3)


def test_a_resume_with_another_textattack_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"tokenizer": tiny.tokenizer(), "dataset": FRAME, "device": "cpu", "max_length": 32}
    robusteval.attack(tiny.model(), TASK, out=tmp_path / "lines.jsonl", **given)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.3.9")
    with pytest.raises(UserError, match="has resources .* but this run has .*0.3.9"):
        robusteval.attack(tiny.model(), TASK, out=tmp_path / "lines.jsonl", **given)


def test_a_commit_is_named_and_whatever_the_package_has_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "robusteval"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(environment, "__file__", str(package / "runtime" / "environment.py"))
    assert git_commit() == ""

    def git(*arguments: str) -> str:
        name = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        done = subprocess.run(["git", *name, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "notes.md").write_text("no part of the package")
    assert git_commit() == commit
    (package / "new.py").write_text("")
    assert git_commit() == f"{commit}+changes"


def test_saving_a_model_loses_nothing_else(tmp_path: Path) -> None:
    trained = Trained(tiny.model(), tiny.tokenizer(), TASK, None)  # type: ignore[arg-type]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.md").write_text("mine")
    (tmp_path / "all" / "first").mkdir(parents=True)
    (tmp_path / "file").write_text("mine")
    own_model(tmp_path / "logged")
    (tmp_path / "logged" / "train.jsonl").write_text("{}\n")
    for name, told in (("mine", "'notes.md'"), ("all", "'first'"), ("file", "is a file"), ("logged", "'train.jsonl'")):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(UserError, match=told):
            trained.save(tmp_path / name)
        assert sorted(tmp_path.rglob("*")) == before
    trained.save(tmp_path / "new")
    trained.save(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    trained.save(tmp_path / "empty")
    assert not list(tmp_path.glob(".*"))


def test_an_evaluation_replaces_its_own_files_only(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "tokenizer": tiny.tokenizer(),
        "dataset": FRAME,
        "suites": ("clean",),
        "device": "cpu",
        "max_length": 32,
    }
    out = tmp_path / "out"
    robusteval.evaluate(tiny.model(), TASK, out=out, **given)
    for name in ("table.md", "attacks/pwws.jsonl"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("{}\n")
    robusteval.evaluate(tiny.model(), TASK, out=out, **given)
    assert (out / "attacks" / "pwws.jsonl").exists()
    assert not (out / "table.md").exists(), "the table of the evaluation before"


def test_errors_of_a_moment_are_tried_again_and_the_model_stays(
    tiny_folder: Path, csv_files: tuple[Path, Path], options: WorkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(tiny_folder, csv_files, options)
    (run,) = plan.jobs
    folder = run.folder(options.out)
    real, asked = Predictor.logits, [0]

    def failing(self: Predictor, texts: Any, *rows: Any) -> Any:
        if rows:  # the dev rows, before anything is attacked
            return real(self, texts, *rows)
        asked[0] += 1
        if asked[0] == 2:
            raise torch.OutOfMemoryError("out of memory")
        return real(self, texts)

    monkeypatch.setattr(Predictor, "logits", failing)
    told = r"attack deepwordbug: 1 of 4 examples .*out of memory.*the same command tries those again, --max-errors 1"
    with pytest.raises(UserError, match=told):
        execute(run, options, plan.parts[0].data)
    assert folder.model.is_dir() and not folder.done
    kept = [line for line in read_lines(folder.path / "attacks" / "deepwordbug.jsonl") if line["outcome"] != "error"]
    monkeypatch.setattr(Predictor, "logits", real)
    execute(run, options, plan.parts[0].data)
    assert folder.done
    lines = read_lines(folder.path / "attacks" / "deepwordbug.jsonl")
    assert lines[: len(kept)] == kept and len(lines) == 4
    assert {line["outcome"] for line in lines} <= {"succeeded", "failed", "skipped"}

    allowed = dataclasses.replace(options, out=options.out.with_name("allowed"), max_errors=1)
    asked[0] = 0
    monkeypatch.setattr(Predictor, "logits", failing)
    execute(run, allowed, plan.parts[0].data)
    errors = [row.value for row in run.folder(allowed.out).rows() if row.metric == "errors"]
    assert errors == [1.0]


def test_only_errors_of_a_moment_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    forget_errors(path)
    assert not path.exists()
    robusteval.attack(
        tiny.model(), TASK, "deepwordbug", dataset=FRAME, tokenizer=tiny.tokenizer(), max_length=32, device="cpu",
        out=path, time_limit=1e-9,
    )  # fmt: skip
    forget_errors(path)
    lines = read_lines(path)
    assert [line["outcome"] for line in lines] == ["error", "error"]
    lines[1]["message"] = "RuntimeError: lost"
    del lines[1]["seal"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    forget_errors(path)
    assert list(finished(path, lines)) == [lines[0]["id"]]


def test_a_model_whose_batches_answer_together_is_attacked_the_same_in_every_way(
    tiny_folder: Path, csv_files: tuple[Path, Path], options: WorkConfig
) -> None:
    found = []
    for name, more in (("plain", {}), ("parallel", {"parallel": 4}), ("uncached", {"cache": False})):
        chosen = dataclasses.replace(options, out=options.out / name, **more)
        plan = plan_of(tiny_folder, csv_files, chosen, "match:eval=batch")
        folder = execute(plan.jobs[0], chosen, plan.parts[0].data)
        lines = read_lines(folder.path / "attacks" / "deepwordbug.jsonl")
        found.append([{key: value for key, value in line.items() if key != "seconds"} for line in lines])
        assert {line["cached_rows"] for line in lines} == {0}
    assert found[0] == found[1] == found[2]


def test_a_table_says_what_was_not_measured_with_the_same(
    tiny_folder: Path, csv_files: tuple[Path, Path], options: WorkConfig
) -> None:
    plan = plan_of(tiny_folder, csv_files, options)
    folder = execute(plan.jobs[0], options, plan.parts[0].data)
    here = measured_with(torch.device("cpu"))
    assert folder.environments()[0]["versions"] == here["versions"] and len(folder.environments()) == 1
    assert differences({"vanilla seed 0": folder.environments(), "vanilla seed 1": [here]}) == []

    other = Run(shutil.copytree(folder.path, options.out / "other"))
    older = {**here, "versions": {**here["versions"], "torch": "2.0.0"}, "hardware": {"accelerator": "a GPU"}}
    folder.note_continuation(older)
    folder.note_continuation(older)
    assert len(folder.environments()) == 2
    told = [
        f"not all measured with the same torch: {here['versions']['torch']} (a and 1 more), 2.0.0 (a)",
        "not all measured with the same device: cpu (a and 1 more), a GPU (a)",
    ]
    assert differences({"a": folder.environments(), "b": [here]}) == told
    table = experiment_table(plan.spec, {"a": Run(folder.path), "b": other}, [job.wanted for job in plan.jobs])
    assert set(told) <= set(table.notes)


def test_a_finished_run_is_left_alone_by_who_waited_for_it(tmp_path: Path) -> None:
    seen = iter([False, True])  # another process finishes it between the look and the lock
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "holds", lambda self, tests: next(seen))
        folder = execute(Job(RunSpec(), "run", "a run"), WorkConfig(tmp_path, device="cpu"))
    assert [path.name for path in folder.path.iterdir()] == []
