"""The papers' results as recipes: what to run, and the published numbers laid out as in the paper's table.

A recipe is a file of the package, `robusteval/recipes/<paper>/<result>.yaml`, whose keys are the fields of `Recipe`.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib import resources
from typing import Any, Literal, get_args

from robusteval.errors import UserError, unknown_name
from robusteval.settings.checks import check_choice
from robusteval.settings.codec import from_dict
from robusteval.settings.spec import merged
from robusteval.storage.reading import parse_yaml

Statistic = Literal["mean", "std", "min", "max", "drop"]
Scale = Literal["full", "small"]


@dataclass(frozen=True)
class Coordinates:
    """Where a number stands among the rows that runs leave; None: it is not said here.

    model, task, method (the column's label), scenario (its label), suite, value (`suite_value`), metric: as `Row` has
    them. statistic: over the seeds; "drop" is the mean without a scenario minus the mean in it.
    sound: without the runs that collapsed, as MATCH-TUNING's Table 11 filters them.
    average: the columns whose mean stands here; each may be an average itself.
    """

    model: str | None = None
    task: str | None = None
    method: str | None = None
    scenario: str | None = None
    suite: str | None = None
    value: str | None = None
    metric: str | None = None
    statistic: Statistic | None = None
    sound: bool | None = None
    average: tuple[str, ...] = ()

    @property
    def given(self) -> dict[str, Any]:
        """What is said here, without the average."""
        told = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "average"}
        return {name: value for name, value in told.items() if value is not None}


# what a cell is, where the recipe does not say it
USUAL = Coordinates(scenario="none", value="", statistic="mean", sound=False)
# what a recipe must say of every number
NEEDED = ("task", "method", "suite", "metric")


@dataclass(frozen=True)
class RecipeTable:
    """One table, or one block of the paper's table.

    where: coordinates of all cells. rows, columns: label as in the paper -> coordinates; what stands in one of the
    three stands in no other. An average is a column and has no coordinates of its own but the statistic.
    published: row -> the paper's number in each column, as it prints it (shares and correlations times 100), None
    where it has none; a cell with several statistics is a mapping, {mean: 60.6, std: 0.5}. Empty where the paper shows
    a picture and no numbers.
    """

    caption: str
    rows: dict[str, Coordinates]
    columns: dict[str, Coordinates]
    where: Coordinates = field(default_factory=Coordinates)
    published: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.rows or not self.columns:
            raise UserError(f"tables: {self.caption!r} has no {'columns' if self.rows else 'rows'}")
        for label, at in (*self.rows.items(), ("where", self.where)):
            if at.average:
                raise UserError(f"tables: {label!r} of {self.caption!r} is an average, and only a column can be one")
        before: list[str] = []
        for label, at in self.columns.items():
            for name in at.average:
                if name not in before:
                    raise unknown_name(f"tables: average of {label!r} (columns before it)", name, before)
            before.append(label)
        for row in self.rows:
            for column in self.columns:
                self._check_cell(row, column)
        self._check_published()

    def cell(self, row: str, column: str) -> Coordinates:
        """Where the number of a cell stands; for an average: what all its columns have in common."""
        told = {**self.where.given, **self.rows[row].given, **self.columns[column].given}
        return dataclasses.replace(USUAL, **told, average=self.columns[column].average)

    def number(self, row: str, column: str) -> dict[str, float]:
        """The paper's numbers in a cell, by statistic; empty where it has none."""
        if row not in self.published:
            return {}
        told = self.published[row][list(self.columns).index(column)]
        if told is None:
            return {}
        if isinstance(told, Mapping):
            return {name: float(value) for name, value in told.items()}
        return {str(self.cell(row, column).statistic): float(told)}

    def _check_cell(self, row: str, column: str) -> None:
        places = (self.where.given, self.rows[row].given, self.columns[column].given)
        twice = sorted(name for name in {*places[0], *places[1], *places[2]} if sum(name in at for at in places) > 1)
        if twice:
            raise UserError(f"tables: {twice[0]} of the cell {row!r}, {column!r} is given twice")
        if self.columns[column].average:
            own = sorted(set(places[2]) - {"statistic"})
            if own:
                raise UserError(f"tables: {column!r} is an average and has a {own[0]} of its own")
            return
        at = self.cell(row, column)
        for name in NEEDED:
            if getattr(at, name) is None:
                raise UserError(f"tables: the cell {row!r}, {column!r} of {self.caption!r} has no {name}")

    def _check_published(self) -> None:
        for row in self.published:
            if row not in self.rows:
                raise unknown_name("tables: published", row, self.rows)
        absent = [row for row in self.rows if row not in self.published]
        if self.published and absent:
            raise UserError(f"tables: published: the row {absent[0]!r} is missing")
        for row, numbers in self.published.items():
            if len(numbers) != len(self.columns):
                raise UserError(
                    f"tables: published: {row!r} has {len(numbers)} numbers for {len(self.columns)} columns"
                )
            for column, told in zip(self.columns, numbers, strict=True):
                several = told if isinstance(told, Mapping) else {"mean": 0.0 if told is None else told}
                for name, value in several.items():
                    check_choice(f"tables: published: {row!r}, {column!r}", str(name), get_args(Statistic))
                    if isinstance(value, bool) or not isinstance(value, int | float):
                        raise UserError(f"tables: published: {row!r}, {column!r}: {value!r} is no number")


@dataclass(frozen=True)
class Recipe:
    """One result of a paper.

    paper, result: its name, "match-tuning/table-3". caption: what the paper's table is, in words of ours.
    spec: the experiment at the paper's scale, as a spec file has it. small: what changes for a laptop (`scaled`).
    tables: the paper's numbers. notes: where this knowingly differs from the paper, or the paper leaves something
    open. needs: data that must be on the disk or is fetched, and where it comes from.
    """

    paper: str
    result: str
    caption: str
    spec: dict[str, Any]
    small: dict[str, Any]
    tables: tuple[RecipeTable, ...]
    notes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.tables:
            raise UserError("tables: there is none")

    @property
    def name(self) -> str:
        return f"{self.paper}/{self.result}"

    def scaled(self, scale: str = "full") -> dict[str, Any]:
        """The spec at a scale: for "small" with what `small` changes (`spec.merged`)."""
        check_choice("scale", scale, get_args(Scale))
        return copy.deepcopy(merged(self.spec, self.small if scale == "small" else {}))

    def tables_for(self, models: Sequence[str]) -> tuple[RecipeTable, ...]:
        """The tables of an experiment with these models: without what is of other models.

        Where it has none of the recipe's models, the first one stands for the first that the recipe names.
        """
        places = (at for table in self.tables for at in (table.where, *table.rows.values(), *table.columns.values()))
        named = list(dict.fromkeys(at.model for at in places if at.model is not None))
        if not named:
            return self.tables
        stands = {name: name for name in named if name in models} or {named[0]: models[0]}
        cut = (_of_models(table, stands) for table in self.tables)
        return tuple(table for table in cut if table is not None)


def recipe_names() -> list[str]:
    """The names of all recipes, "bi-drop/figure-3"; tables before figures, by number."""
    return sorted((name for name, _ in _files()), key=_order)


def load_recipe(name: str) -> Recipe:
    """The recipe of that name; UserError with the nearest one where there is none, or where its file is not right."""
    found = dict(_files())
    if name not in found:
        raise unknown_name("recipe", name, found)
    return read_recipe(found[name].read_bytes(), name)


def read_recipe(text: bytes, name: str) -> Recipe:
    """The recipe `name` that a YAML text holds; UserError where it holds none, or another one."""
    held = parse_yaml(text, f"recipe {name}")
    try:
        recipe = from_dict(Recipe, held)
    except UserError as error:
        raise UserError(f"recipe {name}: {error}") from None
    if recipe.name != name:
        raise UserError(f"recipe {name}: it says that it is {recipe.name!r}")
    return recipe


def _files() -> list[tuple[str, Any]]:
    papers = (place for place in resources.files("robusteval").joinpath("recipes").iterdir() if place.is_dir())
    return [
        (f"{paper.name}/{file.name.removesuffix('.yaml')}", file)
        for paper in papers
        for file in paper.iterdir()
        if file.name.endswith(".yaml")
    ]


def _order(name: str) -> tuple[str, bool, int]:
    paper, _, result = name.partition("/")
    kind, _, number = result.partition("-")
    return paper, kind != "table", int(number)


def _of_models(table: RecipeTable, stands: Mapping[str, str]) -> RecipeTable | None:
    """The table without what is of models other than the keys of `stands`, each of which becomes its value."""

    def kept(places: Mapping[str, Coordinates]) -> dict[str, Coordinates]:
        return {
            label: at if at.model is None else dataclasses.replace(at, model=stands[at.model])
            for label, at in places.items()
            if at.model is None or at.model in stands
        }

    where, rows, columns = kept({"where": table.where}), kept(table.rows), kept(table.columns)
    for label, at in list(columns.items()):
        if not set(at.average) <= set(columns):
            del columns[label]
    if not (where and rows and columns):
        return None
    place = [index for index, label in enumerate(table.columns) if label in columns]
    published = {row: tuple(table.published[row][index] for index in place) for row in rows if row in table.published}
    return RecipeTable(table.caption, rows, columns, where["where"], published)
