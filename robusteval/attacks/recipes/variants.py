"""Recipes that differ from TextAttack's, under names of their own, and two that are built around its mistakes."""

from __future__ import annotations

import importlib
import io
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.attacks.resources import local_copies, locations


@dataclass(frozen=True)
class Variant:
    """The recipe `base` with parts exchanged; everything else stays as TextAttack built it.

    minilm: sentence similarity by the embedded MiniLM instead of the Universal Sentence Encoder or SBERT, with the
    same threshold, metric and window.
    neighbours: replacements from a list of nearest words instead of the counter-fitted vectors; the constraint on
    the distance of words is left out, because the list holds no distances.
    """

    base: str
    minilm: bool = False
    neighbours: bool = False

    def build(self, model_wrapper: Any) -> Any:
        """The `textattack.Attack`; to be called inside `offline`."""
        with ExitStack() as stack:
            path = locations.neighbours_file(local_copies.RESOURCES_DIR.get()) if self.neighbours else None
            if path is not None:
                stack.enter_context(local_copies.word_vectors_from("load_neighbours", path))
            recipe = recipe_entry(self.base).load()
            module = sys.modules[recipe.__module__]
            if self.minilm and hasattr(module, "SBERT"):
                # Unlike the other encoder, it loads its model as soon as it is made.
                stack.enter_context(patch.object(module, "SBERT", _minilm_for_sbert))
            attack = recipe.build(model_wrapper)
        if self.neighbours:
            attack.constraints = _without_distances(attack.constraints)
        if self.minilm:
            attack.constraints = [_by_minilm(constraint) for constraint in attack.constraints]
        return attack


def _without_distances(constraints: list[Any]) -> list[Any]:
    distance = importlib.import_module("textattack.constraints.semantics").WordEmbeddingDistance
    return [constraint for constraint in constraints if not isinstance(constraint, distance)]


def _by_minilm(constraint: Any) -> Any:
    """The same constraint with another encoder, where it is one by the Universal Sentence Encoder."""
    encoders = importlib.import_module("textattack.constraints.semantics.sentence_encoders")
    if not isinstance(constraint, encoders.UniversalSentenceEncoder):
        return constraint
    return _minilm(
        threshold=constraint.threshold,
        metric=constraint.metric,
        compare_against_original=constraint.compare_against_original,
        window_size=constraint.window_size,
        skip_text_shorter_than_window=constraint.skip_text_shorter_than_window,
    )


def _minilm_for_sbert(model_name: str, **settings: Any) -> Any:
    return _minilm(**settings)


def _minilm(**settings: Any) -> Any:
    return importlib.import_module("robusteval.attacks.resources.sentence_encoder").MiniLMSimilarity(**settings)


TEXTFOOLER_MINILM = Variant("textfooler", minilm=True)
TEXTBUGGER_MINILM = Variant("textbugger", minilm=True)
BAE_MINILM = Variant("bae", minilm=True)
BERT_ATTACK_MINILM = Variant("bert-attack", minilm=True)
CLARE_MINILM = Variant("clare", minilm=True)
A2T_MINILM = Variant("a2t", minilm=True)
TEXTFOOLER_MINILM_NEIGHBOURS = Variant("textfooler", minilm=True, neighbours=True)
TEXTBUGGER_MINILM_NEIGHBOURS = Variant("textbugger", minilm=True, neighbours=True)
A2T_MINILM_NEIGHBOURS = Variant("a2t", minilm=True, neighbours=True)
IGA_NEIGHBOURS = Variant("iga", neighbours=True)


class TextBugger:
    """TextAttack's TextBugger without the file of look-alikes that its wheel lacks.

    The recipe's look-alikes stand in TextAttack's code; the file, read at the same time, serves `bad-characters`
    alone. The results are the same with it and without.
    """

    @staticmethod
    def build(model_wrapper: Any) -> Any:
        """The `textattack.Attack`."""
        module = importlib.import_module(local_copies.HOMOGLYPH_MODULE)
        with patch.object(module, "open", lambda *_, **__: io.StringIO(), create=True):
            return importlib.import_module("textattack.attack_recipes").TextBuggerLi2018.build(model_wrapper)


class Spanish:
    """TextAttack's Spanish recipe, asking WordNet for `spa`: TextAttack 0.3.11 asks for `esp`, which is no language."""

    @staticmethod
    def build(model_wrapper: Any) -> Any:
        """The `textattack.Attack`."""
        recipe = importlib.import_module("textattack.attack_recipes").SpanishRecipe
        module = importlib.import_module(recipe.__module__)
        swap = module.WordSwapWordNet
        with patch.object(module, "WordSwapWordNet", lambda language: swap(language="spa")):
            return recipe.build(model_wrapper)


class ChineseMaskedLM:
    """TextAttack's Chinese recipe without HowNet's words and the characters of like sound: no data but a model.

    Its masked words are those of `chinese.MaskedWords`.
    """

    @staticmethod
    def build(model_wrapper: Any) -> Any:
        """The `textattack.Attack`."""
        module = importlib.import_module("textattack.attack_recipes.chinese_recipe")
        composite = module.CompositeTransformation
        with patch.multiple(
            module,
            ChineseWordSwapHowNet=_left_out,
            ChineseHomophoneCharacterSwap=_left_out,
            ChineseWordSwapMaskedLM=importlib.import_module("robusteval.attacks.recipes.chinese").MaskedWords,
            CompositeTransformation=lambda parts: composite([part for part in parts if part is not None]),
        ):
            return module.ChineseRecipe.build(model_wrapper)


def _left_out() -> None:
    return None
