"""The papers' results as recipes: how a file is read, and whether its runs are those of the paper."""

from __future__ import annotations

import functools
import itertools
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import yaml

from robusteval.cli.asked import from_name
from robusteval.components.optimizers import learning_rate_at
from robusteval.errors import UserError
from robusteval.experiments.grid import expand
from robusteval.experiments.recipes import Scale, load_recipe, read_recipe, recipe_names
from robusteval.settings.runs import RunSpec
from robusteval.settings.spec import ExperimentSpec
from robusteval.training.order import BatchOrder
from support.recipe_rows import rows_of

ROOT = Path(__file__).parents[2]


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


def test_the_recipe_of_the_docs_is_one() -> None:
    (shown,) = re.findall("```yaml\n(.*?)```", (ROOT / "docs/recipes.md").read_text(), re.DOTALL)
    recipe = read_recipe(shown.encode(), "match-tuning/table-7")
    assert recipe.tables[0].number("M.T.", "CoLA") == {"mean": 64.39, "max": 67.25}
    assert len(expand(ExperimentSpec.read(recipe.scaled()))) == 40


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


def test_settings_of_models_that_another_replaces_are_said_to_be_left_out() -> None:
    assert from_name("pats/table-1", "full", {"models": ["minilm"]}).notices == (
        "settings for bert-base-uncased, roberta-large (learning_rate) are left out, because --model replaces these "
        "models",
    )
    for models in ({}, {"models": ["roberta-large", "bert-base-uncased"]}):
        assert from_name("pats/table-1", "full", models).notices == ()


# models x tasks x methods x scenarios x seeds; and at small scale, with one model and without factors of 1
RUNS = {
    "match-tuning/table-1": (1 * 4 * 10 * 1 * 10, 4 * 4 * 2),
    "match-tuning/table-2": (1 * 5 * 5 * 1 * 3, 2 * 2 * 2),
    # three rates of noise, and none for the drop
    "match-tuning/table-3": (1 * 3 * 5 * 4 * 10, 3 * 2 * 3 * 2),
    "match-tuning/table-4": (1 * 8 * 6 * 1 * 1, 5 * 6 * 1),
    "match-tuning/table-5": (1 * 3 * 5 * 3 * 10, 3 * 2 * 2 * 2),
    # two methods with the groups as they are, two with each group drawn equally often
    "match-tuning/table-6": (1 * 1 * (2 + 2) * 10, (2 + 2) * 2),
    "match-tuning/table-7": (1 * 3 * 4 * 1 * 10, 3 * 4 * 2),
    "match-tuning/table-11": (1 * 4 * 4 * 1 * 10, 4 * 3 * 2),
    "match-tuning/figure-3": (1 * 1 * 1 * 1 * 1, 1),
    "match-tuning/figure-4": (1 * 1 * 2 * 1 * 1, 2),
    "bi-drop/table-2": (1 * 4 * 10 * 1 * 10, 4 * 4 * 2),
    "bi-drop/table-3": (6 * 4 * 2 * 1 * 10, 4 * 2 * 2),
    "bi-drop/table-4": (1 * 2 * 5 * 1 * 10, 2 * 3 * 2),
    # three rates of noise, three reductions, and none for the drop
    "bi-drop/table-5": (1 * 3 * 4 * 7 * 10, 3 * 2 * 3 * 2),
    "bi-drop/table-6": (1 * 8 * 4 * 2 * 10, 5 * 2 * 2),
    "bi-drop/table-7": (1 * 4 * 6 * 1 * 10, 4 * 4 * 2),
    "bi-drop/table-10": (1 * 4 * 3 * 1 * 10, 4 * 3 * 2),
    "bi-drop/table-11": (1 * 4 * 5 * 1 * 10, 4 * 3 * 2),
    "bi-drop/figure-3": (1 * 3 * 2 * 1 * 10, 3 * 2 * 2),
    "bi-drop/figure-4": (1 * 4 * 5 * 1 * 10, 4 * 3 * 2),
    # four rates of dropout
    "bi-drop/figure-5": (1 * 4 * 4 * 1 * 10, 4 * 3 * 2),
}


@functools.cache
def runs_of(name: str, scale: Scale = "full") -> list[RunSpec]:
    return expand(ExperimentSpec.read(load_recipe(name).scaled(scale)))


def test_every_result_has_as_many_runs_as_the_paper() -> None:
    names = [name for name in recipe_names() if name.startswith(("match-tuning/", "bi-drop/"))]
    assert {name: (len(runs_of(name)), len(runs_of(name, "small"))) for name in names} == RUNS
    for runs in (runs_of(name, scale) for name in names for scale in get_args(Scale)):
        assert len({(run.model, run.task, run.method.label, run.scenario.label, run.seed) for run in runs}) == len(runs)
        assert not any(run.attack.recipes for run in runs)


@pytest.mark.parametrize("name", recipe_names())
def test_every_coordinate_is_of_a_row_that_the_recipes_runs_leave(name: str) -> None:
    recipe = load_recipe(name)
    scale: Scale
    for scale in get_args(Scale):
        spec = ExperimentSpec.read(recipe.scaled(scale), f"{name} {scale}: ")
        left = dict[tuple[str, ...], set[tuple[str, str, str]]]()
        for run in expand(spec):
            left.setdefault((run.model, run.task, run.method.label, run.scenario.label), rows_of(run))
        found = missed = 0
        for table in recipe.tables_for(spec.models):
            plain = [label for label, at in table.columns.items() if not at.average]
            for row, column in itertools.product(table.rows, plain):
                at = table.cell(row, column)
                models = [each for each in spec.models if at.model in (None, each)]
                places = [(each, at.task, at.method, at.scenario) for each in models]
                there = [place for place in places if place in left]
                assert len(there) <= 1, ("several models have this number", table.caption, row, column)
                found, missed = found + len(there), missed + (not there)
                for place in there:
                    assert (at.suite, at.value, at.metric) in left[place], (table.caption, row, column)
                    assert at.statistic != "drop" or (*place[:3], "none") in left
        assert found and (scale == "small" or not missed), (scale, found, missed)


def test_options_shrink_a_recipe_and_leave_the_paper_s_settings_of_the_rest() -> None:
    asked = from_name("bi-drop/table-3", "full", {"models": ["roberta-large"], "tasks": ["cola", "rte"], "seeds": "3"})
    runs = expand(asked.spec)
    assert len(runs) == 1 * 2 * 2 * 3
    assert {(run.task, run.train.max_steps) for run in runs} == {("cola", 5336), ("rte", 2036)}
    assert len(expand(from_name("bi-drop/table-3", "small", {"methods": ["bidrop"], "seeds": "1"}).spec)) == 4


def test_training_settings_are_those_of_the_papers_tables_9_and_10() -> None:
    """Bi-Drop's Table 9 (its BERT and ELECTRA rows are MATCH-TUNING's Table 10): batch, steps and warm-up steps."""
    rows = {"cola": 8551, "mrpc": 3668, "rte": 2490, "stsb": 5749}
    # 3 epochs of ceil(n / 16) steps, the first tenth with a rising rate
    bert = {"cola": (16, 1605, 161), "rte": (16, 468, 47), "mrpc": (16, 690, 69), "stsb": (16, 1080, 108)}
    roberta = {"cola": (16, 5336, 320), "rte": (16, 2036, 122), "mrpc": (16, 2296, 137), "stsb": (16, 3598, 214)}
    expected = {
        "bert-base-uncased": bert, "bert-large-cased": bert, "roberta-base": roberta, "roberta-large": roberta,
        # 3, 10, 3 and 10 epochs of ceil(n / 32)
        "electra-large": {
            "cola": (32, 804, 81), "rte": (32, 780, 78), "mrpc": (32, 345, 35), "stsb": (32, 1800, 180),
        },
        # 6, 6, 6 and 4 epochs
        "microsoft/deberta-large": {
            "cola": (32, 1608, 100), "rte": (32, 468, 50), "mrpc": (32, 690, 10), "stsb": (32, 720, 100),
        },
    }  # fmt: skip
    found = dict[str, dict[str, tuple[int, int, int]]]()
    for name in ("bi-drop/table-3", "bi-drop/table-11", "match-tuning/table-11", "match-tuning/table-1"):
        for run in runs_of(name):
            if (run.seed, run.method.label) == (0, "vanilla"):
                train = run.train
                order = BatchOrder(np.ones(rows[run.task], np.int64), train.batch_size, 0)
                total = order.total_steps(train.epochs, train.max_steps)
                rates = [learning_rate_at(step, total, train, 1.0) for step in range(total)]
                told = (train.batch_size, total, rates.index(max(rates)))
                assert found.setdefault(run.model, {}).setdefault(run.task, told) == told, name
    assert found == expected


def test_methods_have_the_settings_that_the_papers_name() -> None:
    lengths = {run.train.max_length for name in RUNS if name.startswith("bi-drop/") for run in runs_of(name)}
    assert lengths == {128}
    batches = {(run.method.label, run.train.batch_size) for run in runs_of("bi-drop/table-10")}
    assert batches == {("vanilla", 16), ("double-batch", 32), ("bidrop", 16)}
    dropout = {(run.method.label, run.train.dropout) for run in runs_of("bi-drop/figure-5")}
    assert dropout == {(f"bidrop:dropout={rate}", float(rate)) for rate in ("0.05", "0.1", "0.15", "0.2")}
    dropout = {(run.method.label, run.train.dropout) for run in runs_of("bi-drop/table-4")}
    assert dropout == {("vanilla", None), ("child-d", None), ("rdrop", None), ("dps-mix", 0.0), ("bidrop", 0.1)}
    assert {run.train.epochs for run in runs_of("match-tuning/table-4")} == {1.0}
