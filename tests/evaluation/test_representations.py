"""What enters the last layer, TDT's variants of it, and the confidence of tokens before and after training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import softmax
from sklearn.metrics import silhouette_samples
from torch import nn

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.representations import Representations
from robusteval.methods.compose import build_method
from robusteval.methods.tdt import TDT
from robusteval.models.architectures import submodules
from robusteval.models.encoding import Collator
from robusteval.models.saving import save_checkpoint
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.tasks.base import Task
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import TaskData
from robusteval.training.trainer import train
from support import tiny


def subject(model: Any, kind: str = "bert", *, regression: bool = False, **more: Any) -> Subject:
    texts, labels = tiny.sentences(40)
    task = Task("tiny", "test", ("text",), () if regression else ("bad", "good"),
                ("pearson",) if regression else ("accuracy",), score_range=(0, 5))  # fmt: skip
    gold = labels.astype(float) * 3 + 0.5 if regression else labels
    dev = examples_from_frame(pd.DataFrame({"text": texts, "label": gold}), task, "dev")
    data = TaskData(task, dev.take(()), dev, config=DataConfig())
    return Subject(Predictor(model, tiny.tokenizer(kind), 32), data, EvalConfig(), **more)


def run(tested: Subject, **settings: Any) -> list[Measurement]:
    return list(Representations.configure("representations", settings).run(tested))


def table(measured: list[Measurement]) -> pd.DataFrame:
    return pd.concat([each.frame for each in measured if each.frame is not None], ignore_index=True)


def trained(text: str, folder: Path, kind: str = "bert") -> tuple[Any, Any]:
    """A model trained for a few steps and kept in a folder, and the method that trained it."""
    method, loaded = build_method(MethodConfig.parse(text)), tiny.loaded(kind)
    config = TrainConfig(max_steps=6, learning_rate=1e-2)
    train(loaded, tiny.encoded(kind=kind), config, method, seed=0, device=torch.device("cpu"), quiet=True)
    save_checkpoint(loaded.model, loaded.tokenizer, folder, dict(method.modules), method.facts())
    return loaded.model.eval(), method


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlnet"])
def test_any_model(kind: str) -> None:
    model = tiny.model(kind)
    tested = subject(model, kind)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    (found,) = run(tested)
    frame = table([found])
    head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    x = np.stack(frame["vector"])
    logits = head(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(logits, tested.clean, atol=1e-5)
    assert list(frame["gold"]) == [("bad", "good")[label] for label in tested.data.dev.labels]
    assert list(frame["predicted"]) == [("bad", "good")[each] for each in tested.clean.argmax(1)]
    np.testing.assert_allclose(frame["confidence"], softmax(tested.clean, axis=1).max(1), atol=1e-5)
    assert found.metrics == {"silhouette": pytest.approx(silhouette_samples(x, frame["gold"]).mean(), abs=1e-5)}
    assert found.value == "original" and found.n == 40 and found.notes == ()
    assert frame["token_confidence"].isna().all() and frame["token_confidence_before"].isna().all()
    # the model is as it was
    assert not head._forward_pre_hooks and not model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_fewer_rows_are_the_same_for_every_model() -> None:
    first, second = (table(run(subject(tiny.model(seed=seed)), rows=9)) for seed in (0, 1))
    assert len(first) == 9 and list(first["id"]) == list(second["id"])
    assert Representations.configure("representations", {"rows": 9}).outline(
        subject(tiny.model()).data, EvalConfig()
    ) == "9 rows"  # fmt: skip
    with pytest.raises(UserError, match="representations:rows"):
        Representations.configure("representations", {"rows": 0})


def test_scores_have_no_classes() -> None:
    tested = subject(tiny.model(num_labels=1), regression=True)
    (found,) = run(tested)
    frame = table([found])
    assert list(found.metrics) == ["pearson"] and frame["confidence"].isna().all()
    np.testing.assert_allclose(frame["predicted"].astype(float), tested.clean[:, 0], atol=1e-5)


@pytest.mark.parametrize("text", ["tdt", "tdt:pre_position=true:protect_special=true:mu0=zero", "match+tdt"])
def test_variants_are_those_of_the_training(text: str, tmp_path: Path) -> None:
    """Against embeddings that are made here by Eq. 2, 3 and 5 and put in place one row at a time."""
    model, method = trained(text, tmp_path)
    start = tiny.model()
    tested = subject(model, folder=tmp_path, start=lambda: start)
    measured = run(tested)
    frame = table(measured).set_index(["version", "id"])
    assert [each.value for each in measured] == ["original", "positive", "negative"]
    layer, parts = method.modules["confidence"], submodules(model)
    module = parts.word_embeddings if "pre_position" in text else parts.embeddings
    for row in (0, 3, 17):
        batch = Collator(tested.predictor.tokenizer)(tested.dev, np.asarray([row]))
        e = embeddings_of(model, module, batch)
        c = torch.sigmoid(e @ layer.weight[0] + layer.bias)[..., None]
        fill = torch.zeros(1) if "mu0=zero" in text else e.mean(1, keepdim=True)
        versions = {"original": e, "positive": c * e + (1 - c) * fill, "negative": (1 - c) * e}
        for version, made in versions.items():
            if "protect" in text and version != "original":
                made = torch.where(batch.special[..., None], e, made)
            vector, logits = seen_with(model, module, made, batch)
            line = frame.loc[version, str(row)]
            np.testing.assert_allclose(line["vector"], vector, rtol=1e-3, atol=1e-5)
            assert line["predicted"] == ("bad", "good")[int(logits.argmax())]
        inside = ~batch.special[0]
        expected = {"token_confidence": (e, layer.weight, layer.bias)}
        kept = load_file(tmp_path / "confidence.safetensors")
        opened = embeddings_of(start, dict(start.named_modules())[name_of(model, module)], batch)
        expected["token_confidence_before"] = (opened, kept["start_weight"], kept["start_bias"])
        for column, (vectors, weight, bias) in expected.items():
            by_hand = torch.sigmoid(vectors[0, inside] @ weight[0] + bias).detach()
            np.testing.assert_allclose(frame.loc["original", str(row)][column], by_hand, rtol=1e-4)
    accuracy = {version: (lines["gold"] == lines["predicted"]).mean() for version, lines in frame.groupby("version")}
    assert [each.metrics["accuracy"] for each in measured[1:]] == [accuracy["positive"], accuracy["negative"]]


def name_of(model: Any, module: nn.Module) -> str:
    return next(name for name, each in model.named_modules() if each is module)


def embeddings_of(model: Any, module: nn.Module, batch: Any) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    handle = module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        model(**batch.inputs)
    handle.remove()
    return seen[0]


def seen_with(model: Any, module: nn.Module, made: torch.Tensor, batch: Any) -> tuple[Any, Any]:
    seen: list[torch.Tensor] = []
    handles = [
        module.register_forward_hook(lambda module, inputs, output: made),
        model.classifier.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0])),
    ]
    with torch.no_grad():
        logits = model(**batch.inputs).logits[0]
    for handle in handles:
        handle.remove()
    return seen[0][0].numpy(), logits.numpy()


def test_hard_choices_are_the_same_each_time(tmp_path: Path) -> None:
    model, _ = trained("tdt-hard", tmp_path)
    first, second = (table(run(subject(model, folder=tmp_path))) for _ in range(2))
    assert (np.stack(first["vector"]) == np.stack(second["vector"])).all()
    scores = np.concatenate([each for each in first["token_confidence"] if each is not None])
    assert ((scores > 0) & (scores < 1)).all()


def test_the_layer_before_training_is_kept_and_moves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[torch.Tensor] = []
    setup = TDT.setup

    def watched(self: TDT, *given: Any) -> None:
        setup(self, *given)
        drawn.append(self.modules["confidence"].get_parameter("weight").detach().clone())

    monkeypatch.setattr(TDT, "setup", watched)
    _, method = trained("tdt", tmp_path)
    layer = method.modules["confidence"]
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    assert torch.equal(layer.start_weight, drawn[0]) and not layer.start_bias.any()
    assert not torch.equal(layer.start_weight, layer.weight)


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    model, _ = trained("tdt", tmp_path)
    original = run(subject(model, folder=tmp_path))[0]
    assert [note.text for note in original.notes] == [
        "without confidence before training: the model as it was is not known here"
    ]
    mixing = subject(model, folder=tmp_path, start=tiny.model)
    mixing.predictor.group = 8
    (alone,) = run(mixing)
    assert "batch mates" in alone.notes[0].text
