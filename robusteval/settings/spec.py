"""What an experiment is: models x tasks x methods x scenarios x seeds, and settings for all of them or for a part."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar, cast

import yaml

from robusteval.errors import UserError, unknown_name
from robusteval.registry import pinned
from robusteval.settings.checks import check_distinct
from robusteval.settings.codec import from_dict, to_dict
from robusteval.settings.fields import Record, setting
from robusteval.settings.grammar import part_name
from robusteval.settings.runs import MethodConfig, RunSpec, ScenarioConfig, as_now
from robusteval.settings.search import Search
from robusteval.settings.written import GROUPS, Given, part_of, rungs_of, spelled_out

AXES = ("models", "tasks", "methods", "scenarios", "seeds")
# What decides which rows are asked for or how they are shown, but no number.
SHOWN = (*AXES, "skip", "title", "baseline", "primary")


@dataclass(frozen=True)
class Slice(Record):
    """A part of the grid.

    model, task, method, scenario: names, none for all. A method or scenario by its label, or by its name for all
    that have it.
    """

    model: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    scenario: tuple[str, ...] = ()


S = TypeVar("S", bound=Slice)


@dataclass(frozen=True)
class Where(Slice):
    """Settings for a part of the grid.

    method_settings: of the method; of several composed, a mapping for each by its name.
    """

    opening: Given = field(default_factory=dict)
    data: Given = field(default_factory=dict)
    train: Given = field(default_factory=dict)
    evaluation: Given = field(default_factory=dict)
    attack: Given = field(default_factory=dict)
    method_settings: Given = field(default_factory=dict)

    def __post_init__(self) -> None:
        for group, kind in GROUPS.items():
            _check_given(getattr(self, group), kind, f"settings.{group}")
        apart = [group for group in ("opening", "data", "evaluation", "attack") if getattr(self, group)]
        if apart and (self.method or self.scenario):
            raise UserError(
                f"settings.{apart[0]}: it cannot differ between methods or scenarios, whose numbers would not be "
                "comparable; leave method and scenario out"
            )


@dataclass(frozen=True)
class ExperimentSpec(Record):
    """A grid of runs. Every group of settings holds only what was given; `experiments.grid` finds the rest.

    settings: for parts of the grid, later ones win. skip: parts of it that are not run. baseline: the column that
    others are compared with, by default the first. primary: the tests that the declared family of comparisons is made
    of, "SUITE [VALUE] METRIC". search: settings whose best values are found before the runs are done.
    """

    PANEL: ClassVar[str] = "Experiment"

    title: str = ""
    models: tuple[str, ...] = (RunSpec.model,)
    tasks: tuple[str, ...] = (RunSpec.task,)
    methods: tuple[MethodConfig, ...] = (MethodConfig(),)
    scenarios: tuple[ScenarioConfig, ...] = (ScenarioConfig(),)
    seeds: tuple[int, ...] = (0, 1)
    opening: Given = field(default_factory=dict)
    data: Given = field(default_factory=dict)
    train: Given = field(default_factory=dict)
    evaluation: Given = field(default_factory=dict)
    attack: Given = field(default_factory=dict)
    settings: tuple[Where, ...] = ()
    skip: tuple[Slice, ...] = ()
    baseline: str = ""
    primary: tuple[str, ...] = ()
    search: Search | None = setting(None, "Settings to find first.", later=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", tuple(pinned(name, "task") for name in self.tasks))
        labels: dict[str, Sequence[str]] = {"methods": _labels(self.methods), "scenarios": _labels(self.scenarios)}
        for axis in AXES:
            values = list(labels.get(axis) or map(str, getattr(self, axis)))
            if not values:
                raise UserError(f"{axis}: none given; at least one is needed")
            check_distinct(axis, values)
        for group, kind in GROUPS.items():
            _check_given(getattr(self, group), kind, group)
        if self.baseline and self.baseline not in labels["methods"]:
            raise unknown_name("baseline", self.baseline, labels["methods"])
        for name, each in self._parts():
            known: dict[str, Sequence[str]] = {"model": self.models, "task": self.tasks}
            known |= {axis: labels[f"{axis}s"] for axis in _LABELLED}
            for axis, names in known.items():
                for given in getattr(each, axis):
                    if not matching(given, names):
                        raise unknown_name(f"{name}.{axis}", given, names)
        for place, part in enumerate(self.skip):
            if part == Slice():
                raise UserError(f"skip[{place}]: it names no part of the grid; give model, task, method or scenario")

    @classmethod
    def read(cls, held: Any, path: str = "") -> ExperimentSpec:
        """From what a user wrote, or a record of this or an earlier version; UserError as `from_dict`.

        A single name may stand for a list of one, a text with commas for a list, a number for so many seeds;
        "a/b/c" for a value of a method, a scenario or a training setting makes one of each.
        """
        if isinstance(held, Mapping) and "base" in held:
            return _of_earlier(cls, held, path)
        return from_dict(cls, spelled_out(held, path), path)

    @property
    def first(self) -> str:
        """The label of the baseline."""
        return self.baseline or self.methods[0].label

    def given(self, group: str, **place: str) -> Given:
        """What was given of a group of settings for a model, a task, a method and a scenario; later ones win."""
        found = dict(getattr(self, group, {}))
        for each in self.settings:
            if all(self._covers(each, name, value) for name, value in place.items()):
                found |= getattr(each, group)
        return found

    def skips(self, **place: str) -> bool:
        """Whether no run is wanted of a model, a task, a method and a scenario, all four given by name or label."""
        return any(all(self._covers(each, name, value) for name, value in place.items()) for each in self.skip)

    def _parts(self) -> list[tuple[str, Slice]]:
        """Every part of the grid that is spoken of, by the field that does."""
        return [(f"{name}[{at}]", each) for name in ("settings", "skip") for at, each in enumerate(getattr(self, name))]

    def _covers(self, where: Slice, name: str, value: str) -> bool:
        given: tuple[str, ...] = getattr(where, name)
        all_of = _labels(getattr(self, f"{name}s")) if name in _LABELLED else getattr(self, f"{name}s")
        return not given or any(value in matching(each, all_of) for each in given)


_LABELLED = ("method", "scenario")


def matching(given: str, values: Iterable[str]) -> list[str]:
    """The labels that a name stands for: the one that it is, else all that begin with it and have settings."""
    values = list(values)
    return [given] if given in values else [each for each in values if part_name(each) == given and "+" not in each]


def to_text(spec: ExperimentSpec) -> str:
    """The experiment as YAML that `ExperimentSpec.read` reads: methods and scenarios as a user writes them."""
    held = {name: value for name, value in to_dict(spec).items() if value or name in AXES}
    for axis in ("methods", "scenarios"):
        held[axis] = [_as_written(each, plain) for each, plain in zip(getattr(spec, axis), held[axis], strict=True)]
    for name in {"settings", "skip"} & set(held):
        held[name] = [{key: value for key, value in each.items() if value} for each in held[name]]
    return yaml.safe_dump(held, sort_keys=False, allow_unicode=True)


def _as_written(config: Any, plain: Any) -> Any:
    """The label, where reading it gives the same again; else the whole record."""
    try:
        again = type(config).parse(config.label)
    except UserError:
        return plain
    return config.label if again in (config, (config,)) else plain


def _labels(configs: Sequence[Any]) -> list[str]:
    return [config.label for config in configs]


def _check_given(given: Given, kind: type, name: str) -> None:
    """Raise UserError for a setting that the record has not, or whose value it cannot have."""
    known = [item.name for item in fields(kind)]
    for key in given:
        if key not in known:
            raise unknown_name(f"{name}.field", key, known)
    from_dict(kind, given, f"{name}.")


def _of_earlier(kind: type[ExperimentSpec], held: Mapping[str, Any], path: str) -> ExperimentSpec:
    """An experiment as earlier versions wrote it: one run that all others differ from by method, seed and scenario."""
    base = from_dict(RunSpec, as_now(held["base"]), f"{path}base.")
    groups = {group: to_dict(getattr(base, group)) for group in GROUPS}
    rest = {name: held[name] for name in ("methods", "seeds", "scenarios") if name in held}
    unknown = [name for name in held if name not in (*rest, "base")]
    if unknown:
        raise unknown_name(f"{path}field", unknown[0], ["base", "methods", "seeds", "scenarios"])
    return from_dict(kind, {"models": [base.model], "tasks": [base.task], **groups, **rest}, path)


def changed(held: Mapping[str, Any], changes: Mapping[str, Any]) -> ExperimentSpec:
    """A written spec with changes, which come before all that it says but a method's own text.

    Where they leave names out, what `settings`, `skip` and `baseline` say of those goes with them.
    """
    before = ExperimentSpec.read(held)
    after = ExperimentSpec.read({**merged(held, changes), "settings": [], "skip": [], "baseline": ""})
    parts = [part for each in before.settings if (part := _narrowed(each, after))]
    skipped = tuple(left for each in before.skip if (left := _narrowed(each, after)))
    last = {group: changes[group] for group in GROUPS if group in changes}
    if parts and last:
        last["train"] = rungs_of(last.get("train", {}))[1]
        parts.append(Where(**part_of(last)))
    baseline = before.baseline if before.baseline in _labels(after.methods) else ""
    return dataclasses.replace(after, settings=tuple(parts), skip=skipped, baseline=baseline)


def _narrowed(part: S, spec: ExperimentSpec) -> S | None:
    """What is said of a part of the grid, where the spec still has that part."""
    names: dict[str, Any] = {}
    for name in ("model", "task", "method", "scenario"):
        given = getattr(part, name)
        axis = getattr(spec, f"{name}s")
        names[name] = tuple(each for each in given if matching(each, _labels(axis) if name in _LABELLED else axis))
        if given and not names[name]:
            return None
    return dataclasses.replace(part, **names)


def merged(held: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A written spec with changes: mappings are merged, everything else is replaced."""
    result = dict(held)
    for name, value in changes.items():
        old = result.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[name] = {**cast(Mapping[str, Any], old), **value} if both else value
    return result
