"""Reads this package's docstrings for the site: a line "name: what it is" becomes an item of a list."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from griffe import Class, Docstring, Extension, Function, Object

_ITEM = re.compile(r"^(?P<names>\w+(?:, \w+)*): (?=\S)")


class Docstrings(Extension):
    """Rewrites each docstring as Markdown before it is rendered."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring = Docstring(markdown(obj.docstring.value, _own_names(obj)), parent=obj)


def _own_names(obj: Object) -> Collection[str]:
    """What a docstring may describe line by line: parameters of a function, members of a class."""
    if isinstance(obj, Function):
        return {parameter.name for parameter in obj.parameters}
    return set(obj.members) if isinstance(obj, Class) else ()


def markdown(text: str, names: Collection[str] | None = None) -> str:
    """A docstring with its "name: meaning" lines as a list, and its examples as code.

    What follows an item belongs to it, up to a sentence that begins a line of its own. names: those that may be items,
    None for any.

    >>> markdown("Fine-tune.\\n\\nmodel: a name,\\nor a folder.\\nout: a folder.\\nIt is made.")
    'Fine-tune.\\n\\n- `model`: a name,\\n  or a folder.\\n- `out`: a folder.\\n\\nIt is made.'
    """
    lines: list[str] = []
    inside = code = False
    for line in text.splitlines():
        if line.startswith(">>> ") != code:
            code = not code
            lines += ["", "```pycon", line] if code else ["```", line]
            inside = False
            continue
        found = None if code else _ITEM.match(line)
        told = found["names"].split(", ") if found else []
        if found and (names is None or set(told) <= set(names)):
            if not inside and lines and lines[-1]:
                lines.append("")
            lines.append(f"- {', '.join(f'`{name}`' for name in told)}: {line[found.end() :]}")
            inside = True
        elif inside and line[:1].isupper() and lines[-1].endswith("."):
            lines += ["", line]
            inside = False
        else:
            inside = inside and bool(line.strip())
            lines.append(f"  {line.strip()}" if inside else line)
    return "\n".join([*lines, "```"] if code else lines)
