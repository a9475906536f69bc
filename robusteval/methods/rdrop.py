"""R-Drop (Liang et al., NeurIPS 2021): two dropout masks must give the same prediction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from robusteval.components.divergence import symmetric_kl
from robusteval.components.embeddings import repeated
from robusteval.methods.base import Method, TrainingData, task_loss
from robusteval.models.dropout import has_dropout
from robusteval.models.encoding import Batch
from robusteval.settings.checks import check_choice, check_range


def r_drop_loss(
    first: Tensor,
    second: Tensor,
    labels: Tensor,
    alpha: float = 1.0,
    *,
    ce_scale: float = 1.0,
    ce_passes: str = "both",
    kl_reduction: str = "mean",
) -> Tensor:
    """L = CE1 + CE2 + alpha / 2 * [KL(p1 || p2) + KL(p2 || p1)]; logits [B, K] of two dropout masks.

    For scores, MSE1 + MSE2 + alpha * MSE(y1, y2) (released code for BERT). ce_scale multiplies the first two terms,
    of which ce_passes "first" leaves out the second; kl_reduction "sum" does not divide the divergence by the batch
    size.

    >>> r_drop_loss(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2), torch.tensor([0]))
    tensor(1.1219)
    """
    task = ce_scale * task_loss(first, labels)
    if ce_passes == "both":
        task = task + ce_scale * task_loss(second, labels)
    if labels.is_floating_point():
        distance = (first.float() - second.float()).squeeze(-1).square()
    else:
        distance = 0.5 * symmetric_kl(first, second)
    return task + alpha * (distance.sum() if kl_reduction == "sum" else distance.mean())


@dataclass(frozen=True)
class RDropSettings:
    """Defaults are the paper's formula.

    alpha: weight of the divergence (released code: 0.5 for BERT, 0.7 for RoBERTa, both with kl_reduction "sum").
    ce_scale: 0.5 is the released README's form, with the step size of vanilla.
    ce_passes: "first" takes the task loss of one pass only; with ce_scale 0.5, alpha 0.7 and kl_reduction "sum" (for
        scores alpha 0.8 and "mean") it is the released code for RoBERTa.
    kl_reduction: "sum" over the batch, while the task loss stays a mean (released code); alpha is then B times as
        strong.
    """

    alpha: float = 1.0
    ce_scale: float = 1.0
    ce_passes: Literal["both", "first"] = "both"
    kl_reduction: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        check_range("rdrop:alpha", self.alpha, 0, math.inf)
        check_range("rdrop:ce_scale", self.ce_scale, 0, math.inf, open_low=True)
        check_choice("rdrop:ce_passes", self.ce_passes, ("both", "first"))
        check_choice("rdrop:kl_reduction", self.kl_reduction, ("mean", "sum"))


class RDrop(Method[RDropSettings]):
    """Both copies go through the model as one batch of 2B with independent dropout. 6F per step."""

    Settings = RDropSettings

    def setup(self, model: Any, data: TrainingData) -> None:
        self._random: bool | None = None
        if data.config.accumulation > 1 and self.settings.kl_reduction == "sum" and self.settings.alpha > 0:
            self.notices.append(
                f"{self.name}: the divergence is summed over a micro-batch, {data.config.accumulation} of which make a "
                "batch, and so weaker than without accumulation"
            )

    def loss(self, model: Any, batch: Batch) -> Tensor:
        settings = self.settings
        if self._random is None:
            # not in setup: a method set up later may still change the dropout, as Mixout does
            self._random = has_dropout(model)
            if not self._random:
                self.late_notice(f"{self.name}: the model has no dropout, so both passes agree and one is run")
        if not self._random:
            passes = 2 if settings.ce_passes == "both" else 1
            return passes * settings.ce_scale * super().loss(model, batch)
        first, second = self.logits(model, repeated(batch.inputs, 2), batch.labels, branches=2).chunk(2)
        labels = batch.labels
        if settings.kl_reduction == "sum":
            # over all rows of the micro-batch, be they here or in another process
            first, second, labels = (self.context.gather(each) for each in (first, second, labels))
        return r_drop_loss(
            first,
            second,
            labels,
            settings.alpha,
            ce_scale=settings.ce_scale,
            ce_passes=settings.ce_passes,
            kl_reduction=settings.kl_reduction,
        )
