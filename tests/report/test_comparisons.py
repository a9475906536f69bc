"""The declared family: what a verdict says, and when it says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from robusteval.report.comparisons import least_difference, verdict
from robusteval.report.render import markdown
from robusteval.report.sheets import report
from robusteval.report.table import Table, build_table
from robusteval.results.frames import rows_frame
from robusteval.results.metrics import METRICS, Metric
from support.table_rows import row

# eight seeds; the second column is 1 point above the first in all of them, the third as often above as below
BASE = (0.80, 0.81, 0.79, 0.80, 0.82, 0.81, 0.80, 0.78)
GOOD = tuple(value + 0.01 + 0.001 * (seed % 3) for seed, value in enumerate(BASE))
LIKE = tuple(value + (0.01 if seed % 2 else -0.01) for seed, value in enumerate(BASE))
THREE = {"vanilla": BASE, "match": GOOD, "tdt": LIKE}


def made(
    values: Mapping[str, Sequence[float]], suite: str = "clean", metric: str = "accuracy", seeds: int = 8, **fields: Any
) -> list[Any]:
    return [
        row(method, seed, suite, metric, value, **{"n": 1000, **fields})
        for method, told in values.items()
        for seed, value in enumerate(told[:seeds])
    ]


def table_of(rows: list[Any], **settings: Any) -> Table:
    return build_table(rows_frame(rows), list(dict.fromkeys(row.method for row in rows)), **settings)


def said(table: Table) -> list[str]:
    return verdict(table.family, table.lines)


def test_what_the_test_supports_is_said_and_no_more() -> None:
    table = table_of(made(THREE))
    first, match, tdt, groups = said(table)
    assert first == (
        "Declared family: 2 comparisons with vanilla (clean accuracy); sign-flip test, paired by seed, Holm. With 8 "
        "seeds the smallest reachable p is 0.0078, 0.016 after Holm"
    )
    assert match.startswith("match against vanilla: better in clean accuracy (+1.09, 95 % interval +1.0")
    assert match.endswith("p 0.016 after Holm)")
    assert tdt == "tdt against vanilla: no clear difference"
    # match is apart from both
    assert "same raised letter" in groups
    text = markdown(report(table))
    assert "| 80.12 ± 1.25ᵇ | 81.21 ± 1.25ᵃ (+1.09*) | 80.12 ± 1.55ᵇ (+0.00) |" in text
    assert "| match | clean accuracy | 8 | +1.09* | +1.02 to +1.16 | 0.0078 | 0.016 |" in text
    assert "| tdt | clean accuracy | 8 | +0.00 | −0.89 to +0.89 | 1 | 1 | 0.00 |" in text


def test_few_seeds_have_an_interval_and_no_star() -> None:
    table = table_of(made(THREE, seeds=5))
    assert said(table) == [
        "Declared family: 2 comparisons with vanilla (clean accuracy); sign-flip test, paired by seed, Holm. With 5 "
        "seeds the smallest reachable p is 0.062, 0.12 after Holm; a difference can be called clear from 7 "
        "seeds on"
    ]
    text = markdown(report(table))
    assert "| +1.08 | +0.98 to +1.18 | 0.062 | 0.12 |" in text
    assert "*" not in text.partition("Comparisons")[0]
    # six are enough for one comparison
    alone = {name: THREE[name] for name in ("vanilla", "match")}
    assert "better in clean accuracy" in said(table_of(made(alone, seeds=6)))[1]
    assert "a difference can be called clear from 6 seeds on" in said(table_of(made(alone, seeds=5)))[0]


def test_one_seed_says_nothing() -> None:
    table = table_of(made(THREE, seeds=1))
    assert said(table) == ["Nothing is said of the methods: that takes several seeds of each"]
    assert "## Comparisons" not in markdown(report(table))
    assert said(table_of(made({"vanilla": BASE}))) == []


def test_a_handful_of_texts_says_nothing() -> None:
    attacked = {"vanilla": (0.2,) * 8, "match": (0.4,) * 8}
    few = table_of(made(attacked, "attack", "accuracy_under_attack", n=5))
    assert said(few)[1] == (
        "match against vanilla: no clear difference in attack deepwordbug accuracy_under_attack: +20.00, 95 % interval "
        "+20.00 to +20.00, but of 5 texts that is fewer than 6"
    )
    assert "*" not in markdown(report(few)).partition("Comparisons")[0]
    assert few.family.groups == {}
    # 20 points of 29 texts are 5.8, of 30 texts 6
    for n, clear in ((29, False), (30, True)):
        table = table_of(made(attacked, "attack", "accuracy_under_attack", n=n))
        assert table.family.claims[0].clear is clear and bool(table.family.groups) is clear
        assert table.family.claims[0].comparison.adjusted == pytest.approx(2 / 2**8)
    assert least_difference(METRICS["accuracy"], 600) == pytest.approx(0.01)
    assert least_difference(METRICS["mean_queries"], 6) == 0 and least_difference(METRICS["mean_queries"], 5) > 1e9


def test_lower_is_better_where_the_metric_says_so() -> None:
    table = table_of(made({"vanilla": BASE, "match": GOOD}, metric="ece"), primary=["clean ece"])
    assert "worse in clean ece" in said(table)[1]


def test_the_family_is_what_was_declared() -> None:
    rows = [*made(THREE), *made(THREE, "mask"), *made(THREE, "train", "seconds_per_step")]
    assert [claim.line.name for claim in table_of(rows).family.claims] == ["clean accuracy"] * 2
    both = table_of(rows, primary=["mask  0.1 accuracy", "clean accuracy"], baseline="tdt")
    assert [(claim.method, claim.line.name) for claim in both.family.claims] == [
        (method, name) for name in ("clean accuracy", "mask 0.1 accuracy") for method in ("vanilla", "match")
    ]
    assert both.family.baseline == "tdt"
    wrong = table_of(rows, primary=["clean acuracy", "mask 0.1 accuracy"])
    assert len(wrong.family.claims) == 2
    assert "primary: no test 'clean acuracy' was measured; did you mean 'clean accuracy'?" in wrong.notes


def test_tasks_are_compared_by_their_average_and_scenarios_each() -> None:
    rows = [
        each
        for task in ("sst2", "mrpc")
        for scenario in ("none", "noise")
        for each in made(THREE, task=task, scenario=scenario)
    ]
    table = table_of(rows)
    assert [(claim.method, claim.line.task, claim.line.scenario) for claim in table.family.claims] == [
        (method, "average", scenario) for scenario in ("none", "noise") for method in ("match", "tdt")
    ]
    assert "no clear difference in 2 of 2 comparisons" in said(table)[2]
    assert "better in clean accuracy under noise" in said(table)[1]


def test_a_collapsed_model_is_not_called_robust() -> None:
    rows = made({"vanilla": BASE, "match": GOOD}, "mask", seeds=8)
    rows = [
        row(each.method, each.seed, "mask", "accuracy", 0.99, collapsed="bad")
        if (each.method, each.seed) == ("match", 2) else each
        for each in rows
    ]  # fmt: skip
    table = table_of(rows)
    [claim] = table.family.claims
    # the run that collapsed is in no comparison of robustness, though its number is the best
    assert claim.comparison.interval.n == 7 and claim.comparison.interval.mean < 0.012
    assert said(table)[-1].startswith("Collapsed to one class: match 1 run. A constant answer cannot be attacked")
    # of clean text it is, with and without
    lost = row("match", 2, "clean", "accuracy", 0.5, collapsed="bad")
    sound = [each for each in made({"vanilla": BASE, "match": GOOD}) if (each.method, each.seed) != ("match", 2)]
    clean = table_of([*sound, lost])
    [claim] = clean.family.claims
    assert claim.comparison.interval.n == 8 and claim.comparison.interval.mean < 0
    assert claim.sound is not None and claim.sound.n == 7 and claim.sound.mean == pytest.approx(0.0106, abs=1e-3)
    assert "no clear difference" in said(clean)[1]
    text = markdown(report(clean))
    assert "[1/8 collapsed; others 81.3" in text
    assert "| +1.07 (7 seeds) |" in text


def test_a_metric_nobody_declared_compares_nothing() -> None:
    rows = made(THREE, "own", "odd", aspect="robustness")
    assert said(table_of(rows)) == []
    declared = {"odd": Metric("odd", direction="lower", aspect="robustness")}
    assert len(table_of(rows, declared=declared).family.claims) == 2
