"""ChildTuning (Xu et al., EMNLP 2021): update a part of the network, drawn by lot (F) or chosen by Fisher (D)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from robusteval.components.kth_largest import kth_largest, percentile_count
from robusteval.components.masks import Keeper, byte_rate, random_mask
from robusteval.components.optimizers import make_optimizer
from robusteval.components.parameters import block_parameters
from robusteval.components.update_rules import overflowed
from robusteval.methods.base import Method, Shared, TrainingData
from robusteval.models.encoding import Batch
from robusteval.models.hashes import config_sha256, tensors_sha256
from robusteval.runtime.generators import forked
from robusteval.runtime.seeds import derive
from robusteval.settings.checks import check_choice, check_range
from robusteval.settings.train import TrainConfig


def drop_gradient(gradient: Tensor, p: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """ChildTuning-F: (g M / p, M) with M ~ Bernoulli(p), fresh for every entry; the mean of g M / p is g.

    The rate in use is the nearest multiple of 1/256, in mask and divisor alike.
    """
    mask = random_mask(gradient.shape, p, generator)
    return gradient * mask / byte_rate(p), mask


def fisher_mask(fisher: Sequence[Tensor], keep: float) -> list[Tensor]:
    """ChildTuning-D: True where F >= its percentile 100 (1 - keep) over all tensors together.

    fisher: summed squared gradients (Bi-Drop's Eq. 2), one per tensor. The released code keeps ties (>=),
    Bi-Drop's Eq. 3 does not.

    >>> fisher_mask([torch.tensor([1.0, 2.0, 3.0, 4.0])], 0.5)
    [tensor([False, False,  True,  True])]
    """
    threshold = kth_largest(fisher, percentile_count(sum(f.numel() for f in fisher), keep))
    return [f >= threshold for f in fisher]


@dataclass(frozen=True)
class ChildFSettings:
    """p: probability that an entry's gradient is kept. mask_scope: "update" also holds off momentum and decay.

    mask_before_clip: false clips the whole gradient and masks then, inside the optimizer (released code).
    """

    p: float = 0.3
    mask_scope: Literal["grad", "update"] = "grad"
    mask_before_clip: bool = True

    def __post_init__(self) -> None:
        check_range("child-f:p", self.p, 0, 1, open_low=True)
        check_choice("child-f:mask_scope", self.mask_scope, ("grad", "update"))


class ChildF(Method[ChildFSettings]):
    """A random sub-network every step, over all parameters. 3F per step and a random byte per parameter."""

    Settings = ChildFSettings

    def claims(self) -> frozenset[str]:
        unused = {"optimizer" if self.settings.mask_before_clip else "before_step"}
        return super().claims() - unused - ({"after_step"} if self.settings.mask_scope == "grad" else set())

    def setup(self, model: Any, data: TrainingData) -> None:
        self._modules = (model, self.root.modules)
        self._keeper = Keeper()
        self._masked = -1

    def before_step(self, step: int) -> None:
        if self.settings.mask_before_clip:
            self._mask()

    def optimizer(self, groups: list[dict[str, Any]], config: TrainConfig) -> torch.optim.Optimizer:
        """The plain one, with the mask between clipping and its step."""
        optimizer: torch.optim.Optimizer = make_optimizer(groups, config, self.context.device)

        def mask(optimizer: torch.optim.Optimizer, *_: Any) -> None:
            # a subclass of a torch optimizer may run its hooks twice in a step
            if not overflowed(optimizer) and self._masked != self.context.step:
                self._masked = self.context.step
                self._mask()

        optimizer.register_step_pre_hook(mask)
        return optimizer

    @torch.no_grad()
    def _mask(self) -> None:
        if self.settings.p == 1:
            return
        self._keeper.clear()
        for module in self._modules:
            for parameter in module.parameters():
                if parameter.grad is None:
                    continue
                kept, mask = drop_gradient(parameter.grad, self.settings.p, self.generator)
                parameter.grad.copy_(kept)
                if self.settings.mask_scope == "update":
                    self._keeper.hold(parameter, mask)

    def after_step(self, step: int) -> None:
        self._keeper.restore()


@dataclass(frozen=True)
class ChildDSettings:
    """p: share of the encoder blocks' weights that are trained; embeddings, pooler and head always are.

    fisher: squares the gradient of a mini-batch's mean loss (released code) or of each example (Bi-Drop's
        Eq. 2; one backward pass per example).
    fisher_train_mode: dropout is on while it is measured (released code).
    max_examples: measure on the first so many training examples, None for all.
    clip_per_tensor: clip each tensor's gradient norm first (released code).
    decay_masked: weight decay also shrinks the weights that are not trained (released code). The mask never
        changes, so decay is all that could move them.
    """

    p: float = 0.3
    fisher: Literal["batch", "per_example"] = "batch"
    fisher_train_mode: bool = True
    max_examples: int | None = None
    clip_per_tensor: bool = False
    decay_masked: bool = False

    def __post_init__(self) -> None:
        check_range("child-d:p", self.p, 0, 1, open_low=True)
        check_choice("child-d:fisher", self.fisher, ("batch", "per_example"))
        if self.max_examples is not None:
            check_range("child-d:max_examples", self.max_examples, 1, math.inf)


class ChildD(Method[ChildDSettings]):
    """A fixed sub-network chosen before training. 3F per step, one more epoch, one byte per parameter."""

    Settings = ChildDSettings

    def claims(self) -> frozenset[str]:
        return super().claims() - ({"after_step"} if self.settings.decay_masked else frozenset())

    def setup(self, model: Any, data: TrainingData) -> None:
        self._keeper = Keeper()
        self._targets: list[tuple[str, nn.Parameter]] = []
        self._masks: dict[str, Tensor] = {}
        self._held = False
        if self.settings.p == 1:
            return
        # of a composition, what the parts set up before this one have frozen is no part of the network to choose from
        self._targets = [(name, parameter) for name, parameter in block_parameters(model) if parameter.requires_grad]
        if not self._targets:
            return
        (shared,) = self.shared(data.config, self.context.seed)
        made = self.root.once(shared, lambda: self._given(model, data), lambda: self._measure(model, data))
        fisher = [each.to(parameter.device) for each, (_, parameter) in zip(made, self._targets, strict=True)]
        masks = fisher_mask(fisher, self.settings.p)
        self._masks = {name: mask for (name, _), mask in zip(self._targets, masks, strict=True)}

    def shared(self, config: TrainConfig, seed: int) -> tuple[Shared, ...]:
        if self.settings.p == 1:
            return ()
        settings = dataclasses.asdict(self.settings)
        del settings["p"], settings["decay_masked"]  # what is measured does not depend on them
        return (Shared.of("fisher", settings, config, seed, labels=True),)

    def _given(self, model: Any, data: TrainingData) -> list[Any]:
        """All that decides what is measured on a model, beside settings."""
        others = [] if self.root is self else self.root.identity()
        state = {**model.state_dict(), **self.root.modules.state_dict(prefix="method.")}
        names = [name for name, _ in self._targets]
        return [config_sha256(model), tensors_sha256(state), data.encoded.fingerprint(), names, others]

    def _measure(self, model: Any, data: TrainingData) -> list[Tensor]:
        """Summed squared gradients of each target."""
        settings, training = self.settings, model.training
        fisher = [torch.zeros_like(parameter) for _, parameter in self._targets]
        seen = 0
        # the dropout of this epoch must not shift the dropout of training
        with forked(self.context.device, derive(self.context.seed, self.name, "fisher")):
            model.train(settings.fisher_train_mode)
            for batch in data.batches(0):
                for part in self._parts(batch, seen):
                    model.zero_grad(set_to_none=True)
                    torch.autograd.backward(Method.loss(self, model, part))
                    self._add_squares(fisher, data.config.clip_norm or 1.0)
                seen += len(batch)
                if settings.max_examples is not None and seen >= settings.max_examples:
                    break
        model.zero_grad(set_to_none=True)
        self.root.modules.zero_grad(set_to_none=True)
        model.train(training)
        return fisher

    def _parts(self, batch: Batch, seen: int) -> list[Batch]:
        """The mini-batch, cut off at `max_examples`, whole or in single examples."""
        limit = self.settings.max_examples
        rows = len(batch) if limit is None else min(len(batch), limit - seen)
        if self.settings.fisher == "batch" and rows == len(batch):
            return [batch]
        single = list(batch.split(len(batch)))[:rows]
        if self.settings.fisher == "per_example":
            return single
        inputs = {name: tensor[:rows] for name, tensor in batch.inputs.items()}
        groups = batch.groups[:rows] if batch.groups is not None else None
        return [Batch(inputs, batch.labels[:rows], batch.special[:rows], groups)]

    def _add_squares(self, fisher: list[Tensor], limit: float) -> None:
        for total, (_, parameter) in zip(fisher, self._targets, strict=True):
            gradient = parameter.grad
            if gradient is None:
                continue
            if self.settings.clip_per_tensor:
                gradient = gradient * (limit / (gradient.norm() + 1e-6)).clamp(max=1)
            total.addcmul_(gradient, gradient)

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        # not in setup: methods set up later may still move the weights. Once is enough, since what is held never moves
        hold, self._held = not self._held and not self.settings.decay_masked, True
        for name, parameter in self._targets:
            if parameter.grad is not None:
                parameter.grad *= self._masks[name]
            if hold and parameter.requires_grad:
                self._keeper.hold(parameter, self._masks[name])

    def after_step(self, step: int) -> None:
        self._keeper.restore()

    def state_dict(self) -> dict[str, Any]:
        return {"masks": self._masks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name, mask in state["masks"].items():
            self._masks[name].copy_(mask)
