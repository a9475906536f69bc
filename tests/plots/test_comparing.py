"""Pictures that set methods side by side: every number is its own method's, seed by seed."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from scipy import stats

from robusteval import plots
from robusteval.plots.style import looks
from support.picture_frames import METHODS, accuracy, frame_of, value_of
from support.pictures import bars, lines, points, texts

TESTS = [
    accuracy("clean"), accuracy("mask", "0.2"), {"suite": "attack", "metric": "accuracy_under_attack"},
    {"suite": "calibration", "metric": "ece"}, {"suite": "calibration", "metric": "nll"},
]  # fmt: skip


def values(method: int, test: int, seeds: int = 3, scale: int = 100) -> list[float]:
    return [scale * value_of(method, test, seed) for seed in range(seeds)]


def test_a_violin_of_seeds() -> None:
    frames = [frame_of(METHODS, [accuracy("clean")], seeds=5, task=task) for task in ("sst2", "mrpc")]
    figure = plots.violin_seeds(pd.concat(frames, ignore_index=True))
    assert [axis.get_title() for axis in figure.axes] == ["sst2", "mrpc"]
    for axis in figure.axes:
        drawn = points(axis, "values")
        for m in range(len(METHODS)):
            assert sorted(drawn[f"values 0 {m}"][:, 1]) == pytest.approx(sorted(values(m, 0, 5)))
        assert axis.get_xlabel() == "clean"


def noisy() -> pd.DataFrame:
    """Values whose differences between methods vary with the seed."""
    frame = frame_of(METHODS[:3], TESTS)
    return frame.assign(value=frame["value"] + np.random.default_rng(0).normal(0, 0.01, len(frame)))


def test_all_suites_with_their_differences() -> None:
    frame = noisy()
    frame.attrs["baseline"] = "match"
    figure = plots.suites(frame)
    blocks = [figure.axes[at : at + 2] for at in range(0, len(figure.axes), 2)]
    assert [left.get_xlabel() for left, _ in blocks] == [
        "score, % (higher is better)", "expected calibration error, % (lower is better)",
        "negative log-likelihood, nats (lower is better)",
    ]  # fmt: skip
    of = {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (1, 0), 4: (2, 0)}
    for t, test in enumerate(TESTS):
        block, place = of[t]
        left, right = (lines(axis) for axis in blocks[block])
        lines_of = frame[(frame["suite"] == test["suite"]) & (frame["metric"] == test["metric"])]
        shown = (lines_of["value"] * lines_of["scale"]).groupby(lines_of["method"]).apply(np.array)
        for method in METHODS[:3]:
            own = shown[method]
            assert left[f"mean {place} {method}"][0, 0] == pytest.approx(own.mean())
            ends = stats.t.interval(0.95, 2, own.mean(), stats.sem(own))
            assert left[f"interval of mean {place} {method}"][:, 0] == pytest.approx(ends)
            if method == "match":
                assert f"difference {place} match" not in right
                continue
            gap = own - shown["match"]
            assert right[f"difference {place} {method}"][0, 0] == pytest.approx(gap.mean())
            ends = stats.t.interval(0.95, 2, gap.mean(), stats.sem(gap))
            assert right[f"interval of difference {place} {method}"][:, 0] == pytest.approx(ends)
    # in a test the methods stand in their order
    at = [lines(blocks[0][0])[f"mean 1 {method}"][0, 1] for method in METHODS[:3]]
    assert all(a < b for a, b in pairwise(at)) and at[0] > 0.5 and at[-1] < 1.5


def test_means_are_seen_whatever_the_intervals() -> None:
    frame = frame_of(METHODS[:2], TESTS[:1], seeds=2)
    frame.loc[frame["seed"].eq(1), "value"] += 0.1  # two seeds: an interval of some 100 points
    for axis in plots.suites(frame).axes:
        low, high = axis.get_xlim()
        for name, line in lines(axis).items():
            if name.startswith(("mean", "difference")):
                assert low < line[0, 0] < high
        assert high - low < 20


def test_one_method_has_no_differences() -> None:
    assert len(plots.suites(frame_of(METHODS[:1], TESTS[:2])).axes) == 1


def test_groups_are_those_of_the_letters() -> None:
    letters = dict(zip(METHODS, ("a", "a", "ab", "b", "bc", "c1"), strict=True))
    frame = frame_of(METHODS, [accuracy("clean")], seeds=12)
    frame["letters"] = frame["method"].map(letters)
    figure = plots.groups(frame.sample(frac=1, random_state=0))
    (axis,) = figure.axes
    # the better, the higher: values fall with the method
    assert [each.get_text() for each in axis.get_yticklabels()] == list(METHODS)
    drawn = lines(axis)
    assert {name: line[:, 1].tolist() for name, line in drawn.items() if name.startswith("group")} == {
        "group a": [0, 1, 2], "group b": [2, 3, 4], "group c": [4], "group c1": [5],
    }  # fmt: skip
    for m, method in enumerate(METHODS):
        assert drawn[f"mean {method}"] == pytest.approx(np.array([(np.mean(values(m, 0, 12)), m)]))
    low = plots.groups(frame.assign(direction="lower"))
    assert [each.get_text() for each in low.axes[0].get_yticklabels()] == list(reversed(METHODS))


def test_robustness_against_cost() -> None:
    frame = frame_of(METHODS[:3], TESTS[1:3])
    frame["seconds_per_step"] = frame["method"].map({"vanilla": 0.2, "match": 0.3, "tdt": 0.9}) + frame["seed"] / 100
    figure = plots.cost(frame)
    assert [axis.get_title() for axis in figure.axes] == ["mask 0.2", "attack deepwordbug"]
    for t, axis in enumerate(figure.axes):
        for m, (method, seconds) in enumerate(zip(METHODS[:3], (0.21, 0.31, 0.91), strict=True)):
            assert lines(axis)[method] == pytest.approx(np.array([(seconds, np.mean(values(m, t)))]))
        assert axis.get_xlim()[0] == 0
        across, up = (each.get_segments() for each in axis.collections[:2])
        assert np.ptp(across[0][:, 0]) / 2 == pytest.approx(0.01)
        assert np.ptp(up[0][:, 1]) / 2 == pytest.approx(np.std(values(0, t), ddof=1))


def test_bars_of_other_tasks_begin_at_zero() -> None:
    tests = [{"suite": "generalisation", "suite_value": "cola", "metric": "mcc"}, accuracy("generalisation", "rte")]
    frames = [frame_of(METHODS[:3], tests, task=task) for task in ("mrpc", "sst2")]
    figure = plots.task_transfer(pd.concat(frames, ignore_index=True))
    for axis, task in zip(figure.axes, ("mrpc", "sst2"), strict=True):
        assert axis.get_title() == f"trained on {task}"
        drawn = sorted(bars(axis))
        assert [bottom for _, _, bottom, _ in drawn] == [0] * 6
        expected = [np.mean(values(m, t)) for t in (0, 1) for m in range(3)]
        assert [height for *_, height in drawn] == pytest.approx(expected)
        assert axis.get_ylim()[0] <= 0
        assert [each.get_text() for each in axis.get_xticklabels()] == ["cola\nMatthews correlation", "rte\naccuracy"]
        deviations = [np.ptp(each[:, 1]) / 2 for lines_of in axis.collections for each in lines_of.get_segments()]
        assert deviations == pytest.approx([np.std(values(m, t), ddof=1) for m in range(3) for t in (0, 1)])


def test_who_is_fooled_by_whose_texts() -> None:
    rate = {("vanilla", "tdt"): 0.25, ("tdt", "vanilla"): 0.5, ("vanilla", "vanilla"): 1.0, ("tdt", "tdt"): math.nan}
    frame = pd.DataFrame(
        [
            {"source": a, "target": b, "transfer_rate": value, "right_before": 8}
            for (a, b), value in rate.items()
        ]
    )  # fmt: skip
    frame.attrs["methods"] = ("tdt", "vanilla")
    figure = plots.transfer_matrix(frame)
    axis = figure.axes[0]
    assert [each.get_text() for each in axis.get_yticklabels()] == ["tdt", "vanilla"]
    shown = axis.images[0].get_array()
    # a model's own texts have no colour
    assert shown[0, 1] == 50 and shown[1, 0] == 25 and np.isnan(np.ma.filled(shown, np.nan)).sum() == 2
    cells = {each.get_gid(): each.get_text() for each in axis.findobj(Text) if each.get_gid()}
    assert cells == {"vanilla → tdt": "25\n(8)", "tdt → vanilla": "50\n(8)", "vanilla → vanilla": "100\n(8)"}
    assert "–" in texts(figure)


def test_a_method_has_one_look_in_all_of_them() -> None:
    frame = frame_of(METHODS[1:3], TESTS[1:2]).assign(seconds_per_step=1.0)
    frame.attrs["methods"] = METHODS
    colour = looks(frame)["match"].colour
    for figure in (plots.cost(frame), plots.suites(frame)):
        found = [line for axis in figure.axes for line in axis.lines if str(line.get_gid()).endswith("match")]
        assert found and all(line.get_color() == colour for line in found)
