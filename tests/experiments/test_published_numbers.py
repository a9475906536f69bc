"""Whether the numbers in MATCH-TUNING's and Bi-Drop's recipes are those that the papers print."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from robusteval.experiments.recipes import RecipeTable, load_recipe, recipe_names

# The papers' tables a second time, read from the papers line by line as they print them, without what a recipe leaves
# out (differences to vanilla). A cell with the best seed, "63.16 (64.55)", is two numbers.
MATCH_1 = """
63.16 (64.55)  70.61 (74.37)  90.70 (91.42)  89.64 (90.99)  78.53
63.26 (64.76)  72.10 (74.77)  90.88 (91.62)  89.66 (90.22)  78.98
63.02 (63.88)  70.92 (74.37)  91.04 (92.23)  89.64 (90.83)  78.66
63.78 (65.55)  72.32 (75.52)  91.19 (92.01)  89.89 (90.33)  79.30
63.99 (65.53)  71.82 (73.30)  90.84 (91.89)  89.67 (90.42)  79.08
64.03 (66.24)  72.42 (74.37)  91.09 (91.32)  89.64 (90.99)  79.30
63.70 (66.12)  72.02 (74.17)  91.23 (92.01)  90.16 (90.68)  79.28
64.84 (66.17)  73.23 (76.17)  91.42 (92.20)  90.18 (90.88)  79.92
64.39 (67.25)  74.12 (76.17)  91.70 (92.39)  90.45 (90.89)  80.17
65.21 (67.25)  73.63 (76.17)  92.34 (93.22)  90.45 (90.89)  80.41
"""
MATCH_2 = """
47.57  34.99 30.00  41.73  46.40  38.45 27.59  40.24
38.51  35.81 30.26  50.12  47.52  40.59 35.23  41.42
34.46  33.88 26.53  41.98  47.53  40.38 35.82  38.46
39.19  34.06 27.84  46.17  49.55  40.66 39.80  41.22
51.35  35.54 31.07  52.52  47.52  41.45 32.62  44.35
"""
MATCH_3 = """
61.14 90.38 69.68 73.73 4.80
62.42 90.82 67.99 73.74 5.56
61.13 90.46 71.59 74.39 4.89
61.46 90.42 71.72 74.53 5.39
62.33 91.19 72.96 75.49 4.68
59.21 88.90 68.34 72.15 6.38
61.76 90.36 66.75 72.96 6.34
60.97 89.83 70.02 73.61 5.67
61.35 89.92 69.06 73.44 6.84
61.41 90.55 71.56 74.51 5.66
59.01 87.84 68.12 71.66 6.87
60.16 88.51 65.14 71.27 8.03
59.66 88.08 69.10 72.28 7.00
59.88 89.01 69.78 72.89 7.03
59.65 89.51 70.04 73.07 7.10
"""
MATCH_5 = """
81.11 78.53 27.17 62.27
80.50 80.17 20.61 60.42
83.07 80.36 29.31 64.25
83.18 78.75 29.62 63.85
81.68 83.26 40.23 68.39
83.13 83.94 38.14 68.40
83.01 85.14 22.43 63.53
85.10 82.80 37.79 68.56
85.76 84.41 38.78 69.65
83.30 88.03 48.55 73.29
86.01 87.56 44.81 72.79
86.27 89.21 30.53 68.67
88.09 87.06 48.58 74.58
87.89 87.63 49.41 74.98
86.22 89.32 53.66 76.40
"""
BI_DROP_2 = """
63.76 (65.55)  90.41 (91.91)  70.97 (74.01)  89.70 (90.58)  78.71 (80.51)
63.70 (65.53)  90.89 (91.98)  72.24 (74.37)  89.66 (90.22)  79.12 (80.53)
63.89 (65.37)  91.09 (92.05)  72.84 (75.17)  89.64 (90.83)  79.37 (80.86)
64.05 (65.41)  91.19 (92.05)  72.32 (75.52)  89.89 (90.42)  79.36 (80.85)
64.09 (65.35)  90.88 (91.89)  72.48 (74.30)  89.67 (90.62)  79.28 (80.54)
64.25 (65.81)  91.19 (92.20)  72.35 (76.53)  90.18 (90.88)  79.49 (81.36)
64.88 (66.33)  91.55 (92.28)  72.42 (74.37)  89.70 (90.58)  79.64 (80.89)
64.40 (66.21)  91.05 (92.17)  72.88 (75.81)  90.47 (91.02)  79.70 (81.30)
64.83 (66.79)  91.76 (92.17)  73.12 (76.53)  90.14 (90.42)  79.96 (81.48)
64.94 (66.69)  91.79 (92.68)  73.79 (77.61)  90.59 (91.04)  80.26 (82.01)
"""
BI_DROP_3 = """
57.67 90.38 69.57 89.35 76.74   59.45 91.94 76.28 90.60 79.57
60.76 91.01 71.73 89.78 78.32   61.28 92.40 78.99 91.00 80.92
63.76 90.41 70.97 89.70 78.71   66.01 92.56 84.51 92.05 83.78
64.94 91.79 73.79 90.50 80.26   68.03 92.95 86.10 92.36 84.86
65.18 92.32 85.60 91.64 83.69   70.02 92.94 88.37 91.91 85.81
66.91 92.88 86.72 92.33 84.71   71.29 93.68 88.98 92.61 86.64
"""
# methods are columns here, SNLI and MNLI side by side, and sets are rows
BI_DROP_4 = """
64.53 64.16 64.51 64.70 66.88   75.78 76.27 76.85 75.48 76.63
66.11 66.30 66.59 67.29 68.49   77.31 77.30 77.93 77.45 77.98
83.37 83.53 83.59 82.95 83.62   70.87 70.76 71.48 71.56 71.63
52.59 53.73 53.59 55.89 54.28   53.27 55.35 54.21 54.81 54.93
61.08 61.40 61.56 62.63 63.22   67.15 67.80 67.87 67.94 68.18
"""
# label noise and the minority class side by side
BI_DROP_5 = """
61.39 90.24 69.78 73.80 1.25   81.12 78.88 27.71 62.57
61.66 90.39 71.47 74.51 1.77   83.10 79.50 28.14 63.58
62.33 91.21 73.16 75.57 1.00   81.37 76.46 32.61 63.48
62.29 91.85 73.57 75.90 0.94   81.88 80.17 37.66 66.57
59.35 89.78 68.51 72.55 2.50   83.30 83.98 39.32 68.87
61.56 89.88 69.78 73.72 2.56   85.78 84.55 37.65 69.33
61.12 91.10 71.36 74.53 2.04   83.55 85.07 43.51 70.71
61.65 91.12 71.96 74.91 1.93   84.33 85.35 49.62 73.10
58.96 88.10 68.14 71.73 3.32   86.07 87.40 45.27 72.91
59.99 88.10 68.88 72.32 3.96   87.98 87.64 50.78 75.47
60.80 89.26 69.55 73.20 3.36   86.04 88.89 55.73 76.89
60.08 89.73 70.88 73.56 3.28   86.73 89.61 58.27 78.20
"""
# methods are columns here, 0.5K and 1K side by side, and tasks are rows
BI_DROP_6 = """
36.23 40.77 41.87 44.78   48.92 51.63 52.89 54.76
81.33 81.95 83.29 83.18   83.90 84.62 85.03 85.44
58.87 59.27 59.16 60.04   62.17 63.85 64.92 66.96
82.60 82.79 83.41 85.19   85.91 86.92 87.26 87.53
86.11 88.19 89.08 89.38   89.95 89.88 90.44 90.41
78.76 79.32 79.27 80.48   82.49 83.65 83.86 84.35
71.88 73.43 74.22 74.61   77.65 78.57 78.79 79.01
46.44 45.74 47.63 50.79   56.55 60.96 59.47 61.25
67.78 68.93 69.74 71.06   73.44 75.01 75.33 76.21
"""


def printed(text: str) -> list[list[float]]:
    return [[float(each) for each in re.findall(r"[\d.]+", line)] for line in text.strip().splitlines()]


def blocks(name: str) -> list[list[list[float]]]:
    """Of each table of a recipe, the numbers of each row."""
    tables = load_recipe(name).tables
    return [
        [[number for column in table.columns for number in table.number(row, column).values()] for row in table.rows]
        for table in tables
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("match-tuning/table-1", MATCH_1), ("match-tuning/table-2", MATCH_2), ("match-tuning/table-3", MATCH_3),
        ("match-tuning/table-5", MATCH_5), ("bi-drop/table-2", BI_DROP_2),
    ],
)  # fmt: skip
def test_published_numbers_are_the_papers(name: str, text: str) -> None:
    assert [row for block in blocks(name) for row in block] == printed(text)


@pytest.mark.parametrize(("name", "text"), [("bi-drop/table-4", BI_DROP_4), ("bi-drop/table-6", BI_DROP_6)])
def test_published_numbers_are_the_papers_where_its_methods_are_columns(name: str, text: str) -> None:
    left, right = blocks(name)
    assert [list(line) for line in zip(*left, *right, strict=True)] == printed(text)


def test_published_numbers_are_the_papers_where_it_has_two_tables_side_by_side() -> None:
    noise, minority = blocks("bi-drop/table-5")[:3], blocks("bi-drop/table-5")[3:]
    beside = [a + b for left, right in zip(noise, minority, strict=True) for a, b in zip(left, right, strict=True)]
    assert beside == printed(BI_DROP_5)
    models = blocks("bi-drop/table-3")
    pairs = zip(models[::2], models[1::2], strict=True)
    assert [a + b for left, right in pairs for a, b in zip(left, right, strict=True)] == printed(BI_DROP_3)


def test_where_a_number_stands_is_what_the_paper_reports() -> None:
    def at(name: str, place: int, row: str, column: str, statistic: str = "mean") -> tuple[dict[str, Any], float]:
        table = load_recipe(name).tables[place]
        cell = {key: value for key, value in table.cell(row, column).given.items() if value not in ("", False)}
        return cell, table.number(row, column)[statistic]

    usual = {"scenario": "none", "statistic": "mean"}
    clean = {**usual, "suite": "clean"}
    assert at("match-tuning/table-1", 0, "MATCH-TUNING + R3F", "STS-B", "max") == (
        {**clean, "task": "stsb", "metric": "spearman", "method": "match+r3f"}, 90.89,
    )  # fmt: skip
    assert at("match-tuning/table-2", 0, "ChildTuning_D", "advQQP F1") == (
        {**usual, "suite": "advglue", "value": "adv_qqp", "task": "qqp", "metric": "f1", "method": "child-d"}, 39.80,
    )  # fmt: skip
    assert at("match-tuning/table-5", 1, "MATCH-TUNING", "RTE") == (
        {**usual, "scenario": "minority:keep=0.4", "suite": "classes", "value": "not_entailment", "task": "rte",
         "metric": "accuracy", "method": "match"}, 48.55,
    )  # fmt: skip
    assert at("match-tuning/table-6", 0, "GroupDRO + MATCH-TUNING", "Worst-group Acc") == (
        {**usual, "scenario": "groups:balance=true", "suite": "groups", "value": "worst", "task": "mnli",
         "metric": "accuracy", "method": "match+groupdro"}, 79.6,
    )  # fmt: skip
    assert at("match-tuning/table-7", 0, "M.T. Negative", "MRPC") == (
        {**clean, "task": "mrpc", "metric": "f1", "method": "match:keep=negative"}, 91.18,
    )  # fmt: skip
    assert at("match-tuning/table-11", 0, "ELECTRA+Vanilla raw", "CoLA") == (
        {**clean, "task": "cola", "metric": "mcc", "method": "vanilla"}, 49.19,
    )  # fmt: skip
    assert at("match-tuning/table-11", 0, "ELECTRA+Vanilla filtered", "CoLA") == (
        {**clean, "task": "cola", "metric": "mcc", "method": "vanilla", "sound": True}, 70.52,
    )  # fmt: skip
    assert at("bi-drop/table-4", 1, "DPS", "MNLI-m") == (
        {**usual, "scenario": "low-resource:examples=5000", "suite": "ood", "value": "mnli_mismatched",
         "task": "mnli", "metric": "accuracy", "method": "dps-mix"}, 77.45,
    )  # fmt: skip
    assert at("bi-drop/table-6", 1, "CT_D", "QQP") == (
        {**clean, "scenario": "low-resource:examples=1000", "task": "qqp", "metric": "f1", "method": "child-d"}, 78.57,
    )  # fmt: skip
    assert at("bi-drop/table-7", 0, "g_avg + RSS", "CoLA") == (
        {**clean, "task": "cola", "metric": "mcc", "method": "bidrop-random"}, 64.24,
    )  # fmt: skip
    assert at("bi-drop/table-10", 0, "Vanilla (double bsz)", "RTE") == (
        {**clean, "task": "rte", "metric": "accuracy", "method": "double-batch"}, 69.85,
    )  # fmt: skip
    assert at("bi-drop/table-11", 0, "DPS_mix", "STS-B", "max") == (
        {**clean, "task": "stsb", "metric": "spearman", "method": "dps-mix"}, 92.73,
    )  # fmt: skip


# (recipe, table, row, column, statistic) -> what the paper prints, and what the average of its own row is
MISPRINTED = {
    ("match-tuning/table-4", "Seconds of an epoch", "Vanilla Fine-tuning", "Avg", "mean"): (1070, 9717 / 9),
    ("match-tuning/table-5", "Reduction ratio: 30 %", "R3F", "Avg", "mean"): (60.42, 181.28 / 3),
    ("match-tuning/table-11", "Mean of 10 seeds", "ELECTRA+Vanilla filtered", "Avg", "mean"): (85.76, 85.79),
    ("bi-drop/table-2", "Mean and best of 10 seeds", "Bi-Drop", "Avg", "mean"): (80.26, 80.2775),
    ("bi-drop/table-5", "Noise ratio: 10 %", "CT_D", "Avg", "mean"): (73.72, 73.74),
    ("bi-drop/table-7", "Mean of 10 seeds", "Bi-Drop (g_avg + ESS)", "Avg", "mean"): (80.26, 80.2775),
}
# averages of columns of which the paper leaves one open
OPEN = {("match-tuning/table-4", "R3F"), ("match-tuning/table-4", "MATCH-TUNING + R3F")}


def own_average(table: RecipeTable, row: str, column: str, statistic: str) -> float | None:
    """What stands in a column, or the mean of what an average is of."""
    parts = table.columns[column].average
    if not parts:
        return table.number(row, column).get(statistic)
    found = [own_average(table, row, part, statistic) for part in parts]
    return None if None in found else sum(filter(None, found)) / len(parts)


def test_printed_averages_are_those_of_their_rows_but_for_the_misprinted_ones() -> None:
    off, unknown, count = dict[tuple[str, ...], tuple[float, float]](), set(), 0
    for name in (each for each in recipe_names() if each.startswith(("match-tuning/", "bi-drop/"))):
        for table in load_recipe(name).tables:
            averages = [label for label, at in table.columns.items() if at.average and at.statistic is None]
            rounding = 0.5 if table.where.metric == "seconds" else 0.005
            for row, column in itertools.product(table.rows, averages):
                for statistic, told in table.number(row, column).items():
                    mean = own_average(table, row, column, statistic)
                    count += 1
                    if mean is None:
                        unknown.add((name, row))
                    elif abs(mean - told) > rounding + 1e-9:
                        off[name, table.caption, row, column, statistic] = (told, pytest.approx(mean))
    # by table: MATCH 1, 2, 3, 4, 5, 11; Bi-Drop 2, 3, 4, 5, 6, 7, 10, 11
    assert count == 10 + 5 + 15 + 6 + 15 + 5 + 20 + 12 + 10 + 24 + 8 + 6 + 3 + 10
    assert off == MISPRINTED and unknown == OPEN


def test_drops_are_to_the_averages_without_noise() -> None:
    """MATCH-TUNING's are to Table 1's, which has a fourth task; Bi-Drop's to Table 2's over the same three."""
    (first,) = load_recipe("match-tuning/table-1").tables
    for table in load_recipe("match-tuning/table-3").tables:
        for row in table.rows:
            drop = first.number(row, "Avg")["mean"] - table.number(row, "Avg")["mean"]
            swapped = (table.caption, row) == ("Noise ratio: 10 %", "ChildTuning_D")
            assert table.number(row, "Drop")["drop"] == pytest.approx(6.84 if swapped else drop, abs=1e-6)
    (second,) = load_recipe("bi-drop/table-2").tables
    for table in load_recipe("bi-drop/table-5").tables[:3]:
        for row in ("Vanilla", "R-Drop", "Bi-Drop"):
            before = sum(second.number(row, task)["mean"] for task in ("CoLA", "MRPC", "RTE")) / 3
            drop = before - table.number(row, "Avg")["mean"]
            assert table.number(row, "Drop")["drop"] == pytest.approx(drop, abs=0.011)
        assert table.number("CT_D", "Drop")["drop"] == pytest.approx(76.28 - table.number("CT_D", "Avg")["mean"])
