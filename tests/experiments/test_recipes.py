"""The papers' results as recipes: how a file is read, and whether its numbers are those that the papers print."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from robusteval.errors import UserError
from robusteval.experiments.recipes import load_recipe, read_recipe, recipe_names


def a_recipe(**changes: Any) -> dict[str, Any]:
    """A recipe of two methods on two tasks, by file keys."""
    table = {
        "caption": "GLUE",
        "where": {"suite": "clean"},
        "rows": {"Vanilla": {"method": "vanilla"}, "MATCH": {"method": "match"}},
        "columns": {
            "CoLA": {"task": "cola", "metric": "mcc"},
            "RTE": {"task": "rte", "metric": "accuracy"},
            "Avg": {"average": ["CoLA", "RTE"]},
        },
        "published": {"Vanilla": [60.6, 70.0, 65.3], "MATCH": [{"mean": 61, "max": 62.5}, None, None]},
    }
    whole = {
        "paper": "p", "result": "table-1", "caption": "GLUE.",
        "spec": {"models": ["bert-large-cased"], "methods": ["vanilla", "match"], "train": {"epochs": 3}, "seeds": 10},
        "small": {"models": ["minilm"], "train": {"max_steps": 4}},
        "tables": [{**table, **changes.pop("table", {})}],
    }  # fmt: skip
    return {**whole, **changes}


def read(held: dict[str, Any]) -> Any:
    return read_recipe(yaml.safe_dump(held, sort_keys=False).encode(), "p/table-1")


def test_a_recipe_says_where_each_number_stands_and_what_the_paper_prints() -> None:
    recipe = read(a_recipe())
    (table,) = recipe.tables
    cell = table.cell("MATCH", "RTE")
    assert cell.given == {
        "task": "rte", "method": "match", "suite": "clean", "metric": "accuracy", "scenario": "none", "value": "",
        "statistic": "mean", "sound": False,
    }  # fmt: skip
    assert table.cell("Vanilla", "Avg").average == ("CoLA", "RTE")
    assert table.number("Vanilla", "Avg") == {"mean": 65.3}
    assert table.number("MATCH", "CoLA") == {"mean": 61.0, "max": 62.5}
    assert table.number("MATCH", "RTE") == {}
    assert recipe.scaled()["train"] == {"epochs": 3}
    small = recipe.scaled("small")
    assert small["train"] == {"epochs": 3, "max_steps": 4}
    assert small["models"] == ["minilm"] and small["methods"] == ["vanilla", "match"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"not": ["x"]}, "field: unknown name 'not'; did you mean 'notes'?"),
        ({"table": {"wher": {}}}, "tables.field: unknown name 'wher'; did you mean 'where'?"),
        ({"table": {"where": {"suit": "clean"}}}, "tables.where.field: unknown name 'suit'; did you mean 'suite'?"),
        ({"table": {"where": {"suite": "clean", "task": "cola"}}}, "task of the cell 'Vanilla', 'CoLA' is given twice"),
        ({"table": {"where": {}}}, "the cell 'Vanilla', 'CoLA' of 'GLUE' has no suite"),
        ({"table": {"where": {"suite": "clean", "statistic": "median"}}}, "statistic: unknown name 'median'"),
        ({"table": {"published": {"Vanila": [1, 2, 3]}}}, "published: unknown name 'Vanila'; did you mean 'Vanilla'?"),
        ({"table": {"published": {"Vanilla": [1, 2, 3]}}}, "published: the row 'MATCH' is missing"),
        ({"table": {"published": {"Vanilla": [1, 2], "MATCH": [1, 2, 3]}}}, "'Vanilla' has 2 numbers for 3 columns"),
        ({"table": {"published": {"Vanilla": [1, 2, "3"], "MATCH": [1, 2, 3]}}}, "'Vanilla', 'Avg': '3' is no number"),
        ({"table": {"published": {"Vanilla": [1, 2, {"best": 3}], "MATCH": [1, 2, 3]}}}, "unknown name 'best'"),
        ({"table": {"columns": {"Avg": {"average": ["CoLA"]}}, "published": {}}}, "unknown name 'CoLA'"),
        ({"table": {"rows": {"Avg": {"average": ["CoLA"]}}, "published": {}}}, "'Avg' of 'GLUE' is an average"),
        ({"table": {"rows": {}}}, "tables: 'GLUE' has no rows"),
        ({"tables": []}, "tables: there is none"),
        ({"result": "table-2"}, "recipe p/table-1: it says that it is 'p/table-2'"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_recipe_is_told_in_one_sentence(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as told:
        read(a_recipe(**changes))
    assert str(told.value).startswith("recipe p/table-1: ") and message in str(told.value)


def test_an_unknown_recipe_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match="recipe: unknown name 'match-tuning/table3'; did you mean 'match-tuning/table"):
        load_recipe("match-tuning/table3")


def test_tables_of_other_models_are_left_out_and_the_first_stands_for_a_smaller_one() -> None:
    columns = {
        "CoLA": {"model": "bert-base-cased", "task": "cola", "metric": "mcc"},
        "RTE": {"model": "bert-base-cased", "task": "rte", "metric": "accuracy"},
        "Avg": {"average": ["CoLA", "RTE"]},
        "large CoLA": {"model": "bert-large-cased", "task": "cola", "metric": "mcc"},
        "large Avg": {"average": ["large CoLA"]},
    }
    published = {"Vanilla": [1, 2, 3, 4, 5], "MATCH": [6, 7, 8, 9, 10]}
    recipe = read(a_recipe(table={"columns": columns, "published": published}))
    assert recipe.tables_for(["bert-base-cased", "bert-large-cased"]) == recipe.tables
    (large,) = recipe.tables_for(["bert-large-cased"])
    assert list(large.columns) == ["large CoLA", "large Avg"] and large.published["MATCH"] == (9, 10)
    (small,) = recipe.tables_for(["minilm"])
    assert list(small.columns) == ["CoLA", "RTE", "Avg"] and small.cell("MATCH", "RTE").model == "minilm"


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_read_and_its_averages_hold(name: str) -> None:
    assert load_recipe(name).name == name
