"""Saving plain transformers checkpoints, and what a method trained beside the model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from robusteval.errors import UserError
from robusteval.storage.files import replacing, writing

# Endings of what transformers saves of a model and its tokenizer.
CHECKPOINT_FILES = (".json", ".txt", ".model", ".safetensors", ".jinja", ".py")


def save_checkpoint(
    model: Any,
    tokenizer: Any,
    folder: Path,
    modules: Mapping[str, torch.nn.Module] | None = None,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write a plain transformers checkpoint; the folder appears whole or not at all, in place of an older checkpoint.

    modules: trained parts of a method that no prediction needs, each in a file of its own beside the model, which
    bears `facts`, the method's settings, as metadata.
    UserError where the folder holds anything but a checkpoint.
    """
    _check_replaceable(folder)
    size = sum(tensor.nbytes for part in (model, *(modules or {}).values()) for tensor in part.state_dict().values())
    with replacing(folder) as new, writing(folder, size):
        model.save_pretrained(new)
        tokenizer.save_pretrained(new)
        for name, module in (modules or {}).items():
            state = {key: value.cpu().contiguous() for key, value in module.state_dict().items()}
            (new / f"{name}.safetensors").write_bytes(_in_order(save(state, dict(facts or {}))))


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its header's keys in order: safetensors shuffles metadata, and with it the sha256."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + file[start:]


def _check_replaceable(folder: Path) -> None:
    """Raise UserError where replacing `folder` by a checkpoint would lose something else."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"folder: {str(folder)!r} is a file")
    held = sorted(folder.iterdir()) if folder.exists() else []
    foreign = [path.name for path in held if path.is_dir() or path.suffix not in CHECKPOINT_FILES]
    if held and not (folder / "config.json").exists():
        foreign = foreign or [held[0].name]
    if foreign:
        raise UserError(
            f"folder: {str(folder)!r} holds {foreign[0]!r}, which is no part of a checkpoint and would be lost; "
            "choose another folder"
        )


def kept_modules(folder: Path | None) -> tuple[str, ...]:
    """The names of what `save_checkpoint` wrote beside the model (`Method.modules`); none for a model in memory."""
    stems = sorted(file.stem for file in folder.glob("*.safetensors")) if folder is not None else []
    return tuple(stem for stem in stems if not re.fullmatch(r"(pytorch_)?model(-\d+-of-\d+)?", stem))
