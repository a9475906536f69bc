"""What earlier versions wrote of experiments and runs is still read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from robusteval.errors import UserError
from robusteval.experiments.grid import expand
from robusteval.experiments.plan import make_plan
from robusteval.settings.attack import AttackConfig
from robusteval.settings.codec import to_dict
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import EARLIER, MethodConfig, RunSpec
from robusteval.settings.spec import ExperimentSpec, to_text
from robusteval.settings.train import TrainConfig
from support.small_experiment import options, small_plan

NOW = RunSpec(
    task="sst2",
    seed=3,
    evaluation=EvalConfig(("clean",), (0.2,), 2, ("sentence",)),
    attack=AttackConfig(("pwws", "pruthi"), 7, ("sentence",), "bf16", query_budget=90, time_limit=2.5),
)
BEFORE: dict[str, Any] = {
    **{name: value for name, value in to_dict(NOW).items() if name != "attack"},
    "evaluation": {
        "suites": ["clean"], "rates": [0.2], "sets": 2, "columns": ["sentence"], "mask_token": None,
        "attacks": ["pwws", "pruthi"], "attack_examples": 7, "attack_precision": "bf16", "query_budget": 90,
        "time_limit": 2.5,
    },
}  # fmt: skip


def test_a_run_of_an_earlier_version_is_the_same_run() -> None:
    assert RunSpec.read(BEFORE) == NOW
    assert RunSpec.read(to_dict(NOW)) == NOW
    older = {**BEFORE, "evaluation": {"suites": ["clean"], "attacks": []}}
    assert RunSpec.read(older).attack == AttackConfig(recipes=())


def earlier(base: dict[str, Any], methods: tuple[MethodConfig, ...], seeds: list[int]) -> dict[str, Any]:
    """The record of an experiment as earlier versions wrote it."""
    return {"base": base, "methods": [to_dict(each) for each in methods], "seeds": seeds}


def test_an_experiment_of_an_earlier_version_is_the_same_experiment() -> None:
    method = MethodConfig.parse("match:temperature=2")
    for base in (BEFORE, to_dict(NOW)):
        spec = ExperimentSpec.read(earlier(base, (method,), [3]))
        (run,) = expand(spec)
        assert run == dataclasses.replace(NOW, method=method, train=TrainConfig(learning_rate=1e-4))  # minilm's own
        assert ExperimentSpec.read(yaml.safe_load(to_text(spec))) == spec


def test_an_unfinished_experiment_of_an_earlier_version_begins_anew_and_says_so(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    plan = small_plan(tiny_folder, csv_files, ("vanilla", "tdt"))
    before = earlier(to_dict(plan.jobs[0].spec), plan.spec.methods, [0])
    attack, evaluation = before["base"].pop("attack"), before["base"]["evaluation"]
    evaluation |= {name: attack[now] for now, name in EARLIER.items()}
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(before))
    title, _, own = plan.jobs[0].name.rpartition(".")
    (tmp_path / "runs" / f"{title}.{own[::-1]}").mkdir(parents=True)
    work = options(tmp_path)
    told = [notice for notice in make_plan(plan.spec, work).notices if "of an earlier version" in notice]
    assert told == [
        f"1 of 2 runs are in {tmp_path} already, but with other settings, of an earlier version, of other rows or of "
        "another model: they stay, and new ones are done beside them"
    ]
    (tmp_path / "runs" / plan.jobs[0].name).mkdir()
    assert not any("of an earlier version" in notice for notice in make_plan(plan.spec, work).notices)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (None, "is no mapping of fields"),
        ({"base": [1]}, "is no mapping of fields"),
        ({"base": {"evaluation": 3}}, "is no mapping of fields"),
        ({"base": {"evaluation": {"attacks": 3}}}, "base.attack.recipes: 3 is not a list"),
        ({"base": {"evaluation": {"attack_example": 3}}}, "base.evaluation.field: unknown name 'attack_example'"),
    ],
)
def test_what_is_no_record_is_one_sentence(held: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ExperimentSpec.read(held)
