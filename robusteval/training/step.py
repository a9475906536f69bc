"""One optimizer step: from a batch to parameters that have moved. The trainer needs to know no more than `Step`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from robusteval.components.optimizers import learning_rate_at, set_learning_rate
from robusteval.methods.base import Context, Method
from robusteval.models.encoding import Batch
from robusteval.settings.train import TrainConfig
from robusteval.training.distributed import Group
from robusteval.training.precision import gradients_overflowed


class StepResult(NamedTuple):
    """loss: mean over the batch, detached; grad_norm: over all parameters, before clipping; logged: the method's own
    numbers. All scalar, on the device: reading them makes it wait. They are those of all processes."""

    loss: Tensor
    learning_rate: float
    grad_norm: Tensor
    logged: dict[str, Tensor]


class Step(Protocol):
    """How a batch moves the parameters."""

    def __call__(self, number: int, batch: Batch) -> StepResult:
        """Take step `number`, counted from 0 over the whole training, on a batch that lies on the device."""


@dataclass(frozen=True)
class EagerStep:
    """Operation after operation, as Python comes to them, with every hook of the method in its place.

    model, optimizer: as accelerate prepared them; parameters: all that the optimizer moves. group: the processes that
    share out each micro-batch among them.
    """

    model: Any
    optimizer: Any
    parameters: list[nn.Parameter]
    accelerator: Accelerator
    method: Method[Any]
    context: Context
    config: TrainConfig
    group: Group

    def __call__(self, number: int, batch: Batch) -> StepResult:
        context, method = self.context, self.method
        context.step = number
        loss = torch.zeros((), device=context.device)
        for micro in batch.split(self.config.accumulation):
            context.part = self.group.part(len(micro))
            context.share = len(micro) / len(batch)
            if context.part is not None:
                micro = micro.take(context.part.rows)
                context.share *= context.part.share
            loss += method.backward(self.model, micro) * context.share
        gradients = (parameter.grad for parameter in self.parameters if parameter.grad is not None)
        self.group.add([loss, *gradients, *method.apart()])
        self.accelerator.unscale_gradients(self.optimizer)
        context.overflowed = gradients_overflowed(self.accelerator, self.optimizer)
        context.learning_rate = learning_rate_at(number, context.total_steps, self.config, self.config.peak_rate)
        set_learning_rate(self.optimizer, context.learning_rate)
        method.before_step(number)
        limit = self.config.clip_norm if self.config.clip_norm > 0 else math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters, limit)
        self.optimizer.step()
        if not context.overflowed:
            method.after_step(number)
        self.optimizer.zero_grad()
        logged = self.group.mean(method.log(), context.part)
        context.part = None
        return StepResult(loss, context.learning_rate, norm, logged)
