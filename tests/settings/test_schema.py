"""The JSON Schema that editors check a spec with says of it what reading it says."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from robusteval.errors import UserError
from robusteval.experiments.recipes import load_recipe, recipe_names
from robusteval.settings.schema import page, schema
from robusteval.settings.spec import ExperimentSpec
from robusteval.storage.reading import read_yaml
from support.places import ROOT

GOOD: list[dict[str, Any]] = [
    {},
    {"tasks": "sst2,mrpc", "methods": ["vanilla", "match:temperature=1/2"], "seeds": 3, "train": {"epochs": "1/2"}},
    {"seeds": [0, 4], "evaluation": {"suites": "clean,mask", "rates": 0.2}, "attack": {"recipes": ["pwws"]}},
    {"settings": [{"task": "rte", "train": {"dropout": None}, "method_settings": {"eps": 2}}], "tasks": ["rte"]},
    {"search": {"over": {"learning_rate": "1e-5..1e-4", "match": {"eps": "1/2"}}, "trials": 3, "seeds": 2}},
]
BAD: list[dict[str, Any]] = [
    {"task": "sst2"},
    {"seeds": "many"},
    {"train": {"epoch": 3}},
    {"train": {"warmup": 2}},
    {"train": {"optimizer": "adam"}},
    {"train": {"bucket": "yes"}},
    {"evaluation": {"sets": 0}},
    {"data": {"dev_share": 0}},
    {"settings": [{"tasks": "sst2"}]},
    {"settings": {"task": "sst2"}},
    {"methods": 3},
    {"search": {"over": {"epochs": "1/2"}, "trails": 3}},
    {"search": {"over": {"epochs": "1/2"}, "select_on": "test"}},
]


def errors(held: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(schema()).iter_errors(held)]


def test_the_page_is_what_the_records_say() -> None:
    assert (ROOT / "docs" / "experiment.schema.json").read_text() == page()
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("held", GOOD, ids=str)
def test_what_is_read_is_valid(held: dict[str, Any]) -> None:
    ExperimentSpec.read(held)
    assert errors(held) == []


@pytest.mark.parametrize("held", BAD, ids=str)
def test_what_is_refused_is_not_valid(held: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        ExperimentSpec.read(held)
    # a text may be a list or a ladder, whose entries a schema does not see
    assert errors(held) or held == {"seeds": "many"}


def test_recipes_and_examples_are_valid() -> None:
    for name in recipe_names():
        for scale in ("full", "small"):
            assert errors(load_recipe(name).scaled(scale)) == [], name
    for path in (ROOT / "examples").glob("*.yaml"):
        assert errors(read_yaml(path)) == [], path
