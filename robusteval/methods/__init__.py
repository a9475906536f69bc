"""Fine-tuning methods: one file each, one registration line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robusteval.registry import Registry

if TYPE_CHECKING:
    from robusteval.methods.base import Method

METHODS: Registry[type[Method[Any]]] = Registry("method")


def _register(name: str, target: str, summary: str, hook: str, cost: str, regression: str = "yes") -> None:
    METHODS.add(name, f"robusteval.methods.{target}", summary, hook=hook, cost=cost, regression=regression)


_register("vanilla", "vanilla:Vanilla", "plain fine-tuning", hook="-", cost="3F")
_register(
    "match",
    "match:Match",
    "MATCH-TUNING: in-batch composite representations",
    hook="representation",
    cost="3F",
)
