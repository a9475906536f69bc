"""Parts of a grid that are not run."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from robusteval.errors import UserError
from robusteval.experiments.grid import expand
from robusteval.settings.spec import ExperimentSpec, changed, to_text

GRID: dict[str, Any] = {
    "models": ["minilm", "roberta-base"],
    "tasks": ["cola", "rte", "stsb"],
    "methods": ["vanilla", "match:temperature=0.5/1"],
    "scenarios": ["none", "low-resource:examples=100"],
    "seeds": 2,
    "skip": [
        {"model": "roberta-base", "task": ["cola", "stsb"]},
        {"model": "minilm", "task": "rte", "method": "match"},
        {"scenario": "low-resource", "task": "stsb"},
    ],
}


def test_a_skipped_part_has_no_runs_and_all_else_has_its_own() -> None:
    runs = expand(ExperimentSpec.read(GRID))
    found = {(run.model, run.task, run.method.label, run.scenario.label) for run in runs}
    two = ("none", "low-resource:examples=100")
    three = ("vanilla", "match:temperature=0.5", "match:temperature=1")
    expected = {("minilm", "cola", method, scenario) for method in three for scenario in two}
    expected |= {("minilm", "rte", "vanilla", scenario) for scenario in two}
    expected |= {("minilm", "stsb", method, "none") for method in three}
    expected |= {("roberta-base", "rte", method, scenario) for method in three for scenario in two}
    assert found == expected
    assert len(runs) == 2 * len(expected) and [run.seed for run in runs] == [0] * 17 + [1] * 17


def test_what_is_skipped_is_written_and_read_again() -> None:
    spec = ExperimentSpec.read(GRID)
    again = ExperimentSpec.read(yaml.safe_load(to_text(spec)))
    assert again.skip == spec.skip and expand(again) == expand(spec)


def test_options_that_leave_names_out_leave_out_what_is_skipped_of_them() -> None:
    spec = changed(GRID, {"models": ["minilm"], "tasks": ["cola", "rte"], "scenarios": ["none"]})
    assert [(each.model, each.task, each.method) for each in spec.skip] == [(("minilm",), ("rte",), ("match",))]
    found = [(run.task, run.method.label) for run in expand(spec) if run.seed == 0]
    assert found == [
        ("cola", "vanilla"), ("cola", "match:temperature=0.5"), ("cola", "match:temperature=1"), ("rte", "vanilla"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("skip", "message"),
    [
        ([{}], "skip[0]: it names no part of the grid"),
        ([{"task": "cola"}, {"task": "rta"}], "skip[1].task: unknown name 'rta'; did you mean 'rte'"),
        ([{"method": "match", "train": {}}], "skip.field: unknown name 'train'"),
        ([{"task": ["cola", "rte", "stsb"]}], "since it leaves minilm, roberta-base on cola, rte, stsb out"),
    ],
)
def test_an_impossible_skip_is_told(skip: list[Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        expand(ExperimentSpec.read({**GRID, "skip": skip}))
    assert message in str(error.value)
