"""What released code does otherwise, by name: each form against its formula, computed here on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from torch import nn

import robusteval
from robusteval.components.optimizers import make_optimizer, parameter_groups
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.methods import cutoff
from robusteval.methods.base import Context, TrainingData, task_loss
from robusteval.methods.compose import attach, build_method
from robusteval.methods.match import composite
from robusteval.methods.smart import divergence
from robusteval.models.dropout import has_dropout, set_dropout
from robusteval.models.encoding import Collator, encode
from robusteval.models.loading import load_model
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.tasks.base import Task
from support import tiny
from support.fitting import CPU

TASK = Task("own", "file", ("text",), ("bad", "good"), ("accuracy",))
TEXTS, LABELS = tiny.sentences(24, seed=4)
ROWS = pd.DataFrame({"text": TEXTS, "label": [TASK.labels[label] for label in LABELS]})


def train(model: Any, method: str, **settings: Any) -> Any:
    settings = {"max_steps": 2, "batch_size": 5, "max_length": 32, "learning_rate": 1e-3, **settings}
    return robusteval.train(
        model, TASK, method, tokenizer=tiny.tokenizer(), train_dataset=ROWS, dev_dataset=ROWS, device="cpu", quiet=True,
        **settings,
    )  # fmt: skip


def rates(model: nn.Module) -> dict[str, float]:
    """Every number of the modules that bears "dropout" in its name, or is the rate of a dropout layer."""
    found = {}
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            inside = "Dropout" in type(module).__name__ and key in ("p", "drop_prob")
            if isinstance(value, float | int) and (inside or (key != "training" and "dropout" in key)):
                found[f"{name}.{key}"] = float(value)
    return found


# ---- dropout of a model in memory ----------------------------------------------------------------------


def passes(model: nn.Module, kind: str) -> list[torch.Tensor]:
    """The logits of two passes in training mode."""
    batch = Collator(tiny.tokenizer(kind))(tiny.encoded(8, kind=kind), np.arange(8))
    with torch.no_grad():
        return [model.train()(**batch.inputs).logits for _ in range(2)]


@pytest.mark.parametrize("kind", tiny.CONFIGS)
def test_dropout_set_in_memory_is_that_of_a_model_built_with_it(kind: str) -> None:
    for rate in (0.4, 0.0):
        model = tiny.model(kind)
        count = set_dropout(model, rate)
        built = rates(tiny.model(kind, dropout=rate))
        found = rates(model)
        # XLNet builds no last layer of dropout where it would be 0
        assert set(found.values()) == {rate} and built.keys() <= found.keys() and set(built.values()) == {rate}
        assert rate == 0 or found == built
        assert count > 3 and has_dropout(model) == (rate > 0)
        first, second = passes(model, kind)
        assert torch.equal(first, second) == (rate == 0)


@pytest.mark.parametrize("kind", tiny.CONFIGS)
def test_attention_and_hidden_dropout_both_act(kind: str) -> None:
    attention = lambda name: "att" in name and "output" not in name  # noqa: E731
    for chosen in (attention, lambda name: not attention(name)):
        model = tiny.model(kind, dropout=0.0)
        for name, module in model.named_modules():
            for key in ("p", "dropout_prob"):
                if isinstance(vars(module).get(key), float | int) and chosen(name):
                    setattr(module, key, 0.5)
        first, second = passes(model, kind)
        assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("method", "settings", "expected"),
    [
        ("mixout:head_dropout=0", {}, 0.0), ("dps", {}, 0.0), ("dps-mix", {}, 0.0), ("bidrop", {}, 0.1),
        ("bidrop:dropout=0.25", {}, 0.25), ("vanilla", {"dropout": 0.3}, 0.3), ("mixout:p=0", {}, 0.0),
    ],
)  # fmt: skip
def test_the_dropout_of_a_method_holds_for_a_model_in_memory(
    method: str, settings: dict[str, Any], expected: float, caplog: pytest.LogCaptureFixture
) -> None:
    model, seen = tiny.model(dropout=0.2), set()
    model.bert.encoder.layer[0].register_forward_hook(lambda *_: seen.update(rates(model).values()))
    train(model, method, **settings)
    assert seen == {expected}, "while it was trained"
    assert set(rates(model).values()) == {expected}
    assert f"dropout: set to {expected:g} in 10 modules" in caplog.text


@pytest.mark.parametrize("kind", ["gpt2", "t5", "bart"])
def test_dropout_of_other_architectures_is_set_as_well(kind: str, tmp_path: Path) -> None:
    small = {"vocab_size": len(tiny.WORDS), "pad_token_id": 0, "num_labels": 2}
    config = {
        "gpt2": lambda: transformers.GPT2Config(**small, n_embd=16, n_layer=1, n_head=2, n_positions=64),
        "t5": lambda: transformers.T5Config(
            **small, d_model=16, d_ff=16, d_kv=8, num_layers=1, num_heads=2, eos_token_id=3, decoder_start_token_id=0
        ),
        "bart": lambda: transformers.BartConfig(
            **small, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, eos_token_id=3, bos_token_id=2,
            decoder_start_token_id=3, max_position_embeddings=64,
        ),
    }[kind]()  # fmt: skip
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    model.save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    batch = torch.tensor([[2, 5, 6, 7, 3], [2, 8, 9, 6, 3]])
    for rate in (0.5, 0.0):
        loaded = load_model(str(tmp_path), labels=("bad", "good"), seed=0, dropout=rate).model.train()
        assert set(rates(loaded).values()) == {rate}
        first, second = (loaded(input_ids=batch).logits for _ in range(2))
        assert torch.equal(first, second) == (rate == 0)


def test_mixout_drops_before_the_head_alone() -> None:
    model, seen = tiny.model(dropout=0.2), []
    model.bert.encoder.layer[0].register_forward_hook(lambda *_: seen.append(rates(model)))
    train(model, "mixout")
    assert {name for each in seen for name, rate in each.items() if rate} == {"dropout.p"}
    assert set(rates(model).values()) == {0.0}


def test_a_model_without_dropout_is_not_said_to_have_some() -> None:
    model = tiny.model(dropout=0.2)
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Dropout):
            model.set_submodule(name, nn.Identity())
        vars(module).pop("dropout_prob", None)
    with pytest.raises(UserError, match="dropout: 0 cannot be set, since no module of this BertForSeq"):
        train(model, "dps")
    unchanged = tiny.model(dropout=0.2)
    train(unchanged, "vanilla")
    assert set(rates(unchanged).values()) == {0.2}


# ---- optimizers ------------------------------------------------------------------------------------------


def prepared(text: str, **settings: Any) -> tuple[Any, Any, list[nn.Parameter]]:
    """A tiny model and its method's optimizer, after `setup`."""
    column = MethodConfig.parse(text)
    config = TrainConfig(**{"optimizer": "adamax", "weight_decay": 0.0, **column.train, **settings})
    loaded, data = tiny.loaded(dropout=0.0), tiny.encoded(8)
    method = build_method(column)
    method.bind(Context(CPU, 10, False, 7, lambda loss: loss.backward()))
    batch = Collator(loaded.tokenizer)(data, np.arange(8))
    method.setup(loaded.model, TrainingData(loaded.tokenizer, data, lambda epoch: iter([batch]), config))
    groups = parameter_groups(loaded.model, method.modules, config)
    own = "optimizer" in method.claims()
    optimizer = method.optimizer(groups, config) if own else make_optimizer(groups, config, CPU)
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    return optimizer, loaded.model, [p for group in optimizer.param_groups for p in group["params"]]


def step(optimizer: Any, parameters: list[nn.Parameter], scale: float, seed: int) -> list[torch.Tensor]:
    """One step on random gradients of that size, which are returned."""
    generator = torch.Generator().manual_seed(seed)
    gradients = [scale * torch.randn(p.shape, generator=generator) for p in parameters]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    optimizer.step()
    return gradients


@pytest.mark.parametrize("eps", [1e-6, 1e-3])
def test_sage_of_the_released_code_is_one_form_for_all_parameters(eps: float) -> None:
    text = f"sage:mtdnn=true:code_eps=true:optimizer_eps={eps}:beta3=0.85"
    optimizer, model, parameters = prepared(text)
    blocks = {id(p) for n, p in model.named_parameters() if ".layer." in n and "LayerNorm" not in n}
    theta = [p.detach().double().clone() for p in parameters]
    m, u, average = ([torch.zeros_like(p) for p in theta] for _ in range(3))
    for number in range(3):
        gradients = step(optimizer, parameters, 1e-3, number)
        for i, gradient in enumerate(g.double() for g in gradients):
            m[i] = 0.9 * m[i] + 0.1 * gradient
            u[i] = torch.maximum(0.999 * u[i], gradient.abs() + eps)
            factor = torch.ones_like(theta[i])
            if id(parameters[i]) in blocks:
                sensitivity = (theta[i] * gradient).abs()
                average[i] = 0.85 * average[i] + 0.15 * sensitivity
                factor = (sensitivity - average[i]).abs() / (average[i] + 1e-16)
            theta[i] = theta[i] - 0.1 * factor * m[i] / (u[i] + eps)
    assert 0 < len(blocks) < len(parameters)
    for parameter, expected in zip(parameters, theta, strict=True):
        torch.testing.assert_close(parameter.detach().double(), expected, rtol=2e-4, atol=2e-6)


def test_adamax_of_algorithm_1_has_no_eps() -> None:
    moved = {}
    for name, text in (("plain", "pats:lam=0:optimizer=adamax-plain"), ("eps", "pats:lam=0")):
        optimizer, _, parameters = prepared(text)
        before = [p.detach().clone() for p in parameters]
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, 1e-7)
        parameters[0].grad = torch.zeros_like(parameters[0])
        optimizer.step()
        moved[name] = [float((p.detach() - b).abs().max()) for p, b in zip(parameters, before, strict=True)]
        # where there is no gradient, there is no step, and no 0 / 0
        assert moved[name][0] == 0
    # the first step is rate g / |g|: with eps 1e-8 it is shorter by 1 - 1 / 1.1, 9 %
    assert moved["plain"][1:] == pytest.approx([0.1] * (len(moved["plain"]) - 1), rel=1e-4)
    assert moved["eps"][1:] == pytest.approx([0.1 / 1.1] * (len(moved["eps"]) - 1), rel=1e-4)
    with pytest.raises(UserError, match="weight_decay: 0.01 is not possible with the optimizer 'adamax-plain'"):
        TrainConfig(optimizer="adamax-plain")


def test_pats_has_the_adamax_that_mt_dnn_had() -> None:
    # bias correction, one eps, decoupled decay
    optimizer, _, parameters = prepared("pats:lam=0", weight_decay=0.5)
    decays = [g["weight_decay"] for g in optimizer.param_groups for _ in g["params"]]
    theta = [p.detach().double().clone() for p in parameters]
    m, u = ([torch.zeros_like(p) for p in theta] for _ in range(2))
    for number in range(3):
        for i, gradient in enumerate(g.double() for g in step(optimizer, parameters, 1e-7, number)):
            m[i] = 0.9 * m[i] + 0.1 * gradient
            u[i] = torch.maximum(0.999 * u[i], gradient.abs() + 1e-8)
            theta[i] = theta[i] * (1 - 0.1 * decays[i]) - 0.1 / (1 - 0.9 ** (number + 1)) * m[i] / u[i]
    for parameter, expected in zip(parameters, theta, strict=True):
        torch.testing.assert_close(parameter.detach().double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("w", "same"), [(1.0, True), (0.5, False)])
def test_constant_recadam_is_the_plain_optimizer_at_w_1_only(w: float, same: bool) -> None:
    changed, model, parameters = prepared(f"recadam:fun=constant:w={w}", optimizer="adamw")
    plain, other, others = prepared("vanilla", optimizer="adamw")
    for number in range(2):
        step(changed, parameters, 1e-3, number)
        step(plain, others, 1e-3, number)
    equal = [torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True)]
    assert all(equal) == same


# ---- losses ----------------------------------------------------------------------------------------------


def test_detached_divergence_sends_the_gradient_of_each_kl_to_its_second_argument() -> None:
    gradients = {}
    for detach in (False, True):
        p, q = (torch.tensor([each], requires_grad=True) for each in ([1.0, 0.0], [0.0, 0.5]))
        divergence(p, q, detach=detach).backward()
        gradients[detach] = (p.grad, q.grad)
    # d KL(sg a || b) / d b is softmax(b) - softmax(a)
    difference = torch.tensor([[1.0, 0.0]]).softmax(-1) - torch.tensor([[0.0, 0.5]]).softmax(-1)
    torch.testing.assert_close(gradients[True][0], difference)
    torch.testing.assert_close(gradients[True][1], -difference)
    assert not torch.allclose(gradients[False][0], difference)  # type: ignore[arg-type]


def test_a_span_of_the_released_code_spares_the_last_token() -> None:
    eligible = torch.tensor([[False, True, True, True, True, True, False]])
    for spare, places in ((False, {0, 1, 2, 3}), (True, {0, 1, 2})):
        draws = [torch.tensor([each]) for each in np.linspace(0, 0.999, 50)]
        cuts = [cutoff.cut_span(draw, eligible, torch.tensor([2]), spare_last=spare)[0] for draw in draws]
        assert {int(cut.nonzero()[0]) - 1 for cut in cuts} == places
        assert any(bool(cut[5]) for cut in cuts) != spare
        assert {int(cut.sum()) for cut in cuts} == {2}
        # where all would be cut, it starts at the first token
        assert cutoff.cut_span(draws[-1], eligible, torch.tensor([5]), spare_last=spare)[0].sum() == 5


def test_scores_are_compared_one_by_one() -> None:
    logits, gold = torch.tensor([[1.0], [3.0]]), torch.tensor([2.0, 5.0])
    # [B, 1] against [B] would be 4 pairs, with a mean of (1 + 16 + 1 + 4) / 4
    assert float(task_loss(logits, gold)) == (1 + 4) / 2


# ---- match:eval=batch --------------------------------------------------------------------------------------


def by_hand(model: Any, texts: list[str], size: int) -> np.ndarray[Any, Any]:
    """Logits where each `size` rows in their order are mixed: the tiny model's pooled vectors, its classifier."""
    pooled: list[torch.Tensor] = []
    hook = model.dropout.register_forward_pre_hook(lambda module, inputs: pooled.append(inputs[0]))
    with torch.no_grad():
        for text in texts:
            encoded = encode(tiny.tokenizer(), [[text]], max_length=32)
            model(**Collator(tiny.tokenizer())(encoded, np.arange(1)).inputs)
        hook.remove()
        h = torch.cat(pooled)
        return torch.cat([model.classifier(composite(part)) for part in h.split(size)]).numpy()


@pytest.mark.parametrize("size", [1, 5, 16, 409])
def test_predictions_mix_the_training_batch_in_the_order_of_the_rows(size: int) -> None:
    model = tiny.model()
    expected = by_hand(model, TEXTS, size)
    method = build_method(MethodConfig.parse("match:eval=batch"))
    method.bind(Context(CPU, 0, False, 0, lambda loss: None))
    hook = attach(method, model)
    assert hook is not None
    texts = [(text,) for text in TEXTS]
    # whatever fits into a batch of the predictor
    for tokens in (8, 100_000):
        predictor = Predictor(
            model,
            tiny.tokenizer(),
            32,
            batch_tokens=tokens,
            group=method.evaluation_group(TrainConfig(batch_size=size)),
        )
        np.testing.assert_allclose(predictor.logits(texts), expected, atol=2e-6)
        rows = encode(tiny.tokenizer(), [TEXTS], max_length=32)
        for each in predictor.stream([rows, rows]):
            np.testing.assert_allclose(each, expected, atol=2e-6)
    hook.remove()


def test_selection_and_notices_know_what_a_method_needs_to_predict(tmp_path: Path) -> None:
    trained = train(tiny.model(), "match:eval=batch", select="best", dropout=0.0)
    expected = by_hand(trained.model, TEXTS, 5).argmax(axis=1) == LABELS
    assert trained.training.selected_score == pytest.approx(expected.mean())
    test = {"dataset": ROWS, "suites": ["clean"], "max_length": 32, "device": "cpu"}
    said = "the model was trained with match to predict with more than its weights"
    # in memory it predicts with them, from a folder it cannot
    found = robusteval.evaluate(trained.model, TASK, tokenizer=trained.tokenizer, **test)
    assert not any(notice.startswith(said) for notice in found.notices)
    assert found.measurements[0].metrics["accuracy"] == pytest.approx(expected.mean())
    found = robusteval.evaluate(trained.save(tmp_path / "model"), TASK, **test)
    assert any(notice.startswith(said) for notice in found.notices)
    # trained again, it is a plain model
    again = train(trained.model, "match")
    found = robusteval.evaluate(again.model, TASK, tokenizer=again.tokenizer, **test)
    assert not any(notice.startswith(said) for notice in found.notices)
