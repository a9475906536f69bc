"""Tasks: what they are and where their rows come from."""

from __future__ import annotations

from robusteval.registry import Registry
from robusteval.tasks.base import Examples, Task, Transfer

__all__ = ["TASKS", "Examples", "Task", "Transfer"]

TASKS: Registry[Task] = Registry("task", "robusteval.tasks.custom:accepted", ("robusteval.tasks",))

for _name, _target, _summary in (
    ("demo-sentiment", "builtin:DEMO_SENTIMENT", "built in: one text, 2 classes, accuracy"),
    ("demo-short", "builtin:DEMO_SHORT", "built in: one clause, 2 classes, accuracy; trains in seconds"),
    ("demo-nli", "builtin:DEMO_NLI", "built in: pair, 3 classes, accuracy"),
    ("demo-similarity", "builtin:DEMO_SIMILARITY", "built in: pair, score 0 to 5, Spearman"),
    ("cola", "glue:COLA", "GLUE: acceptability of one sentence, MCC"),
    ("sst2", "glue:SST2", "GLUE: sentiment of one sentence, accuracy"),
    ("mrpc", "glue:MRPC", "GLUE: paraphrase, F1 and accuracy"),
    ("stsb", "glue:STSB", "GLUE: similarity score 0 to 5, Spearman and Pearson"),
    ("qqp", "glue:QQP", "GLUE: duplicate questions, accuracy and F1"),
    ("mnli", "glue:MNLI", "GLUE: inference, 3 classes, accuracy"),
    ("mnli_mismatched", "glue:MNLI_MISMATCHED", "GLUE: MNLI tested on its mismatched dev set, accuracy"),
    ("qnli", "glue:QNLI", "GLUE: does the sentence answer the question, accuracy"),
    ("rte", "glue:RTE", "GLUE: inference, 2 classes, accuracy"),
    ("snli", "glue:SNLI", "inference on image captions, 3 classes, accuracy"),
    ("sick", "glue:SICK", "inference on captions rewritten by rule, 3 classes, accuracy"),
    ("adv_sst2", "glue:ADV_SST2", "AdvGLUE dev, 148 examples"),
    ("adv_qqp", "glue:ADV_QQP", "AdvGLUE dev, 78 examples"),
    ("adv_mnli", "glue:ADV_MNLI", "AdvGLUE dev, 121 examples"),
    ("adv_mnli_mismatched", "glue:ADV_MNLI_MISMATCHED", "AdvGLUE dev, 162 examples"),
    ("adv_qnli", "glue:ADV_QNLI", "AdvGLUE dev, 148 examples"),
    ("adv_rte", "glue:ADV_RTE", "AdvGLUE dev, 81 examples"),
    ("ocnli", "clue:OCNLI", "CLUE: inference in Chinese, 3 classes, accuracy"),
    ("cmnli", "clue:CMNLI", "CLUE: inference, translated MNLI and XNLI, 3 classes, accuracy"),
    ("afqmc", "clue:AFQMC", "CLUE: same meaning of two questions, accuracy"),
    ("tnews", "clue:TNEWS", "CLUE: topic of a news title, 15 classes, accuracy"),
    ("iflytek", "clue:IFLYTEK", "CLUE: category of an app by its description, 119 classes, accuracy"),
    ("csl", "clue:CSL", "CLUE: are all keywords of the abstract real, accuracy"),
    ("bustm", "clue:BUSTM", "same intent of two spoken requests, 10000 dev rows, accuracy (local only)"),
    ("fewclue-bustm", "clue:FEWCLUE_BUSTM", "FewCLUE: the few-shot splits of BUSTM, accuracy (local only)"),
    ("fewclue-csl", "clue:FEWCLUE_CSL", "FewCLUE: the few-shot splits of CSL, accuracy (local only)"),
    ("fewclue-iflytek", "clue:FEWCLUE_IFLYTEK", "FewCLUE: the few-shot splits of IFLYTEK, accuracy (local only)"),
):
    TASKS.add(_name, f"robusteval.tasks.{_target}", _summary)
