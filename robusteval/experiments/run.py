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
from robusteval.evaluation.base import Measurement, Subject
from robusteval.evaluation.suites import build_suites
from robusteval.experiments.jobs import Job, outgrown
from robusteval.experiments.rows import attack_rows, remedies, run_row, training_rows
from robusteval.models.encoding import Encoded
from robusteval.models.hashes import checkpoint_sha256
from robusteval.models.loading import LoadedModel
from robusteval.models.opening import open_classifier
from robusteval.pipeline.attack import Campaign
from robusteval.pipeline.common import Common
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


def run_facts(data: TaskData, model_sha256: str) -> dict[str, str]:
    """What besides the spec decides a run's training; part of its name, so a change of any is a new run."""
    return {"data": data.fingerprint, "model": model_sha256, "code": VERSION}


def execute(job: Job, work: WorkConfig, data: TaskData | None = None) -> RunFolder:
    """Do what is left of a run and return its folder.

    Each stage (training, every suite, every attack) is finished once; an interrupted one is continued, and a finished
    run that is asked for more tests has those added.
    UserError where rows or model are no longer those of the job's facts, or where more than `work.max_errors` examples
    of an attack ended in an error; the next call tries those again.
    """
    spec, folder = job.spec, job.folder(work.out)
    if job.done(work.out):
        return folder
    if work.threads:
        torch.set_num_threads(work.threads)
    with folder.lock():
        if job.done(work.out):  # by another process, since it was looked at
            return folder
        folder.check(model=True)
        folder.recover()
        data = data or load_task(spec.task, spec.data)
        _check_unchanged("data", "the rows", data.fingerprint, job.facts)
        prepared = prepare(build_scenarios(spec.scenario), data.train, data.task, spec.seed)
        run = _Run(job, work, folder, dataclasses.replace(data, train=prepared.examples))
        run.open()
        run.train(prepared)
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


def _joined(before: Iterable[str], now: Iterable[str]) -> list[str]:
    return list(dict.fromkeys((*before, *now)))


@dataclass(frozen=True)
class _Run:
    """The stages of a run that is under way."""

    job: Job
    work: WorkConfig
    folder: RunFolder
    data: TaskData

    @property
    def spec(self) -> RunSpec:
        return self.job.spec

    def open(self) -> None:
        """Note what is asked for now beside what was, and take back the stages that are to measure more."""
        folder, held = self.folder, self.folder.read_record("config.json")
        anew = outgrown(folder, self.job.tests)
        if folder.done or anew:
            folder.reopen(*anew)
        tests, stages = {name: dict(facts) for name, facts in self.job.tests.items()}, folder.stages()
        begun = held.get("tests", {})
        # the lines of an attack that was stopped, and is now to go on with other settings, are of no use
        other = [name for name in tests if name not in stages and begun.get(name, tests[name]) != tests[name]]
        for name in (*anew, *other):
            folder.forget_attack(name)
        spec = to_dict(self.spec)
        if held:  # the tests that it has stay its own
            before = RunSpec.read(held["spec"])
            spec["evaluation"]["suites"] = _joined(before.evaluation.suites, self.spec.evaluation.suites)
            spec["attack"]["recipes"] = _joined(before.attack.recipes, self.spec.attack.recipes)
        folder.write_record("config.json", {"spec": spec, "facts": dict(self.job.facts), "tests": {**begun, **tests}})

    def train(self, prepared: Prepared) -> None:
        """Train, unless it is done and the model is there; one that was not kept is trained again, and is the same.

        Where it is not, as on another machine, nothing that was measured on the first one counts any longer.
        """
        folder, stages = self.folder, self.folder.stages()
        if "train" in stages and folder.model.is_dir():
            folder.note_continuation(measured_with(pick_device(self.work.device)))
            return
        before, known = folder.read_record("environment.json").get("checkpoint_sha256"), folder.environments()
        if "train" in stages:
            logger.warning("the model of %s was not kept; it is trained again", folder.path)
            folder.reopen("train")
        self._train(prepared)
        here = measured_with(pick_device(self.work.device))
        for each in known:
            folder.note_continuation({key: each[key] for key in here if key in each})
        found = checkpoint_sha256(folder.model) if before and len(stages) > 1 else before
        if found != before:
            logger.warning("%s trained to another model than before; its tests are done anew", folder.path)
            folder.reopen(*(name for name in stages if name != "train"))
            for name in stages:
                folder.forget_attack(name)

    def _train(self, prepared: Prepared) -> None:
        spec, folder, facts, told = self.spec, self.folder, self.job.facts, list[str]()
        began = time.perf_counter()

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
            folder=folder.path, common=Common(self.work.out / "shared", self.job.shared, self.work.device), begin=begin,
            title=f"train {self.job.title}",
        )  # fmt: skip
        result = trained.training
        folder.update_record("environment.json", precision=result.precision, notices=[*told, *result.notices])
        trained.save(folder.model)
        files = (folder.path / "train.jsonl", *sorted(folder.model.iterdir()))
        rows = training_rows(self._row, self.data.task.train, prepared, result)
        folder.finish_stage("train", rows, files, seconds=time.perf_counter() - began)

    def evaluate(self, classifier: Classifier) -> None:
        """Every suite that is asked for and not finished."""
        folder, stages, tests = self.folder, self.folder.stages(), self.job.tests
        subject = Subject(classifier.predictor, self.data, self.spec.evaluation, folder.model, start=self._untrained)
        for text, suite in build_suites(self.spec.evaluation.suites).items():
            stage = placeless(text)
            if stage in tests and stage not in stages:
                began = time.perf_counter()
                rows = [row for item in run_suite(suite, subject, folder) for row in self._measured(item)]
                folder.finish_stage(
                    stage, rows, folder.suite_files(suite.name), suite.metrics, facts=tests[stage],
                    seconds=time.perf_counter() - began,
                )  # fmt: skip

    def _untrained(self) -> Any:
        """The model as it was opened for training."""
        spec, opening = self.spec, self.spec.opening
        loaded = open_classifier(
            spec.model, labels=self.data.task.labels, seed=spec.seed, keep_head=False, revision=opening.model_revision,
            trust_remote_code=opening.trust_remote_code,
        )  # fmt: skip
        _check_unchanged("model", "the files of the model", loaded.sha256, self.job.facts)
        return loaded.model

    def attack(self, classifier: Classifier) -> None:
        """Every attack that is asked for and not finished; UserError where too many examples ended in an error."""
        names, stages = {recipe: recipe_entry(recipe).name for recipe in self.spec.attack.recipes}, self.folder.stages()
        stage_of = {recipe: f"attack/{name}" for recipe, name in names.items()}
        left = [recipe for recipe, stage in stage_of.items() if stage in self.job.tests and stage not in stages]
        cache = self._cache(classifier) if left else None
        campaign = Campaign(classifier, self.data, self.spec.attack, self.spec.seed, self.work, cache)
        troubles = [self._attack(campaign, recipe, names[recipe]) for recipe in left]
        if any(troubles):
            raise UserError("; ".join(filter(None, troubles)))

    def _measured(self, item: Measurement) -> list[Row]:
        said = []
        if item.collapsed is not None:
            remedy = remedies(self.spec)
            said.append(Note(f"to learn more than one class, {remedy}"))
            told = "%s has collapsed to %r: it predicts nothing else; %s"
            logger.warning(told, self.job.title, item.collapsed, remedy)
        return measurement_rows(item, self._tested_row, *said)

    def _attack(self, campaign: Campaign, recipe: str, name: str) -> str:
        """Finish the stage of one recipe; else say why it is not finished: too many examples ended in an error."""
        began, note = time.perf_counter(), ProgressNote()
        out = self.folder.path / "attacks" / f"{name}.jsonl"
        forget_errors(out)
        count = min(len(self.data.dev), self.spec.attack.examples or len(self.data.dev))
        with ProgressBar(f"attack {name} on {self.job.title}", count, quiet=self.work.quiet) as bar:
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
        stage = f"attack/{name}"
        self.folder.finish_stage(stage, rows, [out], facts=self.job.tests[stage], seconds=seconds)
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
