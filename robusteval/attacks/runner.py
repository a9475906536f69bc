"""Attacking the examples of a split with one recipe: resumable, and the same result in any order."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from robusteval.attacks import recipe_entry
from robusteval.attacks.building import build_attack
from robusteval.attacks.importing import load_textattack, nltk_stopwords_present, offline
from robusteval.attacks.lines import AttackLine, Outcome, finished
from robusteval.attacks.randomness import preserved, seeded
from robusteval.attacks.resources import require
from robusteval.attacks.summary import AttackSummary, summarise
from robusteval.attacks.wrapper import Predict, PredictWrapper
from robusteval.errors import UserError, unknown_name
from robusteval.files import append_lines
from robusteval.seeds import derive
from robusteval.tasks.base import Examples

Progress = Callable[[int, int, AttackLine], None]
"""(examples done, examples in all, the line just finished)."""


@dataclass(frozen=True)
class AttackResult:
    """lines: one per selected example, by position. resumed: how many of them were read from `path`."""

    recipe: str
    seed: int
    lines: tuple[AttackLine, ...]
    resumed: int
    path: Path | None

    @property
    def summary(self) -> AttackSummary:
        return summarise(self.lines)


@dataclass(frozen=True)
class Target:
    """One example to attack, with everything that decides its result besides the model."""

    id: str
    index: int
    texts: tuple[str, ...]
    gold: int
    recipe: str
    seed: int


def attack_examples(
    predict: Predict,
    examples: Examples,
    labels: Sequence[str],
    recipe: str,
    *,
    count: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    resources_dir: Path | None = None,
    text_columns: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> AttackResult:
    """Attack the first `count` examples (all if None) with `recipe`, one line each, appended to `out`.

    predict: n texts (one string per column each) -> logits [n, K] with K = len(labels).
    out: a file of results; ids that it already holds are not attacked again.
    resources_dir: looked through first for NLTK data and TextAttack's files (see `docs/attacks.md`).
    text_columns: names of the text columns of `examples`, in order; columns: those that may be changed
    (all by default; a recipe may restrict itself further where the names are premise and hypothesis).

    An exception inside one example becomes its `error` line. UserError, before any query: an unknown recipe,
    a missing resource, a regression task, a label outside `labels`, an unknown column, a result file that
    belongs to something else. The global random states are left as they were.
    """
    recipe_entry(recipe)
    if not labels:
        raise UserError(f"attack recipe {recipe!r} needs a classification task, and this one has no labels")
    names = _column_names(examples, text_columns)
    changeable = _changeable(names, columns)
    targets = _targets(examples, labels, recipe, count, seed)
    require(recipe, resources_dir)
    stopwords = "nltk" if nltk_stopwords_present(resources_dir) else "built-in"
    shared = {"recipe": recipe, "seed": seed, "stopwords": stopwords, "columns": list(changeable)}
    expected = [
        {"id": target.id, "gold": labels[target.gold], "original": list(target.texts), **shared} for target in targets
    ]
    done = finished(out, expected) if out is not None else {}
    lines: list[AttackLine] = []
    resumed = sum(target.id in done for target in targets)
    with preserved():
        attacker: ExampleAttacker | None = None
        for target, facts in zip(targets, expected, strict=True):
            if target.id in done:
                lines.append(done[target.id])
                continue
            if attacker is None:
                attacker = ExampleAttacker(predict, labels, recipe, names, changeable, resources_dir)
            line = attacker.line(target, facts)
            if out is not None:
                append_lines(out, [line])
            lines.append(line)
            if progress is not None:
                progress(len(lines), len(targets), line)
    return AttackResult(recipe, seed, tuple(lines), resumed, out)


class ExampleAttacker:
    """A built recipe that attacks one example after the other, each as if it were the only one."""

    def __init__(
        self,
        predict: Predict,
        labels: Sequence[str],
        recipe: str,
        text_columns: Sequence[str],
        columns: Sequence[str],
        resources_dir: Path | None = None,
    ) -> None:
        self.textattack = load_textattack(resources_dir)
        self.labels = list(labels)
        self.text_columns = list(text_columns)
        self.columns = list(columns)
        self.resources_dir = resources_dir
        self.wrapper = PredictWrapper(predict, len(labels))
        with offline(resources_dir):
            self.attack = build_attack(recipe, self.wrapper, self.text_columns, self.columns)

    def line(self, target: Target, facts: dict[str, Any]) -> AttackLine:
        """Attack `target`; `facts` are the fields of its line that are known before."""
        self.wrapper.reset()
        # A cache that an earlier example filled would change the number of model rows.
        self.attack.clear_cache()
        self.attack.goal_function.num_queries = 0
        started = time.perf_counter()
        with offline(self.resources_dir), seeded(derive(target.seed, "attack", target.recipe, target.id)):
            try:
                outcome = self._attack(target)
            except UserError:
                raise
            except Exception as error:
                outcome = _error(error)
        counts = {"queries": int(self.attack.goal_function.num_queries), "model_rows": self.wrapper.rows}
        line: Any = {
            "id": target.id,
            "index": target.index,
            **facts,
            **outcome,
            **counts,
            "seconds": round(time.perf_counter() - started, 4),
        }
        return {key: line[key] for key in AttackLine.__annotations__}  # type: ignore[return-value]

    def _attack(self, target: Target) -> dict[str, Any]:
        text = self.textattack.shared.AttackedText
        if any(text.SPLIT_TOKEN in column for column in target.texts):
            raise ValueError(f"the text holds {text.SPLIT_TOKEN!r}, which TextAttack uses to join columns")
        attacked = text(OrderedDict(zip(self.text_columns, target.texts, strict=True)))
        words = sum(
            len(found)
            for name, found in zip(self.text_columns, attacked.words_per_input, strict=True)
            if name in self.columns
        )
        if not words:
            return self._nothing_to_change(attacked, target.gold)
        result = self.attack.attack(attacked, target.gold)
        before, after = result.original_result, result.perturbed_result
        self._check_protected(before, after)
        return self._facts(_outcome(self.textattack, result), before, after, "")

    def _nothing_to_change(self, attacked: Any, gold: int) -> dict[str, Any]:
        """One query, the same for every recipe: here some searches would divide by zero."""
        scores = torch.softmax(self.wrapper([attacked.tokenizer_input])[0], dim=0)
        self.attack.goal_function.num_queries = 1
        only = SimpleNamespace(attacked_text=attacked, output=int(scores.argmax()), raw_output=scores)
        return self._facts("failed" if only.output == gold else "skipped", only, only, "no word to change")

    def _check_protected(self, before: Any, after: Any) -> None:
        """TextAttack rebuilds the columns from one joined string; make sure that it gave the others back."""
        if before is after:
            return
        old, new = before.attacked_text._text_input, after.attacked_text._text_input
        for name in self.text_columns:
            if name not in self.columns and new.get(name) != old[name]:
                raise RuntimeError(f"TextAttack changed the protected column {name!r}")

    def _facts(self, outcome: Outcome, before: Any, after: Any, message: str) -> dict[str, Any]:
        old, new = before.attacked_text, after.attacked_text
        return {
            "outcome": outcome,
            "perturbed": list(new._text_input.values()),
            "predicted_before": self.labels[int(before.output)],
            "predicted_after": self.labels[int(after.output)],
            "scores_before": [float(score) for score in before.raw_output],
            "scores_after": [float(score) for score in after.raw_output],
            "words_changed": int(old.words_diff_num(new)),
            "words": int(old.num_words),
            "message": message,
        }


def _outcome(textattack: Any, result: Any) -> Outcome:
    results = textattack.attack_results
    if isinstance(result, results.SkippedAttackResult):
        return "skipped"
    if isinstance(result, results.FailedAttackResult):
        return "failed"
    if isinstance(result, results.MaximizedAttackResult):
        # Input reduction has no goal to reach: it succeeded if it could take anything away.
        changed = result.original_result.attacked_text.text != result.perturbed_result.attacked_text.text
        return "succeeded" if changed else "failed"
    return "succeeded"


def _error(error: Exception) -> dict[str, Any]:
    reached_nothing = (
        "perturbed",
        "predicted_before",
        "predicted_after",
        "scores_before",
        "scores_after",
        "words_changed",
        "words",
    )
    message = f"{type(error).__name__}: {error}"
    return {"outcome": "error", "message": message, **dict.fromkeys(reached_nothing)}


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


def _targets(examples: Examples, labels: Sequence[str], recipe: str, count: int | None, seed: int) -> list[Target]:
    if count is not None and count < 0:
        raise UserError(f"count: {count} is not a number of examples")
    selected = range(len(examples))[:count]
    gold = np.asarray(examples.labels)
    targets = []
    for row in selected:
        label = int(gold[row])
        if label != gold[row] or not 0 <= label < len(labels):
            raise UserError(
                f"labels: example {examples.ids[row]!r} has label {gold[row]}, outside 0..{len(labels) - 1}"
            )
        targets.append(Target(examples.ids[row], row, examples.text(row), label, recipe, seed))
    repeated = len(targets) - len({target.id for target in targets})
    if repeated:
        raise UserError(f"ids: {repeated} of the {len(targets)} selected examples repeat an id")
    return targets
