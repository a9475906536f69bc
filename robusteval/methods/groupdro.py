"""GroupDRO (Sagawa et al., ICLR 2020): minimise the worst group's loss, by weights that follow the losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from robusteval.methods.base import Method, TrainingData, task_loss
from robusteval.models.encoding import Batch
from robusteval.settings.checks import check_choice, check_range


def group_losses(losses: Tensor, groups: Tensor, count: int) -> Tensor:
    """Mean loss of each of `count` groups, 0 for one that is absent; losses and groups [B], result [count]."""
    member = (groups[None, :] == torch.arange(count, device=groups.device)[:, None]).to(losses.dtype)
    return member @ losses / member.sum(1).clamp(min=1)


def update_weights(q: Tensor, losses: Tensor, eta: float = 0.01) -> Tensor:
    """q_g exp(eta l_g), normalised (Algorithm 1); q and losses [G]. No gradient.

    >>> update_weights(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 2.0]))
    tensor([0.4975, 0.5025])
    """
    return (q.log() + eta * losses.detach()).softmax(0)


@dataclass(frozen=True)
class GroupDROSettings:
    """Defaults are the released code's.

    eta: step size of the group weights; 0 keeps them equal (a group-balanced mean).
    adjustment: C, adds C / sqrt(n_g) to the loss that the weights follow (n_g training rows of group g).
    groups: "auto" takes the task's groups where it has them, else the labels; "labels"; "none" is one group.
    """

    eta: float = 0.01
    adjustment: float = 0.0
    groups: Literal["auto", "labels", "none"] = "auto"

    def __post_init__(self) -> None:
        check_range("groupdro:eta", self.eta, 0, math.inf)
        check_range("groupdro:adjustment", self.adjustment, 0, math.inf)
        check_choice("groupdro:groups", self.groups, ("auto", "labels", "none"))


class GroupDRO(Method[GroupDROSettings]):
    """Weights the groups' mean losses by q, which moves with every mini-batch. 3F per step.

    A single group (groups=none, or scores without groups) is vanilla.
    """

    Settings = GroupDROSettings

    def setup(self, model: Any, data: TrainingData) -> None:
        self._own_groups = self.settings.groups == "auto" and data.encoded.groups is not None
        if self._own_groups:
            members = data.encoded.groups
        elif self.context.regression or self.settings.groups == "none":
            members = None
        else:
            members = np.asarray(data.encoded.labels)
        counts = np.bincount(members) if members is not None else np.ones(1)
        # a group that no training row belongs to never has a loss
        sizes = torch.as_tensor(np.maximum(counts, 1), dtype=torch.float32, device=self.context.device)
        self._adjustment = self.settings.adjustment / sizes.sqrt()
        self._q = torch.full_like(sizes, 1 / len(sizes))
        if len(sizes) == 1 and self.settings.groups != "none":
            self.notices.append(f"{self.name}: there is one group only, so this is vanilla fine-tuning")
        elif self.settings.groups == "auto" and not self._own_groups:
            self.notices.append(f"{self.name}: the scenario brings no groups, so the classes are the groups")
        if len(sizes) > 1 and data.config.accumulation > 1:
            self.notices.append(
                f"{self.name}: the group losses are those of a micro-batch, {data.config.accumulation} of which make a "
                "batch, and the group weights move with each"
            )

    def loss(self, model: Any, batch: Batch) -> Tensor:
        count = len(self._q)
        if count == 1:
            return super().loss(model, batch)
        groups = batch.groups if self._own_groups and batch.groups is not None else batch.labels
        losses = task_loss(self.logits(model, batch.inputs, batch.labels), batch.labels, "none")
        # a group's mean runs over its rows in all processes
        means = group_losses(self.context.gather(losses), self.context.gather(groups), count)
        self._q = update_weights(self._q, means + self._adjustment, self.settings.eta)
        self.logged = {"worst_group_loss": means.detach().max(), "worst_group_weight": self._q.max()}
        return self._q @ means

    def state_dict(self) -> dict[str, Any]:
        return {"q": self._q}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._q = state["q"].to(self.context.device)
