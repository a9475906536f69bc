"""Every model of an experiment against the texts that fooled the others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.transfer import transfer_matrix
from robusteval.methods.base import Context
from robusteval.methods.compose import attach, build_method
from robusteval.models.loading import checkpoint_labels
from robusteval.models.opening import open_classifier
from robusteval.results.reading import Experiment, Run
from robusteval.runtime.devices import pick_device
from robusteval.settings.runs import RunSpec


def transfer(experiment: Path, device: str = "auto") -> pd.DataFrame:
    """The successful attacks on each model of an experiment, tried on the other models of the same seed.

    experiment: the folder of an experiment whose models were kept.
    Columns: recipe, scenario, seed, and those of `robusteval.evaluation.transfer.transfer_matrix`, whose sources and
    targets are methods. UserError where there is no such experiment, no attack or no model, or a method's run has a
    second one with the same scenario and seed.
    """
    chosen = pick_device(device)
    runs = _kept_runs(experiment)
    frames = []
    for (scenario, seed), members in runs.items():
        for method, (spec, run) in members.items():
            folder, trust = run.folder, spec.trust_remote_code
            labels = checkpoint_labels(folder.model, trust_remote_code=trust)
            loaded = open_classifier(folder.model, labels=labels, keep_head=True, trust_remote_code=trust)
            loaded.model.to(chosen)
            built = build_method(spec.method)
            if not built.plain_at_evaluation:
                built.bind(Context(chosen, 0, False, seed, lambda loss: None))
                attach(built, loaded.model)
            predict = Predictor(
                loaded.model, loaded.tokenizer, spec.train.max_length, group=built.evaluation_group(spec.train)
            ).logits
            for recipe in run.recipes:
                sources = {name: other.attack_lines(recipe) for name, (_, other) in members.items()}
                matrix = transfer_matrix(sources, {method: predict}, labels)
                frames.append(matrix.assign(recipe=recipe, scenario=scenario, seed=seed))
    return pd.concat(frames, ignore_index=True)


def _kept_runs(path: Path) -> dict[tuple[str, int], dict[str, tuple[RunSpec, Run]]]:
    """Method -> run, for each scenario and seed of the experiment in `path`; UserError as in `transfer`."""
    experiment = Experiment.open(path, model=True)
    for damage in experiment.damaged.values():
        raise UserError(damage)
    kept: dict[tuple[str, int], dict[str, tuple[RunSpec, Run]]] = {}
    for run in experiment.runs:
        if not run.recipes:
            raise UserError(f"experiment: {run.path.name} attacked nothing, so there is nothing to transfer")
        if not run.folder.model.is_dir():
            raise UserError(
                f"experiment: {run.path.name} kept no model; run the experiment with --keep-models in another folder"
            )
        if run.spec is not None:
            kept.setdefault((run.spec.scenario.label, run.spec.seed), {})[run.spec.method.label] = run.spec, run
    if not kept:
        raise UserError(f"experiment: {str(path)!r} has no finished run")
    return dict(sorted(kept.items()))
