"""Pictures of what suites and methods keep beside rows: each shows the numbers that it was given, and odd input."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import StepPatch
from matplotlib.text import Text
from sklearn.manifold import TSNE

from robusteval import plots
from robusteval.errors import UserError
from robusteval.plots import PLOTS
from robusteval.plots.base import NotMeasured
from robusteval.plots.saving import rendered
from support.pictures import lines, points, texts

ODD = ("<b>x</b>", "a|b", "_hidden", "$x$ and $y", "m" * 200, "m" * 199 + "n", "中文方法")
DRAWN = np.random.default_rng(0)


def steps(axis: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Values and edges of each outline of a histogram, by gid."""
    found = [patch for patch in axis.patches if isinstance(patch, StepPatch)]
    return {
        str(each.get_gid()): (np.asarray(each.get_data().values), np.asarray(each.get_data().edges)) for each in found
    }


def whose(method: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    return {"run": f"{method} {seed}", "task": "sst2", "model": "m", "method": method, "scenario": "none", "seed": seed,
            **more}  # fmt: skip


# ---- frames -------------------------------------------------------------------------------------------


def representations(method: str = "vanilla", seed: int = 0, rows: int = 24, **more: Any) -> pd.DataFrame:
    gold = np.where(np.arange(rows) % 3 == 0, "bad", "good")
    vectors = [DRAWN.normal(3 * (each == "bad"), 1, 6) for each in gold]
    nothing = [None] * rows
    return pd.DataFrame({**whose(method, seed, **more), "version": "original", "gold": gold, "vector": vectors,
                         "token_confidence": nothing, "token_confidence_before": nothing})  # fmt: skip


def tokens(method: str = "tdt", seed: int = 0, before: bool = True, **more: Any) -> pd.DataFrame:
    def lists() -> list[Any]:
        return [DRAWN.uniform(0.3, 0.8, length) for length in (3, 9, 40, 1)]

    held = lists() if before else [None] * 4
    return pd.DataFrame({**whose(method, seed, **more), "token_confidence": lists(), "token_confidence_before": held})


def bins_of_sensitivity(method: str = "vanilla", seed: int = 0, **more: Any) -> pd.DataFrame:
    edges = np.geomspace(1e-6, 1e-2, 161)
    counts = DRAWN.integers(0, 1000, 162)
    low, high = np.concatenate([[0.0], edges]), np.concatenate([edges, [np.inf]])
    return pd.DataFrame(
        {**whose(method, seed, **more), "bin": np.arange(162), "low": low, "high": high, "count": counts}
    )


def masses(method: str = "match", seed: int = 0, count: int = 60, **more: Any) -> pd.DataFrame:
    each = DRAWN.dirichlet((1, 1, 1), count)
    names = ("mass_self", "mass_same", "mass_other")
    return pd.DataFrame(
        {**whose(method, seed, **more), "step": np.arange(count), **dict(zip(names, each.T, strict=True))}
    )


def bins_of_confidence(method: str = "vanilla", seed: int = 0, **more: Any) -> pd.DataFrame:
    counts = np.asarray([0, 0, 4, 20, 30]) + (seed * np.asarray([0, 0, 3, 5, 0]))
    confidence = np.asarray([math.nan, math.nan, 0.5, 0.7, 0.9])
    accuracy = np.asarray([math.nan, math.nan, 0.25, 0.6, 0.8]) + 0.1 * seed
    edges = np.linspace(0, 1, 6)
    return pd.DataFrame({**whose(method, seed, **more), "bin": range(5), "low": edges[:-1], "high": edges[1:],
                         "count": counts, "confidence": confidence, "accuracy": accuracy})  # fmt: skip


def curves(method: str = "vanilla", seed: int = 0, **more: Any) -> pd.DataFrame:
    alphas = np.linspace(-1, 1, 5)
    parts = [pd.DataFrame({"direction": each, "alpha": alphas, "loss": 0.5 + alphas**2 + DRAWN.uniform(0, 0.1, 5)})
             for each in range(3)]  # fmt: skip
    return pd.concat(parts, ignore_index=True).assign(**whose(method, seed, **more))


FRAMES: dict[str, Any] = {
    "tsne": partial(representations, rows=3), "confidence": tokens, "sensitivity": bins_of_sensitivity,
    "matching": masses, "reliability": bins_of_confidence, "directions": curves,
}  # fmt: skip


def frame(name: str, *methods: str, seeds: int = 1, **more: Any) -> pd.DataFrame:
    made = FRAMES[name]
    return pd.concat([made(method, seed, **more) for method in methods for seed in range(seeds)], ignore_index=True)


# ---- what all have in common --------------------------------------------------------------------------


@pytest.mark.parametrize("name", FRAMES)
def test_odd_names_are_shown_as_they_are(name: str) -> None:
    figure = getattr(plots, name)(frame(name, *ODD))
    shown = " ".join(texts(figure))
    assert all(each in shown for each in (*ODD[:4], ODD[6]))
    assert rendered(getattr(plots, name)(frame(name, *ODD[2:4])), "svg").startswith(b"<?xml")


@pytest.mark.parametrize("name", FRAMES)
def test_several_tasks_are_panels(name: str) -> None:
    both = pd.concat([frame(name, "tdt", task=task) for task in ("sst2", "mrpc")], ignore_index=True)
    titles = [axis.get_title() for axis in getattr(plots, name)(both).axes if axis.get_title()]
    assert [title.partition(",")[0] for title in titles] == ["sst2", "mrpc"]


@pytest.mark.parametrize("name", FRAMES)
def test_what_is_missing_is_told(name: str) -> None:
    class Nothing:
        def analysis(self, suite: str) -> pd.DataFrame:
            return pd.DataFrame(columns=["run"])

        def training(self) -> pd.DataFrame:
            return pd.DataFrame({"run": ["a"], "step": [0], "loss": [1.0]})

    with pytest.raises(NotMeasured, match=rf"^{name}: .*--(suites|methods) \w+"):
        PLOTS[name].data(Nothing())  # type: ignore[arg-type]
    with pytest.raises(UserError, match=rf"^{name}: the frame has no column"):
        getattr(plots, name)(pd.DataFrame({"method": ["a"]}))
    with pytest.raises(UserError, match=rf"^{name}: the frame has no lines"):
        getattr(plots, name)(frame(name, "tdt").iloc[:0])


# ---- each ---------------------------------------------------------------------------------------------


def test_tsne_shows_every_row_once_where_scikit_learn_puts_it() -> None:
    given = pd.concat(
        [representations("tdt").assign(version=version) for version in ("original", "positive", "negative")],
        ignore_index=True,
    )
    (axis,) = plots.tsne(given, perplexity=9, seed=3).axes
    places = TSNE(perplexity=9, init="pca", random_state=3).fit_transform(np.stack(given["vector"]))
    drawn = points(axis)
    assert len(drawn) == 6
    for name, own in drawn.items():
        version, _, gold = name.partition(" ")
        expected = places[(given["version"] == version) & (given["gold"] == gold)]
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-4)
    markers = {each.get_gid(): each.get_paths()[0].vertices.tobytes() for each in axis.collections}
    faces = {each.get_gid(): len(each.get_facecolor()) for each in axis.collections}
    # classes differ in shape, variants in what is filled
    assert markers["original bad"] != markers["original good"] and markers["negative bad"] != markers["negative good"]
    assert faces["original bad"] and not faces["positive bad"]


def test_tsne_of_few_rows_many_classes_scores_and_broken_models() -> None:
    few = plots.tsne(representations(rows=10))
    assert few.axes[0].get_xlabel() == "t-SNE of 10 points, perplexity 3"
    assert "3 finite representations are too few" in texts(plots.tsne(representations(rows=3)))
    equal = representations()
    equal["vector"] = [np.ones(6)] * len(equal)
    assert "all 24 representations are equal" in texts(plots.tsne(equal))
    broken = representations()
    broken["vector"] = [np.full(6, math.nan)] * len(broken)
    assert "0 finite representations are too few" in texts(plots.tsne(broken))
    many = representations(rows=60)
    many["gold"] = [f"class {place % 20}" for place in range(60)]
    (axis,) = plots.tsne(many).axes
    assert sum(len(own) for own in points(axis).values()) == 60
    assert len(points(axis)) == 7 and len(points(axis)["original other classes"]) == 60 - 6 * 3
    scores = representations(rows=30)
    scores["gold"] = np.linspace(0, 5, 30)
    (axis,) = plots.tsne(scores).axes
    assert sorted(len(own) for own in points(axis).values()) == [10, 10, 10]
    assert "gold: 0 to 1.67" in texts(axis.figure)


def test_tsne_names_the_one_seed_that_it_shows() -> None:
    several = pd.concat([representations(method, seed) for method in ("vanilla", "pats") for seed in (0, 1)])
    figure = plots.tsne(several)
    assert [axis.get_title() for axis in figure.axes] == ["vanilla, seed 0", "pats, seed 0"]
    assert all(sum(len(own) for own in points(axis).values()) == 24 for axis in figure.axes)


def test_confidence_counts_every_token_before_and_after() -> None:
    given = frame("confidence", "tdt", "tdt-hard", seeds=2)
    figure = plots.confidence(given)
    for axis, method in zip(figure.axes, ("tdt", "tdt-hard"), strict=True):
        own = given[given["method"] == method]
        for gid, column in (("after", "token_confidence"), ("before", "token_confidence_before")):
            values = [number for each in own[column] for number in each]
            shares, edges = steps(axis)[gid]
            counts = [sum(low <= number < high for number in values) for low, high in pairwise(edges)]
            assert len(values) == sum(counts) == 2 * 53
            assert shares == pytest.approx([100 * count / len(values) for count in counts])
    unknown = plots.confidence(frame("confidence", "tdt", before=False))
    assert set(steps(unknown.axes[0])) == {"after"} and "before: not known" in texts(unknown)
    lost = tokens()
    lost["token_confidence"] = lost["token_confidence_before"] = [[math.nan]] * 4
    with pytest.raises(NotMeasured, match="no token has a finite confidence"):
        plots.confidence(lost)


@pytest.mark.parametrize("seeds", [1, 3])
def test_sensitivity_adds_up_to_all_parameters(seeds: int) -> None:
    given = frame("sensitivity", "vanilla", "pats", seeds=seeds)
    (axis,) = plots.sensitivity(given).axes
    assert axis.get_xscale() == "log"
    for method in ("vanilla", "pats"):
        shares, edges = steps(axis)[f"mean {method}"]
        # 40 bins per decade, five of which are one
        assert np.log10(edges[1:] / edges[:-1]) == pytest.approx(np.full(32, 1 / 8))
        expected = np.zeros(32)
        for _, run in given[given["method"] == method].groupby("seed"):
            inner = run["count"].to_numpy()[1:-1].reshape(32, 5).sum(axis=1)
            expected += 8 * inner / run["count"].sum() / seeds
        assert shares == pytest.approx(100 * expected)
    outside = max(
        np.mean([run["count"].iloc[[0, -1]].sum() / run["count"].sum() for _, run in own.groupby("seed")])
        for _, own in given.groupby("method")
    )
    assert any(f"up to {outside:.1%} outside of the grid" in text for text in texts(axis.figure))


def test_matching_shows_each_mass_and_its_running_mean() -> None:
    given = frame("matching", "match", seeds=2)
    (axis,) = plots.matching(given).axes
    drawn = lines(axis)
    for name in ("mass_self", "mass_same", "mass_other"):
        by_step = given.pivot(index="step", columns="seed", values=name).to_numpy()
        mean, count = by_step.mean(axis=1), len(by_step)
        expected = [mean[max(0, step - 1) : step + 2].mean() for step in range(count)]  # 60 steps: windows of 3
        assert drawn[name][:, 0] == pytest.approx(np.arange(count))
        assert drawn[name][:, 1] == pytest.approx(expected)
        thin = [line for line in axis.lines if line.get_gid() == f"{name} seed"]
        for seed, line in enumerate(thin):
            assert np.asarray(line.get_ydata()) == pytest.approx(by_step[:, seed])
    assert "training step (bold: mean over 3 steps)" in texts(axis.figure)
    # one step is enough
    (one,) = plots.matching(frame("matching", "match", count=1)).axes
    assert len(lines(one)["mass_self"]) == 1


def test_matching_is_drawn_of_the_runs_that_mix() -> None:
    class Some:
        def training(self) -> pd.DataFrame:
            return pd.concat([pd.DataFrame({**whose("vanilla"), "step": range(3), "loss": 1.0}), masses()])

    assert set(PLOTS["matching"].data(Some())["method"]) == {"match"}  # type: ignore[arg-type]


def test_reliability_takes_the_rows_of_all_seeds_together() -> None:
    figure = plots.reliability(frame("reliability", "vanilla", "pats", seeds=2))
    above, below = figure.axes
    # bins of 4 + 7, 20 + 25 and 30 + 30 rows
    accuracy = [(4 * 0.25 + 7 * 0.35) / 11, (20 * 0.6 + 25 * 0.7) / 45, (30 * 0.8 + 30 * 0.9) / 60]
    for method in ("vanilla", "pats"):
        drawn = points(above, "bins")[f"bins {method}"]
        assert drawn[:, 0] == pytest.approx([50, 70, 90]) and drawn[:, 1] == pytest.approx(100 * np.asarray(accuracy))
        shares, edges = steps(below)[method]
        assert shares == pytest.approx([0, 0, 100 * 11 / 116, 100 * 45 / 116, 100 * 60 / 116])
        assert edges == pytest.approx([0, 20, 40, 60, 80, 100])
    alone = plots.reliability(frame("reliability", "vanilla"))
    (spots,) = [each for each in alone.axes[0].collections if each.get_gid() == "bins vanilla"]
    # four rows in the first bin: hollow
    assert [tuple(face[:3]) == (1, 1, 1) for face in spots.get_facecolor()] == [True, False, False]


def test_directions_have_no_mean_where_a_loss_is_lost() -> None:
    given = frame("directions", "vanilla", "match", seeds=2)
    given.loc[(given["method"] == "match") & (given["alpha"] == 1) & (given["direction"] == 2), "loss"] = math.nan
    (axis,) = plots.directions(given).axes
    for method in ("vanilla", "match"):
        own = given[given["method"] == method]
        expected = np.stack([run["loss"] for _, run in own.groupby(["seed", "direction"])]).mean(axis=0)
        drawn = lines(axis)[method]
        assert drawn[:, 0] == pytest.approx([-1, -0.5, 0, 0.5, 1])
        np.testing.assert_allclose(drawn[:, 1], expected)
        assert sum(line.get_gid() == f"one {method}" for line in axis.lines) == 6
    assert math.isnan(lines(axis)["match"][-1, 1]) and not any(isinstance(each, Text) for each in axis.texts)
