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

from robusteval.report.cells import Cell, Line, cell_text
from robusteval.report.records import csv, record
from robusteval.report.render import FORMATS, html, latex, markdown, print_table, write_table
from robusteval.report.sheets import report
from robusteval.report.table import Table, build_table
from robusteval.results.frames import rows_frame
from robusteval.results.journal import read_rows
from robusteval.results.metrics import METRICS, metric
from robusteval.results.rows import Note, Row, line_row, row_line
from robusteval.storage.files import as_json
from support.table_rows import row

ACCURACY = METRICS["accuracy"]


def table_of(rows: list[Row], methods: list[str], **settings: Any) -> Table:
    return build_table(rows_frame(rows), methods, **settings)


ROWS = [
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


@pytest.fixture
def table() -> Table:
    asked = {("", "sst2", method, "none"): (0, 1) for method in ("vanilla", "match")}
    notes = ["the last checkpoint of each run is evaluated"]
    return table_of(ROWS, ["vanilla", "match"], notes=notes, requested=asked)


def line_of(table: Table, name: str, **where: str) -> Line:
    [found] = [
        line
        for line in table.lines
        if line.name == name and all(getattr(line, key) == value for key, value in where.items())
    ]
    return found


def test_cells_by_hand(table: Table) -> None:
    clean = line_of(table, "clean accuracy")
    vanilla, match = clean.cells["vanilla"], clean.cells["match"]
    assert vanilla.summary.mean == pytest.approx(0.82)
    assert vanilla.summary.std == pytest.approx(math.sqrt(2 * 0.02**2 / 1))
    assert (vanilla.summary.low, vanilla.summary.high) == (0.80, 0.84)
    assert vanilla.delta is None
    # per-seed differences +0.02 and -0.01: 12.706 standard errors of 0.015 on each side
    assert match.delta is not None and match.delta.n == 2
    assert (match.delta.mean, match.delta.low) == (pytest.approx(0.005), pytest.approx(0.005 - 12.7062 * 0.015))
    assert cell_text(match, ACCURACY) == "82.50 ± 0.71 (+0.50) [1/2 collapsed; others 82.00]"
    assert cell_text(vanilla, ACCURACY) == "82.00 ± 2.83"
    success = line_of(table, "attack deepwordbug attack_success_rate")
    assert success.n == (0, 48)
    assert cell_text(Cell({0: math.nan, 1: math.nan}, 2), success.metric) == "n/a"
    assert metric("mean_queries").text(12.34) == "12.3"
    # what is neither a share nor a correlation is not multiplied, and small numbers are not cut to 0
    assert metric("top_eigenvalue").text(12.34) == "12.3"
    assert metric("nll").text(0.6931) == "0.693"
    assert metric("mean").text(7.7e-8) == "7.7e-08"
    assert all(each.scale == 100 for each in METRICS.values() if each.function)


def test_a_cell_with_missing_seeds_says_so(table: Table) -> None:
    attack = line_of(table, "attack deepwordbug accuracy_under_attack")
    assert cell_text(attack.cells["vanilla"], attack.metric) == "10.00 [1/2]"
    assert cell_text(attack.cells["match"], attack.metric) == "5.00 (−5.00) [1/2]"
    # a number without a denominator is none
    assert cell_text(Cell({0: 0.5, 1: math.nan, 2: 0.7}, 5), ACCURACY) == "60.00 ± 14.14 [2/5]"
    assert cell_text(Cell({}, 5), ACCURACY) == "0/5"
    assert cell_text(Cell({0: math.nan}, 5), ACCURACY) == "0/5"
    assert cell_text(Cell(), ACCURACY) == "–"
    assert "[3/5]: of five seeds asked for, three have a value" in table.caption
    whole = table_of(ROWS[:8], ["vanilla", "match"])
    assert "[3/5]" not in whole.caption and "collapsed" in whole.caption
    # a column nobody ran yet
    asked = {("", "sst2", method, "none"): (0, 1) for method in ("vanilla", "tdt")}
    lone = table_of(ROWS[:2], ["vanilla", "tdt"], requested=asked)
    assert cell_text(lone.lines[0].cells["tdt"], ACCURACY) == "0/2"


def test_what_a_finished_test_does_not_measure_of_a_method_is_not_missing() -> None:
    def drop(method: str, seed: int, value: str) -> Row:
        return dataclasses.replace(
            ROWS[0], method=method, seed=seed, suite="ordered-drop", suite_value=value, run=f"{method}.{seed}"
        )

    asked = {("", "sst2", method, "none"): (0, 1) for method in ("vanilla", "tdt")}
    # no confidence without tdt, whose second run has not come to the test
    rows = [
        drop("vanilla", 0, "random"),
        drop("vanilla", 1, "random"),
        drop("tdt", 0, "random"),
        drop("tdt", 0, "confidence"),
    ]
    lines = table_of(rows, ["vanilla", "tdt"], requested=asked).lines
    shown = {(line.value, method): cell_text(cell, ACCURACY) for line in lines for method, cell in line.cells.items()}
    assert shown["confidence", "vanilla"] == "–"
    assert shown["confidence", "tdt"].endswith("[1/2]") and shown["random", "tdt"].endswith("[1/2]")
    # each attack is a test of its own
    attacks = [dataclasses.replace(each, suite="attack") for each in rows]
    lines = table_of(attacks, ["vanilla", "tdt"], requested=asked).lines
    assert cell_text(next(line for line in lines if line.value == "confidence").cells["vanilla"], ACCURACY) == "0/2"


def test_the_average_of_tasks_is_formed_seed_by_seed() -> None:
    values = {"sst2": {"vanilla": (0.8, 0.9), "match": (0.9, 0.9)}, "mrpc": {"vanilla": (0.6, 0.6), "match": (0.7,)}}
    rows = [
        row(method, seed, "clean", "accuracy", value, task=task, scenario=scenario)
        for scenario in ("none", "noise")
        for task, methods in values.items()
        for method, told in methods.items()
        for seed, value in enumerate(told)
    ]
    asked = {("", task, m, s): (0, 1) for task in values for m in ("vanilla", "match") for s in ("none", "noise")}
    table = table_of(rows, ["vanilla", "match"], requested=asked)
    average = line_of(table, "clean accuracy", task="average", scenario="none")
    assert average.cells["vanilla"].values == {0: pytest.approx(0.7), 1: pytest.approx(0.75)}
    assert average.cells["match"].values == {0: pytest.approx(0.8)}
    assert cell_text(average.cells["match"], ACCURACY) == "80.00 (+10.00) [1/2]"
    noisy = line_of(table, "clean accuracy", task="average", scenario="noise")
    assert cell_text(noisy.cells["vanilla"], ACCURACY) == "72.50 ± 3.54 {+0.00}"
    assert table.tasks == ("sst2", "mrpc")
    text = markdown(report(table))
    assert "## Tasks side by side: clean, noise" in text
    assert "| match | 90.00 ± 0.00 | 70.00 [1/2] | 80.00 [1/2] |" in text
    # one task is its own average; a deviation and a correlation have none
    assert not any(line.over for line in table_of(rows[:2], ["vanilla"]).lines)
    mixed = [rows[0], dataclasses.replace(rows[0], task="stsb", metric="nll")]
    assert not any(line.over for line in table_of(mixed, ["vanilla"]).lines)


def test_a_task_is_averaged_by_its_main_metric() -> None:
    rows = [
        row("vanilla", 0, "clean", name, value, task=task)
        for task, name, value in (
            ("cola", "mcc", 0.5), ("cola", "accuracy", 0.8), ("sst2", "accuracy", 0.9), ("sst2", "f1", 0.1)
        )
    ]  # fmt: skip
    average = line_of(table_of(rows, ["vanilla"]), "clean average")
    assert average.over == ("cola", "sst2")
    assert average.cells["vanilla"].values == {0: pytest.approx(0.7)}


def test_what_it_cost() -> None:
    rows = [
        dataclasses.replace(row("vanilla", seed, suite, name, value), seconds=seconds, suite_value=of)
        for seed in (0, 1)
        for suite, of, name, value, seconds in (
            ("train", "", "steps", 300.0, 40.0 + seed), ("train", "", "seconds_per_step", 0.1 + seed / 10, 40.0 + seed),
            ("train", "", "peak_memory_mb", 900.0, 40.0 + seed), ("scenario", "flipped", "rows", 3.0, 40.0 + seed),
            ("clean", "", "accuracy", 0.9, 2.0), ("clean", "", "f1", 0.9, 2.0), ("mask", "0.1", "accuracy", 0.8, 3.0),
        )
    ]  # fmt: skip
    table = table_of(rows, ["vanilla"])
    [cost] = table.costs
    assert (cost.runs, cost.step, cost.training) == (2, pytest.approx(0.15), 40.5)
    # every metric tells what its measurement took
    assert (cost.testing, cost.run, cost.peak) == (5.0, 45.5, 900.0)
    text = markdown(report(table))
    assert "| vanilla | 2 | 0.15 | 40.5 | 5.0 | 45.5 | 900.0 |" in text
    assert "all 2 runs together took 1 min 31 s of training and testing" in text
    assert "| train |" not in text and "| scenario flipped |" in text
    assert table_of([row("vanilla", 0, "clean", "accuracy", 0.8)], ["vanilla"]).costs == ()


def test_every_format(table: Table, tmp_path: Path) -> None:
    text = markdown(report(table))
    assert "| test | metric | n | vanilla | match (Δ) |" in text
    assert "| mask 0.1 | accuracy | 100 | 70.00 ± 0.00 | 76.00 ± 1.41 (+6.00) [1/2 collapsed; others 75.00] |" in text
    assert "match seed 1: collapsed to 'positive'" in text
    assert "the last checkpoint of each run is evaluated" in text
    frame = pd.read_csv(io.StringIO(csv(table)))
    picked = frame[(frame.suite == "mask") & (frame.method == "match")].iloc[0]
    assert (picked["mean"], picked["seeds"], picked["asked"], picked["n_min"]) == (pytest.approx(0.76), 2, 2, 100)
    assert (picked["min"], picked["max"], picked["delta"]) == (0.75, 0.77, pytest.approx(0.06))
    picked = frame[(frame.suite == "clean") & (frame.method == "match")].iloc[0]
    assert (picked["collapsed"], picked["sound_mean"]) == (1, 0.82)
    assert frame["sets"].isna().all()
    tex = latex(report(table))
    assert r"attack deepwordbug & attack\_success\_rate & 0--48" in tex
    assert r"76.00 $\pm$ 1.41 (+6.00) {[}1/2 collapsed; others 75.00] \\" in tex
    assert r"10.00 {[}1/2]" in tex
    assert tex.count("{") == tex.count("}")
    held = json.loads(as_json(record(table)))
    match = held["lines"][0]["cells"]["match"]
    assert match["values"] == {"0": 0.82, "1": 0.83} and match["collapsed"] == [1]
    assert held["lines"][2]["cells"]["match"]["values"] == {"0": None}
    assert (held["baseline"], held["comparisons"][0]["delta"]["n"]) == ("vanilla", 2)
    written = write_table(table, tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == sorted(f"table.{each}" for each in FORMATS)
    assert len(written) == len(FORMATS)
    assert write_table(table, tmp_path / "some", ("tex",)) == [tmp_path / "some" / "table.tex"]
    stream = io.StringIO()
    print_table(table, Console(file=stream, width=60))
    assert "is no robustness" in " ".join(stream.getvalue().split())
    # a narrow terminal cuts no cell
    assert "82.50 ± 0.71 (+0.50) [1/2 collapsed; others 82.00]" in stream.getvalue()


def test_nothing_of_the_users_is_taken_for_markup(tmp_path: Path) -> None:
    name = "<b>a</b>|[red]_%$\u202e"
    table = table_of([row(name, 0, "clean", "accuracy", 0.8)], [name], notes=["<script>x</script>", "a\nb"])
    page = html(report(table))
    assert "<b>" not in page and "<script" not in page and "\u202e" not in page
    assert "&lt;b&gt;a&lt;/b&gt;|[red]_%$&lt;U+202E&gt;" in page and "&lt;script&gt;" in page
    assert '<td class="word">clean</td>' in page and "<td>80.00</td>" in page
    assert r"<b>a</b>\|[red]" in markdown(report(table))
    assert r"$<$b$>$a$<$/b$>$|{[}red]\_\%\$" in latex(report(table))
    stream = io.StringIO()
    print_table(table, Console(file=stream, width=200))
    assert "<b>a</b>|[red]_%$" in stream.getvalue()


def test_the_csv_tells_the_spread_over_the_sets_of_all_seeds() -> None:
    spreads = {0: (0.7, 0.6), 1: (0.8, math.nan, 0.5)}
    rows = [
        dataclasses.replace(row("vanilla", seed, "mask", "accuracy", 0.65), spread=spread)
        for seed, spread in spreads.items()
    ]
    frame = pd.read_csv(io.StringIO(csv(table_of([*rows, row("vanilla", 0, "clean", "mcc", 0.5)], ["vanilla"]))))
    found = frame[["sets", "set_std", "set_min", "set_max"]]
    # (0.7, 0.6, 0.8, 0.5): squares around 0.65 are 0.0025, 0.0025, 0.0225, 0.0225
    assert found.iloc[0].tolist() == [4, pytest.approx(math.sqrt(0.05 / 3)), 0.5, 0.8]
    assert found.iloc[1].isna().all()
    assert ",4,0.129" in csv(table_of(rows, ["vanilla"]))


def test_rows_survive_json() -> None:
    one = row(
        "match", 0, "clean", "accuracy", 0.5, notes=(Note("mean of a; b", "test"), Note("c; d")), collapsed="c; d"
    )
    assert line_row(json.loads(json.dumps(row_line(one)))) == one
    assert math.isnan(line_row(row_line(row("match", 0, "clean", "mcc", math.nan))).value)


def test_a_note_is_whole_whatever_it_says() -> None:
    torn = "good; selected on dev; x is in domain"
    about = Note("the file 'mean of; a.csv' has no groups; so the classes are the groups")
    table = table_of([row("vanilla", 0, "clean", "accuracy", 0.5, notes=(about,), collapsed=torn)], ["vanilla"])
    assert table.notes == (f"vanilla seed 0: collapsed to {torn!r}", f"vanilla seed 0: {about.text}")
    assert table.lines[0].cells["vanilla"].collapsed == {0}
    # what a note says decides nothing
    prose = [Note("collapsed bridges are in domain"), Note("selected words"), Note("mean of nothing")]
    table = table_of([row("vanilla", 0, "clean", "accuracy", 0.5, notes=tuple(prose))], ["vanilla"])
    assert table.notes == tuple(f"vanilla seed 0: {note.text}" for note in prose)
    assert not table.lines[0].cells["vanilla"].collapsed


def test_a_note_of_many_runs_names_some() -> None:
    rows = [row("vanilla", seed, "clean", "accuracy", 0.5, notes=(Note("odd"),)) for seed in range(9)]
    whose = ", ".join(f"vanilla seed {seed}" for seed in range(6))
    assert table_of(rows, ["vanilla"]).notes == (f"{whose} and 3 more: odd",)


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
    table = table_of(read_rows(tmp_path / "rows.jsonl"), ["vanilla"])
    assert table == table_of(rows, ["vanilla"])
    assert table.notes == (
        "vanilla seed 1: collapsed to 'bad'",
        "snli is in domain",
        "mean of 3 sets",
        "vanilla seed 3: over 12 parameters",
    )
    assert table.lines[0].cells["vanilla"].collapsed == {1} and table.lines[0].cells["vanilla"].in_domain


def test_a_single_seed_has_no_spread() -> None:
    table = table_of([row("vanilla", 0, "clean", "accuracy", 0.8)], ["vanilla"])
    assert cell_text(table.lines[0].cells["vanilla"], ACCURACY) == "80.00"
    assert "one seed, no spread" in table.caption
    assert "Δ" not in table.caption


def test_nothing_finished_is_an_empty_table(tmp_path: Path) -> None:
    table = table_of([], ["vanilla", "match"], notes=["no result for vanilla seed 0"])
    assert table.lines == () and csv(table) == ""
    write_table(table, tmp_path)
    assert "no result for vanilla seed 0" in (tmp_path / "table.md").read_text()


def test_counts_of_rows_are_printed_on_request_and_always_written() -> None:
    table = table_of([row("m", 0, "clean", "accuracy", 0.8), row("m", 0, "scenario", "rows", 7.0)], ["m"])
    shown = {}
    for every in (False, True):
        stream = io.StringIO()
        print_table(table, Console(file=stream, width=80), every=every)
        shown[every] = stream.getvalue()
    assert "scenario" not in shown[False] and "scenario  rows" in shown[True]
    assert "| scenario | rows |" in markdown(report(table))
