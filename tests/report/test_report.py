"""The table: means, deviations and differences by hand, and every way it is written."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from robusteval.report.render import csv, latex, markdown, print_table, write_table
from robusteval.report.table import Cell, Table, build_table, cell_text, verdict
from robusteval.results.journal import read_rows
from robusteval.results.metrics import METRICS, metric
from robusteval.results.rows import Note, Row, line_row, row_line

ACCURACY = METRICS["accuracy"]


def row(method: str, seed: int, suite: str, metric: str, value: float, *, n: int = 100, **fields: Any) -> Row:
    value_of = {"mask": "0.1", "attack": "deepwordbug"}.get(suite, "")
    told: dict[str, Any] = {"aspect": "robustness" if suite in ("mask", "ood") else None, **fields}
    return Row("r", "sst2", method, "none", None, seed, suite, value_of, "validation", metric, value, n, 1.0, **told)


@pytest.fixture
def table() -> Table:
    rows = [
        row("vanilla", 0, "clean", "accuracy", 0.80),
        row("vanilla", 1, "clean", "accuracy", 0.84),
        row("match", 0, "clean", "accuracy", 0.82),
        row("match", 1, "clean", "accuracy", 0.83, collapsed="positive"),
        row("vanilla", 0, "mask", "accuracy", 0.70),
        row("vanilla", 1, "mask", "accuracy", 0.70),
        row("match", 0, "mask", "accuracy", 0.75),
        row("match", 1, "mask", "accuracy", 0.77),
        row("vanilla", 0, "attack", "attack_success_rate", 0.9, n=48),
        row("match", 0, "attack", "attack_success_rate", math.nan, n=0),
        row("vanilla", 0, "attack", "accuracy_under_attack", 0.1),
        row("match", 0, "attack", "accuracy_under_attack", 0.05),
    ]
    return build_table(rows, ["vanilla", "match"], ["the last checkpoint of each run is evaluated"])


def test_cells_by_hand(table: Table) -> None:
    clean = table.lines[0]
    vanilla, match = clean.cells["vanilla"], clean.cells["match"]
    assert vanilla.mean == pytest.approx(0.82)
    assert vanilla.std == pytest.approx(math.sqrt(2 * 0.02**2 / 1))
    assert vanilla.delta is None
    # per-seed differences +0.02 and -0.01
    assert match.delta == pytest.approx(0.005)
    assert cell_text(match, ACCURACY) == "82.50 ± 0.71 (+0.50) [collapsed]"
    assert cell_text(vanilla, ACCURACY) == "82.00 ± 2.83"
    success = next(line for line in table.lines if line.metric.name == "attack_success_rate")
    assert success.n == (0, 48)
    assert cell_text(success.cells["match"], success.metric) == "n/a"
    assert cell_text(Cell((), None), ACCURACY) == "–"
    assert metric("mean_queries").text(12.34) == "12.3"
    # what is neither a share nor a correlation is not multiplied, and small numbers are not cut to 0
    assert metric("top_eigenvalue").text(12.34) == "12.3"
    assert metric("nll").text(0.6931) == "0.693"
    assert metric("mean").text(7.7e-8) == "7.7e-08"
    assert all(each.scale == 100 for each in METRICS.values() if each.function)


def test_the_verdict_counts_tests_of_robustness_only(table: Table) -> None:
    sound = [dataclasses.replace(cell, note="") for cell in table.lines[0].cells.values()]
    clean = dataclasses.replace(table.lines[0], cells=dict(zip(table.methods, sound, strict=True)))
    first, last = verdict(dataclasses.replace(table, lines=(clean, *table.lines[1:])))
    assert first.startswith("match is neither more nor less robust than vanilla here: better on 1 and worse on 1 of 2")
    assert "1 of these differences exceed the spread over seeds" in first
    assert "not a significance test" in last


def test_a_collapsed_model_is_not_called_robust(table: Table) -> None:
    warning, last = verdict(table)
    assert warning.startswith("match collapsed to one class in at least one run and is not compared there")
    assert "not a significance test" in last
    # it is compared where it did not collapse, and nothing is compared with a collapsed baseline
    other = [dataclasses.replace(line, scenario="low-resource:count=500") for line in table.lines[1:]]
    both = dataclasses.replace(table, lines=(*table.lines, *other))
    assert verdict(both)[0].startswith("match is neither more nor less robust than vanilla here")
    cells = {**other[0].cells, "vanilla": dataclasses.replace(other[0].cells["vanilla"], note="collapsed")}
    none = dataclasses.replace(both, lines=(*both.lines, dataclasses.replace(other[0], cells=cells)))
    sentences = verdict(none)
    assert not any("robust than" in sentence for sentence in sentences)
    assert sentences[0].startswith("vanilla collapsed") and "under low-resource" in sentences[0]


def test_what_is_in_domain_is_never_counted() -> None:
    rows = [
        dataclasses.replace(
            row(method, 0, "ood", "accuracy", value, selected_on_dev=True),
            suite_value=name,
            in_domain=aspect == "quality",
            aspect=aspect,
        )
        for name, aspect, values in (("snli", "quality", (0.5, 0.9)), ("sick", "robustness", (0.5, 0.4)))
        for method, value in zip(("vanilla", "match"), values, strict=True)
    ]
    table = build_table(rows, ["vanilla", "match"])
    assert verdict(table)[0].startswith("match is less robust than vanilla here: better on 0 and worse on 1 of 1")
    assert table.notes == ("snli is in domain",)


def test_every_format(table: Table, tmp_path: Path) -> None:
    text = markdown(table)
    assert "| test | metric | n | vanilla | match (Δ) |" in text
    assert "| mask 0.1 | accuracy | 100 | 70.00 ± 0.00 | 76.00 ± 1.41 (+6.00) |" in text
    assert "match seed 1: collapsed to 'positive'" in text
    assert "the last checkpoint of each run is evaluated" in text
    frame = pd.read_csv(io.StringIO(csv(table)))
    picked = frame[(frame.suite == "mask") & (frame.method == "match")].iloc[0]
    assert (picked["mean"], picked["seeds"], picked["n_min"]) == (pytest.approx(0.76), 2, 100)
    assert frame["sets"].isna().all()
    tex = latex(table)
    assert r"attack deepwordbug & attack\_success\_rate & 0--48" in tex
    assert r"76.00 $\pm$ 1.41 (+6.00) \\" in tex
    assert tex.count("{") == tex.count("}")
    write_table(table, tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["table.csv", "table.md", "table.tex"]
    stream = io.StringIO()
    print_table(table, Console(file=stream, width=60))
    assert "is no robustness" in " ".join(stream.getvalue().split())
    # a narrow terminal cuts no cell
    assert "82.50 ± 0.71 (+0.50) [collapsed]" in stream.getvalue()


def test_the_csv_tells_the_spread_over_the_sets_of_all_seeds() -> None:
    spreads = {0: (0.7, 0.6), 1: (0.8, math.nan, 0.5)}
    rows = [
        dataclasses.replace(row("vanilla", seed, "mask", "accuracy", 0.65), spread=spread)
        for seed, spread in spreads.items()
    ]
    frame = pd.read_csv(io.StringIO(csv(build_table([*rows, row("vanilla", 0, "clean", "mcc", 0.5)], ["vanilla"]))))
    found = frame[["sets", "set_std", "set_min", "set_max"]]
    # (0.7, 0.6, 0.8, 0.5): squares around 0.65 are 0.0025, 0.0025, 0.0225, 0.0225
    assert found.iloc[0].tolist() == [4, pytest.approx(math.sqrt(0.05 / 3)), 0.5, 0.8]
    assert found.iloc[1].isna().all()
    assert ",4,0.129" in csv(build_table(rows, ["vanilla"]))


def test_rows_survive_json() -> None:
    one = row(
        "match", 0, "clean", "accuracy", 0.5, notes=(Note("mean of a; b", "test"), Note("c; d")), collapsed="c; d"
    )
    assert line_row(json.loads(json.dumps(row_line(one)))) == one
    assert math.isnan(line_row(row_line(row("match", 0, "clean", "mcc", math.nan))).value)


def test_a_note_is_whole_whatever_it_says() -> None:
    torn = "good; selected on dev; x is in domain"
    about = Note("the file 'mean of; a.csv' has no groups; so the classes are the groups")
    table = build_table([row("vanilla", 0, "clean", "accuracy", 0.5, notes=(about,), collapsed=torn)], ["vanilla"])
    assert table.notes == (f"vanilla seed 0: collapsed to {torn!r}", f"vanilla seed 0: {about.text}")
    assert table.lines[0].cells["vanilla"].note == "collapsed"
    # what a note says decides nothing
    prose = [Note("collapsed bridges are in domain"), Note("selected words"), Note("mean of nothing")]
    table = build_table([row("vanilla", 0, "clean", "accuracy", 0.5, notes=tuple(prose))], ["vanilla"])
    assert table.notes == tuple(f"vanilla seed 0: {note.text}" for note in prose)
    assert table.lines[0].cells["vanilla"].note == ""


def test_rows_of_earlier_versions_make_the_same_table(tmp_path: Path) -> None:
    told: list[tuple[str, list[tuple[str, str]], dict[str, Any]]] = [
        ("", [], {}),
        ("collapsed to 'bad'; selected on dev", [("collapsed to 'bad'", "collapsed"), ("selected on dev", "selected")],
         {"collapsed": "bad", "selected_on_dev": True}),
        ("snli is in domain", [("snli is in domain", "in domain")], {"in_domain": True, "aspect": None}),
        ("mean of 3 sets; over 12 parameters", [("mean of 3 sets", "test"), ("over 12 parameters", "run")],
         {"sets": 3, "notes": (Note("over 12 parameters"),)}),
    ]  # fmt: skip
    rows = [
        dataclasses.replace(row("vanilla", seed, "ood", "accuracy", 0.5, **fields), suite_value="snli")
        for seed, (_, _, fields) in enumerate(told)
    ]
    today = {"model", "aspect", "sets", "summary", "in_domain", "collapsed", "selected_on_dev"}
    for number, each in enumerate(rows):
        bare = {key: value for key, value in row_line(each).items() if key not in today | {"notes"}}
        joined, kinds, _ = told[number]
        assert line_row({**bare, "note": joined}) == each
        assert line_row({**bare, "notes": [{"text": text, "kind": kind} for text, kind in kinds]}) == each
        with open(tmp_path / "rows.jsonl", "a") as handle:
            handle.write(json.dumps({**bare, "note": joined}) + "\n")
    table = build_table(read_rows(tmp_path / "rows.jsonl"), ["vanilla"])
    assert table == build_table(rows, ["vanilla"])
    assert table.notes == (
        "vanilla seed 1: collapsed to 'bad'",
        "snli is in domain",
        "mean of 3 sets",
        "vanilla seed 3: over 12 parameters",
    )
    assert table.lines[0].cells["vanilla"].note == "collapsed"


def test_a_single_seed_has_no_spread() -> None:
    table = build_table([row("vanilla", 0, "clean", "accuracy", 0.8)], ["vanilla"])
    assert cell_text(table.lines[0].cells["vanilla"], ACCURACY) == "80.00"
    assert "one seed, no spread" in table.caption
    assert verdict(table) == []
