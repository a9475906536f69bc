"""The specs that come with the package to begin with, robusteval/examples/*.yaml."""

from __future__ import annotations

from importlib import resources


def spec_names() -> list[str]:
    """Their names, which `run` takes."""
    return ["demo"]


def named_spec(name: str) -> bytes:
    """The YAML text of one of `spec_names`."""
    return resources.files("robusteval").joinpath("examples", f"{name}.yaml").read_bytes()
