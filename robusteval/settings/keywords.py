"""Keyword arguments as records: each goes to the one record that has a field of its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from robusteval.errors import unknown_name
from robusteval.settings.codec import from_dict
from robusteval.settings.fields import described


def settings_of(
    given: Mapping[str, Any], takes: Mapping[type, Collection[str]], what: str
) -> tuple[dict[str, Any], ...]:
    """The keywords of each record, in order, None left out where it is no value.

    takes: record -> those of its fields that may be given, none for all of them; what: is set, for the error.
    UserError for a keyword that no record takes, with the nearest that one does.
    """
    offered = {
        kind: {each.field: each for each in described(kind) if not names or each.field in names}
        for kind, names in takes.items()
    }
    known = [name for fields in offered.values() for name in fields]
    for name in given:
        if name not in known:
            raise unknown_name(f"{what}.field", name, known)
    return tuple(
        {name: given[name] for name in fields if name in given and (given[name] is not None or fields[name].optional)}
        for fields in offered.values()
    )


def records(given: Mapping[str, Any], takes: Mapping[type, Collection[str]], what: str) -> tuple[Any, ...]:
    """A record of each kind, with the keywords that are its fields; UserError as `settings_of` and `from_dict`."""
    found = settings_of(given, takes, what)
    return tuple(from_dict(kind, values, f"{what}.") for kind, values in zip(takes, found, strict=True))
