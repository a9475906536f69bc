"""Every setting on every road that has it: the Python interface, a run, a transfer, and the processes that attack."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import robusteval
from robusteval.evaluation.predict import Predictor
from robusteval.experiments.plan import make_plan, start
from robusteval.experiments.run import execute
from robusteval.pipeline import attack as attacking
from robusteval.pipeline import opening, training
from robusteval.pipeline.attack import begin_campaign
from robusteval.pipeline.rows import evaluation_rows
from robusteval.pipeline.transfer import transfer
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.model import ModelConfig
from robusteval.settings.runs import RunSpec
from robusteval.settings.work import WorkConfig
from robusteval.tasks.base import Task
from support import tiny
from support.specs import spec_of

TASK = Task("mine", "test", ("first", "second"), ("bad", "good"), ("accuracy",))
LENGTH, BATCH, DROPOUT, SEED, BUDGET, LIMIT = 24, 8, 0.05, 3, 17, 90.0
OPENING = {"trust_remote_code": True}
NAMED = {**OPENING, "revision": "other"}
TRAINED = {**NAMED, "dropout": DROPOUT, "seed": SEED, "max_length": LENGTH, "batch_size": BATCH}
MAPPED = {"outputs": ("bad", "good")}
ATTACKED = {
    "max_length": LENGTH, "precision": "bf16", "columns": ("second",), "query_budget": BUDGET, "time_limit": LIMIT,
    "resources_dir": True, "attack_seed": SEED, "parallel": 3,
}  # fmt: skip

# road -> the settings that must arrive where the work is done
TABLE: dict[str, dict[str, Any]] = {
    "api.train": TRAINED,
    "api.evaluate": {**NAMED, **MAPPED, "max_length": LENGTH},
    "api.attack": {**NAMED, **MAPPED, **ATTACKED},
    "run": {**TRAINED, **{**ATTACKED, "parallel": 1}, "group": BATCH},
    "transfer": {**OPENING, "max_length": LENGTH, "group": BATCH},
    "worker": {**OPENING, **MAPPED, "max_length": LENGTH, "precision": "bf16"},
}


class Seen:
    """What the functions that do the work were called with, by the name that the table has for it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.values: dict[str, list[Any]] = {}
        opened = {name: name for name in ("revision", "trust_remote_code", "outputs", "dropout", "seed")}
        for module in (opening, training):
            self._watch(patch, module, "open_classifier", opened)
        self._watch(
            patch, Predictor, "__init__", {"max_length": "max_length", "precision": "precision", "group": "group"}
        )
        planned = {name: name for name in ("columns", "query_budget", "time_limit", "resources_dir")}
        self._watch(patch, attacking, "make_plan", {**planned, "seed": "attack_seed"})
        self._watch(patch, attacking, "attack_in_workers", {"parallel": "parallel"})
        fitted = training.fit

        def fit(*given: Any, **more: Any) -> Any:
            config = inspect.signature(fitted).bind(*given, **more).arguments["config"]
            for name in ("max_length", "batch_size"):
                self.values.setdefault(name, []).append(getattr(config, name))
            return fitted(*given, **more)

        patch.setattr(training, "fit", fit)

    def _watch(self, patch: pytest.MonkeyPatch, place: Any, function: str, names: dict[str, str]) -> None:
        done = getattr(place, function)
        signature = inspect.signature(done)

        def call(*given: Any, **more: Any) -> Any:
            bound = signature.bind(*given, **more)
            bound.apply_defaults()
            for name, called in names.items():
                self.values.setdefault(called, []).append(bound.arguments[name])
            return done(*given, **more)

        patch.setattr(place, function, call)


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[Any]]]:
    """Every road taken once; road -> setting -> the values with which it arrived."""
    here = tmp_path_factory.mktemp("roads")
    resources = here / "resources"
    resources.mkdir()
    folder = tiny.save(here / "model")
    for name, count in (("train", 24), ("dev", 10)):
        texts, labels = tiny.sentences(count, seed=count)
        frame = pd.DataFrame(
            {"first": texts, "second": texts[::-1], "label": [("bad", "good")[label] for label in labels]}
        )
        frame.to_csv(here / f"{name}.csv", index=False)
    files = {name: str(here / f"{name.removesuffix('_file')}.csv") for name in ("train_file", "dev_file")}
    trained = DataConfig(text_columns=TASK.text_columns, **files)
    dev = frame.assign(label=[TASK.labels.index(label) for label in frame["label"]])
    tested = {"data": DataConfig(label_map=("bad=LABEL_0", "good=LABEL_1")), "dataset": dev}
    model: dict[str, Any] = {"model_revision": "other", "trust_remote_code": True}
    attacked: dict[str, Any] = {
        "columns": ("second",),
        "precision": "bf16",
        "query_budget": BUDGET,
        "time_limit": LIMIT,
    }
    train = {"dropout": DROPOUT, "max_length": LENGTH, "batch_size": BATCH, "max_steps": 1, "precision": "fp32"}
    work: dict[str, Any] = {"device": "cpu", "parallel": 3, "resources_dir": resources}

    def run() -> None:
        base = RunSpec(
            str(folder), **model, task="mine", data=trained, evaluation=EvalConfig(("clean",)),
            attack=AttackConfig(examples=2, **attacked),
        )  # fmt: skip
        how = WorkConfig(here / "out", **work, quiet=True)
        plan = make_plan(spec_of(base, ["match:eval=batch"], [SEED], train), how)
        start(plan, how)
        execute(plan.jobs[0], how, plan.parts[0].data)

    def worker() -> None:
        config, how = AttackConfig(examples=2, **attacked), WorkConfig(workers=2, **work)
        rows = evaluation_rows(str(folder), TASK, tested["data"], dev, ModelConfig(**model))
        campaign = begin_campaign(
            str(folder), rows, config, SEED, max_length=LENGTH, opening=ModelConfig(**model), work=how
        )
        again.values.clear()
        assert campaign.load is not None
        victim = campaign.load()
        assert victim.name == campaign.classifier.victim("bf16").name

    ways: dict[str, Callable[[], Any]] = {
        "api.train": lambda: robusteval.train(
            str(folder), "mine", seed=SEED, data=trained, device="cpu", quiet=True, **model, **train
        ),
        "api.evaluate": lambda: robusteval.evaluate(
            str(folder), TASK, **tested, suites=("clean",), max_length=LENGTH, device="cpu", **model
        ),
        "api.attack": lambda: robusteval.attack(
            str(folder), TASK, **tested, max_length=LENGTH, seed=SEED, examples=2, **model, **attacked, **work
        ),
        "run": run,
        "transfer": lambda: transfer(here / "out", "cpu"),
        "worker": worker,
    }
    found = {}
    for road, way in ways.items():
        with pytest.MonkeyPatch.context() as patch:
            again = Seen(patch)
            way()
            found[road] = again.values
    for seen in found.values():
        seen["resources_dir"] = [each == resources for each in seen.get("resources_dir", [])]
    return found


@pytest.mark.parametrize(("road", "setting"), [(road, setting) for road, named in TABLE.items() for setting in named])
def test_a_setting_arrives(road: str, setting: str, roads: dict[str, dict[str, list[Any]]]) -> None:
    expected, arrived = TABLE[road][setting], roads[road][setting]
    if setting == "outputs":
        arrived = [tuple(each) for each in arrived]
    if setting in ("precision", "dropout", "seed", "group"):
        # what opens a model a second time, or measures clean text beside an attack, has its own
        assert expected in arrived
    else:
        assert set(map(repr, arrived)) == {repr(expected)}
