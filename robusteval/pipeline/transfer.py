"""Every model of an experiment against the texts that fooled the others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from robusteval.errors import UserError
from robusteval.evaluation.transfer import transfer_matrix
from robusteval.models.loading import checkpoint_labels
from robusteval.pipeline.opening import open_finished
from robusteval.results.experiment import Experiment
from robusteval.results.reading import Run
from robusteval.runtime.devices import pick_device
from robusteval.settings.runs import RunSpec


def transfer(experiment: Path, device: str = "auto") -> pd.DataFrame:
    """The successful attacks on each model of an experiment, tried on the other models of the same seed.

    experiment: the folder of an experiment whose models were kept.
    Columns: model, task, recipe, scenario, seed, and those of `robusteval.evaluation.transfer.transfer_matrix`, whose
    sources and targets are methods. UserError where there is no such experiment, no attack or no model.
    """
    pick_device(device)
    runs = _kept_runs(experiment)
    frames = []
    for (model, task, scenario, seed), members in runs.items():
        for method, (spec, run) in members.items():
            labels = checkpoint_labels(run.folder.model, trust_remote_code=spec.trust_remote_code)
            with open_finished(
                run.folder.model, labels=labels, max_length=spec.train.max_length, opening=spec.opening,
                device=device, tuning=spec.tuning,
            ) as classifier:  # fmt: skip
                predict = classifier.predictor.logits
                for recipe in run.recipes:
                    sources = {name: other.attack_lines(recipe) for name, (_, other) in members.items()}
                    matrix = transfer_matrix(sources, {method: predict}, labels)
                    frames.append(matrix.assign(model=model, task=task, recipe=recipe, scenario=scenario, seed=seed))
    return pd.concat(frames, ignore_index=True)


def _kept_runs(path: Path) -> dict[tuple[str, str, str, int], dict[str, tuple[RunSpec, Run]]]:
    """Method -> run, for each model, task, scenario and seed of the experiment; UserError as in `transfer`."""
    experiment = Experiment.open(path, model=True)
    for damage in experiment.damaged.values():
        raise UserError(damage)
    kept: dict[tuple[str, str, str, int], dict[str, tuple[RunSpec, Run]]] = {}
    for run in experiment.runs:
        if not run.recipes:
            raise UserError(f"experiment: {run.path.name} attacked nothing, so there is nothing to transfer")
        if not run.folder.model.is_dir():
            raise UserError(
                f"experiment: {run.path.name} kept no model; run the experiment in another folder, without "
                "--no-keep-models"
            )
        if run.spec is not None:
            spec, whose = run.spec, run.whose
            place = (whose["model"], whose["task"], whose["scenario"], whose["seed"])
            kept.setdefault(place, {})[spec.method.label] = spec, run
    if not kept:
        raise UserError(f"experiment: {str(path)!r} has no finished run")
    return dict(sorted(kept.items()))
