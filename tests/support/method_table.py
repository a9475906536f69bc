"""One row per method and setting: how to switch it on, how to switch it off, and what is known of it."""

from __future__ import annotations

from support.method_case import Case
from support.method_cases_loss import CASES_LOSS
from support.method_cases_update import CASES_UPDATE

COUPLED = "the matrix runs over the micro-batch"

# a batch of one is its own composite, bit for bit
CASES_MATCH = [
    Case("vanilla", "vanilla"),
    Case("match", "match", {"batch_size": 1}, additive=False, why=COUPLED),
    Case("match:keep=positive", "match", {"batch_size": 1}, additive=False, why=COUPLED),
    Case("match:keep=negative", "match", {"batch_size": 1}, additive=False, why=COUPLED),
]

CASES_COMPOSED = [
    Case("match+r3f", "match+r3f:weight=0", {"batch_size": 1}, additive=False, why=COUPLED),
    Case("match+groupdro:eta=0.5", "match+groupdro:groups=none", {"batch_size": 1}, additive=False, why=COUPLED),
    Case("noisytune+tdt:margin=2", "noisytune:lam=0+tdt:alpha=0:beta=0"),
    Case("rdrop+bidrop", "rdrop:alpha=0:ce_scale=0.5+bidrop:keep=1", {"dropout": 0.0}),
    Case(
        "match+child-f+noisytune", "match+child-f:p=1+noisytune:lam=0", {"batch_size": 1}, additive=False, why=COUPLED
    ),
]

CASES = CASES_MATCH + CASES_LOSS + CASES_UPDATE + CASES_COMPOSED
