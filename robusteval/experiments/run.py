"""One run: train one model with one method and one seed, test and attack it, and leave rows on disk."""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from robusteval.attacks.queries.cache import LogitsCache
from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.evaluation.suites import build_suites
from robusteval.experiments.rows import attack_rows, remedies, run_row, run_title, training_rows
from robusteval.models.encoding import Encoded
from robusteval.models.loading import LoadedModel
from robusteval.pipeline.attack import Campaign
from robusteval.pipeline.evaluation import measurement_rows, run_suite
from robusteval.pipeline.opening import Classifier, open_finished
from robusteval.pipeline.training import train_classifier
from robusteval.registry import placeless
from robusteval.results.attack_lines import forget_errors, timed_out
from robusteval.results.attack_summary import ProgressNote
from robusteval.results.rows import Note, Row
from robusteval.results.store import RunFolder
from robusteval.runtime.devices import pick_device
from robusteval.runtime.environment import measured_with
from robusteval.runtime.progress import ProgressBar
from robusteval.scenarios.base import Prepared, build_scenarios, prepare
from robusteval.settings.codec import to_dict
from robusteval.settings.runs import RunSpec
from robusteval.settings.work import WorkConfig
from robusteval.tasks.load import TaskData, load_task
from robusteval.version import VERSION

logger = logging.getLogger(__name__)


def run_facts(data: TaskData, model_sha256: str, suites: Iterable[Suite[Any]]) -> dict[str, str]:
    """What besides the spec decides a run's numbers; part of its name, so a change of any is a new run."""
    own = {name: value for suite in suites for name, value in suite.facts(data).items()}
    return {"data": data.fingerprint, "model": model_sha256, "code": VERSION, **own}


def execute(spec: RunSpec, work: WorkConfig, facts: dict[str, str], data: TaskData | None = None) -> RunFolder:
    """Do what is left of a run and return its folder.

    Each stage (training, every suite, every attack) is finished once; an interrupted one is continued.
    UserError where rows or model are no longer those of `facts`, or where more than `work.max_errors` examples of
    an attack ended in an error; the next call tries those again.
    """
    folder = RunFolder(work.out / "runs" / spec.name(**facts))
    if folder.done:
        return folder
    if work.threads:
        torch.set_num_threads(work.threads)
    with folder.lock():
        if folder.done:  # by another process, since it was looked at
            return folder
        folder.check(model=True)
        folder.recover()
        data = data or load_task(spec.task, spec.data)
        _check_unchanged("data", "the rows", data.fingerprint, facts)
        prepared = prepare(build_scenarios(spec.scenario), data.train, data.task, spec.seed)
        run = _Run(spec, work, folder, dataclasses.replace(data, train=prepared.examples))
        folder.write_record("config.json", {"spec": to_dict(spec), "facts": facts})
        if "train" in folder.stages() and not folder.model.is_dir():
            logger.warning("the model of %s is gone; the run starts anew", folder.path)
            folder.reset()
        if "train" in folder.stages():
            folder.note_continuation(measured_with(pick_device(work.device)))
        else:
            run.train(prepared, facts)
        with open_finished(
            folder.model, labels=data.task.labels, outputs=data.task.outputs, max_length=spec.train.max_length,
            opening=spec.opening, device=work.device, tuning=spec.tuning,
        ) as classifier:  # fmt: skip
            folder.update_record("environment.json", checkpoint_sha256=classifier.loaded.sha256)
            run.evaluate(classifier)
            run.attack(classifier)
        folder.finish(keep_model=work.keep_models)
    return folder


def _check_unchanged(fact: str, what: str, found: str, facts: Mapping[str, str]) -> None:
    """Raise UserError where something is not what it was when the run got its name, minutes or hours ago."""
    if found != facts[fact]:
        raise UserError(f"{fact}: {what} changed since this command began; give the command again")


@dataclass(frozen=True)
class _Run:
    """The stages of a run that is under way."""

    spec: RunSpec
    work: WorkConfig
    folder: RunFolder
    data: TaskData

    def train(self, prepared: Prepared, facts: Mapping[str, str]) -> None:
        spec, folder, told = self.spec, self.folder, list[str]()

        def begin(loaded: LoadedModel, encoded: Encoded) -> None:
            _check_unchanged("model", "the files of the model", loaded.sha256, facts)
            told.extend(loaded.notices)
            rows, label = prepared.examples, spec.scenario.label
            folder.update_record(
                "environment.json",
                **measured_with(pick_device(self.work.device)),
                model={**loaded.source, "sha256": loaded.sha256},
                data={"train": rows.source, "dev": self.data.dev.source},
                scenario={"label": label, "rows": len(rows), "fingerprint": rows.fingerprint, **prepared.counts},
                truncated_training_texts=encoded.truncated,
            )

        trained = train_classifier(
            spec.model, self.data, spec.tuning, opening=spec.opening, work=self.work, prepared=prepared,
            folder=folder.path, begin=begin, title=f"train {run_title(spec)}",
        )  # fmt: skip
        result = trained.training
        folder.update_record("environment.json", precision=result.precision, notices=[*told, *result.notices])
        trained.save(folder.model)
        files = (folder.path / "train.jsonl", *sorted(folder.model.iterdir()))
        folder.finish_stage("train", training_rows(self._row, self.data.task.train, prepared, result), files)

    def evaluate(self, classifier: Classifier) -> None:
        """Every suite that is not finished."""
        folder, stages = self.folder, self.folder.stages()
        subject = Subject(classifier.predictor, self.data, self.spec.evaluation, folder.model)
        for text, suite in build_suites(self.spec.evaluation.suites).items():
            if placeless(text) not in stages:
                rows = [row for item in run_suite(suite, subject, folder) for row in self._measured(item)]
                folder.finish_stage(placeless(text), rows, folder.suite_files(suite.name), suite.metrics)

    def attack(self, classifier: Classifier) -> None:
        """Every attack that is not finished; UserError where too many examples ended in an error."""
        recipes = () if self.data.task.regression else self.spec.attack.recipes
        names, stages = {recipe: recipe_entry(recipe).name for recipe in recipes}, self.folder.stages()
        left = {recipe: name for recipe, name in names.items() if f"attack/{name}" not in stages}
        cache = self._cache(classifier) if left else None
        campaign = Campaign(classifier, self.data, self.spec.attack, self.spec.seed, self.work, cache)
        troubles = [self._attack(campaign, recipe, name) for recipe, name in left.items()]
        if any(troubles):
            raise UserError("; ".join(filter(None, troubles)))

    def _measured(self, item: Measurement) -> list[Row]:
        said = []
        if item.collapsed is not None:
            remedy = remedies(self.spec)
            said.append(Note(f"to learn more than one class, {remedy}"))
            told = "%s has collapsed to %r: it predicts nothing else; %s"
            logger.warning(told, run_title(self.spec), item.collapsed, remedy)
        return measurement_rows(item, self._tested_row, *said)

    def _attack(self, campaign: Campaign, recipe: str, name: str) -> str:
        """Finish the stage of one recipe; else say why it is not finished: too many examples ended in an error."""
        began, note = time.perf_counter(), ProgressNote()
        out = self.folder.path / "attacks" / f"{name}.jsonl"
        forget_errors(out)
        count = min(len(self.data.dev), self.spec.attack.examples or len(self.data.dev))
        with ProgressBar(f"attack {name} on {run_title(self.spec)}", count, quiet=self.work.quiet) as bar:
            result = campaign.attack(
                recipe, out, lambda done, total, line: bar.reach(done, total, note(done, total, line))
            )
        errors = [line for line in result.lines if line["outcome"] == "error"]
        failed = [line["message"] for line in errors if not timed_out(line)]
        if len(failed) > self.work.max_errors:
            return (
                f"attack {name}: {len(failed)} of {len(result.lines)} examples ended in an error ({failed[0]}), more "
                f"than {self.work.max_errors}; the same command tries those again, --max-errors {len(errors)} goes "
                "without them"
            )
        seconds = round(time.perf_counter() - began, 3)
        rows = attack_rows(self._tested_row, name, self.data.task.dev, result.summary, seconds)
        self.folder.finish_stage(f"attack/{name}", rows, [out])
        return ""

    def _cache(self, classifier: Classifier) -> Path | None:
        """Where logits are kept; nowhere, with a warning, where that cannot be."""
        path = self.folder.path / "attacks" / "logits.sqlite"
        if not self.work.cache or classifier.method:
            return None
        try:
            LogitsCache(path, "").close()
        except UserError as error:
            logger.warning("%s; the attack goes on without it", error)
            return None
        return path

    @property
    def _row(self) -> functools.partial[Row]:
        return functools.partial(run_row, self.spec, self.folder.path.name)

    @property
    def _tested_row(self) -> functools.partial[Row]:
        """A row of what was measured on dev, which may be what the checkpoint was selected on."""
        return functools.partial(self._row, selected_on_dev=self.spec.train.select == "best")
