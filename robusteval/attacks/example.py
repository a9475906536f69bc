"""Attacking one example, as if it were the only one, and writing down what came of it."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, cast

import torch

from robusteval.attacks.plan import AttackPlan, Target
from robusteval.attacks.queries.lockstep import Routine
from robusteval.attacks.queries.wrapper import PredictWrapper, Sees
from robusteval.attacks.recipes.building import build_attack, twin
from robusteval.attacks.resources.offline import load_textattack
from robusteval.attacks.results.edits import changed_spans, count_edits
from robusteval.errors import describe_error
from robusteval.results.attack_lines import FIELDS, TIME_LIMIT, AttackLine, Outcome
from robusteval.runtime.generators import seed_all
from robusteval.runtime.seeds import derive

BUDGET_REACHED = "query budget reached"


class NoAnswer(Exception):
    """The model was not asked, as the example's time is up, or it failed."""


class Attackers:
    """A built recipe, and twins of it for examples that are attacked at the same time.

    To be made and used inside `offline`; used by routines of which one runs at a time.
    model: the name that lines bear.
    """

    def __init__(self, plan: AttackPlan, sees: Sees | None = None, model: str = "") -> None:
        self.plan, self.sees, self.model = plan, sees, model
        wrapper = PredictWrapper(sees=sees)
        self._attack = build_attack(plan.given, wrapper, plan.text_columns, plan.columns)
        self._free = [ExampleAttacker(plan, self._attack, wrapper, model)]

    def line(self, target: Target, routine: Routine[AttackLine]) -> AttackLine:
        """Attack `target` inside `routine`."""
        attacker = self._free.pop() if self._free else self._another()
        try:
            return attacker.line(target, routine)
        finally:
            self._free.append(attacker)

    def _another(self) -> ExampleAttacker:
        wrapper = PredictWrapper(sees=self.sees)
        return ExampleAttacker(self.plan, twin(self._attack, wrapper), wrapper, self.model)


class ExampleAttacker:
    """A built recipe that attacks one example after the other; `attack` asks `wrapper`."""

    def __init__(self, plan: AttackPlan, attack: Any, wrapper: PredictWrapper, model: str) -> None:
        self.plan, self.attack, self.wrapper, self.model = plan, attack, wrapper, model
        self.textattack = load_textattack(plan.resources_dir)
        self.goal = attack.goal_function
        if plan.query_budget is not None:
            self.goal.query_budget = plan.query_budget

    def line(self, target: Target, routine: Routine[AttackLine]) -> AttackLine:
        """Attack `target`; the model is asked through `routine`, and its seconds are counted there."""
        plan = self.plan
        limit = plan.time_limit

        def ask(texts: Any) -> Any:
            if limit is not None and routine.spent() > limit:
                raise NoAnswer(f"{TIME_LIMIT} of {limit:g} s reached")
            try:
                return routine.ask(texts)
            except Exception as error:  # a user's predict may raise anything; it costs this example only
                raise NoAnswer(describe_error(error)) from error

        self.wrapper.reset(ask)
        # A cache that an earlier example filled would change the number of model rows.
        self.attack.clear_cache()
        self.goal.num_queries = 0
        seed_all(derive(plan.seed, "attack", plan.recipe, target.id))
        try:
            outcome = self._attack(target)
        except NoAnswer as error:
            outcome = _error(str(error))
        except (Exception, SystemExit) as error:  # a recipe's own code may call sys.exit
            outcome = _error(describe_error(error))
        finally:
            self.attack.clear_cache()
        line: Any = {
            **plan.facts(target),
            "model": self.model,
            **outcome,
            "similarity": None,
            "queries": int(self.goal.num_queries),
            "model_rows": self.wrapper.rows,
            "cached_rows": self.wrapper.cached_rows,
            "seconds": round(routine.spent(), 4),
        }
        return cast(AttackLine, {key: line[key] for key in FIELDS})

    def _attack(self, target: Target) -> dict[str, Any]:
        text = self.textattack.shared.AttackedText
        if any(text.SPLIT_TOKEN in column for column in target.texts):
            raise ValueError(f"the text holds {text.SPLIT_TOKEN!r}, which TextAttack uses to join columns")
        attacked = text(OrderedDict(zip(self.plan.text_columns, target.texts, strict=True)))
        words = sum(
            len(found)
            for name, found in zip(self.plan.text_columns, attacked.words_per_input, strict=True)
            if name in self.plan.columns
        )
        if not words:
            return self._nothing_to_change(attacked, target.gold)
        try:
            result = self.attack.attack(attacked, target.gold)
        except NoAnswer:
            raise
        except Exception:  # a search may trip anywhere over an answer that it did not get
            if not self._budget_spent():
                raise
            # what the search had is lost
            scores = self.goal._call_model([attacked])[0]
            only = SimpleNamespace(attacked_text=attacked, output=int(scores.argmax()), raw_output=scores)
            return self._facts("failed", only, only, BUDGET_REACHED)
        before, after = result.original_result, result.perturbed_result
        self._check_protected(before, after)
        outcome = _outcome(self.textattack, result)
        message = BUDGET_REACHED if outcome == "failed" and self._budget_spent() else ""
        return self._facts(outcome, before, after, message)

    def _budget_spent(self) -> bool:
        return self.plan.query_budget is not None and self.goal.num_queries >= self.plan.query_budget

    def _nothing_to_change(self, attacked: Any, gold: int) -> dict[str, Any]:
        """One query, the same for every recipe: here some searches would divide by zero."""
        scores = torch.softmax(self.wrapper([attacked.tokenizer_input])[0], dim=0)
        self.goal.num_queries = 1
        only = SimpleNamespace(attacked_text=attacked, output=int(scores.argmax()), raw_output=scores)
        return self._facts("failed" if only.output == gold else "skipped", only, only, "no word to change")

    def _check_protected(self, before: Any, after: Any) -> None:
        """TextAttack rebuilds the columns from one joined string; make sure that it gave the others back."""
        if before is after:
            return
        old, new = before.attacked_text._text_input, after.attacked_text._text_input
        for name in self.plan.text_columns:
            if name not in self.plan.columns and new.get(name) != old[name]:
                raise RuntimeError(f"TextAttack changed the protected column {name!r}")

    def _facts(self, outcome: Outcome, before: Any, after: Any, message: str) -> dict[str, Any]:
        labels = self.plan.labels
        old, new = before.attacked_text, after.attacked_text
        columns = zip(old.words_per_input, new.words_per_input, strict=True)
        changed = [changed_spans(*words) for words in columns]
        return {
            "outcome": outcome,
            "perturbed": list(new._text_input.values()),
            "predicted_before": labels[int(before.output)],
            "predicted_after": labels[int(after.output)],
            "scores_before": [float(score) for score in before.raw_output],
            "scores_after": [float(score) for score in after.raw_output],
            "changed": changed,
            # TextAttack's own words_diff_num gives the same number, but takes a minute on 10,000 words.
            "words_changed": sum(map(count_edits, changed)),
            "words": sum(map(len, old.words_per_input)),
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


def _error(message: str) -> dict[str, Any]:
    reached_nothing = (
        "perturbed",
        "predicted_before",
        "predicted_after",
        "scores_before",
        "scores_after",
        "changed",
        "words_changed",
        "words",
    )
    return {"outcome": "error", "message": message, **dict.fromkeys(reached_nothing)}
