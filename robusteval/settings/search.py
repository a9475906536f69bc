"""What a search tries, and on which rows the best of it is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from robusteval.errors import UserError, unknown_name
from robusteval.registry import pinned
from robusteval.settings.checks import check_distinct
from robusteval.settings.fields import Record, setting
from robusteval.settings.grammar import scalar
from robusteval.settings.train import TrainConfig

_ENDS = ("low", "high", "log")


@dataclass(frozen=True)
class Axis:
    """A setting that is searched.

    part: the method that has it, "" for a setting of training. values: those to try, in order; none for a range, which
    goes from low to high, both included, evenly in the logarithm where `log`.
    """

    name: str
    part: str = ""
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values which, if they can be had, so can all others."""
        return self.values or (self.low, self.high)

    @property
    def extent(self) -> str:
        return f"{len(self.values)} values" if self.values else f"{self.low:g}..{self.high:g}"


@dataclass(frozen=True)
class Search(Record):
    """A search over settings, for each method on each model, task and scenario on its own.

    over: values by setting of training, or by method and its setting: "a/b/c" or a list; "low..high" or a mapping of
    low, high and log for a range. trials: how many candidates Optuna asks for; without it every combination is tried.
    select_on: "train", a share of the training rows that no candidate is trained on, or "dev". seeds: of each
    candidate. metric: of the task, by default its first.
    """

    over: dict[str, Any] = field(default_factory=dict)
    trials: int | None = setting(None, "Candidates that Optuna asks for.", name="search.trials", low=1, high=1e6)
    select_on: Literal["train", "dev"] = setting("train", "Rows to choose on.", name="search.select_on")
    share: float = setting(0.1, "Of the training rows.", name="search.share", above=0, high=0.9)
    seeds: tuple[int, ...] = (0,)
    metric: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_distinct("search.seeds", [str(seed) for seed in self.seeds])
        if not self.axes:
            raise UserError("search.over: it names no setting to search, as in learning_rate: 1e-5/3e-5")
        if not self.seeds:
            raise UserError("search.seeds: none given; at least one is needed")
        ranges = [axis.name for axis in self.axes if not axis.values]
        if ranges and self.trials is None:
            raise UserError(f"search.trials: not given; {ranges[0]} has a range, of which Optuna tries so many values")

    @property
    def axes(self) -> tuple[Axis, ...]:
        known = [item.name for item in fields(TrainConfig)]
        found = []
        for key, value in self.over.items():
            if key in known:
                found.append(_axis(key, "", value))
            elif isinstance(value, Mapping) and not set(value) <= set(_ENDS):
                part = pinned(key, "search.over")
                found += [_axis(name, part, each) for name, each in value.items()]
            else:
                raise unknown_name("search.over: training setting", key, known)
        return tuple(found)


def _axis(name: str, part: str, value: Any) -> Axis:
    where = "search.over." + (f"{part}.{name}" if part else name)
    if isinstance(value, Mapping):
        for key in value:
            if key not in _ENDS:
                raise unknown_name(where, key, _ENDS)
        return _range(where, Axis(name, part), value.get("low"), value.get("high"), value.get("log", False))
    if isinstance(value, str) and ".." in value and "/" not in value:
        low, _, high = value.partition("..")
        return _range(where, Axis(name, part), low.strip(), high.strip(), False)
    listed = value if isinstance(value, list | tuple) else value.split("/") if isinstance(value, str) else [value]
    values = tuple(scalar(each.strip(), where) if isinstance(each, str) else each for each in listed)
    if len(values) < 2 or None in values:
        raise UserError(f"{where}: {value!r} leaves nothing to choose; give several values, as in a/b/c")
    check_distinct(where, [str(each) for each in values])
    return Axis(name, part, values)


def _range(where: str, axis: Axis, low: Any, high: Any, log: Any) -> Axis:
    ends = [scalar(each, where) if isinstance(each, str) else each for each in (low, high)]
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in ends)
    if not numbers or not ends[0] < ends[1]:
        raise UserError(f"{where}: {low!r} to {high!r} is no range; it needs a low number and a higher one")
    if not isinstance(log, bool):
        raise UserError(f"{where}.log: {log!r} is neither true nor false")
    if log and ends[0] <= 0:
        raise UserError(f"{where}: a logarithmic range begins above 0, not at {ends[0]:g}")
    return Axis(axis.name, axis.part, (), ends[0], ends[1], log)
