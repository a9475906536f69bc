"""What comes with the package to begin with: the demo's spec, and a small finished experiment that was made from it.

robusteval/examples/demo.yaml is the spec, robusteval/examples/demo/ the experiment, without its checkpoints.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from robusteval.errors import UserError
from robusteval.storage.files import check_place, replacing

SPEC, EXPERIMENT = "demo.yaml", "demo"


def spec_names() -> list[str]:
    """The specs that come with the package; `run` takes their names."""
    return [SPEC.removesuffix(".yaml")]


def named_spec(name: str) -> bytes:
    """The YAML text of one of `spec_names`."""
    return resources.files("robusteval").joinpath("examples", f"{name}.yaml").read_bytes()


def example(out: Path) -> Path:
    """The finished experiment as a folder of the user's, where tables, pictures and pages can be written beside it.

    It is copied to `out`; one that was copied there before is used as it is. UserError where something else lies there.
    """
    check_place(out, folder=True)
    packaged = resources.files("robusteval").joinpath("examples", EXPERIMENT)
    asked = Path("experiment.yaml")
    if out.is_dir() and any(out.iterdir()):
        held = out / asked
        if not held.is_file() or held.read_bytes() != packaged.joinpath(str(asked)).read_bytes():
            raise UserError(f"out: {str(out)!r} holds something else than the example; name another folder")
        return out
    with resources.as_file(packaged) as source, replacing(out) as new:
        shutil.copytree(source, new)
    return out
