"""What a table shows in two sentences: the numbers by hand, and nothing where two sentences would mix things up."""

from __future__ import annotations

import dataclasses

import pytest

from robusteval.report.in_words import in_words
from robusteval.report.table import build_table
from robusteval.results.frames import rows_frame
from robusteval.results.rows import Row
from support.table_rows import row

METHODS = ["vanilla", "match", "tdt"]
TESTS = {
    ("clean", "", "accuracy"): (0.9, 0.8, 0.95),
    ("mask", "0.2", "accuracy"): (0.7, 0.6, 0.65),
    ("ood", "other", "accuracy"): (0.6, 0.75, 0.5),
    ("attack", "deepwordbug", "accuracy_under_attack"): (0.25, 0.35, 0.4),
    ("attack", "deepwordbug", "attack_success_rate"): (0.7, 0.5, 0.5),
}


def rows(seeds: int, *suites: str, methods: int = 3) -> list[Row]:
    return [
        row(method, seed, suite, metric, share + 0.01 * seed, suite_value=value,
            aspect="robustness" if suite != "clean" else None)
        for (suite, value, metric), shares in TESTS.items() if suite in suites
        for method, share in zip(METHODS[:methods], shares, strict=False)
        for seed in range(seeds)
    ]  # fmt: skip


CASES = [
    (
        rows(2, "clean", "mask", "ood", "attack"),
        [
            "vanilla is right on 90.5 % of the texts as they are; of the tests of robustness mask 0.2 leaves it the "
            "most, 70.5 %, and attack deepwordbug the least, 25.5 %.",
            "In attack deepwordbug the others have match 35.5, tdt 40.5 %; with 2 seeds that describes these runs, not "
            "the methods.",
        ],
    ),
    (
        rows(1, "clean", "mask"),
        [
            "vanilla is right on 90.0 % of the texts as they are, and on 70.0 % in mask 0.2.",
            "In mask 0.2 the others have match 60.0, tdt 65.0 %; with one seed that describes these runs, not the "
            "methods.",
        ],
    ),
    (
        rows(8, "clean", "mask"),
        [
            "vanilla is right on 93.5 % of the texts as they are, and on 73.5 % in mask 0.2.",
            "In mask 0.2 the others have match 63.5, tdt 68.5 %.",
        ],
    ),
    (
        rows(2, "clean", "mask", methods=1),
        ["vanilla is right on 90.5 % of the texts as they are, and on 70.5 % in mask 0.2."],
    ),
    (rows(2, "clean"), []),
    (rows(2, "mask"), []),
]


@pytest.mark.parametrize(("given", "expected"), CASES)
def test_the_sentences_by_hand(given: list[Row], expected: list[str]) -> None:
    present = [method for method in METHODS if any(each.method == method for each in given)]
    assert in_words(build_table(rows_frame(given), present)) == expected


def test_several_tasks_are_not_said_in_two_sentences() -> None:
    both = [dataclasses.replace(each, task=task) for task in ("sst2", "mrpc") for each in rows(2, "clean", "mask")]
    assert in_words(build_table(rows_frame(both), METHODS)) == []
