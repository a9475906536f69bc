"""Experiments: a plan of runs, each trained and evaluated once and kept on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robusteval.registry import Registry

if TYPE_CHECKING:
    from robusteval.experiments.engine import Engine

ENGINES: Registry[Engine] = Registry("engine")
for _name, _summary in (
    ("local", "processes of this machine, as many as --workers says"),
    ("ray", "the nodes of a Ray cluster, at --address or begun here"),
):
    ENGINES.add(_name, f"robusteval.experiments.{_name}:ENGINE", _summary)
