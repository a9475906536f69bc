"""Training a tiny model with a method, and what differs between two trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForMaskedLM

from robusteval.methods.base import Method
from robusteval.methods.compose import build_method
from robusteval.models.loading import LoadedModel, load_model
from robusteval.settings.codec import from_dict
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.training.trainer import train
from support import tiny
from support.method_case import Case

CPU = torch.device("cpu")


def fit(
    text: str,
    *,
    loaded: LoadedModel | None = None,
    kind: str = "bert",
    rows: int = 40,
    regression: bool = False,
    pairs: bool = False,
    folder: Path | None = None,
    method: Method[Any] | None = None,
    **settings: Any,
) -> LoadedModel:
    """Train a tiny model; the method's own training settings count, as on the command line."""
    column = MethodConfig.parse(text)
    base = {"max_steps": 5, "batch_size": 8, "learning_rate": 1e-3, **column.train, **settings}
    loaded = loaded or tiny.loaded(kind, 1 if regression else 2, dropout=settings.get("dropout"))
    train(
        loaded,
        tiny.encoded(rows, kind=kind, regression=regression, pairs=pairs),
        from_dict(TrainConfig, base),
        method or build_method(column),
        seed=3,
        device=CPU,
        folder=folder,
        checkpoint_seconds=0,
        quiet=True,
    )
    return loaded


def weights(loaded: LoadedModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in loaded.model.state_dict().items()}


def differing(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> list[str]:
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


def with_mlm_head(
    case: Case, folder: Path, dropout: float | None = None, *, kind: str = "bert", regression: bool = False
) -> LoadedModel | None:
    """A model loaded from a folder that carries a masked-language-model head, where the method needs one."""
    if not case.needs_mlm:
        return None
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(tiny.CONFIGS[kind]()).save_pretrained(folder / "mlm")
    tiny.tokenizer(kind).save_pretrained(folder / "mlm")
    return load_model(str(folder / "mlm"), labels=() if regression else ("bad", "good"), seed=0, dropout=dropout)
