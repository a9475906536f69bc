"""Training-side scenarios: one file each, one registration line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robusteval.registry import Registry

if TYPE_CHECKING:
    from robusteval.scenarios.base import Scenario

SCENARIOS: Registry[type[Scenario[Any]]] = Registry(
    "scenario", "robusteval.scenarios.base:Scenario", ("robusteval.scenarios",)
)
for _name, _target, _summary in (
    ("label-noise", "label_noise:LabelNoise", "a share of the training rows gets a wrong class"),
    ("minority", "minority:Minority", "one class keeps only a share of its training rows"),
    ("low-resource", "low_resource:LowResource", "only so many training rows"),
    ("groups", "groups:Groups", "rows in groups: class x negation in the second text"),
):
    SCENARIOS.add(_name, f"robusteval.scenarios.{_target}", _summary)
