"""The eight GLUE tasks of the papers, the AdvGLUE dev sets made from them, and SNLI and SICK beside MNLI.

Label names and column names are those of the hub. TDT reports MRPC and QQP by accuracy, the other papers by F1;
PATS reports STS-B by Pearson, the others by Spearman: all are computed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from robusteval.tasks.base import Task, Transfer

_GLUE = "nyu-mll/glue"
_ADVGLUE = "AI-Secure/adv_glue"
_PAIR = ("sentence1", "sentence2")
_NLI = ("entailment", "neutral", "contradiction")
_QNLI = ("entailment", "not_entailment")
_DUPLICATE = ("not_duplicate", "duplicate")


def _glue(name: str, columns: tuple[str, ...], labels: tuple[str, ...], metrics: tuple[str, ...], **more: Any) -> Task:
    return Task(name, "glue", columns, labels, metrics, hub=_GLUE, config=name, **more)


def _adversarial(
    name: str, columns: tuple[str, ...], labels: tuple[str, ...], metrics: tuple[str, ...] = ("accuracy",)
) -> Task:
    return Task(name, "adv_glue", columns, labels, metrics, hub=_ADVGLUE, config=name)


COLA = _glue("cola", ("sentence",), ("unacceptable", "acceptable"), ("mcc", "accuracy"))
SST2 = _glue("sst2", ("sentence",), ("negative", "positive"), ("accuracy",), adversarial=("adv_sst2",))
MRPC = _glue("mrpc", _PAIR, ("not_equivalent", "equivalent"), ("f1", "accuracy"))
STSB = _glue("stsb", _PAIR, (), ("spearman", "pearson"), score_range=(0.0, 5.0))
QQP = _glue("qqp", ("question1", "question2"), _DUPLICATE, ("accuracy", "f1"), adversarial=("adv_qqp",))
MNLI = _glue(
    "mnli",
    ("premise", "hypothesis"),
    _NLI,
    ("accuracy",),
    dev="validation_matched",
    adversarial=("adv_mnli", "adv_mnli_mismatched"),
    transfers=(
        # Bi-Drop, Table 4: its average leaves MNLI out and counts MNLI-m, so that is the mismatched set
        Transfer("mnli", in_domain=True),
        Transfer("mnli_mismatched"),
        Transfer("snli"),
        Transfer("sick"),
        # TDT, Table 3 and Appendix C
        Transfer(
            "qqp",
            labels={"entailment": "duplicate", "neutral": "not_duplicate", "contradiction": "not_duplicate"},
        ),
    ),
)
MNLI_MISMATCHED = dataclasses.replace(
    MNLI,
    name="mnli_mismatched",
    folder="mnli",
    dev="validation_mismatched",
    adversarial=("adv_mnli_mismatched",),
    transfers=(),
)
QNLI = _glue("qnli", ("question", "sentence"), _QNLI, ("accuracy",), adversarial=("adv_qnli",))
RTE = _glue("rte", _PAIR, _QNLI, ("accuracy",), adversarial=("adv_rte",))

SNLI = Task(
    "snli",
    "snli",
    ("premise", "hypothesis"),
    _NLI,
    ("accuracy",),
    transfers=(Transfer("mnli"), Transfer("mnli_mismatched"), Transfer("snli", in_domain=True), Transfer("sick")),
    drop_unlabelled=True,
    hub="stanfordnlp/snli",
    config="plain_text",
)
SICK = Task("sick", "sick", ("sentence_A", "sentence_B"), _NLI, ("accuracy",), hub="RobZamp/sick")

ADV_SST2 = _adversarial("adv_sst2", ("sentence",), SST2.labels)
ADV_QQP = _adversarial("adv_qqp", ("question1", "question2"), _DUPLICATE, ("accuracy", "f1"))
ADV_MNLI = _adversarial("adv_mnli", ("premise", "hypothesis"), _NLI)
ADV_MNLI_MISMATCHED = _adversarial("adv_mnli_mismatched", ("premise", "hypothesis"), _NLI)
ADV_QNLI = _adversarial("adv_qnli", ("question", "sentence"), _QNLI)
ADV_RTE = _adversarial("adv_rte", _PAIR, _QNLI)
