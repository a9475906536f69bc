"""The rows that a classifier is trained or tested on: by the name of a task, or given as objects in memory."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd

from robusteval.errors import UserError
from robusteval.models.loading import checkpoint_labels
from robusteval.settings.data import DataConfig
from robusteval.settings.model import ModelConfig
from robusteval.tasks.arrow import dataset_frame
from robusteval.tasks.base import Examples, Task
from robusteval.tasks.examples import examples_from_frame
from robusteval.tasks.load import (
    TaskData,
    answered,
    load_evaluation,
    load_task,
    resolve,
    sample,
    trained,
    with_own_tests,
)
from robusteval.tasks.table import CLASSES


def training_rows(task: str | Task, data: DataConfig, train_dataset: Any, dev_dataset: Any) -> TaskData:
    """Training and dev rows of a task, or those of the given data sets; without dev_dataset there are no dev rows."""
    if train_dataset is None:
        if isinstance(task, Task):
            raise UserError("train_dataset: not given; a Task of your own needs its rows")
        return load_task(task, data)
    declared = trained(resolve(task, data) if isinstance(task, str) else task, data)
    training = sample(_examples(train_dataset, declared, "train_dataset"), data.train_limit)
    dev = _examples(dev_dataset, declared, "dev_dataset") if dev_dataset is not None else training.take([])
    return TaskData(declared, training, dev, config=data)


def evaluation_rows(model: Any, task: str | Task, data: DataConfig, dataset: Any, opening: ModelConfig) -> TaskData:
    """The rows to test `model` on, in whose own words its labels may be given."""
    speaks = data.labels or data.label_map or (dataset is None and data.dev_file)
    own = checkpoint_labels(model, opening.model_revision, opening.trust_remote_code) if speaks else ()
    if dataset is not None:
        declared = answered(resolve(task, data) if isinstance(task, str) else task, data, own)
        dev = _examples(dataset, declared, "dataset")
        rows = TaskData(dataclasses.replace(declared, dev="dataset"), dev.take([]), dev, config=data)
        return with_own_tests(rows)
    if isinstance(task, Task):
        raise UserError("dataset: not given; a Task of your own needs its rows")
    return load_evaluation(task, data, own)


def _examples(dataset: Any, task: Task, split: str) -> Examples:
    """A datasets.Dataset (or a pandas DataFrame) as checked examples."""
    frame = dataset_frame(dataset) if hasattr(dataset, "to_pandas") else dataset
    # datasets.ClassLabel
    features = getattr(dataset, "features", None) or {}
    named = {name: each.names for name, each in features.items() if hasattr(each, "names")}
    if not isinstance(frame, pd.DataFrame):
        raise UserError(f"{split}: a datasets.Dataset or pandas DataFrame is needed, not a {type(dataset).__name__}")
    if named:
        frame = frame.copy(deep=False)
        frame.attrs[CLASSES] = named
    return examples_from_frame(frame, task, split)
