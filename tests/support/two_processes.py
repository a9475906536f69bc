"""What two processes do together in test_distributed.py, all in one start."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robusteval.api import train
from robusteval.methods.base import Method, TrainingData
from robusteval.methods.compose import build_method
from robusteval.methods.vanilla import Vanilla
from robusteval.models.architectures import submodules
from robusteval.models.loading import LoadedModel
from robusteval.pipeline.followers import follow, led
from robusteval.runtime import stopping
from robusteval.settings.data import DataConfig
from robusteval.settings.runs import MethodConfig
from robusteval.training.distributed import group
from robusteval.training.state import load_state
from support import tiny
from support.fitting import differing, fit, weights
from support.processes import prepared

# 41 rows: every sixth batch has a single one, and so none for the second process
TWENTY = ["vanilla", "rdrop", "tdt:margin=2", "pats", "bidrop", "match"]
COUPLED = [
    "rdrop:ce_passes=first:ce_scale=0.5:alpha=0.7:kl_reduction=sum", "groupdro:eta=0.5", "match+groupdro:eta=0.5",
    "match:keep=negative+smart:ascent=sum", "tdt:hinge=batch:margin=0.1:mu0=gauss",
]  # fmt: skip
DRAWN = ["freelb", "smart:projection=unit", "cutoff:mode=span", "r3f:eps=0.01", "tdt-hard", "child-f"]
WEIGHED = ["child-d", "sage", "mixout:p=0.3:head_dropout=0"]
SHORT: dict[str, Any] = {"rows": 17, "max_steps": 4}


def disagreeing(loaded: LoadedModel) -> LoadedModel:
    """Two copies of a batch in one pass differ, as by dropout, but by nothing random."""
    loaded.model.unused = nn.Dropout(0.1)

    def halves(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        first, second = output.chunk(2)
        return torch.cat([first, 0.5 * second])

    submodules(loaded.model).word_embeddings.register_forward_hook(halves)
    return loaded


def fitted(text: str, folder: Path, **settings: Any) -> None:
    """Train without dropout; the losses are in the folder."""
    loaded = tiny.loaded(dropout=0.0)
    if text.startswith("rdrop"):
        loaded = disagreeing(loaded)
    given = {"rows": 41, "max_steps": 20, **settings}
    fit(text, loaded=loaded, folder=folder, dropout=0.0, **given)


def all_methods(folder: Path) -> None:
    """What both one process and two do."""
    for number, text in enumerate(TWENTY):
        fitted(text, folder / f"twenty-{number}")
    for number, text in enumerate(COUPLED + DRAWN + WEIGHED):
        fitted(text, folder / f"short-{number}", **SHORT)
    for text in ("bidrop", "groupdro"):
        fitted(text, folder / f"accumulated-{text}", rows=19, max_steps=3, accumulation=2)


def changed(text: str, after: Callable[[int, int], None]) -> Method[Any]:
    """The method, with after(process, step) at the end of each step."""
    method = build_method(MethodConfig.parse(text))
    own = method.after_step

    def both(step: int) -> None:
        own(step)
        after(group().rank, step)

    method.after_step = both  # type: ignore[method-assign]
    return method


def resumed(folder: Path) -> dict[str, Any]:
    """One process is asked to stop; with dropout, what goes on from there is as if nothing had been."""
    text, steps = "tdt:margin=2+pats", {"max_steps": 7}
    whole = weights(fit(text, folder=folder / "whole", **steps))

    def ask(rank: int, step: int) -> None:
        stopping._State.asked = rank == 1 and step == 3

    stopped = False
    try:
        fit(text, folder=folder / "parts", method=changed(text, ask), **steps)
    except KeyboardInterrupt:
        stopped = True
    stopping._State.asked = False
    saved = int(load_state(folder / "parts" / "state.safetensors")["step"])
    again = weights(fit(text, folder=folder / "parts", **steps))
    return {"stopped": stopped, "saved": saved, "differing": differing(whole, again), "sum": checksum(again)}


def checksum(values: dict[str, Tensor]) -> float:
    return float(sum(value.double().sum() for value in values.values()))


class Alone(Vanilla):
    @property
    def alone(self) -> str:
        return "it counts its rows itself"


class Breaking(Vanilla):
    def setup(self, model: Any, data: TrainingData) -> None:
        if group().rank == 1:
            raise ValueError("no room")


def error(function: Callable[[], Any]) -> str:
    """What a training ends with."""
    try:
        function()
    except Exception as raised:
        return f"{type(raised).__name__}: {raised}"
    return ""


def drifting() -> None:
    loaded = tiny.loaded()

    def drift(rank: int, step: int) -> None:
        with torch.no_grad():
            loaded.model.classifier.bias.add_(rank)

    fit("vanilla", loaded=loaded, method=changed("vanilla", drift), max_steps=2)


def unwritable(folder: Path) -> None:
    """Where the log should be there is a folder: the main process alone meets it."""
    if group().rank == 0:
        (folder / "train.jsonl").mkdir(parents=True)
    fit("vanilla", folder=folder, max_steps=2)


def by_command(folder: Path) -> Any:
    """The first process trains by the Python interface as a command does, the second follows."""
    if group().rank == 1:
        return follow()
    with led():
        trained = train(
            str(tiny.save(folder / "start")), "demo-sentiment", "match", out=folder / "out", max_length=32, max_steps=2,
            select="best", quiet=True, data=DataConfig(train_limit=20, eval_limit=8),
        )  # fmt: skip
        return trained.training.selected_step


def lose_one() -> str:
    """The second process is gone after its second step."""

    def die(rank: int, step: int) -> None:
        if rank == 1 and step == 1:
            os._exit(0)

    return error(lambda: fit("vanilla", method=changed("vanilla", die), max_steps=9))


def process(rank: int, port: int, folder: Path) -> None:
    """All of it, in one of two processes."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    stopping.begin_worker()
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", **where)
    torch.set_num_threads(1)
    all_methods(folder / "two")
    fitted("match:gather=false", folder / "two" / "apart", rows=40, max_steps=4)
    said = {
        "resumed": resumed(folder),
        "alone": error(lambda: fit("vanilla", method=Alone())),
        "breaking": error(lambda: fit("vanilla", method=Breaking())),
        "unwritable": error(lambda: unwritable(folder / "unwritable")),
        "drifting": error(drifting),
        "command": by_command(folder),
    }
    if rank == 0:
        said["lost"] = lose_one()
    (folder / f"said-{rank}.json").write_text(json.dumps(said))
    if rank == 1:
        lose_one()


def start(folder: Path) -> list[BaseProcess]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [prepared().Process(target=process, args=(rank, port, folder)) for rank in range(2)]
    for each in both:
        each.start()
    return both
