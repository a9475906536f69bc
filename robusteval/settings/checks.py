"""Values that a user gives: a clear error where one is out of its range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from robusteval.errors import UserError, unknown_name


def check_choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise unknown_name(name, value, valid)


def check_range(name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    """Raise UserError unless low <= value <= high (low < value with `open_low`); NaN and infinity never pass."""
    endless = value in (float("inf"), float("-inf"))
    if endless or not (low < value if open_low else low <= value) or not value <= high:
        bound = ">" if open_low else ">="
        upper = (" and finite" if endless else "") if high == float("inf") else f" and <= {high:g}"
        raise UserError(f"{name}: {value!r} is out of range; it must be {bound} {low:g}{upper}")


def check_distinct(name: str, values: Sequence[Any]) -> None:
    """Raise UserError where a value is given twice."""
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise UserError(f"{name}: {', '.join(twice)} is given twice")
