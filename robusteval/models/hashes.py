"""What names a model: three digests, each for the question that it answers.

`weights_sha256` is what a publisher gives for a model: a registered one is checked against it. `checkpoint_sha256` and
`memory_sha256` cover all that decides a model's logits, in a folder and in memory; they key caches, frozen sets and
the identity of a training. The two differ for the same model: a saved tokenizer's files say more than its vocabulary.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robusteval.errors import UserError


def weights_sha256(folder: Path) -> str:
    """sha256 over the safetensors files of a folder, in name order.

    Raises UserError where there are none: pickled weights are never opened.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(
            f"model: {str(folder)!r} holds no .safetensors weights; pickled weights are not opened "
            "(convert them with save_pretrained)"
        )
    return _contents(tuple(map(_state, files)))


def _state(file: Path) -> tuple[Path, int, int, int]:
    """What changes with a file's content."""
    state = file.stat()
    return file, state.st_ino, state.st_size, state.st_mtime_ns


@functools.lru_cache(maxsize=32)
def _contents(states: tuple[tuple[Path, int, int, int], ...]) -> str:
    """sha256 over files one after the other; a process that opens a model again and again reads them once."""
    digest = hashlib.sha256()
    for file, *_ in states:
        with open(file, "rb") as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def checkpoint_sha256(folder: Path) -> str:
    """sha256 over all of a folder that decides its logits: weights, configuration, tokenizer files and own code."""
    digest = hashlib.sha256(weights_sha256(folder).encode())
    for file in sorted(folder.iterdir()):
        if file.suffix in (".json", ".txt", ".model", ".py") and file.is_file():
            digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def tokenizer_sha256(tokenizer: Any) -> str:
    """sha256 over all of a tokenizer that decides its tokens: where texts are cut and padded is no part of it."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    if fast is None:
        parts = {"words": sorted(tokenizer.get_vocab().items())}
    else:
        held = json.loads(fast.to_str())
        parts = {name: held[name] for name in held if name not in ("truncation", "padding")}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def memory_sha256(model: Any, tokenizer: Any) -> str:
    """sha256 over all of a model in memory that decides its logits: weights, configuration and tokenizer."""
    digest = hashlib.sha256(_config(model))
    fast = getattr(tokenizer, "backend_tokenizer", None)
    words = fast.to_str() if fast is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
    digest.update(f"{type(tokenizer).__name__} {words}\n".encode())
    _add(digest, model.state_dict())
    return digest.hexdigest()


def config_sha256(model: Any) -> str:
    """sha256 over the configuration of a model in memory."""
    return hashlib.sha256(_config(model)).hexdigest()


def tensors_sha256(tensors: Mapping[str, Any]) -> str:
    """sha256 over tensors and their names."""
    digest = hashlib.sha256()
    _add(digest, tensors)
    return digest.hexdigest()


def _config(model: Any) -> bytes:
    config = {key: value for key, value in model.config.to_dict().items() if not key.startswith("_")}
    return json.dumps(config, sort_keys=True, default=str).encode()


def _add(digest: Any, tensors: Mapping[str, Any]) -> None:
    import torch

    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
