"""Training state in one file: written atomically, read without pickle, exact to the last generator."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from robusteval.runtime.generators import RandomStates
from robusteval.storage.files import replacing, writing


class DamagedState(Exception):
    """A file that does not hold what `save_state` wrote."""


def save_state(path: Path, state: Any) -> None:
    """Write a tree of dicts, lists, tuples, plain values and tensors as one safetensors file, atomically."""
    tensors: dict[str, torch.Tensor] = {}
    skeleton = _pack(state, tensors)
    written = json.dumps(skeleton)
    size = sum(tensor.nbytes for tensor in tensors.values()) + len(written)
    with replacing(path) as new, writing(path, size):
        save_file(tensors, new, metadata={"state": written, "sha256": _sha256(written, tensors)})


def load_state(path: Path) -> Any:
    """The tree that `save_state` wrote; tensors on the CPU. DamagedState where it is not what was written."""
    try:
        with safe_open(path, framework="pt") as handle:
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118 (not a dict)
            metadata = handle.metadata()
        # states of an earlier version bear no digest
        if metadata.get("sha256", "") not in ("", _sha256(metadata["state"], tensors)):
            raise DamagedState("its content is not what was written")
        return _unpack(json.loads(metadata["state"]), tensors)
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedState(str(error)) from error


def _sha256(skeleton: str, tensors: dict[str, torch.Tensor]) -> str:
    """sha256 over all that a state holds."""
    digest = hashlib.sha256(skeleton.encode())
    for _, tensor in sorted(tensors.items()):
        raw: Any = tensor.reshape(-1).view(torch.uint8).numpy()
        digest.update(raw)
    return digest.hexdigest()


def _pack(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        key = str(len(tensors))
        # a copy: tied weights share memory, which safetensors refuses
        tensors[key] = value.detach().cpu().contiguous().clone()
        return {"tensor": key}
    if isinstance(value, dict):
        return {"dict": [[_pack(key, tensors), _pack(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_pack(item, tensors) for item in value]}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return {"value": value}
    raise TypeError(f"training state cannot hold a {type(value).__name__}")


def _unpack(value: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Any:
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_unpack(key, tensors): _unpack(item, tensors) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_unpack(item, tensors) for item in content]
        return items if kind == "list" else tuple(items)
    return content


def generator_states() -> dict[str, Any]:
    """The state of every global generator, as `save_state` takes it."""
    now = RandomStates.now()
    name, keys, *rest = now.numpy
    numbers = torch.from_numpy(np.asarray(keys).astype(np.int64))
    return {
        "python": now.python, "numpy": (name, numbers, *rest), "torch": now.torch_cpu, "cuda": now.torch_cuda or [],
    }  # fmt: skip


def restore_generators(states: dict[str, Any]) -> None:
    """Put every global generator back to a recorded state."""
    name, keys, *rest = states["numpy"]
    numbers = (name, keys.numpy().astype(np.uint32), *rest)
    RandomStates(states["python"], numbers, states["torch"], states["cuda"]).restore()
