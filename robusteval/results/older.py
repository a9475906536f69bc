"""Rows of earlier versions, which said in prose what has a field now."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

# The suites of perturbed, shifted and attacked text when rows did not say what they speak of.
_ROBUSTNESS = ("mask", "replace", "delete", "swap", "typos", "ood", "advglue", "test")


def from_prose(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a row whose notes say what the fields collapsed, in_domain, selected_on_dev and sets say now.

    The oldest rows have one text `note`, prose with "; " in between; later ones `notes` of five kinds.
    """
    told = {key: each for key, each in fields.items() if key != "note"}
    if "note" in fields:
        told["notes"] = [{"text": text, "kind": _kind(text)} for text in str(fields["note"]).split("; ") if text]
    kept = []
    for note in told.get("notes", ()) if isinstance(told.get("notes"), list) else ():
        kind, text = (note.get("kind", "run"), str(note.get("text"))) if isinstance(note, Mapping) else ("", "")
        if kind == "collapsed":
            told["collapsed"] = _quoted(text.removeprefix("collapsed to "))
        elif kind == "in domain":
            told["in_domain"] = True
        elif kind == "selected":
            told["selected_on_dev"] = True
        elif kind == "test" and (found := re.fullmatch(r"mean of (\d+) sets", text)):
            told["sets"] = int(found[1])
        else:
            kept.append(note)
    if isinstance(told.get("notes"), list):
        told["notes"] = kept
    suite = told.get("suite")
    told["summary"] = suite in ("ood", "advglue") and told.get("suite_value") == "average"
    if suite in _ROBUSTNESS and not told.get("in_domain"):
        told["aspect"] = "robustness"
    return told


def _kind(text: str) -> str:
    if text.startswith("mean of"):
        return "test"
    if text.endswith("is in domain"):
        return "in domain"
    return "collapsed" if text.startswith("collapsed") else "selected" if text.startswith("selected") else "run"


def _quoted(text: str) -> str:
    """What `repr` made this text of."""
    try:
        return str(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text
