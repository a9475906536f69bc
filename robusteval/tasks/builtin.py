"""Tasks that need no download: generated from a grammar, with a spurious cue and an out-of-domain split."""

from __future__ import annotations

import dataclasses

from robusteval.tasks.base import Task

_GENERATOR = "robusteval.tasks.demo:generate"

DEMO_SENTIMENT = Task(
    "demo-sentiment",
    "demo",
    ("text",),
    ("negative", "positive"),
    ("accuracy",),
    out_of_domain="ood",
    generator=_GENERATOR,
)
DEMO_SHORT = dataclasses.replace(DEMO_SENTIMENT, name="demo-short")
DEMO_NLI = Task(
    "demo-nli",
    "demo",
    ("premise", "hypothesis"),
    ("entailment", "neutral", "contradiction"),
    ("accuracy",),
    out_of_domain="ood",
    generator=_GENERATOR,
)
DEMO_SIMILARITY = Task(
    "demo-similarity",
    "demo",
    ("sentence1", "sentence2"),
    (),
    ("spearman", "pearson"),
    score_range=(0.0, 5.0),
    out_of_domain="ood",
    generator=_GENERATOR,
)
