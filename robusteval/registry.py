"""A small typed registry: a name maps to a lazy "module:object", imported only when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from robusteval.errors import unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One registered name: where its object lives and what it is, in one line."""

    name: str
    target: str
    summary: str
    facts: tuple[tuple[str, str], ...] = ()

    def load(self) -> Any:
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


class Registry(Generic[T]):
    """Names of one kind. Listing them imports nothing; `registry[name]` imports that one object.

    Raises UserError with the nearest valid names where a name is not registered.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, name: str, target: str, summary: str, **facts: str) -> None:
        """Register `target` ("module:object"); `facts` are further columns for listings."""
        if name in self._entries:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._entries[name] = Entry(name, target, summary, tuple(facts.items()))

    def entry(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise unknown_name(self.kind, name, self._entries) from None

    def __getitem__(self, name: str) -> T:
        return cast(T, self.entry(name).load())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def names(self) -> list[str]:
        return list(self._entries)
