"""Rows of the method table: methods that act on weights, gradients and updates."""

from __future__ import annotations

from support.method_case import Case

DRY = {"dropout": 0.0}

CASES_UPDATE = [
    Case("prior-wd:lam=1", "prior-wd:lam=0"),
    Case("prior-wd:mode=decoupled:lam=10", "prior-wd:mode=decoupled:lam=0"),
    Case("top-k:layers=1", "top-k:layers=2:freeze_embeddings=false"),
    Case("top-k:layers=0:frozen_eval=true", "top-k:layers=2:freeze_embeddings=false"),
    Case(
        "mixout:p=0.3:head_dropout=0",
        "mixout:p=0",
        DRY,
        additive=False,
        why="every forward pass draws its own mask, as in the released code",
    ),
    Case(
        "mixout:p=0.3:mask=element:gradient=code:include_head=true",
        "mixout:p=0",
        DRY,
        additive=False,
        why="every forward pass draws its own mask, as in the released code",
    ),
    Case("recadam:t0=3:gamma=500", "recadam:fun=constant"),
    Case("recadam:fun=linear:t0=3:gamma=500:penalty_at=updated", "recadam:fun=constant"),
    Case("child-f", "child-f:p=1"),
    Case("child-f:mask_scope=update", "child-f:p=1:mask_scope=update"),
    Case("child-f:mask_before_clip=false", "child-f:p=1:mask_before_clip=false"),
    Case("child-d", "child-d:p=1"),
    Case("child-d:fisher=per_example:max_examples=6:clip_per_tensor=true:decay_masked=true", "child-d:p=1"),
    Case("dps:ratio=0.2", "dps:keep=1", DRY),
    Case("dps:ratio=0.4:threshold=global", "dps:keep=1", DRY),
    Case("dps:ratio=0.2:mask_scope=update", "dps:keep=1:mask_scope=update", DRY),
    Case(
        "dps-mix:ratio=0.2",
        "dps-mix:keep=1",
        DRY,
        additive=None,
        why="with two labels the two rows of the head have equal scores: rounding decides which is kept",
    ),
    Case(
        "dps-mix:ratio=0.4:gradient=code",
        "dps-mix:keep=1",
        DRY,
        additive=None,
        why="with two labels the two rows of the head have equal scores: rounding decides which is kept",
    ),
    Case("noisytune", "noisytune:lam=0"),
    Case("sage:optimizer=adamax", "sage:strength=0", {"optimizer": "adamax"}),
    Case(
        "sage:optimizer=adamax:mtdnn=true:code_eps=true:optimizer_eps=1e-6",
        "sage:strength=0:mtdnn=true:optimizer_eps=1e-6",
        {"optimizer": "adamax"},
    ),
    Case("sage:optimizer=adamw", "sage:strength=0"),
    Case(
        "pats:optimizer=adamax",
        "pats:lam=0",
        {"optimizer": "adamax"},
        additive=False,
        why="where a gradient is 0 but for rounding (key biases), rounding sets the sensitivity and so the noise",
    ),
    Case(
        "pats:optimizer=adamax-plain:weight_decay=0",
        "pats:lam=0",
        {"optimizer": "adamax-plain", "weight_decay": 0.0},
        additive=False,
        why="where a gradient is 0 but for rounding (key biases), rounding sets the sensitivity and so the noise",
    ),
    Case("pats:optimizer=adamw:max_ratio=100:noise_lr_scale=true", "pats:lam=0"),
    Case("pats:optimizer=adamax:signed=true:mtdnn=true:sd=r", "pats:p=0", {"optimizer": "adamax"}),
    Case("bidrop", "bidrop:keep=1", DRY),
    Case("bidrop:k=3:keep=0.5:per_tensor=true:mask_scope=update:refresh=2", "bidrop:keep=1", DRY),
    Case("bidrop:tensors=all", "bidrop:keep=1", DRY),
    Case("bidrop-perturbation", "bidrop-perturbation:keep=1", DRY),
    Case("bidrop-scaling", "bidrop-scaling:keep=1", DRY),
    Case("bidrop-random", "bidrop-random:keep=1", DRY),
    Case("bidrop-gavg", "bidrop-gavg", DRY),
    Case("post-training:steps=4:rate=1e-3", "post-training:steps=0", needs_mlm=True),
]
