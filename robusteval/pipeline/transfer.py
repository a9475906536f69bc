"""Every model of an experiment against the texts that fooled the others."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from robusteval.attacks.results.frozen_sets import read_results
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.transfer import transfer_matrix
from robusteval.methods.base import Context
from robusteval.methods.compose import attach, build_method
from robusteval.models.loading import checkpoint_labels
from robusteval.models.opening import open_classifier
from robusteval.results.store import RunFolder
from robusteval.runtime.devices import pick_device
from robusteval.settings.runs import ExperimentSpec, RunSpec
from robusteval.storage.reading import read_yaml


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
        for method, (spec, folder) in members.items():
            trust = spec.trust_remote_code
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
            for file in sorted((folder.path / "attacks").glob("*.jsonl")):
                sources = {
                    name: read_results(other.path / "attacks" / file.name) for name, (_, other) in members.items()
                }
                matrix = transfer_matrix(sources, {method: predict}, labels)
                frames.append(matrix.assign(recipe=file.stem, scenario=scenario, seed=seed))
    return pd.concat(frames, ignore_index=True)


def _kept_runs(out: Path) -> dict[tuple[str, int], dict[str, tuple[RunSpec, RunFolder]]]:
    """Method -> run, for each scenario and seed of the experiment in `out`; UserError as in `transfer`."""
    held = read_yaml(out / "experiment.yaml")
    if held is None:
        raise UserError(f"experiment: {str(out)!r} holds no experiment.yaml")
    experiment = ExperimentSpec.read(held, f"{out / 'experiment.yaml'}: ")
    columns = [method.label for method in experiment.methods]
    kept: dict[tuple[str, int], dict[str, tuple[RunSpec, RunFolder]]] = {}
    for folder in (RunFolder(path) for path in sorted((out / "runs").glob("*")) if path.is_dir()):
        folder.check(model=True)
        if not folder.done:
            continue
        place = folder.path / "config.json"
        spec = RunSpec.read(folder.read_record(place.name).get("spec", {}), f"{place}: ")
        if spec.method.label not in columns:
            raise UserError(f"{place}: {spec.method.label!r} is none of the experiment's methods {', '.join(columns)}")
        if not list((folder.path / "attacks").glob("*.jsonl")):
            raise UserError(f"experiment: {folder.path.name} attacked nothing, so there is nothing to transfer")
        if not folder.model.is_dir():
            raise UserError(
                f"experiment: {folder.path.name} kept no model; run the experiment with --keep-models in another folder"
            )
        members = kept.setdefault((spec.scenario.label, spec.seed), {})
        if spec.method.label in members:
            other = members[spec.method.label][1].path.name
            raise UserError(f"experiment: {other} and {folder.path.name} are the same run; remove the outdated one")
        members[spec.method.label] = (spec, folder)
    if not kept:
        raise UserError(f"experiment: {str(out)!r} has no finished run")
    return {
        group: dict(sorted(members.items(), key=lambda item: columns.index(item[0])))
        for group, members in sorted(kept.items())
    }
