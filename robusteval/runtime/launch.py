"""What torchrun or `accelerate launch` tells the processes that it starts; imports no torch."""

from __future__ import annotations

import os

from robusteval.errors import UserError

# What shares out one model over processes. Here, each process holds all of it.
SHARDED = ("DEEPSPEED", "FSDP", "MEGATRON_LM")


def launched() -> int:
    """How many processes were started together, 1 where none were; UserError where this cannot be told."""
    return _number("WORLD_SIZE", 1) if "RANK" in os.environ else 1


def place() -> int:
    """Which of them this one is, counted from 0, which is the main process."""
    return _number("RANK", 0) if launched() > 1 else 0


def local_place() -> int:
    """Which one it is on its machine: the number of its GPU."""
    return _number("LOCAL_RANK", 0)


def check_launch(device: str, workers: int = 1, engine: str = "local") -> None:
    """Raise UserError for what cannot go with several processes that train one model."""
    count = launched()
    if count == 1:
        return
    for name in SHARDED:
        if os.environ.get(f"ACCELERATE_USE_{name}", "").lower() in ("1", "true"):
            raise UserError(f"launch: {name} divides one model among processes; here each has all of it (multi-GPU)")
    if workers > 1:
        raise UserError(
            f"workers: {workers} cannot go with {count} processes that train one model together; give 1, or start "
            "one process"
        )
    if engine != "local":
        raise UserError(
            f"engine: {engine!r} cannot go with {count} processes that train one model together; start one process"
        )
    if device not in ("auto", "cpu", "cuda"):
        raise UserError(f"device: {device!r} cannot go with {count} processes, each on its own; valid: auto, cpu, cuda")


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise UserError(f"{name}: {text!r} is no number; the launcher sets this variable of the environment")
    return int(text)
