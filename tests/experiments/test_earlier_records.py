"""What earlier versions wrote of experiments and runs is still read."""

from __future__ import annotations

from typing import Any

import pytest

from robusteval.errors import UserError
from robusteval.settings.attack import AttackConfig
from robusteval.settings.codec import to_dict
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import ExperimentSpec, MethodConfig, RunSpec

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


def test_an_experiment_of_an_earlier_version_is_the_same_experiment() -> None:
    spec = ExperimentSpec(NOW, (MethodConfig.parse("match:temperature=2"),), (3,))
    assert ExperimentSpec.read({**to_dict(spec), "base": BEFORE}) == spec
    assert ExperimentSpec.read(to_dict(spec)) == spec


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
