"""A setting, written once, in the field of a record: what checks it, explains it and offers it is read from there."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, cast

from robusteval.settings.checks import check_choice, check_distinct, check_range
from robusteval.settings.grammar import listed, numbers, pieces

_KEY = "setting"


@dataclass(frozen=True)
class Setting:
    """What a field says beside its type and default.

    help: a sentence for --help and the docs.
    low, above, high: the least value, the value it must be above, the greatest value or the field that holds it; of a
    tuple, for each entry.
    distinct: no entry of a tuple may stand there twice.
    unset: what takes its place where nothing is given, in words; on the command line it then has no default.
    name: in messages and options, where the field's own is too short outside its record; panel: of --help, where it
    is not the record's.
    place: its text is a place on the disk. quoted: entries of a list keep their quotes, for what reads them further.
    repeated: the option is given once for each entry. offered: it is an option of the command line.
    identity: it says what a run is, so that it is part of the run's name. later: it came after runs had been named,
    and is left out of a record at its default, so that they keep their names.
    """

    help: str = ""
    low: float | None = None
    above: float | None = None
    high: float | str = math.inf
    distinct: bool = False
    unset: str = ""
    name: str = ""
    panel: str = ""
    place: bool = False
    quoted: bool = False
    repeated: bool = False
    offered: bool = True
    identity: bool = True
    later: bool = False

    @property
    def bounded(self) -> bool:
        return self.low is not None or self.above is not None


def setting(default: Any, help: str, **facts: Any) -> Any:
    """A field of a record; facts: the other fields of `Setting`."""
    return dataclasses.field(default=default, metadata={_KEY: Setting(help, **facts)})


def same(kind: type, name: str, **facts: Any) -> Any:
    """A field that is a setting of another record too; facts: what differs here."""
    (item,) = (each for each in fields(kind) if each.name == name)
    return dataclasses.field(default=item.default, metadata={_KEY: dataclasses.replace(item.metadata[_KEY], **facts)})


class Record:
    """A record of settings, each of which is checked when it is made. PANEL: of --help, for all its fields."""

    PANEL: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for each in described(cast(type, type(self))):
            value = getattr(self, each.field)
            if value is not None:
                _check(self, each, value)


@dataclass(frozen=True)
class Described:
    """A field with what its setting says of it.

    kind: the type of the value, of each entry for a tuple; several: it is a tuple; optional: it may be None.
    choices: the values of a Literal.
    """

    field: str
    name: str
    panel: str
    default: Any
    kind: Any
    several: bool
    optional: bool
    choices: tuple[str, ...]
    setting: Setting

    @property
    def option(self) -> str:
        """As the command line spells it: a switch that is on by default can only be switched off."""
        return "--" + self.parameter.replace("_", "-")

    @property
    def parameter(self) -> str:
        """The option as a name in Python."""
        return f"no_{self.name}" if self.default is True else self.name

    @property
    def help(self) -> str:
        """What it means, the values of a Literal that the sentence does not name, and what replaces an absent one."""
        text = self.setting.help
        if not all(choice in text for choice in self.choices):
            *some, last = self.choices
            text = f"{text.rstrip('.')}: {', '.join(some)} or {last}."
        return f"{text.rstrip('.')} [{self.setting.unset}]." if self.setting.unset else text

    def listed(self, value: Any) -> Any:
        """The entries of a setting of several from a text with commas or a single value; a list is left as it is."""
        if isinstance(value, str):
            if self.kind is float:
                return numbers(value, self.name, float)
            return (value,) if self.setting.repeated else pieces(value) if self.setting.quoted else listed(value)
        return [value] if isinstance(value, int | float) else value

    @property
    def written(self) -> str:
        """The default as a user would write it; empty where there is none."""
        if self.setting.unset or self.default is None or self.kind is bool:
            return ""
        return ",".join(map(str, self.default)) if self.several else str(self.default)


@functools.cache
def described(kind: type) -> tuple[Described, ...]:
    """The settings of a record, in order; other fields are left out."""
    panel = getattr(kind, "PANEL", "")
    found = []
    for item in fields(kind):
        each = item.metadata.get(_KEY)
        if each is not None:
            inner, several, optional = _taken_apart(hints(kind)[item.name])
            choices = typing.get_args(inner) if typing.get_origin(inner) is Literal else ()
            found.append(
                Described(
                    item.name, each.name or item.name, each.panel or panel, item.default, str if choices else inner,
                    several, optional, choices, each,
                )
            )  # fmt: skip
    return tuple(found)


@functools.cache
def hints(kind: type) -> dict[str, Any]:
    """The types of a record's fields."""
    return typing.get_type_hints(kind)


def left_out(record: Any) -> set[str]:
    """Fields that came later and have their defaults still."""
    later = (each for each in described(cast(type, type(record))) if each.setting.later)
    return {each.field for each in later if getattr(record, each.field) == each.default}


def unnamed(kind: type) -> set[str]:
    """Fields that say nothing of what a run is."""
    return {each.field for each in described(kind) if not each.setting.identity}


def _taken_apart(hint: Any) -> tuple[Any, bool, bool]:
    """The type without None and without tuple, and whether it had them."""
    optional = several = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        optional, hint = True, next(each for each in typing.get_args(hint) if each is not type(None))
    if typing.get_origin(hint) is tuple:
        several, hint = True, typing.get_args(hint)[0]
    return hint, several, optional


def _check(record: Any, each: Described, value: Any) -> None:
    fact = each.setting
    for entry in value if each.several else (value,):
        if each.choices:
            check_choice(each.name, entry, each.choices)
        if fact.bounded:
            low = fact.above if fact.above is not None else fact.low
            high = getattr(record, fact.high) if isinstance(fact.high, str) else fact.high
            check_range(each.name, entry, low or 0, high, open_low=fact.above is not None)
    if fact.distinct:
        check_distinct(each.name, value)
