"""Records as plain values and a hash, and back, every field checked against its annotated type."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from robusteval.errors import UserError, unknown_name
from robusteval.registry import placeless
from robusteval.settings.checks import check_choice
from robusteval.settings.fields import hints, left_out, unnamed

T = TypeVar("T")

# what YAML 1.1 takes for a word, and everybody else for a number
_EXPONENT = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?[eE][+-]?[0-9]+", re.ASCII)
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def content_hash(value: Any) -> str:
    """sha256 of the canonical JSON of `value`."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def to_dict(record: Any, *, identity: bool = False) -> dict[str, Any]:
    """A config record as plain dicts, lists and scalars; settings that came `later` are left out at their default.

    identity: only with what says what a run is: of a file of the user's own that is its content, not its place.
    """
    values = typing.cast(dict[str, Any], json.loads(json.dumps(_plain(record, identity))))
    return typing.cast(dict[str, Any], placeless(values)) if identity else values


def _plain(value: Any, identity: bool) -> Any:
    if dataclasses.is_dataclass(value):
        absent = left_out(value) | (unnamed(type(value)) if identity else set())
        names = (each.name for each in fields(value) if each.name not in absent)
        return {name: _plain(getattr(value, name), identity) for name in names}
    if isinstance(value, Mapping):
        return {key: _plain(each, identity) for key, each in value.items()}
    return [_plain(each, identity) for each in value] if isinstance(value, list | tuple) else value


def from_dict(kind: type[T], values: Mapping[str, Any], path: str = "") -> T:
    """Build a config record from plain values.

    Raises UserError for an unknown field (with the nearest valid one) or a value of the wrong type.
    """
    if not isinstance(values, Mapping):
        raise UserError(f"{path.rstrip('.') or kind.__name__}: {_SHORT.repr(values)} is no mapping of fields")
    return _record(kind, values, path, f"{path}field")


def settings(kind: type[T], values: Mapping[str, Any], name: str) -> T:
    """The settings record of the method, suite or scenario `name`; UserError for an unknown or ill-typed one."""
    if values and not fields(typing.cast(Any, kind)):
        raise UserError(f"{name}: it has no settings, so {next(iter(values))!r} cannot be set")
    return _record(kind, values, f"{name}:", f"{name} setting")


def _record(kind: type[T], values: Mapping[str, Any], path: str, what: str) -> T:
    types_of = hints(typing.cast(type, kind))
    items = fields(typing.cast(Any, kind))
    known = [item.name for item in items]
    arguments = {}
    for key, value in values.items():
        if key not in known:
            raise unknown_name(what, key, known)
        arguments[key] = convert(types_of[key], value, f"{path}{key}")
    for item in items:
        if item.name not in arguments and item.default is MISSING and item.default_factory is MISSING:
            raise UserError(f"{path}{item.name}: is missing")
    return kind(**arguments)


def convert(hint: Any, value: Any, path: str) -> Any:
    """`value` as the annotated type `hint`; numbers widen, lists become tuples, mappings become records."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return convert(next(a for a in arguments if a is not type(None)), value, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_dict(hint, value, f"{path}.")
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            raise UserError(f"{path}: {_SHORT.repr(value)} is not a list")
        several = origin is list or arguments[-1] is Ellipsis
        if not several and len(value) != len(arguments):
            raise UserError(f"{path}: {_SHORT.repr(value)} does not hold {len(arguments)} values")
        inner = (arguments[0],) * len(value) if several else arguments
        return origin(convert(kind, item, path) for kind, item in zip(inner, value, strict=True))
    if hint is Any:
        return value
    if origin is dict and isinstance(value, Mapping):
        return {convert(arguments[0], key, path): convert(arguments[1], item, path) for key, item in value.items()}
    if origin is Literal:
        check_choice(path, str(value), arguments)
        return value
    if hint is float and isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise UserError(f"{path}: {_SHORT.repr(value)} is too large") from None
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    kind = origin or hint
    if not isinstance(value, kind) or (isinstance(value, bool) and hint is not bool):
        raise UserError(f"{path}: {_SHORT.repr(value)} is not a valid {getattr(hint, '__name__', hint)}")
    return value
