"""Suite `flatness`: how fast the loss rises around the weights, and the largest Hessian eigenvalue there.

Random directions with the norms of the filters: Li et al., NeurIPS 2018, section 4. MATCH-TUNING (IJCAI 2022,
section 3.2, Figure 2) argues that it reaches flatter minima, without measuring them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.evaluation.gradients import batches, differentiable
from robusteval.methods.base import task_loss
from robusteval.models.encoding import Batch
from robusteval.results.rows import Note
from robusteval.runtime.generators import torch_generator
from robusteval.settings.checks import check_choice, check_range
from robusteval.settings.evaluation import EvalConfig
from robusteval.tasks.base import Examples
from robusteval.tasks.load import TaskData, sample

Tensors = Sequence[Tensor]


def normals(parameters: Tensors, *names: object) -> list[Tensor]:
    """Standard normal noise of the parameters' shapes; drawn on the CPU, so that every device sees the same."""
    generator = torch_generator(torch.device("cpu"), 0, "flatness", *names)
    return [torch.randn(parameter.shape, generator=generator).to(parameter) for parameter in parameters]


def filter_normalised(parameter: Tensor, noise: Tensor) -> Tensor:
    """`noise` with every filter scaled to the norm of the parameter's; 0 for biases and norms (1 axis or none).

    A filter is a slice along the first axis: the weights into one neuron, one token's embedding.
    """
    if parameter.ndim < 2:
        return torch.zeros_like(noise)
    wanted, found = (each.detach().flatten(1).norm(dim=1) for each in (parameter, noise))
    scale: Tensor = wanted / found.clamp(min=1e-30)
    return scale.view(-1, *[1] * (parameter.ndim - 1)) * noise


@torch.no_grad()
def line(parameters: Tensors, direction: Tensors, alphas: Iterable[float], loss: Callable[[], float]) -> list[float]:
    """The loss at theta + alpha d for every alpha; the parameters end bit for bit as they were."""
    before = [parameter.clone() for parameter in parameters]
    losses = []
    try:
        for alpha in alphas:
            for parameter, start, step in zip(parameters, before, direction, strict=True):
                parameter.copy_(start).add_(step, alpha=alpha)
            losses.append(loss())
    finally:
        for parameter, start in zip(parameters, before, strict=True):
            parameter.copy_(start)
    return losses


def hessian_vector(losses: Iterable[Tensor], parameters: Tensors, vector: Tensors) -> list[Tensor]:
    """H v for the Hessian H of the sum of the losses, by differentiating twice; all of the parameters' shapes.

    The losses may be made one by one: the graph of each is freed before the next.
    """
    product = [torch.zeros_like(parameter) for parameter in parameters]
    for loss in losses:
        gradient = torch.autograd.grad(loss, parameters, create_graph=True, allow_unused=True, materialize_grads=True)
        second = torch.autograd.grad(_dot(gradient, vector), parameters, allow_unused=True, materialize_grads=True)
        for total, part in zip(product, second, strict=True):
            total += part
    return product


class Eigenvalue(NamedTuple):
    """value: the Rayleigh quotient of the last vector; change: relative to the iteration before."""

    value: float
    change: float


def top_eigenvalue(
    product: Callable[[list[Tensor]], list[Tensor]], start: list[Tensor], iterations: int, tolerance: float
) -> Eigenvalue:
    """The eigenvalue largest in magnitude of the symmetric map `product`, by power iteration from `start`.

    Stops where the Rayleigh quotient moves by at most `tolerance`, relative to itself.
    """
    vector, value, change = start, math.nan, math.nan
    for _ in range(iterations):
        norm = _dot(vector, vector).sqrt()
        if norm == 0:
            return Eigenvalue(0.0, 0.0)
        vector = [part / norm for part in vector]
        image = product(vector)
        before, value = value, float(_dot(vector, image))
        change = abs(value - before) / max(abs(value), 1e-30)
        if change <= tolerance:
            break
        vector = image
    return Eigenvalue(value, change)


def _dot(left: Tensors, right: Tensors) -> Tensor:
    return torch.stack([(a * b).sum() for a, b in zip(left, right, strict=True)]).sum()


@dataclass(frozen=True)
class FlatnessSettings:
    """directions: random ones; radius: the farthest point, where noise has the norm of the weights at 1.

    points: loss values per direction, an odd number, 0 among them. rows: drawn once for all models.
    split: dev or train rows. power_iterations: most Hessian-vector products, 0 for no eigenvalue; tolerance: the
    relative change at which they stop. batch_size: rows that are differentiated at once.
    """

    directions: int = 3
    radius: float = 1.0
    points: int = 11
    rows: int = 256
    split: Literal["dev", "train"] = "dev"
    power_iterations: int = 20
    tolerance: float = 1e-2
    batch_size: int = 32

    def __post_init__(self) -> None:
        check_range("flatness:directions", self.directions, 1, 1000)
        check_range("flatness:radius", self.radius, 0, math.inf, open_low=True)
        check_range("flatness:points", self.points, 3, 1001)
        if self.points % 2 == 0:
            raise UserError(f"flatness:points: {self.points} is even; 0 must be the middle point of an odd number")
        check_range("flatness:rows", self.rows, 1, math.inf)
        check_choice("flatness:split", self.split, ("dev", "train"))
        check_range("flatness:power_iterations", self.power_iterations, 0, math.inf)
        check_range("flatness:tolerance", self.tolerance, 0, 1)
        check_range("flatness:batch_size", self.batch_size, 1, math.inf)


class Flatness(Suite[FlatnessSettings]):
    """The loss in evaluation mode, without dropout; the weights are put back bit for bit."""

    reads = ()
    Settings = FlatnessSettings

    def check(self, data: TaskData, tokenizer: Any, config: EvalConfig) -> list[str]:
        self._examples(data)
        return []

    def outline(self, data: TaskData, config: EvalConfig) -> str:
        return f"{len(self._examples(data))} {self.settings.split} rows, {self.settings.directions} directions"

    def run(self, subject: Subject) -> Iterator[Measurement]:
        settings, predictor, task = self.settings, subject.predictor, subject.data.task
        began = time.perf_counter()
        examples = self._examples(subject.data)
        held = list(batches(predictor, subject.encode(examples), settings.batch_size))
        parameters: list[nn.Parameter] = list(predictor.model.parameters())
        with differentiable(predictor.model, parameters):
            frame = self._lines(predictor.model, parameters, held)
            found = self._eigenvalue(predictor.model, parameters, held) if settings.power_iterations else None
        centre = float(frame["loss"][frame["alpha"] == 0].iloc[0])
        # not skipping NaN: a loss that is none at a point says that the highest is not known
        highest = frame.groupby("direction")["loss"].agg(lambda losses: losses.max(skipna=False))
        rises = tuple(float(each) - centre if math.isfinite(each) else math.nan for each in highest)
        metrics = {"loss": centre, "sharpness": float(np.mean(rises))}
        notes = [Note(f"mean of {settings.directions} directions", "test")]
        overflowed = int((~np.isfinite(frame["loss"])).sum())
        if overflowed:
            notes.append(Note(f"the loss is not finite at {overflowed} of {len(frame)} points: try a smaller radius"))
        if found is not None:
            metrics["top_eigenvalue"] = found.value
            if not math.isfinite(found.value):
                notes.append(Note("the eigenvalue is not finite"))
            elif not found.change <= settings.tolerance:
                moved = f"moved by {found.change:.1%} in the last of {settings.power_iterations} steps"
                notes.append(Note(f"the eigenvalue {moved}"))
        yield Measurement(
            self.name, "", task.train if settings.split == "train" else task.dev, metrics, len(examples),
            time.perf_counter() - began, tuple(notes), {"sharpness": rises}, frame,
        )  # fmt: skip

    def _examples(self, data: TaskData) -> Examples:
        rows = data.train if self.settings.split == "train" else data.dev
        if len(rows) == 0:
            raise UserError(
                "flatness:split: 'train' needs training rows, and a finished checkpoint has none; use 'dev'"
            )
        return sample(rows, self.settings.rows)

    def _lines(self, model: Any, parameters: list[nn.Parameter], held: list[Batch]) -> pd.DataFrame:
        """direction, alpha and loss; the loss at 0 is the same for all directions and computed once."""
        half = self.settings.points // 2
        alphas = self.settings.radius * np.arange(-half, half + 1) / half

        def loss() -> float:
            return float(torch.stack(list(_losses(model, held))).sum())

        with torch.no_grad():
            centre = loss()
        frames = []
        for number in range(self.settings.directions):
            noise = normals(parameters, number)
            direction = [filter_normalised(parameter, each) for parameter, each in zip(parameters, noise, strict=True)]
            around = line(parameters, direction, alphas[alphas != 0].tolist(), loss)
            losses = [*around[:half], centre, *around[half:]]
            frames.append(pd.DataFrame({"direction": number, "alpha": alphas, "loss": losses}))
        return pd.concat(frames, ignore_index=True)

    def _eigenvalue(self, model: Any, parameters: list[nn.Parameter], held: list[Batch]) -> Eigenvalue:
        # fused attention kernels cannot be differentiated twice
        with sdpa_kernel(SDPBackend.MATH):
            return top_eigenvalue(
                lambda vector: hessian_vector(_losses(model, held), parameters, vector),
                normals(parameters, "power"), self.settings.power_iterations, self.settings.tolerance,
            )  # fmt: skip


def _losses(model: Any, held: Sequence[Batch]) -> Iterator[Tensor]:
    """Each batch's share of the mean loss over all rows."""
    rows = sum(len(batch) for batch in held)
    for batch in held:
        yield task_loss(model(**batch.inputs).logits, batch.labels, "none").sum() / rows
