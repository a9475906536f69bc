"""The classification tasks of CLUE, and the FewCLUE and BUSTM sets beside them.

Hub ids, column names and the order of the labels are those of the hub: inference is neutral, entailment,
contradiction here, where GLUE has entailment, neutral, contradiction. FewCLUE's splits are few-shot samples, so
they are tasks of their own and never stand in for CLUE's.
"""

from __future__ import annotations

from typing import Any

from robusteval.tasks.base import Task, Transfer

_PAIR = ("sentence1", "sentence2")
_NLI = ("neutral", "entailment", "contradiction")
_SAME_MEANING = ("different", "same")
_SAME_INTENT = ("different_intent", "same_intent")
_KEYWORDS = ("some_false", "all_real")
# app categories 0 to 118; the hub gives them no other names
_APPS = tuple(str(index) for index in range(119))
# CLUE's codes 100 to 104, 106 to 110 and 112 to 116 are the integers 0 to 14 of the hub
_NEWS = (
    "story", "culture", "entertainment", "sports", "finance",
    "house", "car", "edu", "tech", "military",
    "travel", "world", "stock", "agriculture", "game",
)  # fmt: skip


def _clue(name: str, columns: tuple[str, ...], labels: tuple[str, ...], **more: Any) -> Task:
    return Task(name, "clue", columns, labels, ("accuracy",), hub="clue/clue", config=name, **more)


def _fewclue(name: str, columns: tuple[str, ...], labels: tuple[str, ...], **more: Any) -> Task:
    return Task(f"fewclue-{name}", "fewclue", columns, labels, ("accuracy",), folder=name, **more)


AFQMC = _clue("afqmc", _PAIR, _SAME_MEANING)
TNEWS = _clue("tnews", ("sentence",), _NEWS)
IFLYTEK = _clue("iflytek", ("sentence",), _APPS)
# the keywords are a list of strings, none of which holds a semicolon; they are what is judged and stay as they are
CSL = _clue("csl", ("abst", "keyword"), _KEYWORDS, perturbable=("abst",), separator=";")
CMNLI = _clue("cmnli", _PAIR, _NLI, drop_unlabelled=True)
OCNLI = _clue(
    "ocnli",
    _PAIR,
    _NLI,
    drop_unlabelled=True,
    transfers=(
        # TDT, Table 3 and Appendix C
        Transfer("cmnli"),
        Transfer(
            "fewclue-bustm",
            "test_public",
            labels={
                "entailment": "same_intent",
                "neutral": "different_intent",
                "contradiction": "different_intent",
            },
        ),
    ),
)

# the full release; it has no training rows beside the few of FewCLUE
BUSTM = Task("bustm", "bustm", _PAIR, _SAME_INTENT, ("accuracy",))

FEWCLUE_BUSTM = _fewclue("bustm", _PAIR, _SAME_INTENT)
FEWCLUE_CSL = _fewclue("csl", ("abst", "keyword"), _KEYWORDS, perturbable=("abst",), separator=";")
FEWCLUE_IFLYTEK = _fewclue("iflytek", ("sentence",), _APPS)
