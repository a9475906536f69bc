"""An experiment laid out like a paper's table, by hand."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from robusteval.errors import UserError
from robusteval.experiments.recipes import Coordinates, Recipe, RecipeTable, load_recipe
from robusteval.report.layout import entries
from robusteval.report.papers import differences, paper_report, paper_texts
from robusteval.report.render import latex, markdown
from robusteval.report.table import Table, build_table
from robusteval.results.reading import rows_frame
from robusteval.settings.spec import ExperimentSpec
from support import tiny
from support.small_experiment import done, small_plan
from support.table_rows import row

MEANS = {"cola": ("mcc", (0.5, 0.6)), "rte": ("accuracy", (0.7, 0.8))}
METHODS = {"Vanilla": "vanilla", "MATCH": "match", "R3F": "r3f"}
SPEC: dict[str, Any] = {
    "models": ["bert-large-cased"], "tasks": ["cola", "rte"], "methods": ["vanilla", "match", "r3f"], "seeds": 10,
    "scenarios": ["none", "label-noise:rate=0.05"], "train": {"epochs": 3, "learning_rate": 2e-5},
}  # fmt: skip


def made(*methods: str) -> Table:
    """Two seeds; match is 10 points better, everything loses 20 under noise, and a run of match on rte is missing."""
    rows = [
        row(method, seed, "clean", metric, value + (method == "match") / 10 - (scenario != "none") / 5, task=task,
            model="minilm", scenario=scenario, collapsed="no" if (task, seed, method) == ("cola", 0, "match") else None)
        for task, (metric, values) in MEANS.items()
        for scenario in ("none", "label-noise:rate=0.05")
        for method in methods
        for seed, value in enumerate(values)
        if (task, method, seed) != ("rte", "match", 1)
    ]  # fmt: skip
    asked = {("minilm", task, m, s): (0, 1) for task in MEANS for m in methods for s in SPEC["scenarios"]}
    return build_table(rows_frame(rows), list(methods), requested=asked)


def paper(**where: Any) -> RecipeTable:
    return RecipeTable(
        "noise",
        {
            "Vanilla": Coordinates(method="vanilla"),
            "MATCH": Coordinates(method="match"),
            "R3F": Coordinates(method="r3f"),
        },
        {
            "CoLA": Coordinates(task="cola", metric="mcc"),
            "RTE": Coordinates(task="rte", metric="accuracy"),
            "Avg": Coordinates(average=("CoLA", "RTE")),
            "Drop": Coordinates(average=("CoLA", "RTE"), statistic="drop"),
            "Avg of Avg": Coordinates(average=("Avg", "RTE")),
        },
        Coordinates(suite="clean", **{"scenario": "label-noise:rate=0.05", **where}),
        {
            "Vanilla": ({"mean": 61.1, "std": 0.5}, 69.7, 65.4, 4.8, None),
            "MATCH": ({"mean": 62.3, "max": 64}, 73.0, 67.7, 4.7, None),
            "R3F": (None, None, None, None, None),
        },
    )


def texts(table: Table, held: RecipeTable) -> dict[tuple[str, str], str]:
    return {place: entry.text for place, entry in entries(table, held).items()}


def test_the_papers_rows_and_columns() -> None:
    found = texts(made("vanilla", "match"), paper())
    assert found["Vanilla", "CoLA"] == "35.00 ± 7.07 (61.10 ± 0.50)"
    assert found["Vanilla", "RTE"] == "55.00 ± 7.07 (69.70)"
    # the mean of the columns, and of what each loses to the noise
    assert found["Vanilla", "Avg"] == "45.00 (65.40)"
    assert found["Vanilla", "Drop"] == "20.00 (4.80)"
    assert found["Vanilla", "Avg of Avg"] == "50.00"
    # what the paper printed beside the mean is shown of ours, too
    assert found["MATCH", "CoLA"] == "45.00 ± 7.07, max 50.00 (62.30, max 64.00)"
    assert found["MATCH", "RTE"] == "60.00 [1/2] (73.00)"
    assert found["MATCH", "Avg"] == "52.50 [1/2] (67.70)"
    assert found["R3F", "CoLA"] == found["R3F", "Avg"] == "–"


def test_a_cell_without_a_model_is_of_the_first_that_has_its_test() -> None:
    rows = [
        row("vanilla", 0, "clean", metric, value, task=task, model=model)
        for model, task, metric, value in (("first", "cola", "mcc", 0.1), ("second", "cola", "mcc", 0.2),
                                           ("second", "rte", "accuracy", 0.3))
    ]  # fmt: skip
    asked = {(each.model, each.task, "vanilla", "none"): (0,) for each in rows}
    table = build_table(rows_frame(rows), ["vanilla"], requested=asked)
    columns = {"CoLA": Coordinates(task="cola", metric="mcc"), "RTE": Coordinates(task="rte", metric="accuracy")}
    held = RecipeTable("both", {"Vanilla": Coordinates(method="vanilla", suite="clean")}, columns)
    assert texts(table, held) == {("Vanilla", "CoLA"): "10.00", ("Vanilla", "RTE"): "30.00"}
    named = {"Vanilla": Coordinates(method="vanilla", suite="clean", model="second")}
    assert texts(table, RecipeTable("one", named, columns))["Vanilla", "CoLA"] == "20.00"


def test_other_statistics_and_runs_that_did_not_collapse() -> None:
    table = made("vanilla", "match")
    assert texts(table, paper(sound=True))["MATCH", "CoLA"] == "50.00, max 50.00 [1/2] (62.30, max 64.00)"
    lowest = RecipeTable(
        "spread",
        {"min": Coordinates(statistic="min"), "std": Coordinates(statistic="std")},
        {"CoLA": Coordinates(task="cola", metric="mcc"), "Avg": Coordinates(average=("CoLA",))},
        Coordinates(method="match", suite="clean"),
        {"min": (55.1, None), "std": (1.2, None)},
    )
    found = texts(table, lowest)
    assert found == {
        ("min", "CoLA"): "60.00 (55.10)",
        ("min", "Avg"): "60.00",
        ("std", "CoLA"): "7.07 (1.20)",
        ("std", "Avg"): "7.07",
    }


def test_the_caption_says_in_what_it_is_not_the_papers() -> None:
    theirs = ExperimentSpec.read(SPEC)
    assert differences(theirs, theirs) == []
    small = {
        **SPEC, "models": ["minilm"], "seeds": 2, "methods": ["vanilla", "match"],
        "train": {"max_steps": 32, "epochs": 3},
        "data": {"train_limit": 512, "data_dir": "elsewhere"}, "settings": [{"task": "rte", "train": {"epochs": 1}}],
    }  # fmt: skip
    assert differences(ExperimentSpec.read(small), theirs) == [
        "model minilm instead of bert-large-cased", "2 seeds instead of 10", "without the methods r3f",
        "train_limit 512", "max_steps 32", "without learning_rate 2e-05", "other settings for parts of the grid",
    ]  # fmt: skip


def recipe(*tables: RecipeTable) -> Recipe:
    return Recipe("match-tuning", "table-3", "Label noise.", SPEC, {}, tables, ("One note.",))


def test_a_report_of_a_recipe_in_every_format() -> None:
    ours = ExperimentSpec.read({**SPEC, "models": ["minilm"], "seeds": 2})
    absent = paper(scenario="label-noise:rate=0.1")
    held, papers = paper_report(made("vanilla", "match"), recipe(paper(), absent), ours)
    assert papers == (paper(),)
    text = markdown(held)
    assert "## noise" in text and "|  | CoLA | RTE | Avg | Drop | Avg of Avg |" in text
    assert "Label noise (match-tuning/table-3)." in text and "Note: One note." in text
    assert "Not as in the paper: model minilm instead of bert-large-cased; 2 seeds instead of 10." in text
    assert "Note: nothing was measured of noise" in text
    assert r"Vanilla & 35.00 $\pm$ 7.07 (61.10 $\pm$ 0.50) & 55.00" in latex(held)
    files = dict(paper_texts(made("vanilla", "match"), recipe(paper(), absent), ours))
    frame = pd.read_csv(io.StringIO(files["csv"])).set_index(["row", "column"])
    cell = frame.loc[("Vanilla", "CoLA")]
    assert (cell["value"], cell["published"], cell["published_std"]) == (pytest.approx(35), 61.1, 0.5)
    assert (frame.loc[("MATCH", "RTE"), "seeds"], frame.loc[("MATCH", "RTE"), "asked"]) == (1, 2)
    told = json.loads(files["json"])
    assert told["differences"][0].startswith("model minilm") and len(told["cells"]) == 15
    with pytest.raises(
        UserError, match="table: no number of match-tuning/table-3 was measured here; it is of cola, rte"
    ):
        paper_report(made("vanilla"), recipe(absent), ours)


def test_a_recipe_of_the_package_is_laid_out() -> None:
    asked = load_recipe("match-tuning/table-3")
    spec = ExperimentSpec.read(asked.scaled("small"))
    held, papers = paper_report(made("vanilla", "match"), asked, spec)
    assert [each.caption for each in papers] == ["Noise ratio: 5 %"]
    line = next(each for each in markdown(held).splitlines() if each.startswith("| Vanilla"))
    assert line == (
        "| Vanilla Fine-tuning | 35.00 ± 7.07 (61.14) | – (90.38) | 55.00 ± 7.07 (69.68) | – (73.73) | – (4.80) |"
    )
    assert "model minilm instead of bert-large-cased; 2 seeds instead of 10" in markdown(held)


def test_the_command_draws_the_table_again(tiny_folder: Path, tmp_path: Path, invoke: Callable[..., Any]) -> None:
    for name, count, seed in (("train", 48, 0), ("dev", 24, 1)):
        words, labels = tiny.sentences(count, seed=seed)
        frame = pd.DataFrame({"review": words, "verdict": ["good" if label else "bad" for label in labels]})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    out = tmp_path / "out"
    plan = small_plan(tiny_folder, (tmp_path / "train.csv", tmp_path / "dev.csv"), ("vanilla", "match"))
    code, said = done(plan, out)
    assert code == 0, said
    before = (out / "report" / "table.csv").read_text()
    (out / "report" / "table.csv").unlink()
    drawn = invoke("report", str(out), "--format", "csv,md")
    assert drawn.returncode == 0, drawn.stderr
    assert (out / "report" / "table.csv").read_text() == before
    assert drawn.stdout.rstrip().endswith(f"table.md, table.csv in {out / 'report'}")
    assert "Nothing is said of the methods" in drawn.stdout
    # a run that is not finished is missed, not passed over
    [run] = (each for each in (out / "runs").iterdir() if ".match." in each.name)
    (run / "rows.jsonl").write_bytes(b"")
    drawn = invoke("report", str(out))
    assert drawn.returncode == 0, drawn.stderr
    assert "Note: 1 of 2 runs are not finished." in drawn.stdout
    clean = next(line for line in (out / "report" / "table.md").read_text().splitlines() if line.startswith("| clean"))
    assert clean.endswith("| 0/1 |")
    for arguments, message in (
        ((str(out), "--format", "pdf"), "format: unknown name 'pdf'"),
        ((str(out), "--table", "match-tuning/table-33"), "did you mean 'match-tuning/table-3'"),
        ((str(out), "--table", "match-tuning/table-3"), "table: no number of match-tuning/table-3 was measured here"),
        ((str(tmp_path),), "holds no experiment.yaml"),
    ):
        failed = invoke("report", *arguments)
        assert (failed.returncode, message in failed.stderr) == (2, True), failed.stderr
    (out / "runs" / next(each.name for each in (out / "runs").iterdir() if each != run) / "rows.jsonl").write_bytes(b"")
    failed = invoke("report", str(out))
    assert failed.returncode == 2 and "no run in" in failed.stderr
