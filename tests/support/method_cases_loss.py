"""Rows of the method table: methods that change the loss or the passes. See method_table.py."""

from __future__ import annotations

from support.method_case import Case

COUPLED_Q = "the group weights move with every micro-batch"

CASES_LOSS = [
    Case("tdt:gamma=0.05:margin=2", "tdt:alpha=0:beta=0"),
    Case("tdt:mu0=vocab_mean:protect_special=true:norm=rms:gamma=0.1:reg_distance=mse", "tdt:alpha=0:beta=0:gamma=1"),
    Case(
        # the hinge on the batch mean is open in every micro-batch here, and so still additive
        "tdt:kl_dir=code:neg_weight=0.5:kl_mean_over_classes=true:hinge=batch:margin=0.1:pre_position=true:beta=4",
        "tdt:alpha=0:beta=0:hinge=batch",
    ),
    Case("tdt-hard:margin=2", "tdt-hard:alpha=0:beta=0"),
    Case("r3f", "r3f:weight=0"),
    Case("r3f:shared_dropout=true:eps=0.01:distribution=normal:every=2", "r3f:weight=0:every=2"),
    Case("rdrop", "rdrop:alpha=0:ce_scale=0.5", {"dropout": 0.0}),
    Case(
        "rdrop:ce_passes=first:ce_scale=0.5:alpha=0.7:kl_reduction=sum", "rdrop:alpha=0:ce_passes=first",
        {"dropout": 0.0},
    ),
    Case("cutoff", "cutoff:ce_weight=0:js_weight=0"),
    Case("cutoff:mode=span:ratio=0.3:js=code", "cutoff:mode=span:ce_weight=0:js_weight=0"),
    Case("cutoff:mode=span:ratio=0.3:spare_last=true", "cutoff:mode=span:ce_weight=0:js_weight=0"),
    Case("cutoff:mode=dim:replacement=true", "cutoff:mode=dim:ce_weight=0:js_weight=0"),
    Case("freelb", "freelb:steps=1:magnitude=0"),
    Case("smart", "smart:weight=0"),
    Case("smart:detach=true:ascent=stable", "smart:weight=0:detach=true"),
    Case("groupdro:eta=0.5", "groupdro:groups=none", additive=False, why=COUPLED_Q),
    Case("double-batch:batch_size=16", "double-batch"),
]  # fmt: skip
