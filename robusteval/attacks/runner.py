"""Attacking the examples of a split with one recipe: resumable, and the same result in any order."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from robusteval.attacks.example import Attackers
from robusteval.attacks.plan import AttackPlan, Target, make_plan
from robusteval.attacks.queries.batched import BatchedPredict, Predict
from robusteval.attacks.queries.cache import LogitsCache
from robusteval.attacks.queries.lockstep import lock_step
from robusteval.attacks.queries.wrapper import Sees
from robusteval.attacks.recipes.building import remembered_words
from robusteval.attacks.resources.offline import load_textattack, offline
from robusteval.attacks.results.similarity import Similarity
from robusteval.errors import UserError
from robusteval.results.attack_lines import AttackLine, append, claimed, finished
from robusteval.results.attack_summary import AttackSummary, summarise
from robusteval.results.metrics import metric
from robusteval.results.showing import as_html
from robusteval.runtime.generators import preserved
from robusteval.runtime.memory import release_freed
from robusteval.tasks.base import Examples

# Examples between two returns of freed memory.
RELEASE_EVERY = 10

Check = Callable[[], None]
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

    def to_frame(self) -> pd.DataFrame:
        """One line per attacked example: the fields of `AttackLine`."""
        return pd.DataFrame(self.lines)

    def _repr_html_(self) -> str:
        shown = [(metric(name), value, n) for name, value, n in self.summary.metrics()]
        lines = [(about.shown, f"{about.text(value)} {about.unit}".strip(), n) for about, value, n in shown]
        return as_html(pd.DataFrame(lines, columns=["metric", "value", "n"]), self.recipe)


@dataclass(frozen=True)
class Victim:
    """What is attacked. name: of whatever decides its logits besides the text (`victim_name`); it keys the cache.

    predict: n texts (one string per column each) -> logits [n, K].
    sees: `wrapper.token_ids(tokenizer, max_length)` for a transformers model: texts of an example that have the
    same tokens then have exactly the same logits, whatever else is in their batches.
    """

    predict: Predict
    name: str = ""
    sees: Sees | None = None


def attack_examples(
    predict: Predict,
    examples: Examples,
    labels: Sequence[str],
    recipe: str,
    *,
    out: Path | None = None,
    parallel: int = 1,
    cache: LogitsCache | None = None,
    sees: Sees | None = None,
    model: str = "",
    progress: Progress | None = None,
    **settings: Any,
) -> AttackResult:
    """Attack `examples` with `recipe`, one line each, appended to `out`.

    predict, sees: as in `Victim`; K = len(labels).
    out: a file of results; ids that it already holds are not attacked again.
    model: the name of what is behind `predict` (`cache.victim_name`); a file with lines of another one is refused.
    parallel: how many examples are attacked at a time, their queries answered by one call of `predict`; it
    changes no result. Above 1, lines are appended in order of completion.
    cache: logits known from before are taken from it, new ones put there.
    settings: of `plan.make_plan`: count, seed, resources_dir, text_columns, columns, query_budget, time_limit.

    An exception inside one example becomes its `error` line. UserError, before any query: an unknown recipe,
    a missing resource, a regression task, a label outside `labels`, an unknown column, a limit that is not
    positive, a result file that belongs to something else, is in use or cannot be written. UserError, too, where
    the disk is full; the finished lines are kept. The global random states are left as they were.
    """
    plan = make_plan(examples, labels, recipe, **settings)
    check_parallel(parallel)

    def written(targets: Sequence[Target]) -> Generator[AttackLine, None, None]:
        for line in attack_targets(Victim(predict, model, sees), plan, targets, parallel, cache):
            if out is not None:
                append(out, line)
            yield line

    return carry_out(plan, written, out, progress, model)


def check_parallel(parallel: int) -> None:
    """UserError unless `parallel` is at least 1."""
    if parallel < 1:
        raise UserError(f"attack_parallel: {parallel} is out of range, at least 1")


def carry_out(
    plan: AttackPlan,
    attack: Callable[[Sequence[Target]], Generator[AttackLine, None, None]],
    out: Path | None,
    progress: Progress | None,
    model: str = "",
    check: Check | None = None,
) -> AttackResult:
    """Have `attack` make the lines of `plan` on `model` that `out` does not hold; all lines, by position."""
    with claimed(out) if out is not None else nullcontext():
        expected = [{**plan.facts(target), "model": model} for target in plan.targets]
        lines = finished(out, expected) if out is not None else {}
        left = [target for target in plan.targets if target.id not in lines]
        resumed = done = len(plan.targets) - len(left)
        if left:
            if check is not None:
                check()
            with closing(attack(left)) as made:
                for line in made:
                    lines[line["id"]] = line
                    done += 1
                    if progress is not None:
                        progress(done, len(plan.targets), line)
    return AttackResult(plan.recipe, plan.seed, tuple(lines[target.id] for target in plan.targets), resumed, out)


def attack_targets(
    victim: Victim, plan: AttackPlan, targets: Sequence[Target], parallel: int = 1, cache: LogitsCache | None = None
) -> Generator[AttackLine, None, None]:
    """The line of each target, in order of completion, with `parallel` of them under way at any time."""
    load_textattack(plan.resources_dir)
    answers = BatchedPredict(victim.predict, len(plan.labels), cache)
    with preserved(), offline(plan.resources_dir), remembered_words():
        attackers, similarity = Attackers(plan, victim.sees, victim.name), Similarity(plan.resources_dir)
        attacks = [functools.partial(attackers.line, target) for target in targets]
        with closing(lock_step(attacks, parallel, answers)) as lines:
            for number, line in enumerate(lines, 1):
                if number % RELEASE_EVERY == 0:
                    release_freed()
                # Here, between the examples: their random states and seconds know nothing of it.
                line["similarity"] = similarity.of(line)
                yield line
