"""Attacking a classifier with one recipe after the other: opened once here, and once in each process that helps."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from robusteval.attacks.plan import check_lengths, make_plan
from robusteval.attacks.runner import AttackResult, Progress, Victim
from robusteval.attacks.workers import Load, attack_in_workers
from robusteval.errors import UserError
from robusteval.models.catalogue import locate
from robusteval.pipeline.notices import Notify, tell
from robusteval.pipeline.opening import Classifier, open_finished, open_tested
from robusteval.settings.attack import AttackConfig
from robusteval.settings.model import ModelConfig
from robusteval.settings.work import WorkConfig
from robusteval.tasks.labels import distribution
from robusteval.tasks.load import TaskData, sample, unmet_limits


@dataclass(frozen=True)
class Campaign:
    """Attacks on one classifier, with the settings and the seed that all of them have.

    cache: a file that keeps logits by checkpoint and text. load: how another process opens the classifier.
    """

    classifier: Classifier
    data: TaskData
    config: AttackConfig
    seed: int
    work: WorkConfig
    cache: Path | None = None
    load: Load | None = None

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *error: object) -> None:
        self.classifier.__exit__()

    def attack(self, recipe: str, out: Path | None = None, progress: Progress | None = None) -> AttackResult:
        """Attack the dev rows with one recipe. out: a .jsonl file whose finished lines are not attacked again.

        Texts that answer for each other, as those of a method that acts at evaluation may, are attacked one at a time
        and without a cache: what is in a batch then depends on neither.
        """
        task, config, work = self.data.task, self.config, self.work
        together = bool(self.classifier.method)
        plan = make_plan(
            sample(self.data.dev, config.examples), task.labels, recipe, seed=self.seed,
            resources_dir=work.resources_dir, text_columns=task.text_columns, columns=task.changeable(config.columns),
            query_budget=config.query_budget, time_limit=config.time_limit,
        )  # fmt: skip
        victim = self.classifier.victim(config.precision)
        return attack_in_workers(
            self.load or (lambda: victim),
            plan,
            work.workers if self.load is not None else 1,
            1 if together else work.parallel_on(self.classifier.predictor.device.type),
            None if together else self.cache,
            out,
            progress,
            victim.name,
            self.classifier.check(config.precision, self.data, config.examples),
            here=victim,
        )


def begin_campaign(
    model: Any,
    rows: TaskData,
    config: AttackConfig,
    seed: int,
    *,
    tokenizer: Any = None,
    max_length: int,
    opening: ModelConfig,
    work: WorkConfig,
    cache: Path | None = None,
    notify: Notify | None = None,
) -> Campaign:
    """Open the classifier, of a folder, hub id or in memory, whose dev rows are to be attacked.

    UserError for texts that it does not see whole, unless `config.truncate`, and for processes or a cache without a
    checkpoint's folder.
    """
    selected = sample(rows.dev, config.examples)
    classifier = open_tested(model, tokenizer, rows, max_length=max_length, opening=opening, device=work.device)
    long = check_lengths(classifier.loaded.tokenizer, selected, max_length, truncate=config.truncate)
    tell([*classifier.notices, *rows.notices, *unmet_limits(rows), *long], notify)
    if notify is not None:
        notify(f"dev: {distribution(selected, rows.task)}")
    load = None
    if isinstance(model, str | Path):
        folder = locate(str(model), opening.model_revision)[0]
        load = functools.partial(
            checkpoint_victim, folder, rows.task.labels, max_length, work.device, _threads(work.threads, work.workers),
            config.precision, opening.trust_remote_code, rows.task.outputs,
        )  # fmt: skip
    elif work.workers != 1 or cache is not None:
        raise UserError("workers: processes and a cache need a checkpoint's folder, not a model in memory")
    return Campaign(classifier, rows, config, seed, work, cache, load)


def checkpoint_victim(
    folder: Path,
    labels: Sequence[str],
    max_length: int,
    device: str,
    threads: int = 0,
    precision: str = "fp32",
    trust_remote_code: bool = False,
    outputs: tuple[str, ...] = (),
) -> Victim:
    """A checkpoint, opened in the process that attacks it. threads: CPU threads, 0 for torch's own choice."""
    if threads:
        torch.set_num_threads(threads)
    opening = ModelConfig(trust_remote_code=trust_remote_code)
    classifier = open_finished(
        folder, labels=labels, outputs=outputs, max_length=max_length, opening=opening, device=device
    )
    return classifier.victim(precision)


def _threads(threads: int, workers: int) -> int:
    """CPU threads of each process: as many as were asked for, else an equal share of the cores."""
    return threads or (max(1, (os.cpu_count() or 1) // workers) if workers > 1 else 0)
