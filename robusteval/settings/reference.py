"""The page of all settings, docs/settings.md: `python -m robusteval.settings.reference` prints it."""

from __future__ import annotations

import re

from robusteval.settings.fields import Described, described
from robusteval.settings.runs import RunSpec
from robusteval.settings.work import WorkConfig
from robusteval.settings.written import GROUPS

_HEAD = """\
# Settings

This page is made from the records that hold the settings (`python -m robusteval.settings.reference`). Each line gives
the option of the command line, the field in Python and in a spec, its default, the values that it may have, and what
it means. A command has the options that concern it: `robusteval COMMAND --help`. `train-and-attack` and `run` also have
`--methods`, `--seeds`, `--scenario` and `--dry-run`; `model`, `task` and `seed` are the lists `models`, `tasks` and
`seeds` of a spec. A training setting may also stand in a method's text: `--methods vanilla,match:learning_rate=5e-5`.
"""
_COLUMNS = "| option | field | default | values | what it means |\n|---|---|---|---|---|\n"
# from here on a bound only keeps numbers out that no machine holds
_BOUNDLESS = 1e6


def page() -> str:
    """docs/settings.md."""
    places = {**GROUPS, "opening": RunSpec}
    sections = [_section(path, kind) for path, kind in [*places.items(), ("", WorkConfig)]]
    return "\n".join([_HEAD, *filter(None, sections)])


def _section(path: str, kind: type) -> str:
    lines = "".join(_line(each) for each in described(kind))
    place = f", `{path}` in a spec" if path else ", no part of a run's name"
    title = f"## {getattr(kind, 'PANEL', '')}: `{kind.__name__}`{place}\n\n"
    return title + _COLUMNS + lines if lines else ""


def _line(each: Described) -> str:
    option = f"`{each.option}`" if each.setting.offered else ""
    cells = (option, f"`{each.field}`", _default(each), _values(each), each.setting.help)
    return "| " + " | ".join(re.sub(r"([|<\[])", r"\\\1", cell) for cell in cells) + " |\n"


def _default(each: Described) -> str:
    if each.setting.unset:
        return each.setting.unset
    return str(each.default).lower() if each.kind is bool else f"`{each.written}`" if each.written else ""


def _values(each: Described) -> str:
    fact = each.setting
    if each.choices:
        return ", ".join(f"`{choice}`" for choice in each.choices)
    bounds = [f"above {fact.above:g}"] if fact.above is not None else []
    bounds += [f"at least {fact.low:g}"] if fact.low is not None else []
    if isinstance(fact.high, str):
        bounds.append(f"at most `{fact.high}`")
    elif bounds and fact.high < _BOUNDLESS:
        bounds.append(f"at most {fact.high:g}")
    kinds = {bool: "on or off", int: "whole number", float: "number"}
    kind = kinds.get(each.kind, "text")
    return ", ".join([f"list of {kind}s" if each.several else kind, *bounds])


if __name__ == "__main__":
    print(page(), end="")
