"""Tasks: what they are and where their rows come from."""

from __future__ import annotations

from robusteval.registry import Registry
from robusteval.tasks.base import Examples, Task

__all__ = ["TASKS", "Examples", "Task"]

TASKS: Registry[Task] = Registry("task")

for _name, _target, _summary in (
    ("demo-sentiment", "builtin:DEMO_SENTIMENT", "built in: one text, 2 classes, accuracy"),
    ("demo-nli", "builtin:DEMO_NLI", "built in: pair, 3 classes, accuracy"),
    ("demo-similarity", "builtin:DEMO_SIMILARITY", "built in: pair, score 0 to 5, Spearman"),
    ("cola", "glue:COLA", "GLUE: acceptability of one sentence, MCC"),
    ("sst2", "glue:SST2", "GLUE: sentiment of one sentence, accuracy"),
    ("mrpc", "glue:MRPC", "GLUE: paraphrase, F1 and accuracy"),
    ("stsb", "glue:STSB", "GLUE: similarity score 0 to 5, Spearman and Pearson"),
    ("qqp", "glue:QQP", "GLUE: duplicate questions, accuracy and F1"),
    ("mnli", "glue:MNLI", "GLUE: inference, 3 classes, accuracy"),
    ("qnli", "glue:QNLI", "GLUE: does the sentence answer the question, accuracy"),
    ("rte", "glue:RTE", "GLUE: inference, 2 classes, accuracy"),
    ("adv_sst2", "glue:ADV_SST2", "AdvGLUE dev, 148 examples"),
    ("adv_qqp", "glue:ADV_QQP", "AdvGLUE dev, 78 examples"),
    ("adv_mnli", "glue:ADV_MNLI", "AdvGLUE dev, 121 examples"),
    ("adv_mnli_mismatched", "glue:ADV_MNLI_MISMATCHED", "AdvGLUE dev, 162 examples"),
    ("adv_qnli", "glue:ADV_QNLI", "AdvGLUE dev, 148 examples"),
    ("adv_rte", "glue:ADV_RTE", "AdvGLUE dev, 81 examples"),
):
    TASKS.add(_name, f"robusteval.tasks.{_target}", _summary)
