"""Suites that look inside a model: calibration, generalisation, sensitivity, flatness."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from sklearn import metrics as sk
from torch import nn

from robusteval.components.parameters import block_parameters
from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.evaluation.calibration import Calibration
from robusteval.evaluation.flatness import Flatness, filter_normalised, hessian_vector, line, top_eigenvalue
from robusteval.evaluation.generalisation import Generalisation, features, fit_linear, linear_logits
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.sensitivity import Distribution, Sensitivity, average_sensitivity, gini
from robusteval.methods.base import task_loss
from robusteval.methods.pats import update_sensitivity
from robusteval.models.encoding import Collator
from robusteval.results.finite import NotFinite
from robusteval.results.predictions import Predictions
from robusteval.results.rows import Note
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.base import Task
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import TaskData, load_split
from support import tiny

SUITES: dict[str, type[Suite[Any]]] = {
    "calibration": Calibration,
    "generalisation": Generalisation,
    "sensitivity": Sensitivity,
    "flatness": Flatness,
}


def make(name: str, **settings: Any) -> Suite[Any]:
    return SUITES[name].configure(name, settings)


def subject(kind: str = "bert", *, regression: bool = False, rows: int = 40, train: int = 0) -> Subject:
    texts, labels = tiny.sentences(rows)
    classes = () if regression else ("bad", "good")
    task = Task("tiny", "test", ("text",), classes, ("pearson",) if regression else ("accuracy",), score_range=(0, 5))
    gold = labels.astype(float) * 3 + 0.5 if regression else labels
    dev = examples_from_frame(pd.DataFrame({"text": texts, "label": gold}), task, "dev")
    data = TaskData(task, dev.take(range(train)), dev, config=DataConfig(eval_limit=60))
    return Subject(Predictor(tiny.model(kind, task.num_labels), tiny.tokenizer(kind), 32), data, EvalConfig())


def run(name: str, tested: Subject, **settings: Any) -> list[Measurement]:
    suite = make(name, **settings)
    suite.check(tested.data, tested.predictor.tokenizer, tested.config)
    return list(suite.run(tested))


def frame_of(measurement: Measurement) -> pd.DataFrame:
    assert measurement.frame is not None
    return measurement.frame


# ---- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("calibration", "bins", 0),
        ("generalisation", "tasks", "colla"),
        ("generalisation", "tasks", "cola|cola"),
        ("generalisation", "tasks", ""),
        ("generalisation", "train_limit", 1),
        ("generalisation", "C", 0.0),
        ("generalisation", "max_iter", 0),
        ("sensitivity", "rows", 0),
        ("sensitivity", "batch_size", 0),
        ("sensitivity", "beta", 1.0),
        ("sensitivity", "parameters", "heads"),
        ("sensitivity", "threshold", -1.0),
        ("sensitivity", "low", 0.0),
        ("sensitivity", "high", 1e-20),
        ("sensitivity", "bins", 0),
        ("flatness", "directions", 0),
        ("flatness", "radius", 0.0),
        ("flatness", "points", 10),
        ("flatness", "rows", 0),
        ("flatness", "split", "test"),
        ("flatness", "power_iterations", -1),
        ("flatness", "tolerance", -0.1),
        ("flatness", "batch_size", 0),
    ],
)
def test_impossible_settings_are_refused_by_name(name: str, setting: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{name}:{setting}"):
        make(name, **{setting: value})


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("calibration", {"bins": 9}, "40 rows in 9 bins"),
        ("sensitivity", {}, "40 rows, blocks parameters"),
        ("sensitivity", {"rows": 12, "parameters": "all"}, "12 rows, all parameters"),
        ("flatness", {}, "40 dev rows, 3 directions"),
        ("flatness", {"rows": 7, "split": "train"}, "7 train rows, 3 directions"),
    ],
)
def test_the_plan_tells_the_rows_that_are_used(text: str, settings: dict[str, Any], expected: str) -> None:
    assert make(text, **settings).outline(subject(train=10).data, EvalConfig()) == expected


# ---- calibration -------------------------------------------------------------------------------------


def test_calibration_measures_the_clean_logits() -> None:
    tested = subject()
    (found,) = run("calibration", tested, bins=10)
    gold, probabilities = tested.data.dev.labels, softmax(tested.clean.astype(float), axis=1)
    assert found.metrics["nll"] == pytest.approx(sk.log_loss(gold, probabilities))
    assert found.metrics["brier"] == pytest.approx(2 * sk.brier_score_loss(gold, probabilities[:, 1]))
    frame = frame_of(found)
    assert frame["count"].sum() == found.n == 40
    gap = (frame["count"] * (frame["accuracy"] - frame["confidence"]).abs()).sum() / 40
    assert found.metrics["ece"] == pytest.approx(gap)
    # the logits of the clean suite are used again
    calls = tested.predictor.calls
    run("calibration", tested)
    assert tested.predictor.calls == calls


def test_calibration_refuses_scores() -> None:
    with pytest.raises(UserError, match="'calibration' needs a task with classes"):
        run("calibration", subject(regression=True))


# ---- generalisation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlnet"])
def test_features_are_what_enters_the_last_layer(kind: str) -> None:
    predictor = Predictor(tiny.model(kind), tiny.tokenizer(kind), 32, batch_tokens=60)
    encoded = tiny.encoded(23, kind=kind)
    head = [module for module in predictor.model.modules() if isinstance(module, nn.Linear)][-1]
    x = torch.from_numpy(features(predictor, encoded)).float()
    np.testing.assert_allclose(head(x).detach().numpy(), predictor.encoded(encoded), atol=2e-6)
    assert not head._forward_pre_hooks


@pytest.mark.parametrize("classes", [2, 3])
def test_linear_logits_predict_as_scikit_learn(classes: int) -> None:
    generator = np.random.default_rng(classes)
    x, y = generator.normal(size=(90, 5)), np.arange(90) % classes
    fitted = fit_linear(x, y, 1.0, 1000)
    logits = linear_logits(fitted, x)
    np.testing.assert_array_equal(logits.argmax(axis=1), fitted.predict(x))
    np.testing.assert_allclose(softmax(logits.astype(float), axis=1), fitted.predict_proba(x), atol=1e-5)


def test_generalisation_scores_each_target_with_its_own_metrics() -> None:
    tested, kept = subject(), list[tuple[str, Predictions]]()
    tested.record = lambda suite, value, number, predictions: kept.append((value, predictions))
    tasks = "demo-nli|demo-similarity|demo-sentiment"
    first = run("generalisation", tested, tasks=tasks, train_limit=50)
    assert [each.value for each in first] == tasks.split("|")
    assert [list(each.metrics) for each in first] == [["accuracy"], ["spearman", "pearson"], ["accuracy"]]
    assert all(each.n == 60 for each in first)
    assert "50 training rows" in first[0].notes[0].text
    # scores do not fit into a file of classes
    assert [(value, each.logits.shape) for value, each in kept] == [("demo-nli", (60, 3)), ("demo-sentiment", (60, 2))]
    again = run("generalisation", subject(), tasks=tasks, train_limit=50)
    assert [each.metrics for each in again] == [each.metrics for each in first]


def test_the_rows_of_targets_are_facts_of_a_run_and_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[str, str]] = []

    def counted(task: Task, split: str, *more: Any) -> Any:
        read.append((task.name, split))
        return load_split(task, split, *more)

    monkeypatch.setattr("robusteval.tasks.load.load_split", counted)
    tested, tasks = subject(), "demo-nli|demo-sentiment"
    built = make("generalisation", tasks=tasks, train_limit=50)
    built.check(tested.data, None, tested.config)
    assert built.outline(tested.data, tested.config) == (
        "demo-nli 60 (classifier of 50), demo-sentiment 60 (classifier of 50)"
    )
    facts = built.facts(tested.data)
    assert list(facts) == ["generalisation demo-nli", "generalisation demo-sentiment"]
    list(built.run(tested))
    assert read == [(name, split) for name in tasks.split("|") for split in ("train", "validation")]
    # other rows, other facts; the other target's stay
    fewer = make("generalisation", tasks=tasks, train_limit=40).facts(tested.data)
    assert all(fewer[name] != facts[name] for name in facts)
    cued = dataclasses.replace(tested.data, config=dataclasses.replace(tested.data.config, cue=0.5))
    assert built.facts(cued) != facts
    assert make("calibration").facts(tested.data) == {}


def test_an_unfinished_solver_is_named() -> None:
    (found,) = run("generalisation", subject(), tasks="demo-sentiment", train_limit=50, max_iter=1)
    assert "not converged in 1 iterations" in found.notes[0].text


def test_a_diverged_model_is_measured_without_a_crash() -> None:
    tested = subject()
    with torch.no_grad():
        tested.predictor.model.bert.pooler.dense.weight.fill_(torch.nan)
    (found,) = run("generalisation", tested, tasks="demo-sentiment", train_limit=20)
    assert np.isnan(found.metrics["accuracy"])
    assert found.notes == (Note("features are not finite"),)
    for name, said in (("sensitivity", "gradients of"), ("flatness", "the loss is not finite at")):
        for each in run(name, tested):
            assert all(np.isnan(value) for value in each.metrics.values())
            assert any(said in note.text for note in each.notes)
    # what rests on predictions has none
    with pytest.raises(NotFinite, match="40 of 40 dev rows"):
        run("calibration", tested)


def test_missing_data_and_missing_classes_are_found_before_training(tmp_path: Any) -> None:
    tested = subject()
    with pytest.raises(UserError, match="hold 1 of its 3 classes|hold 2 of its 3 classes"):
        make("generalisation", tasks="demo-nli", train_limit=2).check(tested.data, None, tested.config)
    elsewhere = dataclasses.replace(tested.data, config=DataConfig(data_dir=str(tmp_path)))
    with pytest.raises(UserError, match="rte/train.parquet"):
        make("generalisation", tasks="rte").check(elsewhere, None, tested.config)


# ---- sensitivity -------------------------------------------------------------------------------------


def test_averages_equal_a_loop() -> None:
    torch.manual_seed(0)
    layer, unused = nn.Linear(3, 2), nn.Parameter(torch.ones(2))
    inputs, beta = torch.randn(5, 4, 3), 0.75
    each, plain = [], torch.zeros(2, 3)
    for x in inputs:
        (gradient,) = torch.autograd.grad(layer(x).square().mean(), [layer.weight])
        each.append((layer.weight * gradient).abs().detach())
        update_sensitivity(plain, layer.weight.detach(), gradient, beta)
    losses = (layer(x).square().mean() for x in inputs)
    found = average_sensitivity([layer.weight, unused], losses, beta)
    torch.testing.assert_close(found["mean"][0], torch.stack(each).mean(dim=0))
    # PATS starts its average at zero; here the weights add up to one
    torch.testing.assert_close(found["ema"][0], plain / (1 - beta**5))
    assert not found["mean"][1].any()
    assert layer.weight.grad is None


def exact_gini(values: Any) -> float:
    ordered = np.sort(np.asarray(values, np.float64))
    n = len(ordered)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * ordered.sum()))


@pytest.mark.parametrize("seed", range(3))
def test_binned_statistics_keep_to_their_bound(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("robusteval.evaluation.sensitivity.PIECE", 700)
    values = torch.from_numpy(10 ** np.random.default_rng(seed).normal(-7, 1, (40, 50)))
    values[:3] = 0
    edges = np.geomspace(1e-14, 1.0, 141)
    binned = Distribution.of(values, torch.from_numpy(edges), 5e-8)
    flat = values.numpy().ravel()
    below = np.histogram(flat, np.concatenate([[0], edges, [np.inf]]))[0]
    np.testing.assert_array_equal(binned.counts, below)
    found = binned.metrics()
    assert found["insensitive"] == (flat < 5e-8).mean()
    assert found["mean"] == pytest.approx(flat.mean())
    assert found["std"] == pytest.approx(flat.std())
    root = (edges[1] / edges[0]) ** 0.5
    bound = (root - 1) / (root + 1) * float((binned.counts / binned.n * binned.sums / binned.sums.sum()).sum())
    missing = exact_gini(flat) - found["gini"]
    assert -1e-12 <= missing <= bound < 2e-3


def test_gini_by_hand() -> None:
    assert gini(np.asarray([4, 0]), np.asarray([8.0, 0.0])) == 0
    # one of four holds everything
    assert gini(np.asarray([3, 1]), np.asarray([0.0, 5.0])) == pytest.approx(0.75)
    assert np.isnan(gini(np.asarray([3, 0]), np.zeros(2)))


def test_sensitivity_counts_every_parameter_and_leaves_the_model_alone() -> None:
    tested = subject()
    model = tested.predictor.model.train()
    model.bert.encoder.layer[0].eval()
    frozen = model.bert.encoder.layer[1].output.dense.weight.requires_grad_(False)
    model.classifier.bias.grad = torch.ones(2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    mean, ema = run("sensitivity", tested, batch_size=7)
    assert (mean.value, ema.value) == ("mean", "ema")
    expected = sum(parameter.numel() for _, parameter in block_parameters(model, norms=False))
    for found in (mean, ema):
        frame = frame_of(found)
        counts = frame.groupby("layer")["count"].sum()
        assert counts["all"] == expected == counts["0"] + counts["1"]
        assert list(frame["layer"].unique()) == ["all", "0", "1"]
        assert len(frame) == 3 * 562
        assert set(frame["statistic"]) == {found.value}
        assert frame["gini"].iloc[0] == found.metrics["gini"]
    assert [module.training for module in model.modules()] == modes
    assert not frozen.requires_grad
    assert torch.equal(model.classifier.bias.grad, torch.ones(2))
    assert model.bert.embeddings.word_embeddings.weight.grad is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_sensitivity_of_one_batch_is_exact() -> None:
    tested = subject("roberta", regression=True)
    (mean, ema) = run("sensitivity", tested, parameters="all", rows=12)
    assert mean.n == 12
    assert mean.metrics == pytest.approx(ema.metrics)
    assert set(frame_of(mean)["layer"]) == {"all", "embeddings", "0", "1", "rest"}
    (whole, _) = run("sensitivity", tested, parameters="all", batch_size=40)
    model = tested.predictor.model
    batch = Collator(tested.predictor.tokenizer)(tested.dev, np.arange(40))
    task_loss(model(**batch.inputs).logits, batch.labels).backward()
    exact = torch.cat(
        [(p * p.grad).abs().detach().flatten() for p in model.parameters() if p.grad is not None]
    ).double()
    assert whole.metrics["mean"] == pytest.approx(float(exact.mean()), rel=1e-4)
    assert whole.metrics["std"] == pytest.approx(float(exact.std(correction=0)), rel=1e-4)
    assert whole.metrics["gini"] == pytest.approx(exact_gini(exact.numpy()), abs=1e-3)


# ---- flatness ----------------------------------------------------------------------------------------


def test_filters_get_the_norms_of_the_weights() -> None:
    torch.manual_seed(0)
    weight, noise = torch.randn(4, 3, 2), torch.randn(4, 3, 2)
    weight[2] = 0
    scaled = filter_normalised(weight, noise)
    torch.testing.assert_close(scaled.flatten(1).norm(dim=1), weight.flatten(1).norm(dim=1))
    torch.testing.assert_close(torch.cosine_similarity(scaled.flatten(1), noise.flatten(1))[:2], torch.ones(2))
    assert not filter_normalised(torch.ones(5), torch.randn(5)).any()


def test_a_line_through_a_quadratic_and_back() -> None:
    weight = nn.Parameter(torch.tensor([[0.1, 0.2], [0.3, 0.7]]))
    before, direction = weight.detach().clone(), torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    alphas = [-1.0, -0.3, 0.3, 1.0]
    losses = line([weight], [direction], alphas, lambda: float(weight.square().sum()))
    assert losses == pytest.approx([float((before + alpha * direction).square().sum()) for alpha in alphas])
    assert torch.equal(weight, before)

    def broken() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        line([weight], [direction], alphas, broken)
    assert torch.equal(weight, before)


def test_the_hessian_of_least_squares_is_known() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(50, 6, dtype=torch.float64), torch.randn(50, 1, dtype=torch.float64)
    layer = nn.Linear(6, 1, bias=False).double()
    hessian = 2 * x.T @ x / 50

    def losses() -> Any:
        return ((layer(x[i : i + 10]) - y[i : i + 10]).square().sum() / 50 for i in range(0, 50, 10))

    vector = torch.randn(1, 6, dtype=torch.float64)
    (product,) = hessian_vector(losses(), [layer.weight], [vector])
    torch.testing.assert_close(product, vector @ hessian)
    found = top_eigenvalue(lambda v: hessian_vector(losses(), [layer.weight], v), [vector], 500, 1e-12)
    assert found.value == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-6)
    assert found.change <= 1e-12


def test_power_iteration_says_how_far_it_came() -> None:
    matrix = torch.diag(torch.tensor([3.0, -5.0, 1.0]))
    found = top_eigenvalue(lambda v: [matrix @ v[0]], [torch.ones(3)], 200, 1e-7)
    assert found.value == pytest.approx(-5)
    early = top_eigenvalue(lambda v: [matrix @ v[0]], [torch.ones(3)], 2, 1e-7)
    assert early.change > 1e-7
    assert top_eigenvalue(lambda v: [torch.zeros(3)], [torch.ones(3)], 9, 1e-7).value == 0


@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
def test_the_eigenvalue_of_a_transformer(kind: str) -> None:
    """Against the whole Hessian of two small parameters, with attention that a fused kernel would compute."""
    tested = subject(kind, rows=9)
    model = tested.predictor.model
    chosen = [model.classifier.bias, model.get_submodule(model.base_model_prefix).encoder.layer[0].attention.self]
    query = chosen[1].query.bias if kind == "bert" else chosen[1].query_proj.bias
    parameters = [chosen[0], query]
    batch = Collator(tested.predictor.tokenizer)(tested.dev, np.arange(9))

    def loss() -> torch.Tensor:
        return task_loss(model(**batch.inputs).logits, batch.labels)

    names = {id(parameter): name for name, parameter in model.named_parameters()}

    def functional(*values: torch.Tensor) -> torch.Tensor:
        changed = {names[id(p)]: value for p, value in zip(parameters, values, strict=True)}
        logits = torch.func.functional_call(model, changed, kwargs=batch.inputs).logits
        return task_loss(logits, batch.labels)

    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        blocks: Any = torch.autograd.functional.hessian(functional, tuple(p.detach() for p in parameters))
        whole = torch.cat([torch.cat(list(row), dim=1) for row in blocks])
        start = [torch.ones_like(p) for p in parameters]
        found = top_eigenvalue(lambda v: hessian_vector([loss()], parameters, v), start, 300, 1e-9)
    values = torch.linalg.eigvalsh(whole)
    assert found.value == pytest.approx(float(values[values.abs().argmax()]), rel=1e-3)


def test_flatness_measures_and_restores() -> None:
    tested = subject(train=10)
    model = tested.predictor.model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    settings = {"directions": 2, "points": 5, "rows": 30, "power_iterations": 3, "tolerance": 0.0, "batch_size": 8}
    (found,) = run("flatness", tested, **settings)
    frame = frame_of(found)
    assert frame.groupby("direction")["alpha"].apply(list).tolist() == [[-1.0, -0.5, 0.0, 0.5, 1.0]] * 2
    assert frame["loss"][frame["alpha"] == 0].nunique() == 1
    assert found.metrics["sharpness"] == pytest.approx(np.mean(found.spread["sharpness"]))
    assert found.metrics["sharpness"] > 0
    assert np.isfinite(found.metrics["top_eigenvalue"])
    assert "the eigenvalue moved by" in found.notes[1].text
    assert (found.n, found.split) == (30, "validation")
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    again = run("flatness", tested, **settings)[0]
    assert again.metrics == found.metrics


def test_flatness_on_training_rows() -> None:
    (found,) = run("flatness", subject(train=10), split="train", directions=1, points=3, power_iterations=0)
    assert (found.n, found.split) == (10, "train")
    assert set(found.metrics) == {"loss", "sharpness"}
    with pytest.raises(UserError, match="'train' needs training rows"):
        make("flatness", split="train").check(subject().data, None, EvalConfig())
