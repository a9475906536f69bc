"""What earlier versions wrote of experiments and runs is still read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from robusteval.errors import UserError
from robusteval.experiments.plan import make_plan
from robusteval.settings.attack import AttackConfig
from robusteval.settings.codec import to_dict
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import EARLIER, ExperimentSpec, MethodConfig, RunSpec
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


def test_an_experiment_of_an_earlier_version_is_the_same_experiment() -> None:
    spec = ExperimentSpec(NOW, (MethodConfig.parse("match:temperature=2"),), (3,))
    assert ExperimentSpec.read({**to_dict(spec), "base": BEFORE}) == spec
    assert ExperimentSpec.read(to_dict(spec)) == spec


def test_an_unfinished_experiment_of_an_earlier_version_begins_anew_and_says_so(
    tiny_folder: Path, csv_files: tuple[Path, Path], tmp_path: Path
) -> None:
    plan = small_plan(tiny_folder, csv_files, ("vanilla", "tdt"))
    before = to_dict(plan.spec)
    attack, evaluation = before["base"].pop("attack"), before["base"]["evaluation"]
    evaluation |= {name: attack[now] for now, name in EARLIER.items()}
    (tmp_path / "experiment.yaml").write_text(yaml.safe_dump(before))
    title, _, own = plan.runs[0].name(**plan.facts).rpartition(".")
    (tmp_path / "runs" / f"{title}.{own[::-1]}").mkdir(parents=True)
    work = options(tmp_path)
    told = make_plan(plan.spec, work).notices
    assert [notice for notice in told if "of an earlier version" in notice] == [
        f"1 of 2 runs in {tmp_path} are of an earlier version, of other rows or of another model: they are left as "
        "they are and measured anew"
    ]
    (tmp_path / "runs" / plan.runs[0].name(**plan.facts)).mkdir()
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
