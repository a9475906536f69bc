"""The JSON Schema of a spec file, for editors: `python -m robusteval.settings.schema` prints it.

First line of a spec: `# yaml-language-server: $schema=experiment.schema.json`, with the place of the file.
"""

from __future__ import annotations

import json
import types
import typing
from dataclasses import fields, is_dataclass
from typing import Any, Literal

from robusteval.settings.fields import Described, described, hints
from robusteval.settings.runs import MethodConfig, ScenarioConfig
from robusteval.settings.spec import ExperimentSpec
from robusteval.settings.written import GROUPS

_PLAIN: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}
_TEXT: dict[str, Any] = {"type": "string"}


def schema() -> dict[str, Any]:
    """What a spec file may hold. A text may stand for a list (commas) and for a number (a ladder, "a/b/c")."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "robusteval experiment",
        **_record(ExperimentSpec),
        "$defs": {group: _group(kind, ladders=group == "train") for group, kind in GROUPS.items()},
    }


def _record(kind: type) -> dict[str, Any]:
    """A record of a spec: its groups of settings are those of other records."""
    properties = {
        item.name: {"$ref": f"#/$defs/{item.name}"} if item.name in GROUPS else _type(hints(kind)[item.name], item.name)
        for item in fields(kind)
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _type(hint: Any, name: str) -> dict[str, Any]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = next(each for each in typing.get_args(hint) if each is not type(None))
        return {"anyOf": [_type(inner, name), {"type": "null"}]}
    if typing.get_origin(hint) is tuple:
        entry = _type(typing.get_args(hint)[0], name)
        forms: list[dict[str, Any]] = [{"type": "array", "items": entry}, _TEXT]
        forms += [{"type": "integer"}] if name == "seeds" else []
        return forms[0] if entry.get("type") == "object" else {"anyOf": forms}
    if hint in (MethodConfig, ScenarioConfig):
        return {"anyOf": [_TEXT, {"type": "object"}]}
    if typing.get_origin(hint) is Literal:
        return {"enum": list(typing.get_args(hint))}
    if is_dataclass(hint) and isinstance(hint, type):
        return _record(hint)
    return {"type": _PLAIN[hint]} if hint in _PLAIN else {"type": "object"}


def _group(kind: type, *, ladders: bool) -> dict[str, Any]:
    """A group of settings, with what each means and may be."""
    properties = {each.field: _setting(each, ladders) for each in described(kind)}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _setting(each: Described, ladders: bool) -> dict[str, Any]:
    fact = each.setting
    value: dict[str, Any] = {"enum": list(each.choices)} if each.choices else {"type": _PLAIN.get(each.kind, "string")}
    if fact.above is not None:
        value["exclusiveMinimum"] = fact.above
    elif fact.low is not None:
        value["minimum"] = fact.low
    if isinstance(fact.high, int | float) and fact.bounded and fact.high != float("inf"):
        value["maximum"] = fact.high
    forms: list[dict[str, Any]]
    forms = [{"type": "array", "items": value}, _TEXT, value] if each.several else [value]
    forms += [_TEXT] if ladders and each.kind in (int, float) else []
    forms += [{"type": "null"}] if each.optional else []
    told = forms[0] if len(forms) == 1 else {"anyOf": forms}
    return {"description": each.help, **told}


def page() -> str:
    """docs/experiment.schema.json."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(page(), end="")
