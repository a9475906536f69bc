"""A command's options, made from the settings of the records that it takes, and the records made from these."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from types import MappingProxyType
from typing import Annotated, Any, cast

import typer
from rich.markup import escape

from robusteval.errors import UserError
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.fields import Described, described, hints
from robusteval.settings.grammar import number
from robusteval.settings.runs import RunSpec
from robusteval.settings.work import WorkConfig

DATA, MODEL, TESTS, WORK = (kind.PANEL for kind in (DataConfig, RunSpec, EvalConfig, WorkConfig))
CHECKPOINT: Any = typer.Argument(help="Folder or hub id of a fine-tuned classifier.")


class Ladder(str):
    """Several values of one setting, "a/b/c", as the user wrote them."""


class Given(frozenset[str]):
    """The options that the user named, as names in Python ("max_steps", "no_header").

    ladders: those of them that hold several values.
    """

    ladders: Mapping[str, Ladder] = MappingProxyType({})

    @classmethod
    def on(cls, context: Any) -> Given:
        """Of a command line, in a context of typer's own click or the real one."""
        given = cls(name for name in context.params if context.get_parameter_source(name).name == "COMMANDLINE")
        given.ladders = {name: value for name, value in context.params.items() if isinstance(value, Ladder)}
        return given

    def settings(self, record: Any) -> dict[str, Any]:
        """The fields of a record that were given, with their values; a ladder as it was written."""
        return {
            each.field: self.ladders.get(each.parameter, getattr(record, each.field))
            for each in described(cast(type, type(record)))
            if each.parameter in self
        }


@dataclass(frozen=True)
class Chosen:
    """Which settings of a record, and of the records in it, a command has options for; by parameter."""

    names: tuple[str, ...]
    inverted: bool
    laddered: type | None = None

    def __contains__(self, name: object) -> bool:
        return (name in self.names) is not self.inverted


def only(*names: str) -> Chosen:
    return Chosen(names, inverted=False)


def without(*names: str, laddered: type | None = None) -> Chosen:
    """All settings but these; laddered: the record whose numbers may be given as a ladder, "a/b/c"."""
    return Chosen(names, inverted=True, laddered=laddered)


def option(*names: str, help: str, panel: str = WORK) -> Any:
    """An option of one command alone."""
    return typer.Option(*names, help=escape(help), rich_help_panel=panel)


def takes(*first: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take records: their settings become options, and what is given for these becomes the records.

    A parameter whose type is a record has an option for each setting of that record and of the records in it, or for
    those that `Annotated[..., only(...)]` or `without(...)` leaves; one of type `Given` is told what was given; any
    other is an option or argument of typer's. first: options that come before all others of their panel.
    """

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        taken = _taken(command)
        offers: dict[str, _Offer] = {}
        for offer in (offer for each in taken for offer in each.offers):
            offers.setdefault(offer.parameter.name, offer)  # two records may share an option
        panels = list(dict.fromkeys(offer.panel for offer in sorted(offers.values(), key=lambda offer: offer.guest)))

        def rank(offer: _Offer) -> tuple[int, int]:
            name = offer.parameter.name
            return panels.index(offer.panel), first.index(name) if name in first else len(first)

        def call(context: typer.Context, **values: Any) -> None:
            given = Given.on(context)
            command(**{each.name: each.value(values, given) for each in taken})

        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        parameters = [context, *(offer.parameter for offer in sorted(offers.values(), key=rank))]
        cast(Any, call).__signature__ = inspect.Signature(parameters)
        call.__annotations__ = {each.name: each.annotation for each in parameters}
        call.__name__, call.__doc__ = command.__name__, command.__doc__
        return call

    return wrap


@dataclass(frozen=True)
class _Offer:
    """An option or argument as typer takes it. guest: its record belongs to another panel than its own."""

    parameter: inspect.Parameter
    panel: str
    guest: bool = False


@dataclass(frozen=True)
class _Taken:
    """A parameter of a command: what typer offers for it, and how its value is made of the values of these."""

    name: str
    offers: tuple[_Offer, ...]
    value: Callable[[Mapping[str, Any], Given], Any]


def _taken(command: Callable[..., None]) -> list[_Taken]:
    types = typing.get_type_hints(command, include_extras=True)
    return [
        _parameter(name, types[name], plain.default) for name, plain in inspect.signature(command).parameters.items()
    ]


def _parameter(name: str, annotation: Any, default: Any) -> _Taken:
    kind, *extra = typing.get_args(annotation) if typing.get_origin(annotation) is Annotated else (annotation,)
    if kind is Given:
        return _Taken(name, (), lambda values, given: given)
    if is_dataclass(kind) and isinstance(kind, type):
        chosen = extra[0] if extra else without()
        return _Taken(name, tuple(_offers(kind, chosen)), lambda values, given: _made(kind, chosen, values))
    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    return _Taken(name, (_Offer(parameter, extra[0].rich_help_panel or ""),), lambda values, given: values[name])


def _settings(kind: type, chosen: Chosen) -> Iterator[Described]:
    return (each for each in described(kind) if each.setting.offered and each.parameter in chosen)


def _inner(kind: type) -> Iterator[tuple[str, type]]:
    """The fields of a record that are records themselves."""
    return ((name, each) for name, each in hints(kind).items() if is_dataclass(each) and isinstance(each, type))


def _offers(kind: type, chosen: Chosen) -> Iterator[_Offer]:
    for each in _settings(kind, chosen):
        value, default = _as_given(each)
        several: dict[str, Any] = {}
        if kind is chosen.laddered and each.kind in (int, float):
            several = {"parser": _number_or_ladder(each), "metavar": "INTEGER" if each.kind is int else "FLOAT"}
        shown = typer.Option(each.option, help=escape(each.help), rich_help_panel=each.panel, **several)
        parameter = inspect.Parameter(
            each.parameter, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[value, shown]
        )
        yield _Offer(parameter, each.panel, guest=each.panel != getattr(kind, "PANEL", ""))
    for _, inner in _inner(kind):
        yield from _offers(inner, chosen)


def _number_or_ladder(each: Described) -> Callable[[Any], Any]:
    """Reads a number, or several with "/" between them; UserError for anything else."""

    def one(text: str) -> Any:
        try:
            return each.kind(number(text.strip()))
        except ValueError:
            kind = "a whole number" if each.kind is int else "a number"
            raise UserError(f"{each.name}: {text!r} is not {kind}") from None

    def read(value: Any) -> Any:
        if not isinstance(value, str):  # the default
            return value
        if "/" not in value:
            return one(value)
        for text in value.split("/"):
            one(text)
        return Ladder(value)

    return read


def _as_given(each: Described) -> tuple[Any, Any]:
    """The type and the default of a setting's option."""
    if each.kind is bool:
        return bool, False
    if each.setting.repeated:
        return list[str] | None, None
    kind, default = (str, each.written) if each.several else (each.kind, each.default)
    return (kind | None, None) if each.setting.unset or default is None else (kind, default)


def _made(kind: type, chosen: Chosen, values: Mapping[str, Any]) -> Any:
    """The record of what was given; what was not, and what the command does not offer, has its default."""
    found = {
        each.field: _read(each, values[each.parameter])
        for each in _settings(kind, chosen)
        if values[each.parameter] is not None and not isinstance(values[each.parameter], Ladder)
    }
    return kind(**found, **{name: _made(inner, chosen, values) for name, inner in _inner(kind)})


def _read(each: Described, value: Any) -> Any:
    """A setting's value from its option's."""
    if each.setting.repeated:
        return tuple(value)
    if each.several:
        return each.listed(value)
    return not value if each.default is True else value
