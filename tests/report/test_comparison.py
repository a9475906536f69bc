"""Two side by side: the statistics by hand and by scipy, the rows that belong together, conditions, what is written."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from robusteval.errors import UserError
from robusteval.pipeline.known_rows import notes_on
from robusteval.report.comparison import Comparison, Line, compare, plain
from robusteval.report.conditions import Condition, check_names, checked
from robusteval.report.paired import Paired, over_originals
from robusteval.report.side_by_side import caption, chosen, print_checks, print_comparison, record
from robusteval.results.metrics import METRICS, Metric, accuracy
from robusteval.results.outcomes import Known, Probe, Side
from robusteval.results.reading import Run
from robusteval.results.rows import Row
from robusteval.results.store import RunFolder
from support.evaluations import evaluation

GOLD = [0, 1] * 20
NOTHING = Known()


def flipped(rows: Sequence[int]) -> list[int]:
    """The gold labels, wrong in these rows."""
    return [1 - label if row in rows else label for row, label in enumerate(GOLD)]


def two(tmp_path: Path, a: Any, b: Any, **settings: Any) -> Comparison:
    """The comparison of two evaluations; a, b: suite and value -> answers."""
    sides = [evaluation(tmp_path / name, tests, GOLD, **settings) for name, tests in (("a", a), ("b", b))]
    return compare(*sides, lambda probe: NOTHING)


def line(comparison: Comparison, name: str) -> Line:
    (found,) = (each for each in comparison.lines if each.name == name)
    return found


def test_independent_rows_are_mcnemars(tmp_path: Path) -> None:
    clean = ("clean", "")
    found = line(two(tmp_path, {clean: [flipped([0])]}, {clean: [flipped([3, 4, 5, 6, 7, 8, 9])]}), "clean accuracy")
    assert (found.a, found.b, found.n) == (pytest.approx(39 / 40), pytest.approx(33 / 40), 40)
    assert (found.only_a, found.only_b) == (7, 1)
    assert found.p == pytest.approx(stats.binomtest(1, 8, 0.5).pvalue)
    gain = np.zeros(40)
    gain[0], gain[3:10] = 1, -1
    by_scipy = stats.ttest_1samp(gain, 0).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((by_scipy.low, by_scipy.high))
    # the interval excludes 0, but the exact test does not reject: no verdict
    assert found.interval.high < 0 < 0.05 < found.p
    assert found.verdict == "no clear difference"


def test_random_sets_of_a_row_are_one_original(tmp_path: Path) -> None:
    mask = ("mask", "0.2")
    ours, theirs = [GOLD, GOLD, flipped([1])], [flipped([0, 1, 2]), flipped([0, 3]), flipped([0, 1, 4])]
    found = line(two(tmp_path, {mask: ours}, {mask: theirs}), "mask@0.2 accuracy")
    means = [np.mean([np.equal(each, GOLD) for each in side], axis=0) for side in (ours, theirs)]
    by_scipy = stats.ttest_1samp(means[1] - means[0], 0).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((by_scipy.low, by_scipy.high))
    # rows 0 to 4, one of which both have wrong in one set more or less
    assert (found.only_a, found.only_b, found.interval.n) == (5, 0, 40)


def test_rows_of_one_original_count_as_one(tmp_path: Path) -> None:
    tests = {"a": GOLD[:20], "b": flipped([0, 3, 4])[:20]}
    once = [evaluation(tmp_path / "once" / name, {("clean", ""): [tests[name]]}, GOLD[:20]) for name in tests]
    twice = [evaluation(tmp_path / "twice" / name, {("clean", ""): [tests[name] * 2]}, GOLD[:20] * 2) for name in tests]
    origin = Known(original={str(row): str(row % 20) for row in range(40)})
    single = line(compare(*once, lambda probe: NOTHING), "clean accuracy")
    comparison = compare(*twice, lambda probe: origin)
    double = line(comparison, "clean accuracy")
    assert comparison.notes == ("clean: 40 rows of 20 originals",)
    assert double.interval == single.interval
    assert (double.only_a, double.only_b, double.n) == (single.only_a, single.only_b, 40)
    # three differences of one sign out of 20: 2 of the 8 patterns are as extreme; others are drawn
    assert double.p == pytest.approx(0.25, abs=0.01)
    with pytest.raises(UserError, match="'39' is not among those of the cluster column"):
        compare(*twice, lambda probe: Known(original={str(row): "x" for row in range(39)}))


def test_other_metrics_have_the_interval_of_a_jackknife() -> None:
    generator = np.random.default_rng(3)
    gold = generator.integers(2, size=400)
    a, b = (np.where(generator.random(400) < share, gold, 1 - gold)[None] for share in (0.85, 0.75))
    paired = Paired(tuple(map(str, range(400))), gold, a, b, np.arange(400))
    few = Paired(paired.ids[:30], gold[:30], a[:, :30], b[:, :30], np.arange(30))
    gain = (b == gold)[0].astype(float) - (a == gold)[0]
    # of a mean the pseudo-values are the rows' own differences, where each row is a group
    by_scipy = stats.ttest_1samp(gain[:30], 0).confidence_interval(0.95)
    mean, _ = over_originals(few, Metric("mean", function=accuracy))
    assert (mean.low, mean.high) == pytest.approx((by_scipy.low, by_scipy.high))
    found, p = over_originals(paired, METRICS["f1"])
    function = METRICS["f1"].function
    assert function is not None
    drawn = [generator.integers(400, size=400) for _ in range(120)]
    spread = np.std([function(gold[each], b[0, each]) - function(gold[each], a[0, each]) for each in drawn])
    assert found.mean == pytest.approx(function(gold, b[0]) - function(gold, a[0]))
    assert (found.high - found.low) / 4 == pytest.approx(spread, rel=0.25)
    assert p < 0.01


def test_a_collapsed_model_is_told(tmp_path: Path) -> None:
    sides = [evaluation(tmp_path / "a", {("clean", ""): [GOLD]}, GOLD)]
    sides.append(evaluation(tmp_path / "b", {("clean", ""): [[1] * 40]}, GOLD, collapsed="good"))
    assert compare(*sides, lambda probe: NOTHING).notes == ("B predicts 'good' throughout",)


def test_scores_are_compared_by_their_correlation(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    gold = generator.random(60) * 5
    clean, settings = ("clean", ""), {"labels": (), "metrics": ("pearson",)}
    sides = [
        evaluation(tmp_path / name, {clean: [gold + noise * generator.standard_normal(60)]}, gold, **settings)
        for name, noise in (("a", 0.1), ("b", 3.0))
    ]
    comparison = compare(*sides, lambda probe: NOTHING)
    (found,) = comparison.lines
    assert found.verdict == "B is worse" and found.interval.high < 0 and found.only_a is None
    assert len(comparison.examples) == 60 and math.isnan(comparison.examples[0].right_a)
    classes = evaluation(tmp_path / "c", {clean: [[0] * 60]}, [0, 1] * 30)
    with pytest.raises(UserError, match="A gives scores and the other one classes"):
        compare(sides[0], classes, lambda probe: NOTHING)


def test_classes_are_matched_whatever_a_model_calls_them(tmp_path: Path) -> None:
    clean = ("clean", "")
    ours = evaluation(tmp_path / "a", {clean: [flipped([0])]}, GOLD)
    turned = [1 - each for each in flipped([1, 2])]
    for place, labels in enumerate((("Good", "Bad"), ("LABEL_0", "LABEL_1"))):
        theirs = evaluation(tmp_path / f"b{place}", {clean: [turned]}, [1 - each for each in GOLD], labels=labels)
        found = line(compare(ours, theirs, lambda probe: Known(labels=("bad", "good"))), "clean accuracy")
        assert (found.a, found.b) == (pytest.approx(39 / 40), pytest.approx(38 / 40))
        assert (found.only_a, found.only_b) == (2, 1)
    # the names are the same and the rows say the contrary
    wrong = evaluation(tmp_path / "w", {clean: [turned]}, [1 - each for each in GOLD])
    with pytest.raises(UserError, match="'good' for A are 'bad' for B: one was tested with a wrong label map"):
        compare(ours, wrong, lambda probe: NOTHING)


def test_a_class_that_no_row_has_is_not_taken_for_another(tmp_path: Path) -> None:
    """B calls its classes otherwise, and predicts one that is no row's: it must not count as right."""
    gold, clean = [1, 2] * 5, ("clean", "")
    ours = evaluation(tmp_path / "a", {clean: [gold]}, gold, labels=("x", "y", "z"))
    theirs = evaluation(tmp_path / "b", {clean: [[2] * 10]}, [0, 1] * 5, labels=("L0", "L1", "L2"))
    assert line(compare(ours, theirs, lambda probe: NOTHING), "clean accuracy").b == 0


def test_what_cannot_be_compared_is_told(tmp_path: Path) -> None:
    clean, mask = ("clean", ""), ("mask", "0.2")
    ours, other_ids = evaluation(tmp_path / "a", {clean: [GOLD], mask: [GOLD]}, GOLD), [f"r{row}" for row in range(40)]
    for name, words, side in (
        ("ids", "clean: A and B have no row in common: ids 0, 1, 2, ... there and r0, r1", {"ids": other_ids}),
        ("task", "A was tested on mine and B on sst2", {"task": "sst2"}),
    ):  # fmt: skip
        with pytest.raises(UserError, match=words):
            compare(ours, evaluation(tmp_path / name, {clean: [GOLD]}, GOLD, **side), lambda probe: NOTHING)
    other = evaluation(tmp_path / "gold", {clean: [GOLD]}, [*GOLD[:38], 0, 0])
    with pytest.raises(UserError, match=r"clean: .* contradict each other \(1 of 40 common rows differ\)"):
        compare(ours, other, lambda probe: NOTHING)
    with pytest.raises(UserError, match="no test in common: clean on mine, mask@0.2 on mine there and mask@0.3 on"):
        compare(ours, evaluation(tmp_path / "o", {("mask", "0.3"): [GOLD]}, GOLD), lambda probe: NOTHING)


def test_only_common_rows_count(tmp_path: Path) -> None:
    clean = ("clean", "")
    ours = evaluation(tmp_path / "a", {clean: [flipped([0, 35])], ("mask", "0.2"): [GOLD]}, GOLD)
    theirs = evaluation(tmp_path / "b", {clean: [GOLD[:20]]}, GOLD[:20])
    comparison = compare(ours, theirs, lambda probe: NOTHING)
    (found,) = comparison.lines
    assert (found.a, found.b, found.n) == (pytest.approx(19 / 20), 1.0, 20)
    assert "clean: compared on 20 rows that both have, of 40 and 20" in comparison.notes
    assert "measured for A alone: mask@0.2" in comparison.notes
    with pytest.raises(UserError, match=r"'mask@0.20 accuracy' was measured for A alone"):
        checked([Condition.parse("mask@0.20 accuracy drop > 1")], comparison, sure=False)


def test_other_tokens_and_other_rows_are_told(tmp_path: Path) -> None:
    tests = {("clean", ""): [GOLD], ("mask", "0.2"): [GOLD]}
    same, also, other, unknown, rows = (
        evaluation(tmp_path / name, tests, GOLD, tokenizer=tokens, data={"fingerprint": f"train-{dev}"})
        for name, tokens, dev in (("a", "x", "1"), ("b", "x", "1"), ("c", "y", "1"), ("d", "", "1"), ("e", "x", "2"))
    )
    assert notes_on([same, also]) == []
    twins = [evaluation(tmp_path / name, tests, GOLD, checkpoint={"sha256": "s"}) for name in ("t", "u")]
    assert notes_on(twins) == ["A and B are the same checkpoint under two names"]
    assert [each.partition(":")[0] for each in notes_on([same, other])] == ["A and B cut text into other tokens"]
    assert [each.partition(":")[0] for each in notes_on([same, unknown])] == ["A and B may cut text into other tokens"]
    assert [each.partition(":")[0] for each in notes_on([same, rows])] == ["A and B were not tested on the same rows"]


def seeds(tmp_path: Path, name: str, numbers: Sequence[float], first: int = 0, task: str = "sst2") -> Side:
    """A method of an experiment with a number per seed."""
    runs = []
    for seed, value in enumerate(numbers, first):
        folder = RunFolder(tmp_path / f"{task}{name}{seed}")
        row = Row(
            folder.path.name, task, name, "none", None, seed, "clean", "", "validation", "accuracy", value, 100, 0.1,
            model="minilm",
        )  # fmt: skip
        rows = [row, dataclasses.replace(row, suite="mask", suite_value="0.2", aspect="robustness", value=value / 2)]
        folder.finish_stage("clean", rows)
        folder.finish(keep_model=False)
        runs.append(Run(folder.path))
    return Side(f"exp:{name}", tuple(runs), name)


def test_methods_are_compared_over_seeds(tmp_path: Path) -> None:
    a, b = [0.80, 0.82, 0.81, 0.79, 0.83, 0.80, 0.81], [0.84, 0.85, 0.86, 0.83, 0.86, 0.85, 0.84]
    sides = seeds(tmp_path, "vanilla", a), seeds(tmp_path, "match", b)
    comparison = compare(*sides, lambda t: NOTHING, ["clean accuracy"])
    found = line(comparison, "clean accuracy")
    by_scipy = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert (found.interval.low, found.interval.high) == pytest.approx((by_scipy.low, by_scipy.high))
    assert (found.p, found.n, found.verdict) == (2 / 2**7, 7, "B is better")
    assert line(comparison, "mask@0.2 accuracy").verdict == "" and len(comparison.family) == 1
    both = compare(*sides, lambda t: NOTHING)
    assert [each.adjusted for each in both.family] == [2 * 2 / 2**7] * 2


def test_a_grid_has_a_table_for_each_part(tmp_path: Path) -> None:
    a, b = (
        Side(name, seeds(tmp_path, name, first).runs + seeds(tmp_path, name, second, task="mrpc").runs, name)
        for name, first, second in (("vanilla", [0.8, 0.8], [0.7, 0.7]), ("match", [0.8, 0.8], [0.6, 0.62]))
    )
    comparison, said = compare(a, b, lambda t: NOTHING), io.StringIO()
    checks = checked([Condition.parse("clean accuracy drop > 5")], comparison, sure=False)
    console = Console(file=said, width=200)
    print_comparison(comparison, 1, console)
    print_checks(checks, console)
    assert "sst2 with minilm" in said.getvalue() and "mrpc with minilm" in said.getvalue()
    assert "pass clean accuracy drop > 5 [minilm, sst2]: 0.00" in said.getvalue()
    assert "FAIL clean accuracy drop > 5 [minilm, mrpc]: 9.00" in said.getvalue()


def test_few_or_missing_seeds_are_told(tmp_path: Path) -> None:
    comparison = compare(
        seeds(tmp_path, "vanilla", [0.8, 0.81, 0.8]), seeds(tmp_path, "match", [0.9, 0.91, 0.9], 1), lambda t: NOTHING
    )
    found = line(comparison, "clean accuracy")
    assert (found.n, sorted(found.values), found.verdict) == (2, [1, 2], "no clear difference")
    assert (found.a, found.b) == (pytest.approx(0.805), pytest.approx(0.905))
    assert "of A alone, and not in its means: seeds 0" in comparison.notes
    assert "With 2 seeds the smallest p is 0.5" in " ".join(caption(comparison))
    alone = compare(seeds(tmp_path, "one", [0.8]), seeds(tmp_path, "other", [0.9]), lambda t: NOTHING)
    assert "One seed says nothing of the methods" in " ".join(caption(alone))
    assert math.isnan(line(alone, "clean accuracy").interval.low)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A drop of 5 points on clean text, of 20 on masked text."""
    tmp_path = tmp_path_factory.mktemp("gate")
    clean, mask = ("clean", ""), ("mask", "0.2")
    ours = {clean: [GOLD], mask: [GOLD]}
    theirs = {clean: [flipped([0, 1])], mask: [flipped(range(8))]}
    return two(tmp_path, ours, theirs, metrics=("accuracy", "macro_f1"))


@pytest.mark.parametrize(
    ("text", "sure", "failed"),
    [
        ("clean accuracy drop > 5", False, [False]),  # 100 * (1 - 0.95) is more than 5 in binary fractions
        ("clean accuracy drop >= 5", False, [True]),
        ("accuracy drop > 5", False, [False, True]),
        ("Mask@0.20 Accuracy DROP > 19.99", False, [True]),
        ("mask 0.2 accuracy drop > 19.99", True, [False]),  # 20 +- 13
        ("mask accuracy drop > 5", True, [True]),
        ("mask accuracy gain > 0", False, [False]),
        ("mask accuracy gain < -19", False, [True]),
        ("mask accuracy difference > 5", True, [True]),
        ("clean accuracy difference < 30", True, [True]),
        ("clean accuracy difference < 10", True, [False]),
        ("mask accuracy value < 80.5", False, [True]),
        ("clean macro F1 drop > 4.9", False, [True]),
        ("clean macro-f1 drop > 5.1", False, [False]),
    ],
)
def test_conditions(gate: Comparison, text: str, sure: bool, failed: list[bool]) -> None:
    assert [each.failed for each in checked([Condition.parse(text)], gate, sure=sure)] == failed


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mask@0.2 accuracy drop 5", "is not .SUITE"),
        ("mask@0.2 accuracy falls > 5", "is not .SUITE"),
        ("drop > 5", "is not .SUITE"),
        ("accuracy drop > five", "is not .SUITE"),
        ("mask@0.3 accuracy drop > 5", "unknown name 'mask@0.3 accuracy'; did you mean 'mask@0.2 accuracy'"),
        ("mask@0.2 acuracy drop > 5", "did you mean 'mask@0.2 accuracy'"),
        ("flip_rate drop > 5", "unknown name 'flip_rate'"),
    ],
)
def test_wrong_conditions(gate: Comparison, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        checked([Condition.parse(text)], gate, sure=False)


def test_nothing_passes_unmeasured(gate: Comparison) -> None:
    condition = [Condition.parse("clean accuracy drop > 5")]
    unknown = dataclasses.replace(gate.lines[0], b=math.nan)
    with pytest.raises(UserError, match="clean accuracy is not a number"):
        checked(condition, dataclasses.replace(gate, lines=(unknown,)), sure=False)
    with pytest.raises(UserError, match="has no interval"):
        checked([Condition.parse("clean accuracy value < 5")], gate, sure=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mask@0.2 accuracy drop > 5", ""),
        ("attack@pwws accuracy under attack drop > 5", ""),
        ("ood@anything accuracy drop > 5", ""),
        ("mask@0.5 accuracy drop > 5", "fail_if: unknown name 'mask@0.5'; did you mean 'mask@"),
        ("maks accuracy drop > 5", "fail_if: unknown name 'maks'; did you mean 'mask'"),
        ("mask acuracy drop > 5", "fail_if: unknown name 'acuracy'; did you mean 'accuracy'"),
    ],
)
def test_a_condition_is_looked_at_before_anything_is_tested(text: str, words: str) -> None:
    tests = {"clean": (), "mask": ("0.1", "0.2"), "ood": (), "attack": ("pwws",)}
    with pytest.raises(UserError, match=words) if words else nullcontext():
        check_names([Condition.parse(text)], (), tests, closed=True)


def test_names_are_read_alike() -> None:
    assert plain("Mask@0.20 macro_F1") == plain("mask 0.2  macro f1") == "mask 0.2 macro f1"


def test_what_is_printed_and_written(gate: Comparison) -> None:
    text = "[red]not \x1b[31m markup[/red] " + "long " * 60
    examples = tuple(dataclasses.replace(each, texts=(text,)) for each in gate.examples)
    comparison = dataclasses.replace(gate, examples=examples, notes=("a [bold]note[/]",))
    checks = checked([Condition.parse("mask accuracy drop > 5")], comparison, sure=False)
    said = io.StringIO()
    console = Console(file=said, width=300)
    print_comparison(comparison, 3, console)
    print_checks(checks, console)
    shown = said.getvalue()
    assert "[red]not <U+001B>[31m markup[/red] long" in shown and " long…\n" in shown and "\x1b" not in shown
    assert "Note: a [bold]note[/]." in shown and "3 of 10 answers that differ" in shown
    assert "FAIL mask@0.2 accuracy drop > 5 [mine]: 20.00 (7.04 to 32.96)" in shown
    assert "not the methods that trained them" in shown and "mask@0.2 accuracy (B is worse)" in shown
    held = json.loads(json.dumps(record(comparison, checks), allow_nan=False))
    assert held["failed"] is True and held["kind"] == "models" and len(held["examples"]) == 10
    first = held["tests"][0]
    assert (first["suite"], first["metric"], first["a"], first["shown"]["b"]) == ("clean", "accuracy", 1.0, "95.00")
    assert held["conditions"][0]["measured"] == 20 and held["conditions"][0]["bound"] == 5


def test_examples_take_turns_and_losses_come_first(tmp_path: Path) -> None:
    clean, mask = ("clean", ""), ("mask", "0.2")
    ours = {clean: [flipped([5])], mask: [flipped([5]), GOLD]}
    theirs = {clean: [flipped([7, 9])], mask: [flipped([9]), flipped([9, 11])]}
    comparison = two(tmp_path, ours, theirs)
    told = [(each.probe.name, each.id, each.right_a, each.right_b) for each in comparison.examples]
    assert told[:3] == [("clean", "7", 1, 0), ("clean", "9", 1, 0), ("clean", "5", 0, 1)]
    assert told[3:] == [("mask@0.2", "9", 1, 0), ("mask@0.2", "11", 1, 0.5), ("mask@0.2", "5", 0.5, 1)]
    assert [(each.probe.name, each.id) for each in chosen(comparison.examples, 3)] == [
        ("clean", "7"), ("mask@0.2", "9"), ("mask@0.2", "11"),
    ]  # fmt: skip
    assert comparison.examples[4].b == "good 1 of 2, bad"
    assert comparison.examples[0].probe == Probe("", "mine", "", "clean", "")
