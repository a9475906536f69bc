"""Code that is not the package's: the file of docs/extending.md, and a package that offers it by entry points."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from support.places import DOCS

Points = Mapping[str, Mapping[str, str]]
OBJECTS = {
    "methods": "Smoothing", "scenarios": "Half", "suites": "Longest", "perturbations": "mirror", "tasks": "OPINION",
    "attacks": "typos",
}  # fmt: skip


def worked_example() -> str:
    """All Python of docs/extending.md, as one file."""
    return "\n\n".join(re.findall(r"```python\n(.*?)```", (DOCS / "extending.md").read_text(), re.DOTALL))


def mine(folder: Path, name: str = "mine.py") -> Path:
    """That file, in a folder which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(worked_example())
    return folder / name


def offer(folder: Path, points: Points, package: str = "offering", version: str = "1.0") -> None:
    """An installed package in `folder`, which is to be on the path; points: group -> name -> "module:object"."""
    about = folder / f"{package}-{version}.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    lines = []
    for group, names in points.items():
        lines += [f"[robusteval.{group}]", *(f"{name} = {target}" for name, target in names.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
