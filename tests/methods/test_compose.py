"""Which methods go together, and what refuses to."""

from __future__ import annotations

import itertools

import pytest
import torch

from robusteval.errors import UserError
from robusteval.methods import METHODS
from robusteval.methods.compose import build_method
from robusteval.settings.runs import MethodConfig
from robusteval.settings.train import TrainConfig
from robusteval.training.trainer import train
from support import tiny


@pytest.mark.parametrize(
    ("text", "hook"),
    [
        ("tdt+rdrop", "loss"),
        ("bidrop+freelb", "backward"),
        ("child-f+prior-wd", "before_step"),
        ("sage+recadam", "optimizer"),
        ("match+match:temperature=2", "representation"),
    ],
)
def test_a_clash_is_refused_by_name(text: str, hook: str) -> None:
    first, second = (part.split(":")[0] for part in text.split("+"))
    with pytest.raises(UserError, match=f"'{first}' and '{second}' cannot be combined: both claim the {hook} hook"):
        build_method(MethodConfig.parse(text))


def test_every_pair_either_composes_or_is_refused() -> None:
    """Two methods compose exactly if the hooks they claim do not meet."""
    names = METHODS.names()
    claims = {name: build_method(MethodConfig.parse(name)).claims() for name in names}
    composed = 0
    for first, second in itertools.combinations(names, 2):
        config = MethodConfig.parse(f"{first}+{second}")
        if claims[first] & claims[second]:
            with pytest.raises(UserError, match="cannot be combined"):
                build_method(config)
        else:
            assert build_method(config).claims() == claims[first] | claims[second]
            composed += 1
    assert composed > 100


def test_the_registered_hook_is_the_claimed_one() -> None:
    for entry in METHODS:
        claims = build_method(MethodConfig.parse(entry.name)).claims()
        shown = dict(entry.facts)["hook"]
        assert shown in ("-", "forward") or shown in claims, (entry.name, shown, claims)
        assert shown != "-" or not claims, (entry.name, claims)


@pytest.mark.parametrize("text", ["match+r3f", "match+groupdro", "noisytune+pats", "bidrop+rdrop", "match+tdt+child-d"])
def test_compositions_train(text: str) -> None:
    loaded = tiny.loaded()
    method = build_method(MethodConfig.parse(text))
    config = TrainConfig(max_steps=3, batch_size=8, learning_rate=1e-3)
    train(loaded, tiny.encoded(24), config, method, seed=0, device=torch.device("cpu"), quiet=True)
    assert all(torch.isfinite(parameter).all() for parameter in loaded.model.parameters())
