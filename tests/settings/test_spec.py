"""A spec as a user writes it: lists in short, ladders, settings for a part of the grid, and what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from robusteval.errors import UserError
from robusteval.experiments.grid import expand
from robusteval.settings.spec import ExperimentSpec, changed, matching, to_text
from support.places import ROOT

GRID: dict[str, Any] = {
    "tasks": "demo-sentiment,demo-nli",
    "methods": ["vanilla", "match:temperature=0.5/1", "r3f"],
    "scenarios": "none,label-noise:rate=0.05/0.1",
    "seeds": 2,
    "train": {"max_steps": 10, "learning_rate": 1e-5},
    "settings": [
        {"task": "demo-nli", "train": {"batch_size": 32, "learning_rate": 3e-5}},
        {"task": "demo-nli", "method": "match", "method_settings": {"temperature": 9, "eval": "batch"}},
        {"method": "match:temperature=1", "train": {"learning_rate": 4e-5}},
    ],
}


def runs(held: dict[str, Any], **which: str) -> list[Any]:
    spec = ExperimentSpec.read(held)
    found = [(run, {"task": run.task, "method": run.method.label}) for run in expand(spec)]
    return [run for run, named in found if all(named[key] == value for key, value in which.items())]


def test_the_example_of_the_page_on_experiments_is_read() -> None:
    text = (ROOT / "docs" / "experiments.md").read_text().partition("```yaml\n")[2].partition("```")[0]
    spec = ExperimentSpec.read(yaml.safe_load(text))
    # by hand: (5 columns on minilm, 4 on BERT) x 2 tasks x 3 scenarios x 6 seeds
    found = expand(spec)
    assert len(found) == (5 + 4) * 2 * 3 * 6
    assert {run.train.batch_size for run in found if run.task == "rte"} == {32}


def test_a_grid_has_every_run_once_and_seeds_vary_slowest() -> None:
    found = runs(GRID)
    assert len(found) == 2 * 3 * 4 * 2
    assert len({(run.task, run.scenario.label, run.method.label, run.seed) for run in found}) == len(found)
    assert [run.seed for run in found] == [0] * 24 + [1] * 24


def test_settings_of_a_part_come_before_all_but_the_methods_own_text() -> None:
    names = ("vanilla", "match:temperature=0.5", "match:temperature=1")
    vanilla, half, one = (runs(GRID, task="demo-nli", method=name)[0] for name in names)
    assert (vanilla.train.batch_size, vanilla.train.learning_rate, vanilla.train.max_steps) == (32, 3e-5, 10)
    assert half.method.parts == (("match", {"temperature": 0.5, "eval": "batch"}),)
    assert one.train.learning_rate == 4e-5
    elsewhere = runs(GRID, task="demo-sentiment", method="match:temperature=0.5")[0]
    assert (elsewhere.train.batch_size, elsewhere.train.learning_rate) == (16, 1e-5)
    assert elsewhere.method.parts == (("match", {"temperature": 0.5}),)
    own = {**GRID, "methods": ["vanilla", "match:temperature=1:learning_rate=7e-5"], "settings": GRID["settings"][:1]}
    assert runs(own, task="demo-nli", method="match:temperature=1:learning_rate=7e-5")[0].train.learning_rate == 7e-5


def test_a_number_with_an_exponent_is_one_though_yaml_takes_it_for_a_word() -> None:
    text = "train: {learning_rate: 5e-5}\nmethods: r3f\n"
    text += "settings: [{train: {weight_decay: 1E-2}, method_settings: {eps: 2e-6}}]\n"
    held = yaml.safe_load(text)
    assert held["train"] == {"learning_rate": "5e-5"}
    (run, *_) = expand(ExperimentSpec.read(held))
    assert run.method.parts == (("r3f", {"eps": 2e-6}),)
    assert (run.train.learning_rate, run.train.weight_decay) == (5e-5, 1e-2)
    with pytest.raises(UserError, match="train.learning_rate: 'e-5' is not a valid float"):
        ExperimentSpec.read({"train": {"learning_rate": "e-5"}})


def test_a_ladder_of_a_training_setting_makes_columns() -> None:
    spec = ExperimentSpec.read({"methods": "vanilla,match", "train": {"learning_rate": "1e-5/2e-5", "max_steps": 3}})
    assert [each.label for each in spec.methods] == [
        "vanilla:learning_rate=1e-5", "vanilla:learning_rate=2e-5",
        "match:learning_rate=1e-5", "match:learning_rate=2e-5",
    ]  # fmt: skip
    assert spec.train == {"max_steps": 3}
    assert [run.train.learning_rate for run in expand(spec)[:4]] == [1e-5, 2e-5, 1e-5, 2e-5]


@pytest.mark.parametrize(
    "held", [GRID, {}, {"data": {"train_file": "a.csv", "dev_file": "b.csv", "text_columns": "x,y"}}]
)
def test_what_is_written_is_read_again_and_the_same(held: dict[str, Any]) -> None:
    spec = ExperimentSpec.read(held)
    again = ExperimentSpec.read(yaml.safe_load(to_text(spec)))
    assert to_text(again) == to_text(spec)
    assert again.tasks == spec.tasks and again.methods == spec.methods and again.seeds == spec.seeds


def test_changes_come_first_and_take_what_speaks_of_absent_names_with_them() -> None:
    spec = changed(GRID, {"tasks": ["demo-nli"], "methods": ["vanilla", "r3f"], "train": {"learning_rate": 1e-3}})
    assert spec.methods[1].label == "r3f" and len(spec.settings) == 2
    assert {run.train.learning_rate for run in expand(spec)} == {1e-3}
    assert {run.train.batch_size for run in expand(spec)} == {32}
    narrow = changed({**GRID, "baseline": "r3f"}, {"tasks": "demo-sentiment", "methods": "vanilla", "seeds": "5,"})
    assert narrow.settings == () and narrow.first == "vanilla" and narrow.seeds == (5,)
    assert changed(GRID, {}) == ExperimentSpec.read(GRID)


def test_a_name_stands_for_all_columns_that_have_it_unless_one_is_just_that() -> None:
    labels = ["match", "match:temperature=2", "match+r3f", "r3f:eps=1"]
    assert matching("match", labels) == ["match"]
    assert matching("r3f", labels) == ["r3f:eps=1"]
    assert matching("match:temperature=2", labels) == ["match:temperature=2"]
    assert matching("tdt", labels) == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"task": "sst2"}, "field: unknown name 'task'; did you mean 'tasks'"),
    ({"tasks": []}, "tasks: none given; at least one is needed"),
    ({"seeds": 0}, "seeds: '0' names no seed"),
    ({"seeds": "a"}, "seeds: 'a' is neither a count nor a comma-separated list"),
    ({"methods": "match,match"}, "methods: match is given twice"),
    ({"train": {"epoch": 3}}, "train.field: unknown name 'epoch'; did you mean 'epochs'"),
    ({"train": {"epochs": "many"}}, "train.epochs: 'many' is not a valid float"),
    ({"evaluation": {"rates": [2]}}, "rates: 2.0 is out of range"),
    ({"attack": {"recipe": "pwws"}}, "attack.field: unknown name 'recipe'; did you mean 'recipes'"),
    ({"baseline": "vanila"}, "baseline: unknown name 'vanila'; did you mean 'vanilla'"),
    ({"settings": [{"tasks": "sst2"}]}, "field: unknown name 'tasks'; did you mean 'task'"),
    ({"settings": [{"task": "sst3"}], "tasks": "sst2"}, "settings[0].task: unknown name 'sst3'; did you mean 'sst2'"),
    ({"settings": [{"train": {"epoch": 1}}]}, "settings.train.field: unknown name 'epoch'"),
    ({"settings": [{"method": "vanilla", "evaluation": {"sets": 2}}]}, "it cannot differ between methods or scenarios"),
    ({"settings": {"task": "x"}}, "settings: "),
    ({"seeds": [1, 1]}, "seeds: 1 is given twice"),
    ({"methods": 3}, "methods: 3 is not a list"),
    ({"models": {"a": 1}}, "models: "),
]  # fmt: skip


@pytest.mark.parametrize(("held", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_spec_is_one_sentence_that_names_field_and_value(held: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        ExperimentSpec.read(held)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_settings_of_a_composed_method_name_the_part() -> None:
    held = {"methods": "match+r3f", "settings": [{"method": "match+r3f", "method_settings": {"eps": 1}}]}
    with pytest.raises(UserError, match="'match.r3f' is match and r3f; give a mapping for each by its name"):
        expand(ExperimentSpec.read(held))
    apart = {"match": {"temperature": 3}}
    (run, *_) = expand(ExperimentSpec.read({**held, "settings": [{"method_settings": apart}]}))
    assert run.method.parts == (("match", {"temperature": 3}), ("r3f", {}))
