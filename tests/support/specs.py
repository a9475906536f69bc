"""A spec from the record of one run that all others differ from by method, seed and scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import yaml

from robusteval.settings.codec import from_dict, to_dict
from robusteval.settings.runs import RunSpec
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.written import GROUPS

T = TypeVar("T")


def through_yaml(record: T) -> T:
    """A record as it is read again after it was written as YAML."""
    return from_dict(type(record), yaml.safe_load(yaml.safe_dump(to_dict(record))))


def spec_of(
    base: RunSpec,
    methods: Sequence[str],
    seeds: Sequence[int],
    train: Mapping[str, Any],
    scenarios: Sequence[str] = ("none",),
    **more: Any,
) -> ExperimentSpec:
    """train: what is given of the training settings alone; of all others everything is."""
    groups = {group: to_dict(getattr(base, group)) for group in GROUPS if group != "train"}
    axes = {"models": [base.model], "tasks": [base.task], "methods": list(methods), "seeds": list(seeds)}
    return ExperimentSpec.read({**axes, "scenarios": list(scenarios), **groups, "train": dict(train), **more})
