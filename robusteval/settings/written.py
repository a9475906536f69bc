"""A spec as a user writes it, with everything that is written in short written out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from robusteval.errors import UserError
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.fields import described
from robusteval.settings.grammar import listed, pieces, scalar, seeds_of
from robusteval.settings.model import ModelConfig
from robusteval.settings.runs import MethodConfig, ScenarioConfig
from robusteval.settings.train import TrainConfig

Given = dict[str, Any]
"""Settings that the user gave, by field; what is not in it comes from elsewhere."""

# The records whose settings an experiment may give, by the field of `ExperimentSpec`, `Where` and `RunSpec`.
GROUPS: Mapping[str, type] = {
    "opening": ModelConfig, "data": DataConfig, "train": TrainConfig, "evaluation": EvalConfig, "attack": AttackConfig,
}  # fmt: skip
# The task of files of the user's own that have no name.
OWN_TASK = "my-data"


def spelled_out(held: Any, path: str) -> Any:
    """A spec as a user writes it, with every list and ladder written out."""
    if not isinstance(held, Mapping):
        return held
    held = dict(held)
    for axis in ("models", "tasks"):
        if axis in held:
            held[axis] = _names(axis, held[axis], listed)
    data = held.get("data")
    if "tasks" not in held and isinstance(data, Mapping) and (data.get("train_file") or data.get("dev_file")):
        held["tasks"] = [OWN_TASK]
    if "seeds" in held:
        held["seeds"] = seeds_of(held["seeds"])
    rungs, held["train"] = rungs_of(held.get("train", {}))
    if "methods" in held or len(rungs) > 1:
        texts = _names("methods", held.get("methods", ["vanilla"]), pieces)
        held["methods"] = [each for text in texts for each in _columns(text, rungs)]
    if "scenarios" in held:
        texts = _names("scenarios", held["scenarios"], pieces)
        held["scenarios"] = [each for text in texts for each in _scenarios(text)]
    for name in ("settings", "skip"):
        if isinstance(held.get(name), list | tuple):
            held[name] = [part_of(each) for each in held[name]]
    if isinstance(held.get("search"), Mapping) and "seeds" in held["search"]:
        held["search"] = {**held["search"], "seeds": seeds_of(held["search"]["seeds"])}
    if isinstance(held.get("primary"), str):
        held["primary"] = [held["primary"]]
    for group in ("evaluation", "attack", "data"):
        if isinstance(held.get(group), Mapping):
            held[group] = _lists(held[group], GROUPS[group])
    if not held["train"]:
        del held["train"]
    return held


def part_of(each: Any) -> Any:
    if not isinstance(each, Mapping):
        return each
    names = {name: [each[name]] for name in ("model", "task", "method", "scenario") if isinstance(each.get(name), str)}
    lists = {group: _lists(each[group], kind) for group, kind in GROUPS.items() if isinstance(each.get(group), Mapping)}
    own = each.get("method_settings")
    values = {"method_settings": _as_numbers(own)} if isinstance(own, Mapping) else {}
    return {**each, **names, **lists, **values}


def _as_numbers(given: Mapping[str, Any]) -> Given:
    """Settings of a method as its text would have them: 5e-5, which YAML takes for a word, is a number."""

    def read(value: Any) -> Any:
        if isinstance(value, Mapping):
            return _as_numbers(value)
        return scalar(value, "settings.method_settings") if isinstance(value, str) else value

    return {name: read(value) for name, value in given.items()}


def _lists(given: Mapping[str, Any], kind: type) -> Given:
    """The settings with a list where a single value, or a text with commas, stands for one."""
    several = {each.field: each for each in described(kind) if each.several}
    return {name: several[name].listed(value) if name in several else value for name, value in given.items()}


def _names(axis: str, value: Any, split: Callable[[str], Sequence[str]]) -> list[Any]:
    if isinstance(value, str):
        return list(split(value))
    if not isinstance(value, list | tuple):
        raise UserError(f"{axis}: {value!r} is not a list")
    return list(value)


def rungs_of(train: Any) -> tuple[list[str], Any]:
    """The ladders among training settings as endings of a method's text, and the settings that are none."""
    if not isinstance(train, Mapping):
        return [""], train
    ladders = {name: value.split("/") for name, value in train.items() if isinstance(value, str) and "/" in value}
    endings = [""]
    for name, values in ladders.items():
        endings = [f"{ending}:{name}={value.strip()}" for ending in endings for value in values]
    return endings, {name: value for name, value in train.items() if name not in ladders}


def _columns(text: Any, endings: Sequence[str]) -> list[Any]:
    if isinstance(text, str):
        return [each for ending in endings for each in MethodConfig.ladder(text + ending)]
    if len(endings) > 1:
        raise UserError("train: a ladder needs methods that are written as text")
    return [text]


def _scenarios(text: Any) -> Sequence[Any]:
    return ScenarioConfig.parse(text) if isinstance(text, str) else [text]
