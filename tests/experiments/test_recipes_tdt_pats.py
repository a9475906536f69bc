"""The recipes of TDT and PATS against the papers: every printed number, every setting, and how many runs there are."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest

from robusteval.experiments.grid import expand
from robusteval.experiments.recipes import load_recipe
from robusteval.settings.spec import ExperimentSpec
from robusteval.tasks import TASKS

# The papers' tables as they are printed: a line per block, then a line per row; "-" where there is no number.
PRINTED = {
    "tdt/table-1": """
        # MNLI QQP QNLI SST-2 CoLA STS-B MRPC RTE Avg
        FineTuning    84.5 90.9 91.3 92.8 60.5 88.7 85.1 67.5 82.66
        TDT           85.3 91.2 91.9 93.7 62.4 89.3 87.5 71.8 84.14
        # MNLI QQP QNLI SST-2 CoLA STS-B MRPC RTE Avg
        FineTuning †  86.6 91.3 92.3 93.2 60.6 90.0 88.0 70.4 84.05
        FineTuning    85.9 90.9 92.3 93.9 61.5 90.0 86.0 75.1 84.45
        TDT           86.4 91.4 92.6 94.3 66.2 89.9 88.5 75.8 85.64
        # MNLI QQP QNLI SST-2 CoLA STS-B MRPC RTE Avg
        FineTuning †  90.2 92.2 94.7 96.4 68.0 92.4 90.9 86.6 88.92
        FineTuning    90.5 92.3 94.4 96.6 67.4 92.2 91.9 87.7 89.13
        TDT           90.6 91.9 94.7 97.0 69.3 92.5 93.1 91.0 90.01
    """,
    "tdt/table-3": """
        # FineTuning TDT
        MNLI-m  85.8 86.4
        QQP     73.1 74.2
        # FineTuning TDT
        CMNLI   70.6 71.8
        BUSTM   64.8 66.4
    """,
    "tdt/table-5": """
        # SST-2 CoLA MRPC RTE Avg
        FineTuning     96.6 67.4 91.9 87.7 85.90
        TokenCutoff †  96.9 70.0 90.9 90.6 87.10
        R-drop †       96.9 70.0 91.4 88.4 86.67
        R3F †          97.0 71.2 91.6 88.5 87.07
        PostTraining   95.0 64.7 91.2 84.1 83.75
        TDT w/o L_C    96.4 69.3 91.9 89.5 86.77
        TDT w/o L_R    96.4 66.7 91.4 90.6 86.28
        TDT-hard       96.7 67.6 92.2 90.3 86.70
        TDT            97.0 69.3 93.1 91.0 87.60
        # OCNLI IFLYTEK CSL TNEWS Avg
        FineTuning     78.1 61.8 86.1 59.0 71.25
        TokenCutoff    78.2 61.8 86.1 59.2 71.33
        R-drop         78.9 61.6 86.6 58.9 71.50
        PostTraining   76.5 62.1 87.0 58.9 71.13
        TDT w/o L_C    78.6 61.9 86.9 59.0 71.60
        TDT w/o L_R    79.2 62.1 86.9 58.9 71.77
        TDT-hard       79.1 62.5 87.0 59.1 71.93
        TDT            79.5 62.9 87.2 59.2 72.20
    """,
    "pats/table-1": """
        # CoLA MRPC RTE STS-B QQP QNLI MNLI-m MNLI-mm MNLI SST Avg
        BERT_base                  58.94 90.19 68.03 89.28 88.53 91.96 - - 84.63 92.77 83.18
        BERT_base + SAGE           59.45 90.53 71.78 89.81 88.61 91.87 - - 84.59 93.06 83.65
        BERT_base + NoisyTune      60.01 90.34 69.71 89.81 88.58 91.82 - - 84.64 92.85 83.47
        BERT_base + PATS           60.67 91.05 72.08 89.86 88.64 92.02 - - 84.80 92.89 84.00
        RoBERTa_large              66.67 91.89 85.44 91.98 89.26 94.45 - - 90.25 96.10 88.25
        RoBERTa_large + SAGE       67.36 93.27 85.56 92.05 89.27 94.54 - - 90.25 96.25 88.57
        RoBERTa_large + NoisyTune  67.47 93.26 85.52 92.00 89.36 94.53 - - 90.04 96.12 88.56
        RoBERTa_large + PATS       68.62 93.52 86.29 92.23 89.40 94.64 - - 90.44 96.30 88.90
    """,
}
# TDT's Table 2 has a line per task: FineTuning and TDT of BERT-wwm-base, of MacBERT-large, of RoBERTa-wwm-large.
TDT_2 = """
    OCNLI    74.6 75.3 78.3 79.8 78.1 79.5
    IFLYTEK  60.8 62.2 61.5 61.8 61.8 62.9
    CSL      84.7 85.5 86.8 87.0 86.1 87.2
    TNEWS    56.9 57.3 58.5 58.7 59.0 59.2
    AFQMC    74.0 75.0 76.2 76.8 76.0 76.2
    Avg      70.20 71.06 72.26 72.82 72.20 73.00
"""
# TDT's Table 4: mean and deviation of FineTuning and of TDT, the difference of the means.
TDT_4 = """
    OCNLI    60.85 2.66 63.38 0.90 2.53
    IFLYTEK  54.12 0.75 54.78 0.94 0.66
    CSL      80.25 1.36 81.45 0.62 1.20
    TNEWS    53.50 0.58 53.33 0.25 -0.17
    AFQMC    64.77 3.87 66.45 0.93 1.68
    Avg      62.70 -    63.88 -    1.18
"""
# The lines of TDT's Table 1 on models that the recipe does not run.
OTHERS = """
    XLNet    90.8 92.3 94.9 97.0 69.0 92.5 90.8 85.9 89.15
    ELECTRA  90.9 92.4 95.0 96.9 69.1 92.6 90.8 88.0 89.46
    DeBERTa  91.1 92.4 95.3 96.8 70.5 92.6 91.9 88.3 89.86
    ALBERT   90.8 92.2 95.3 96.9 71.4 93.0 90.9 89.2 89.96
"""
# Averages that are not the means of the paper's own columns.
WRONG = {83.18: "83.04", 83.65: "83.71", 88.56: "88.54", 88.90: "88.93"}
RUNS = {  # all, and at the small scale
    "tdt/table-1": (192, 10),  # 3 models x 8 tasks x 2 methods x 4 seeds
    "tdt/table-2": (120, 12),  # 3 x 5 x 2 x 4
    "tdt/table-3": (16, 4),  # 2 models with a task each x 2 x 4
    "tdt/table-4": (40, 12),  # 5 x 2 x 4
    "tdt/table-5": (272, 15),  # (9 methods x 4 GLUE tasks + 8 x 4 CLUE tasks) x 4
    "tdt/figure-3": (1, 1),
    "tdt/figure-4": (2, 2),
    "tdt/figure-5": (8, 4),
    "tdt/figure-6": (8, 4),
    "pats/table-1": (320, 20),  # 2 models x 8 tasks x 4 methods x 5 seeds
    "pats/figure-2": (30, 6),  # 3 x 2 x 5
    "pats/figure-3": (60, 12),  # 6 shares x 2 x 5
}
# TDT's Table 7: batch size, steps, steps of the warm-up, rate.
TDT_7 = """
    base   mnli qqp          128 10000 1000 4e-5
    base   qnli sst2 stsb     64  3000  300 4e-5
    base   cola rte           64  2000  200 2e-5
    base   mrpc               64  2000  200 1e-5
    large  mnli qqp           64 10000 1000 2e-5
    large  qnli sst2 stsb     64  3000  300 2e-5
    large  cola               32  3000  300 2e-5
    large  mrpc               64  2000  200 2e-5
    large  rte                64  2000  100 2e-5
    wwm    ocnli              64  3000  300 4e-5
    wwm    iflytek            16  5000  300 3e-5
    wwm    csl afqmc          32  3000  300 3e-5
    wwm    tnews              64  5000  300 3e-5
    zh     ocnli csl afqmc    32  3000  300 1e-5
    zh     iflytek            16  5000  300 1e-5
    zh     tnews              64  5000  300 1e-5
"""
KINDS = {
    "bert-base-uncased": "base",
    "bert-large-uncased": "large",
    "roberta-large": "large",
    "FacebookAI/roberta-large-mnli": "large",
    "hfl/chinese-bert-wwm": "wwm",
    "hfl/chinese-macbert-large": "zh",
    "hfl/chinese-roberta-wwm-ext-large": "zh",
}
# PATS' Table 2.
PATS_2 = """
    task                cola mrpc rte  stsb qqp  qnli mnli sst2
    bert-base-uncased   1e-4 1e-4 1e-4 2e-4 1e-4 2e-4 8e-5 8e-5
    roberta-large       3e-5 5e-5 5e-5 5e-5 1e-4 1e-5 3e-5 3e-5
    bert-base-uncased+  1e-4 3e-4 3e-4 3e-4 2e-4 2e-4 1e-4 3e-4
    roberta-large+      8e-5 8e-5 8e-5 5e-5 1e-4 3e-5 1e-5 1e-5
"""


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


def runs(name: str, scale: Any = "full") -> list[Any]:
    return expand(ExperimentSpec.read(load_recipe(name).scaled(scale)))


def printed(name: str) -> list[tuple[list[str], dict[str, list[float | None]]]]:
    """The columns of each block, and its rows."""
    blocks: list[tuple[list[str], dict[str, list[float | None]]]] = []
    for line in PRINTED[name].strip().splitlines():
        if line.split()[0] == "#":
            blocks.append((line.split()[1:], {}))
            continue
        label, *cells = re.split(r"\s+(?=-?[0-9]+\.[0-9]|-)", line.strip())
        columns, rows = blocks[-1]
        numbers = cells[-len(columns) :]
        label = " ".join([label, *cells[: -len(columns)]])
        rows[label] = [None if cell == "-" else float(cell) for cell in numbers]
    return blocks


@pytest.mark.parametrize("name", PRINTED)
def test_the_papers_numbers_are_those_of_the_paper(name: str) -> None:
    tables = load_recipe(name).tables
    found = [(list(t.columns), {row: list(cells) for row, cells in t.published.items()}) for t in tables]
    assert found == printed(name)


def test_tdt_table_2() -> None:
    tables = load_recipe("tdt/table-2").tables
    models = ["hfl/chinese-bert-wwm", "hfl/chinese-macbert-large", "hfl/chinese-roberta-wwm-ext-large"]
    assert [table.where.model for table in tables] == models
    for place, (column, *cells) in enumerate(lines(TDT_2)):
        found = [table.published[row][place] for table in tables for row in ("FineTuning", "TDT")]
        assert [list(table.columns)[place] for table in tables] == [column] * 3
        assert found == [float(cell) for cell in cells]


def test_tdt_table_4() -> None:
    (table,) = load_recipe("tdt/table-4").tables
    assert list(table.columns) == [line[0] for line in lines(TDT_4)]
    for column, *cells in lines(TDT_4):
        plain, deviation, tdt, of_tdt, difference = (None if cell == "-" else float(cell) for cell in cells)
        for row, mean, std in (("FineTuning", plain, deviation), ("TDT", tdt, of_tdt)):
            expected = {"mean": mean} if std is None else {"mean": mean, "std": std}
            assert table.number(row, column) == expected
        found = [table.number(row, column)["mean"] for row in ("TDT", "FineTuning")]
        assert round(found[0] - found[1], 2) == difference


def test_the_note_on_tdt_table_1_has_the_lines_that_the_recipe_leaves_out() -> None:
    told = " ".join(load_recipe("tdt/table-1").notes)
    for line in lines(OTHERS):
        assert " ".join(line) in told


@pytest.mark.parametrize("name", [*PRINTED, "tdt/table-2", "tdt/table-4"])
def test_averages_are_the_means_of_their_columns(name: str) -> None:
    """To half a unit of their last digit, rounded either way; but for those of which a note says that they are not."""
    recipe = load_recipe(name)
    averages = 0
    for table in recipe.tables:
        for row in table.rows:
            for column, at in table.columns.items():
                numbers = [table.number(row, part) for part in at.average]
                if not at.average or not all(numbers):
                    continue
                averages += 1
                mean = sum(Decimal(str(each["mean"])) for each in numbers) / len(numbers)
                published = table.number(row, column)["mean"]
                if published in WRONG:
                    assert f"{mean:.2f}" == WRONG[published]
                    assert f"{published:.2f} ({WRONG[published]})" in " ".join(recipe.notes)
                else:
                    assert abs(mean - Decimal(str(published))) <= Decimal("0.005")
    assert averages == {"tdt/table-1": 8, "tdt/table-5": 17, "pats/table-1": 8, "tdt/table-2": 6, "tdt/table-4": 2}.get(
        name, 0
    )


@pytest.mark.parametrize(("name", "full", "small"), [(name, *counts) for name, counts in RUNS.items()])
def test_number_of_runs(name: str, full: int, small: int) -> None:
    assert (len(runs(name)), len(runs(name, "small"))) == (full, small)
    assert {run.model for run in runs(name, "small")} == {"minilm"}


@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("tdt/")])
def test_tdt_trains_as_its_table_7_says(name: str) -> None:
    expected = {
        (line[0], task): (int(line[-4]), int(line[-3]), int(line[-2]), float(line[-1]))
        for line in lines(TDT_7)
        for task in line[1:-4]
    }
    for run in runs(name):
        train = run.train
        told = (train.batch_size, train.max_steps, round(train.warmup * train.max_steps, 6), train.learning_rate)
        assert told == expected[KINDS[run.model], run.task], (run.model, run.task)
        assert (train.weight_decay, train.max_length, train.select) == (0, 256, "last")


@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("pats/")])
def test_pats_trains_as_its_appendix_says(name: str) -> None:
    (_, *tasks), *rates = lines(PATS_2)
    expected = {(line[0], task): float(rate) for line in rates for task, rate in zip(tasks, line[1:], strict=True)}
    for run in runs(name):
        train = run.train
        which = run.model + ("+" if run.method.label == "pats" else "")
        assert train.learning_rate == expected[which, run.task], (which, run.task)
        told = (train.optimizer, train.batch_size, train.epochs, train.max_steps, train.warmup, train.select)
        assert told == ("adamax", 32, 10, None, 0.1, "best")


def test_roberta_starts_from_the_mnli_model_where_the_paper_says_so() -> None:
    for name, tasks in (("tdt/table-1", {"rte", "stsb"}), ("tdt/table-5", {"rte"})):
        ours = [run for run in runs(name) if "roberta-large" in run.model]
        ours = [run for run in ours if run.method.label != "post-training:seed=0"]
        assert {run.task for run in ours if run.model.endswith("-mnli")} == tasks
        assert not {run.task for run in ours if run.model == "roberta-large"} & tasks


@pytest.mark.parametrize("name", RUNS)
def test_every_cell_is_of_runs_that_there_are_and_of_one_model(name: str) -> None:
    recipe, every = load_recipe(name), runs(name)
    for table in recipe.tables:
        for row in table.rows:
            for column, at in table.columns.items():
                if at.average:
                    continue
                cell = table.cell(row, column)
                found = [
                    run
                    for run in every
                    if (run.task, run.method.label, run.scenario.label) == (cell.task, cell.method, cell.scenario)
                    and cell.model in (None, run.model)
                ]
                assert len({run.model for run in found}) == 1, (row, column)
                assert len(found) == len({run.seed for run in every}), (row, column)
                suites = {text.partition(":")[0] for text in found[0].evaluation.suites}
                assert cell.suite in suites
                if cell.suite in ("clean", "mask", "replace", "ordered-drop"):
                    assert cell.metric in TASKS[str(cell.task)].metrics


@pytest.mark.parametrize("name", RUNS)
def test_the_small_scale_fills_cells_of_a_table(name: str) -> None:
    """MNLI is left out at the small scale, and with it a table."""
    recipe, every = load_recipe(name), runs(name, "small")
    filled = {(run.model, run.task, run.method.label, run.scenario.label) for run in every}
    tables = recipe.tables_for(["minilm"])
    full = []
    for table in tables:
        cells = [table.cell(row, column) for row in table.rows for column in table.columns]
        assert {cell.model for cell in cells} <= {None, "minilm"}
        full.append(any(("minilm", cell.task, cell.method, cell.scenario) in filled for cell in cells))
    assert full == [True] * len(tables) if name != "tdt/table-3" else [False, True]


def test_tested_on_what_the_papers_test_on() -> None:
    suites = {(run.task, run.evaluation.suites) for run in runs("tdt/table-3")}
    assert suites == {
        ("mnli", ("clean", "ood:only=mnli_mismatched|qqp")),
        ("ocnli", ("clean", "ood:only=cmnli|fewclue-bustm")),
    }
    assert {run.evaluation.sets for run in runs("tdt/figure-5")} == {10}
    assert {run.scenario.parts[0][1]["examples"] for run in runs("tdt/table-4")} == {1000}
    assert {run.attack.recipes for name in RUNS for run in runs(name)} == {()}
