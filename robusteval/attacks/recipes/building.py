"""From a recipe's name to an attack that repeats itself: same seed, same result, in every process."""

from __future__ import annotations

import copy
import functools
import importlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from robusteval.attacks.imports.quiet import kept_environment
from robusteval.attacks.queries.wrapper import PredictWrapper
from robusteval.attacks.recipes.registry import needs, recipe_entry
from robusteval.errors import UserError, describe_error

# `predict` cuts its own batches, by length; TextAttack's cut of 32 would come first and spoil them.
QUERY_BATCH = 4096
# For every candidate TextAttack cuts every single word of the text into words again, with regular expressions:
# half of its time. So many answers are kept, for strings of at most so many characters.
WORDS_KEPT = 2**14
LONGEST_WORD_KEPT = 40


def build_attack(recipe: str, wrapper: PredictWrapper, text_columns: Sequence[str], columns: Sequence[str]) -> Any:
    """The `textattack.Attack` of `recipe` around `wrapper`, restricted to changing `columns`.

    To be called with textattack loaded and inside `offline`. UserError where it cannot be built.
    """
    import textattack
    from textattack.constraints.pre_transformation import InputColumnModification

    if "multilingual wordnet" in needs(recipe):
        # Its other languages are unknown to NLTK's WordNet until somebody asks for them.
        importlib.import_module("nltk.corpus").wordnet.add_omw()
    messages = textattack.shared.logger
    level = messages.level
    # It would warn that it does not know the class of our stand-in model.
    messages.setLevel(logging.ERROR)
    try:
        # Some of its parts set environment variables.
        with kept_environment():
            attack = recipe_entry(recipe).load().build(wrapper)
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"attack recipe {recipe!r} cannot be built: {describe_error(error)}") from error
    finally:
        messages.setLevel(level)
    attack.goal_function.batch_size = QUERY_BATCH
    wrapper.looks_inside = not attack.is_black_box
    protected = set(text_columns) - set(columns)
    if protected:
        attack.pre_transformation_constraints.append(InputColumnModification(list(text_columns), protected))
    return attack


def twin(attack: Any, wrapper: PredictWrapper) -> Any:
    """Another attack of the same recipe, to attack another example at the same time.

    Goal function, search and caches are its own. Transformations and constraints are shared: they may hold a
    large model or table, and keep nothing of an example from one model call to the next.
    """
    goal = copy.copy(attack.goal_function)
    goal.model = wrapper
    wrapper.looks_inside = not attack.is_black_box
    constraints = [*attack.constraints, *attack.pre_transformation_constraints]
    return type(attack)(goal, constraints, attack.transformation, copy.copy(attack.search_method))


@contextmanager
def remembered_words() -> Iterator[None]:
    """Inside, TextAttack's `words_from_text` remembers what it made of single words; the same results, sooner."""
    module = importlib.import_module("textattack.shared.attacked_text")
    cut = module.words_from_text

    @functools.lru_cache(WORDS_KEPT)
    def remembered(word: str) -> tuple[str, ...]:
        return tuple(cut(word))

    def words_from_text(text: str) -> list[str]:
        return list(remembered(text)) if len(text) <= LONGEST_WORD_KEPT and " " not in text else cut(text)

    with patch.object(module, "words_from_text", words_from_text):
        yield
