"""Which methods go together, and what refuses to."""

from __future__ import annotations

import itertools

import pytest

from robusteval.errors import UserError
from robusteval.methods import METHODS
from robusteval.methods.compose import build_method
from robusteval.settings.runs import MethodConfig
from support.fitting import differing, fit, weights
from support.method_table import CASES


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


# every method of the table at strength zero, and the training settings that it then needs
NEUTRAL = {case.method.split(":")[0]: (case.neutral, case.neutral_train) for case in reversed(CASES)}
COMPOSITIONS = (
    "match+r3f match+groupdro match+tdt+child-d child-d+match pats+noisytune bidrop+rdrop bidrop:k=3+top-k:layers=1 "
    "mixout+child-f noisytune+prior-wd"
)


@pytest.mark.parametrize("text", COMPOSITIONS.split())
def test_a_composition_is_each_of_its_methods_where_the_others_have_no_strength(text: str) -> None:
    """Bit for bit; and with all of them at work it is none of them."""
    parts, dry = text.split("+"), {"dropout": 0.0, "max_steps": 3}
    together = weights(fit(text, **dry))
    for place, part in enumerate(parts):
        mates = [NEUTRAL[other.split(":")[0]] for other in parts if other != part]
        settings = dict(dry)
        for _, needed in mates:
            settings.update(needed)
        mixed = [neutral for neutral, _ in mates]
        mixed.insert(place, part)
        alone = weights(fit(part, **settings))
        assert differing(weights(fit("+".join(mixed), **settings)), alone) == [], part
        assert differing(together, alone), part
