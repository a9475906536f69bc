"""What is declared of metrics: every name that a row bears, what a suite says of its own, the defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from robusteval.errors import UserError
from robusteval.evaluation import SUITES
from robusteval.evaluation.base import Measurement, NoSettings, Subject, Suite
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.suites import build_suites
from robusteval.pipeline.evaluation import checkpoint_rows, run_suites
from robusteval.report.comparisons import verdict
from robusteval.report.table import build_table
from robusteval.results.attack_summary import summarise
from robusteval.results.frames import rows_frame
from robusteval.results.metrics import METRICS, Metric, metric, score
from robusteval.results.reading import Run
from robusteval.results.rows import Row
from robusteval.results.store import RunFolder
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks import TASKS
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import TaskData
from robusteval.tasks.user_tests import TestSet
from support import tiny
from support.attack_lines import line

ROBUSTNESS = {"mask", "replace", "delete", "swap", "typos", "ood", "advglue", "test"}
ASKED = {"generalisation": "generalisation:tasks=demo-nli:train_limit=30", "flatness": "flatness:directions=2:rows=6"}


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """A tiny model of three classes on a pair task that has every kind of other rows."""
    task = dataclasses.replace(TASKS["mnli"], out_of_domain="other", transfers=())
    frame = pd.DataFrame(
        {
            "premise": ["the film was good", "a story not seen", "all was fine", "the plot"] * 3,
            "hypothesis": ["it was good", "nobody came", "the actor was never there", "quite"] * 3,
            "label": ["entailment", "neutral", "contradiction"] * 4,
        }
    )
    rows = examples_from_frame(frame, task, "dev")
    own = {"mine": TestSet("mine.csv", dataclasses.replace(task, outputs=()), rows)}
    adversarial = dict.fromkeys(task.adversarial, rows)
    data = TaskData(task, rows, rows, ood=rows, adversarial=adversarial, tests=own)
    loaded = tiny.loaded(num_labels=3)
    return Subject(Predictor(loaded.model, loaded.tokenizer, 32), data, EvalConfig(rates=(0.5,), sets=2))


def test_every_metric_of_every_suite_is_declared_and_says_what_it_speaks_of(subject: Subject) -> None:
    measured = {}
    for name in SUITES.names():
        (suite,) = build_suites([ASKED.get(name, name)]).values()
        measured[name] = list(suite.measure(subject))
        assert measured[name], name
        rows = checkpoint_rows(measured[name], "mnli", "tiny", "folder/tiny")
        assert {row.metric for row in rows} <= METRICS.keys(), name
        told = {row.aspect or METRICS[row.metric].aspect for row in rows}
        assert (told == {"robustness"}) == (name in ROBUSTNESS), (name, told)
        assert {row.model for row in rows} == {"folder/tiny"}
    assert {item.value for items in measured.values() for item in items if item.summary} == {"average", "worst"}
    assert {item.sets for item in measured["mask"]} == {2}


def test_every_metric_of_an_attack_is_declared() -> None:
    assert {name for name, _, _ in summarise([line()]).metrics()} <= METRICS.keys()


def test_metrics_that_compare_models_have_a_better_side() -> None:
    compared = [each for each in METRICS.values() if each.aspect in ("quality", "robustness") and each.role == "main"]
    assert compared and all(each.direction == "higher" for each in compared)
    with pytest.raises(ValueError, match="metric 'x': direction is none of higher, lower, neither"):
        Metric("x", direction="upward")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="metrics: unknown name 'acuracy'; did you mean 'accuracy'"):
        score(["acuracy"], np.zeros(1), np.zeros((1, 1), np.float32), regression=True)


class Length(Suite[NoSettings]):
    """How long texts are: one metric that the suite declares, and one that it does not."""

    aspect = "robustness"
    metrics = (Metric("distance", "edit distance", "edits", 1, direction="lower", aspect="robustness"),)

    def run(self, subject: Subject) -> Iterator[Measurement]:
        n = len(subject.data.dev)
        yield Measurement(self.name, "", subject.data.task.dev, {"distance": 2.25, "odd": 1234.5678}, n, 0.0)


def test_a_suite_declares_metrics_of_its_own_and_whoever_reads_the_rows_knows_them(
    subject: Subject, tmp_path: Path
) -> None:
    folder = RunFolder(tmp_path / "out")
    found = run_suites({"length": Length("length", NoSettings())}, subject, "tiny", "folder/tiny", folder, {})
    run = Run.open(folder.path)
    assert run.declared == {"distance": Length.metrics[0]}
    rows = run.rows().set_index("metric")
    assert rows.loc["distance", ["shown", "unit", "direction", "value"]].tolist() == [
        "edit distance", "edits", "lower", found[0].metrics["distance"],
    ]  # fmt: skip
    assert metric("distance", run.declared).text(2.25) == "2.2"
    # of the other only its name is known: three digits, and no model is compared by it
    assert rows.loc["odd", ["shown", "unit", "direction"]].tolist() == ["odd", "", "neither"]
    assert metric("odd", run.declared).text(1234.5678) == "1.23e+03"


def test_lower_is_better_where_a_metric_says_so() -> None:
    values = {("distance", "vanilla"): 2.0, ("distance", "match"): 1.5, ("odd", "vanilla"): 1.0, ("odd", "match"): 9.0}
    rows = [
        Row("r", "t", method, "none", None, seed, "length", name, "dev", name, value, 9, 0.0, aspect="robustness")
        for (name, method), value in values.items()
        for seed in range(6)
    ]
    declared = {each.name: each for each in Length.metrics}
    table = build_table(rows_frame(rows, declared), ["vanilla", "match"], declared=declared)
    assert verdict(table.family)[1].startswith("match against vanilla: better in length distance distance (−0.5")
    assert verdict(build_table(rows_frame(rows), ["vanilla", "match"]).family) == []


def test_a_suite_takes_no_name_of_this_program() -> None:
    with pytest.raises(ValueError, match="suite Wrong: 'accuracy' is a metric of this program"):

        class Wrong(Suite[NoSettings]):
            metrics = (Metric("accuracy"),)
