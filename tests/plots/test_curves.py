"""Curves: every mean is at its place, under its own method, and joined in the right way."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from robusteval import plots
from robusteval.plots.base import NotMeasured
from robusteval.plots.rungs import rungs
from robusteval.plots.style import looks
from support.picture_frames import DROPS, METHODS, accuracy, frame_of, value_of
from support.pictures import lines, texts


def mean(method: int, test: int, seeds: int = 3) -> float:
    return float(np.mean([100 * value_of(method, test, seed) for seed in range(seeds)]))


def test_dropped_tokens() -> None:
    frame = frame_of(METHODS[:3], DROPS)
    figure = plots.drop_curve(frame)
    assert [axis.get_title() for axis in figure.axes] == ["confidence", "gradient"]
    place = {(test["suite_value"]): number for number, test in enumerate(DROPS)}
    for axis, order in zip(figure.axes, ("confidence", "gradient"), strict=True):
        drawn = {line.get_gid(): line for line in axis.lines if line.get_gid()}
        for m, method in enumerate(METHODS[:3]):
            for way, style in (("descending", "-"), ("ascending", ":")):
                expected = [(0, mean(m, 0))] + [
                    (float(rate), mean(m, place[f"{order} {way} {rate}"])) for rate in ("0.1", "0.2")
                ]
                line, dots = drawn[f"{method} {way} line"], drawn[f"{method} {way}"]
                assert line.get_xydata() == pytest.approx(np.array(expected)) == dots.get_xydata()
                assert (line.get_linestyle(), line.get_color()) == (style, looks(frame)[method].colour)
                assert (dots.get_marker(), dots.get_linestyle()) == (looks(frame)[method].marker, "None")
    assert {"highest score first", "lowest score first"} <= texts(figure)


def test_tokens_drawn_by_lot_have_one_curve_and_need_no_clean_text() -> None:
    (axis,) = plots.drop_curve(frame_of(["tdt"], [accuracy("ordered-drop", "random 0.3")], seeds=1)).axes
    assert lines(axis)["tdt"] == pytest.approx(np.array([(0.3, 90)])) and axis.get_title() == "random"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["a:x=1", "a:x=2"], [("a", "x", "1"), ("a", "x", "2")]),
        (["a:x=1", "b:x=2", "a"], []),
        (["a:x=1", "a:x=1"], []),
        (["a:x=1:y=k", "a:x=2:y=k"], [("a:y=k", "x", "1"), ("a:y=k", "x", "2")]),
        (["a:x=1+b", "a:x=2+b"], [("a+b", "a:x", "1"), ("a+b", "a:x", "2")]),
        (['a:x="1,2"', "a:x=2"], [("a", "x", '"1,2"'), ("a", "x", "2")]),
        (
            ["a:x=1:y=1", "a:x=2:y=1", "a:x=1:y=2"],
            [("a:y=1", "x", "1"), ("a:y=1", "x", "2"), ("a:x=1", "y", "1"), ("a:x=1", "y", "2")],
        ),
    ],
)
def test_which_texts_are_rungs(labels: list[str], expected: list[tuple[str, str, str]]) -> None:
    assert [(each.rest, each.setting, each.value) for each in rungs(labels)] == expected


def test_a_ladder() -> None:
    dropout = [f"bidrop:dropout={rate}" for rate in (0.05, 0.1, 0.2)]
    methods = ["vanilla", *dropout, "match:eval=self", "match:eval=batch"]
    frame = frame_of(methods, [accuracy("clean"), accuracy("mask", "0.2")])
    frame.attrs["baseline"] = "vanilla"
    figure = plots.ladder(frame)
    assert [(axis.get_title(), axis.get_xlabel()) for axis in figure.axes] == [
        ("clean", "dropout"), ("mask 0.2", "dropout"), ("clean", "eval"), ("mask 0.2", "eval"),
    ]  # fmt: skip
    for test, axis in enumerate(figure.axes[:2]):
        drawn = lines(axis)
        expected = [(rate, mean(m, test)) for m, rate in ((1, 0.05), (2, 0.1), (3, 0.2))]
        assert drawn["bidrop"] == pytest.approx(np.array(expected))
        assert drawn["vanilla"][:, 1] == pytest.approx([mean(0, test)] * 2)
        assert [each.get_text() for each in axis.get_xticklabels()] == ["0.05", "0.1", "0.2"]
    # words have no distances
    assert lines(figure.axes[2])["match"] == pytest.approx(np.array([(0, mean(4, 0)), (1, mean(5, 0))]))
    assert [each.get_text() for each in figure.axes[2].get_xticklabels()] == ["self", "batch"]
    assert {"bidrop", "match", "vanilla"} <= texts(figure)


def test_a_ladder_of_a_scenario_has_a_curve_for_each_method() -> None:
    frames = [
        frame_of(METHODS[:2], [accuracy("clean")], scenario=f"label-noise:rate={rate}").assign(rate=rate)
        for rate in (0.1, 0.2)
    ]
    frame = pd.concat([*frames, frame_of(METHODS[:2], [accuracy("clean")])], ignore_index=True)
    frame.loc[frame["rate"].eq(0.2), "value"] -= 0.3
    (axis,) = plots.ladder(frame).axes
    assert axis.get_xlabel() == "label-noise rate"
    for m, method in enumerate(METHODS[:2]):
        assert lines(axis)[method] == pytest.approx(np.array([(0.1, mean(m, 0)), (0.2, mean(m, 0) - 30)]))
    with pytest.raises(NotMeasured, match="a/b/c"):
        plots.ladder(frame[frame["rate"].ne(0.2)])


def test_a_hollow_point_is_of_a_run_that_predicts_one_class() -> None:
    frame = frame_of(["m:x=1", "m:x=2"], [accuracy("clean")]).assign(constant=False)
    frame.loc[frame["method"].eq("m:x=2") & frame["seed"].eq(1), "constant"] = True
    figure = plots.ladder(frame)
    drawn = lines(figure.axes[0])
    assert drawn["m"] == pytest.approx(np.array([(1, mean(0, 0))]))
    assert drawn["m hollow"] == pytest.approx(np.array([(2, mean(1, 0))]))
    assert any("hollow: a run" in text for text in texts(figure))


def test_sizes_of_the_training_set() -> None:
    sizes = {"low-resource:examples=100": 100, "low-resource:examples=400": 400, "none": 2000}
    tests = [accuracy("clean"), {"suite": "sensitivity", "suite_value": "mean", "metric": "std"}]
    frames = []
    for place, (scenario, size) in enumerate(sizes.items()):
        frame = frame_of(METHODS[:2], tests, scenario=scenario).assign(train_rows=size)
        frames.append(frame.assign(value=frame["value"] * (place + 1)))
    figure = plots.train_size(pd.concat(frames, ignore_index=True))
    score, spread = figure.axes
    assert (score.get_title(), spread.get_title(), spread.get_yscale()) == ("clean", "sensitivity", "log")
    for m, method in enumerate(METHODS[:2]):
        expected = np.array([(size, mean(m, 0) * (place + 1)) for place, size in enumerate(sizes.values())])
        assert lines(score)[method] == pytest.approx(expected)
        own = np.array([(size, mean(m, 1) / 100 * (place + 1)) for place, size in enumerate(sizes.values())])
        assert lines(spread)[method] == pytest.approx(own)


def losses(methods: tuple[str, ...], steps: int, seeds: int) -> pd.DataFrame:
    step = np.arange(steps)
    return pd.concat(
        [
            pd.DataFrame({"method": method, "seed": seed, "step": step, "loss": 2 + m - step / steps + seed**2 / 10})
            for m, method in enumerate(methods)
            for seed in range(seeds)
        ],
        ignore_index=True,
    )


def test_the_loss_of_each_step() -> None:
    frame = losses(("vanilla", "match"), 20, 3)
    broken = frame["method"].eq("match") & frame["seed"].eq(0) & frame["step"].eq(7)
    frame.loc[broken, "loss"] = math.nan
    (axis,) = plots.training_loss(frame).axes
    assert axis.get_ylabel() == "training loss, nats"
    step, own = np.arange(20), lines(axis)
    assert own["vanilla"] == pytest.approx(np.stack([step, 2 - step / 20 + (0 + 1 + 4) / 30], axis=1))
    expected = 3 - step / 20 + (0 + 1 + 4) / 30
    expected[7] = 3 - 7 / 20 + (1 + 4) / 20
    assert own["match"][:, 1] == pytest.approx(expected)
    # the band is the sample standard deviation of 0, 0.1 and 0.4
    band = axis.collections[0].get_paths()[0].vertices
    at = band[band[:, 0] == 5][:, 1]
    assert np.ptp(at) / 2 == pytest.approx(np.std([0, 0.1, 0.4], ddof=1))


def test_long_training_is_smoothed_and_says_so() -> None:
    frame = losses(("vanilla",), 120, 1)
    (axis,) = plots.training_loss(frame).axes
    assert axis.get_ylabel() == "training loss, nats\n(mean of 3 steps)"
    drawn = lines(axis)["vanilla"]
    assert drawn[10] == pytest.approx((10, frame["loss"][9:12].mean())) and not axis.collections
    (axis,) = plots.training_loss(losses(("vanilla",), 5000, 1)).axes
    drawn = lines(axis)["vanilla"]
    assert len(drawn) <= 500 and (drawn[0, 0], drawn[-1, 0]) == (0, 4999)
