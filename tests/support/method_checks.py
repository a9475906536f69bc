"""The checks that every method passes; each takes a row of the method table and an empty folder."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForSequenceClassification

from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.methods.base import Context, Method, TrainingData
from robusteval.methods.compose import attach, build_method
from robusteval.models.encoding import Collator
from robusteval.models.loading import LoadedModel, load_model
from robusteval.models.saving import save_checkpoint
from robusteval.settings.codec import from_dict
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.storage.reading import read_lines
from support import tiny
from support.fitting import CPU, differing, fit, weights, with_mlm_head
from support.method_case import Case

Made = TypeVar("Made")
_MADE: dict[tuple[str, str], Any] = {}


def _once(what: str, case: Case, make: Callable[[], Made]) -> Made:
    """What several checks of a method look at, made by the first of them."""
    if (what, case.method) not in _MADE:
        _MADE[what, case.method] = make()
    return cast("Made", _MADE[what, case.method])


def trained(case: Case, folder: Path) -> LoadedModel:
    """After five steps with the method; to be looked at only."""
    return _once("trained", case, lambda: fit(case.method, loaded=with_mlm_head(case, folder)))


@functools.cache
def _vanilla(
    kind: str, regression: bool, pairs: bool, steps: int, settings: tuple[tuple[str, Any], ...]
) -> dict[str, Tensor]:
    asked = {"kind": kind, "regression": regression, "pairs": pairs, "max_steps": steps}
    return weights(fit("vanilla", **{**asked, **dict(settings)}))


def _vanilla_for(
    case: Case,
    folder: Path,
    *,
    kind: str = "bert",
    regression: bool = False,
    pairs: bool = False,
    steps: int = 3,
    **settings: Any,
) -> dict[str, Tensor]:
    """Weights after some steps of vanilla from where the method starts too."""
    if not case.needs_mlm:
        return _vanilla(kind, regression, pairs, steps, tuple(sorted(settings.items())))
    loaded = with_mlm_head(case, folder, kind=kind, regression=regression)
    asked = {"kind": kind, "regression": regression, "pairs": pairs, "max_steps": steps, **settings}
    return weights(fit("vanilla", loaded=loaded, **asked))


def strength_zero_equals_vanilla(case: Case, tmp_path: Path) -> None:
    vanilla = _vanilla_for(case, tmp_path / "a", steps=5, **case.neutral_train)
    neutral = fit(case.neutral, loaded=with_mlm_head(case, tmp_path / "b"), **case.neutral_train)
    assert differing(vanilla, weights(neutral)) == []


def it_acts_and_repeats(case: Case, tmp_path: Path) -> None:
    """Twice the same seed gives the same weights, other than vanilla's; foreign generators stay untouched."""
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    runs = [trained(case, tmp_path / "0"), fit(case.method, loaded=with_mlm_head(case, tmp_path / "1"))]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[:2]
    assert case.needs_mlm or torch.equal(torch.get_rng_state(), states[2])
    assert differing(weights(runs[0]), weights(runs[1])) == []
    if case.method != "vanilla":
        assert differing(weights(runs[0]), _vanilla_for(case, tmp_path / "v", steps=5)) != []


def bound(case: Case, loaded: LoadedModel, **settings: Any) -> Method[Any]:
    """The method after `setup`, without a trainer around it."""
    column = MethodConfig.parse(case.method)
    method = build_method(column)
    config = from_dict(TrainConfig, {"learning_rate": 1e-3, "batch_size": 8, **column.train, **settings})
    method.bind(Context(CPU, 10, False, 7, lambda loss: loss.backward()))
    attach(method, loaded.model)
    data, collate = tiny.encoded(16), Collator(loaded.tokenizer)
    batches = lambda epoch, seed=None: iter([collate(data, np.arange(8)), collate(data, np.arange(8, 16))])  # noqa: E731
    method.setup(loaded.model, TrainingData(loaded.tokenizer, data, batches, config, loaded.folder))
    return method


def padding_changes_nothing(case: Case, tmp_path: Path) -> None:
    """The gradients of a batch padded further are the same (dropout off; the same noise at the real tokens)."""
    gradients = []
    for extra in (0, 7):
        loaded = with_mlm_head(case, tmp_path / str(extra), dropout=0.0) or tiny.loaded(dropout=0.0)
        method = bound(case, loaded, dropout=0.0)
        data = tiny.encoded(8)
        batch = Collator(loaded.tokenizer)(data, np.arange(8))
        for name, value in batch.inputs.items():
            pad = loaded.tokenizer.pad_token_id if name == "input_ids" else 0
            batch.inputs[name] = torch.nn.functional.pad(value, (0, extra), value=pad)
        batch.special = torch.nn.functional.pad(batch.special, (0, extra), value=True)
        loaded.model.train()
        loss = method.backward(loaded.model, batch)
        method.finish(loaded.model)
        gradients.append([loss, *(p.grad for p in loaded.model.parameters() if p.grad is not None)])
    assert len(gradients[0]) == len(gradients[1]) > 1
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def evaluation_is_independent_of_batch_mates(case: Case, tmp_path: Path) -> None:
    loaded = trained(case, tmp_path)
    data = tiny.encoded(12)
    together = Predictor(loaded.model, loaded.tokenizer).encoded(data)
    alone = Predictor(loaded.model, loaded.tokenizer, batch_tokens=1).encoded(data)
    np.testing.assert_allclose(together, alone, atol=2e-6)


class Interrupted(Exception):
    pass


def resuming_is_exact(case: Case, at: int, tmp_path: Path) -> None:
    """Killed at a step and continued equals uninterrupted: weights, generators, log."""

    def prepared(name: str) -> tuple[LoadedModel | None, Path]:
        return with_mlm_head(case, tmp_path / f"{name}-mlm"), tmp_path / name

    def uninterrupted() -> tuple[dict[str, Tensor], Tensor, list[dict[str, Any]]]:
        loaded, folder = prepared("whole")
        method = build_method(MethodConfig.parse(case.method))
        fitted = fit(case.method, loaded=loaded, folder=folder, method=method, max_steps=7)
        return weights(fitted), method.generator.get_state(), read_lines(folder / "train.jsonl")

    whole, state, log = _once("uninterrupted", case, uninterrupted)
    broken = build_method(MethodConfig.parse(case.method))
    step_of = broken.after_step

    def stop(step: int) -> None:
        step_of(step)
        if step == at:
            raise Interrupted

    broken.after_step = stop  # type: ignore[method-assign]
    loaded, folder = prepared("parts")
    with pytest.raises(Interrupted):
        fit(case.method, loaded=loaded, folder=folder, method=broken, max_steps=7)
    assert (folder / "state.safetensors").exists()
    loaded, _ = prepared("again")
    method = build_method(MethodConfig.parse(case.method))
    resumed = fit(case.method, loaded=loaded, folder=folder, method=method, max_steps=7)

    assert differing(whole, weights(resumed)) == []
    assert torch.equal(state, method.generator.get_state())
    logs = [log, read_lines(folder / "train.jsonl")]
    timeless = [[{k: v for k, v in line.items() if k != "seconds"} for line in each] for each in logs]
    assert timeless[0] == timeless[1]
    assert [line["step"] for line in timeless[0]] == list(range(7))


def regression_trains(case: Case, pairs: bool, tmp_path: Path) -> None:
    """On scores too strength zero equals vanilla bit for bit; at full strength the squared error falls."""
    asked: dict[str, Any] = {"regression": True, "pairs": pairs}
    loaded = with_mlm_head(case, tmp_path / "neutral", regression=True)
    neutral = fit(case.neutral, loaded=loaded, max_steps=3, **asked, **case.neutral_train)
    vanilla = _vanilla_for(case, tmp_path / "vanilla", **asked, **case.neutral_train)
    assert differing(weights(neutral), vanilla) == []

    data = tiny.encoded(40, **asked)

    def squared_error(loaded: LoadedModel) -> float:
        scores = Predictor(loaded.model, loaded.tokenizer).encoded(data).reshape(-1)
        return float(np.mean((scores - data.labels) ** 2))

    loaded = with_mlm_head(case, tmp_path / "strong", regression=True) or tiny.loaded(num_labels=1)
    before = squared_error(loaded)
    # the slowest, that begins with small weights, loses a 26th of it in these steps
    assert squared_error(fit(case.method, loaded=loaded, max_steps=8, **asked)) < 0.97 * before


def accumulation(case: Case, tmp_path: Path) -> None:
    """2 x 8 against 1 x 16: equal for batch-additive methods, different for those that couple a batch."""
    if not case.additive:
        assert case.why
    if case.additive is None:
        pytest.skip(case.why)
    one, two = (
        weights(
            fit(case.method, loaded=with_mlm_head(case, tmp_path / str(parts), 0.0), dropout=0.0, rows=32, max_steps=2,
                batch_size=16, accumulation=parts, optimizer="adamax", learning_rate=1e-4)
        )
        for parts in (1, 2)
    )  # fmt: skip
    largest = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert largest < 2e-6 if case.additive else largest > 2e-6


def the_saved_checkpoint_is_plain(case: Case, tmp_path: Path) -> None:
    loaded = trained(case, tmp_path)
    save_checkpoint(loaded.model, loaded.tokenizer, tmp_path / "saved")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    data = tiny.encoded(10)
    ours = Predictor(loaded.model, loaded.tokenizer).encoded(data)
    np.testing.assert_array_equal(ours, Predictor(plain, tiny.tokenizer()).encoded(data))


def every_architecture_trains(case: Case, kind: str, tmp_path: Path) -> None:
    """Strength zero equals vanilla, full strength does not, and the model predicts as a plain forward pass does."""
    if case.needs_mlm and kind == "xlnet":
        # XLNet was pretrained without a masked-language-model head, and the method says so
        xlnet = tiny.save(tmp_path / "xlnet", "xlnet")
        with pytest.raises(UserError, match="masked"):
            fit(case.method, kind=kind, loaded=load_model(str(xlnet), labels=("bad", "good"), seed=0))
        return

    def three_steps(text: str, place: str, **settings: Any) -> LoadedModel:
        loaded = with_mlm_head(case, tmp_path / place, kind=kind)
        return fit(text, loaded=loaded, kind=kind, pairs=True, max_steps=3, **settings)

    # ALBERT's blocks are one, gone through twice
    text = case.neutral.replace("layers=2", "layers=1") if kind == "albert" else case.neutral
    neutral = weights(three_steps(text, "neutral", **case.neutral_train))
    vanilla = _vanilla_for(case, tmp_path / "vanilla", kind=kind, pairs=True, **case.neutral_train)
    assert differing(neutral, vanilla) == []
    loaded = three_steps(case.method, "strong")
    acts = differing(weights(loaded), _vanilla_for(case, tmp_path / "again", kind=kind, pairs=True))
    assert acts or case.method == "vanilla"
    data = tiny.encoded(8, kind=kind, pairs=True)
    logits = Predictor(loaded.model, loaded.tokenizer).encoded(data)
    with torch.no_grad():
        by_hand = loaded.model.eval()(**Collator(loaded.tokenizer)(data, np.arange(8)).inputs).logits
    np.testing.assert_allclose(logits, by_hand.numpy(), atol=2e-6)
