"""What an attack is to do, checked before the first query: which examples, which recipe, within which limits."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.attacks.recipes.requirements import require
from robusteval.attacks.resources.contents import described
from robusteval.attacks.resources.offline import nltk_stopwords_present
from robusteval.errors import UserError, unknown_name
from robusteval.evaluation.predict import Predictor
from robusteval.models.encoding import encode
from robusteval.tasks.base import Examples
from robusteval.tasks.load import sample

# Dev rows that a model is tried on before it is attacked: few beside the queries of an attack.
CHECKED = 256


@dataclass(frozen=True)
class Target:
    """One example to attack: its name, its position in the split, its text columns, its label."""

    id: str
    index: int
    texts: tuple[str, ...]
    gold: int


@dataclass(frozen=True)
class AttackPlan:
    """Everything besides the model that decides the result lines; can be sent to another process.

    recipe: its stable name, which lines and seeds bear; given: what the user wrote, which may be a file.
    columns: those of `text_columns` that may be changed. resources: what each resource that is made of files holds.
    query_budget: the most queries for one example. time_limit: the most seconds for one example.
    """

    recipe: str
    given: str
    seed: int
    labels: tuple[str, ...]
    text_columns: tuple[str, ...]
    columns: tuple[str, ...]
    stopwords: str
    resources: dict[str, str]
    targets: tuple[Target, ...]
    query_budget: int | None
    time_limit: float | None
    resources_dir: Path | None

    def facts(self, target: Target) -> dict[str, Any]:
        """The fields of a target's result line that are known before it is attacked."""
        return {
            "id": target.id,
            "index": target.index,
            "recipe": self.recipe,
            "seed": self.seed,
            "stopwords": self.stopwords,
            "resources": dict(self.resources),
            "text_columns": list(self.text_columns),
            "columns": list(self.columns),
            "query_budget": self.query_budget,
            "gold": self.labels[target.gold],
            "original": list(target.texts),
        }


def check_lengths(tokenizer: Any, examples: Examples, max_length: int, *, truncate: bool) -> list[str]:
    """What to tell of texts that the model does not see whole: an attack on words that it never sees is in vain.

    UserError where there are such texts, unless `truncate`.
    """
    cut = encode(tokenizer, examples.texts, max_length=max_length).truncated
    if not cut:
        return []
    told = f"{cut} of {len(examples)} texts to attack are longer than {max_length} tokens (max_length)"
    vain = "no word beyond changes a prediction"
    if truncate:
        return [f"{told}: {vain}"]
    longest = max(len(row) for row in tokenizer(*map(list, examples.texts), verbose=False)["input_ids"])
    ways = f"--max-length {longest} holds all, --truncate attacks them as they are"
    raise UserError(f"attack: {told}, and {vain}; {ways}")


def check_predictions(predictor: Predictor, dev: Examples, count: int | None) -> None:
    """Raise NotFinite where the model has no finite logits for a row that will be attacked, or for others of dev.

    It is asked for the `count` rows of an attack (None: all), and for up to `CHECKED` rows where those are fewer.
    """
    rows = sample(dev, None if count is None else max(count, CHECKED))
    predictor.logits(list(zip(*rows.texts, strict=True)), "dev rows", rows.ids)


def make_plan(
    examples: Examples,
    labels: Sequence[str],
    recipe: str,
    *,
    count: int | None = None,
    seed: int = 0,
    resources_dir: Path | None = None,
    text_columns: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    query_budget: int | None = None,
    time_limit: float | None = None,
) -> AttackPlan:
    """The plan to attack the first `count` of `examples` (all if None); arguments as in `attack_examples`.

    UserError for an unknown recipe, a missing resource, a regression task, a label outside `labels`, an unknown
    column, ids that repeat, a limit that is not positive, or a resource that cannot be read.
    """
    entry = recipe_entry(recipe)
    if not labels:
        raise UserError(f"attack recipe {recipe!r} needs a classification task, and this one has no labels")
    if query_budget is not None and query_budget < 1:
        raise UserError(f"query_budget: {query_budget} is out of range, at least 1")
    if time_limit is not None and not time_limit > 0:
        raise UserError(f"time_limit: {time_limit} is out of range, more than 0 seconds")
    names = _column_names(examples, text_columns)
    changeable = _changeable(names, columns)
    targets = _targets(examples, labels, count)
    stopwords, resources = surroundings(recipe, resources_dir)
    resources = {**resources, "textattack": importlib.metadata.version("textattack")}
    return AttackPlan(
        entry.name,
        recipe,
        seed,
        tuple(labels),
        tuple(names),
        tuple(changeable),
        stopwords,
        resources,
        tuple(targets),
        query_budget,
        time_limit,
        resources_dir,
    )


def surroundings(recipe: str, resources_dir: Path | None) -> tuple[str, dict[str, str]]:
    """Whose stop words are used ("nltk", "built-in"), and the content of every resource that consists of files.

    UserError for a missing resource.
    """
    found = require(recipe, resources_dir)
    stopwords = "nltk" if nltk_stopwords_present(resources_dir) else "built-in"
    return stopwords, {state.name: described(state.paths) for state in found if state.paths}


def recipe_facts(recipe: str, resources_dir: Path | None) -> dict[str, str]:
    """What besides model, texts and settings decides the results of a recipe, under its stable name."""
    stopwords, resources = surroundings(recipe, resources_dir)
    told = "".join(f"; {name} {content}" for name, content in sorted(resources.items()))
    return {f"attack {recipe_entry(recipe).name}": f"stopwords {stopwords}{told}"}


def _column_names(examples: Examples, text_columns: Sequence[str] | None) -> list[str]:
    number = len(examples.texts)
    if text_columns is None:
        return ["text"] if number == 1 else [f"text{place}" for place in range(1, number + 1)]
    if len(text_columns) != number or len(set(text_columns)) != number:
        raise UserError(f"text_columns: {list(text_columns)} does not name each of {number} text columns once")
    return list(text_columns)


def _changeable(names: Sequence[str], columns: Sequence[str] | None) -> list[str]:
    for column in columns or ():
        if column not in names:
            raise unknown_name("columns", column, names)
    if columns is not None and not columns:
        raise UserError(f"columns: at least one of {', '.join(names)} must be open to change")
    return [name for name in names if columns is None or name in columns]


def _targets(examples: Examples, labels: Sequence[str], count: int | None) -> list[Target]:
    if count is not None and count < 0:
        raise UserError(f"count: {count} is not a number of examples")
    gold = np.asarray(examples.labels)
    targets = []
    for row in range(len(examples))[:count]:
        label = int(gold[row])
        if label != gold[row] or not 0 <= label < len(labels):
            raise UserError(
                f"labels: example {examples.ids[row]!r} has label {gold[row]}, outside 0..{len(labels) - 1}"
            )
        targets.append(Target(examples.ids[row], row, examples.text(row), label))
    repeated = len(targets) - len({target.id for target in targets})
    if repeated:
        raise UserError(f"ids: {repeated} of the {len(targets)} selected examples repeat an id")
    return targets
