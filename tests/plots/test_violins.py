"""Violins: every value is where it belongs, under its own method, and odd input is drawn right."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection

from robusteval import plots
from robusteval.errors import UserError
from robusteval.plots.style import looks
from robusteval.results.frames import rows_frame
from support.pictures import points, texts
from support.table_rows import row

METHODS = ("vanilla", "match", "tdt", "pats", "bidrop", "rdrop")
RATES = ("0.1", "0.2", "0.3")


def sets_frame(methods: tuple[str, ...], rates: tuple[str, ...] = RATES, sets: int = 6, seeds: int = 2) -> pd.DataFrame:
    """Rows with values that tell their method, rate, seed and set: no two are alike."""
    rows = []
    for m, method in enumerate(methods):
        for r, rate in enumerate(rates):
            for seed in range(seeds):
                spread = tuple(0.9 - 0.1 * r - 0.01 * m - 0.001 * seed - 0.0001 * s for s in range(sets))
                value = math.fsum(spread) / sets
                rows.append(row(method, seed, "mask", "accuracy", value, suite_value=rate, spread=spread, sets=sets))
    return rows_frame(rows)


@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.parametrize("sets", [1, 3, 6])
def test_what_is_drawn_is_what_was_given(count: int, sets: int) -> None:
    frame = sets_frame(METHODS[:count], sets=sets)
    figure = plots.violin(frame)
    (axis,) = figure.axes
    drawn = points(axis, "values")
    assert len(drawn) == count * len(RATES)
    width = 0.8 / count
    for m, method in enumerate(METHODS[:count]):
        for r, rate in enumerate(RATES):
            own = drawn[f"values {r} {m}"]
            lines = frame[(frame["method"] == method) & (frame["suite_value"] == rate)]
            expected = [100 * value for spread in lines["spread"] for value in spread]
            assert sorted(own[:, 1]) == pytest.approx(sorted(expected))
            assert own[:, 0] == pytest.approx(r + width * (m - (count - 1) / 2))
    assert [text.get_text() for text in axis.get_xticklabels()] == list(RATES)


def test_each_violin_is_its_methods_own() -> None:
    """With seaborn 0.13.2 and pandas 3.0 a hue of pandas' categories was drawn under other methods' names."""
    frame = sets_frame(METHODS)
    (axis,) = plots.violin(frame).axes
    bodies = [each for each in axis.collections if isinstance(each, FillBetweenPolyCollection)]
    assert len(bodies) == len(METHODS) * len(RATES)
    style, met = looks(frame), set()
    for body in bodies:
        outline = body.get_paths()[0].vertices
        place = (outline[:, 0].min() + outline[:, 0].max()) / 2
        r = round(place)
        m = round((place - r) / (0.8 / 6) + 2.5)
        met.add((r, m))
        lines = frame[(frame["method"] == METHODS[m]) & (frame["suite_value"] == RATES[r])]
        values = np.concatenate([np.asarray(spread) for spread in lines["spread"]]) * 100
        assert (outline[:, 1].min(), outline[:, 1].max()) == pytest.approx((values.min(), values.max()))
        from matplotlib.colors import to_hex

        assert to_hex(body.get_facecolor()[0]).upper() == style[METHODS[m]].colour
    assert len(met) == len(bodies)


def test_one_violin_alone_is_at_its_place_and_no_wider() -> None:
    """What seaborn makes of it unless told: a violin in the middle of the panel, over the points of other methods."""
    frame = sets_frame(METHODS[:4], ("0.1",))
    frame.loc[frame["method"] != "pats", "spread"] = frame["spread"].map(lambda spread: [0.5] * len(spread))
    (axis,) = plots.violin(frame).axes
    (body,) = [each for each in axis.collections if isinstance(each, FillBetweenPolyCollection)]
    across = body.get_paths()[0].vertices[:, 0]
    assert (across.min() + across.max()) / 2 == pytest.approx(0.2 * 1.5) and np.ptp(across) <= 0.2


def test_odd_input_is_drawn_right() -> None:
    odd = ("<b>x</b>", "a|b", "_hidden", "$x$ and $y", "m" * 200, "m" * 199 + "n", "中文方法")
    frame = sets_frame((*odd, "vanilla"), sets=5)
    frame.loc[frame["method"] == "vanilla", "spread"] = frame["spread"].map(lambda spread: [math.nan] * len(spread))
    figure = plots.violin(frame)
    shown = texts(figure)
    assert {"<b>x</b>", "a|b", "_hidden", "$x$ and $y", "中文方法"} <= shown
    assert len({text for text in shown if text.startswith("mmm")}) == 2
    (axis,) = figure.axes
    assert len(points(axis, "values")) == 7 * 3  # and none of the method with only NaN
    legend = figure.legends[0]
    assert len(legend.get_texts()) == 8 and all(text.get_visible() for text in legend.get_texts())
    # one seed, one set, one value
    one = plots.violin(sets_frame(("vanilla",), ("0.1",), sets=1, seeds=1))
    assert len(points(one.axes[0])["values 0 0"]) == 1


def test_several_places_are_panels_with_their_names() -> None:
    frames = [
        sets_frame(METHODS[:2]).assign(task=task, model=model) for task in ("sst2", "mrpc") for model in ("a", "b")
    ]
    figure = plots.violin(pd.concat(frames, ignore_index=True))
    assert [axis.get_title() for axis in figure.axes] == ["a, sst2", "b, sst2", "a, mrpc", "b, mrpc"]


def test_a_frame_that_is_none_of_these_is_told() -> None:
    with pytest.raises(UserError, match=r"^violin: the frame has no column 'spread'"):
        plots.violin(
            pd.DataFrame({"method": ["a"], "suite": "mask", "suite_value": "0.1", "metric": "accuracy", "scale": 1})
        )
    with pytest.raises(UserError, match=r"^violin: the frame has no lines"):
        plots.violin(sets_frame(METHODS).iloc[:0])
