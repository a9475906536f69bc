"""An experiment as a paper's result: its tables, and a caption that says in what it is not the paper's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from robusteval.errors import UserError, some
from robusteval.experiments.recipes import Recipe, RecipeTable
from robusteval.report.layout import entries, paper_csv, paper_records, paper_sheet
from robusteval.report.render import texts
from robusteval.report.sheets import Report, Sheet, cost_sheets
from robusteval.report.table import Table
from robusteval.settings.fields import described
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.written import GROUPS


def paper_report(
    table: Table, recipe: Recipe, spec: ExperimentSpec, *, every: bool = True
) -> tuple[Report, tuple[RecipeTable, ...]]:
    """The recipe's tables, filled with the experiment's numbers, and those that have any.

    every: with what it cost. UserError where no table has a number.
    """
    papers = recipe.tables_for(spec.models)
    held = tuple(paper for paper in papers if any(entry.n for entry in entries(table, paper).values()))
    if not held:
        wants = some(list(ExperimentSpec.read(recipe.spec).tasks))
        raise UserError(f"table: no number of {recipe.name} was measured here; it is of {wants}")
    differing = differences(spec, ExperimentSpec.read(recipe.spec))
    reading = "Mean ± sample standard deviation over seeds; in brackets the paper's; [3/5]: three of five seeds"
    under = [f"{recipe.caption.rstrip('.')} ({recipe.name})", reading]
    under += [f"Not as in the paper: {'; '.join(differing)}"] if differing else []
    sheets = []
    for paper in held:
        sheet = paper_sheet(table, paper)
        sheets.append(Sheet(sheet.title, sheet.header, sheet.rows, sheet.words, tuple(under)))
    absent = [paper.caption for paper in papers if paper not in held]
    notes = [f"nothing was measured of {caption}" for caption in absent]
    notes += [note.strip().rstrip(".") for note in recipe.notes]
    return Report(recipe.name, (*sheets, *(cost_sheets(table) if every else ())), (*notes, *table.notes)), held


def paper_texts(table: Table, recipe: Recipe, spec: ExperimentSpec) -> Iterator[tuple[str, str]]:
    """Ending and content of every file of the recipe's tables."""
    values = paper_record(table, recipe, spec)
    return texts(paper_report(table, recipe, spec)[0], paper_csv(values["cells"]), values)


def paper_record(table: Table, recipe: Recipe, spec: ExperimentSpec) -> dict[str, Any]:
    """The recipe's tables as plain values: every cell, ours and the paper's."""
    held, papers = paper_report(table, recipe, spec)
    return {
        "recipe": recipe.name, "caption": recipe.caption,
        "differences": differences(spec, ExperimentSpec.read(recipe.spec)),
        "cells": paper_records(table, papers), "notes": held.notes,
    }  # fmt: skip


def differences(ours: ExperimentSpec, paper: ExperimentSpec) -> list[str]:
    """In what an experiment is not the paper's, a phrase each."""
    told = []
    if set(ours.models) != set(paper.models):
        told.append(f"model {', '.join(ours.models)} instead of {', '.join(paper.models)}")
    if len(ours.seeds) != len(paper.seeds):
        told.append(f"{len(ours.seeds)} seed{'s' if len(ours.seeds) > 1 else ''} instead of {len(paper.seeds)}")
    for axis in ("tasks", "methods", "scenarios"):
        absent = [name for name in _names(paper, axis) if name not in _names(ours, axis)]
        told += [f"without the {axis} {', '.join(absent)}"] if absent else []
    for group, kind in GROUPS.items():
        numbers = [each.field for each in described(kind) if each.setting.identity]
        told += _given(getattr(ours, group), getattr(paper, group), numbers)
    if ours.settings != paper.settings:
        told.append("other settings for parts of the grid")
    return told


def _names(spec: ExperimentSpec, axis: str) -> list[str]:
    return [getattr(each, "label", each) for each in getattr(spec, axis)]


def _given(ours: Mapping[str, Any], paper: Mapping[str, Any], names: list[str]) -> list[str]:
    """The settings of one group that differ; what neither gives is the same."""
    told = []
    for name in names:
        here, there = (_text(given[name]) if name in given else "" for given in (ours, paper))
        if here != there:
            instead = f" instead of {there}" if there and here else ""
            told.append(f"{name} {here}{instead}" if here else f"without {name} {there}")
    return told


def _text(value: Any) -> str:
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else str(value)
