"""R3F (Aghajanyan et al., ICLR 2021): predictions must not change under tiny noise on the word embeddings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from robusteval.components.divergence import symmetric_kl
from robusteval.components.embeddings import edit_embeddings, per_token, repeated
from robusteval.methods.base import Method, TrainingData, task_loss
from robusteval.models.encoding import Batch
from robusteval.runtime.generators import forked
from robusteval.settings.checks import check_choice, check_range


def r3f_loss(clean: Tensor, noised: Tensor, labels: Tensor, weight: float = 1.0) -> Tensor:
    """L = CE(f(e)) + weight * mean_b [KL(p || p') + KL(p' || p)]; logits [B, K] of the clean and the noised pass.

    Both logits carry gradient (released code, fairseq examples/rxf).
    """
    return task_loss(clean, labels) + weight * symmetric_kl(clean, noised).mean()


@dataclass(frozen=True)
class R3FSettings:
    """Defaults are the released code's.

    weight: lambda on the symmetric KL; eps: half width of the uniform noise, or its deviation if normal.
    shared_dropout: the same dropout masks in both passes, so that the noise alone is measured. In the released
        code they differ, and at eps 1e-5 the KL is almost entirely dropout disagreement.
    every: regularise each r-th optimizer step only, 3F (1 + 1/r) on average.
    """

    weight: float = 1.0
    eps: float = 1e-5
    distribution: Literal["uniform", "normal"] = "uniform"
    shared_dropout: bool = False
    every: int = 1

    def __post_init__(self) -> None:
        check_range("r3f:weight", self.weight, 0, math.inf)
        check_range("r3f:eps", self.eps, 0, math.inf)
        check_choice("r3f:distribution", self.distribution, ("uniform", "normal"))
        check_range("r3f:every", self.every, 1, math.inf)


class R3F(Method[R3FSettings]):
    """Clean and noised copies go through the model as one batch. 6F per step; vanilla for regression."""

    Settings = R3FSettings

    def setup(self, model: Any, data: TrainingData) -> None:
        self._longest = int(data.encoded.lengths.max())

    def loss(self, model: Any, batch: Batch) -> Tensor:
        # steps, not passes: all micro-batches and all passes of one step are treated alike
        skipped = (self.context.step + 1) % self.settings.every != 0
        if skipped or self.settings.weight == 0 or self.context.regression:
            return super().loss(model, batch)
        mask = batch.inputs["attention_mask"].bool()

        def noised(e: Tensor) -> Tensor:
            # the clean embedding is a constant of the noised pass, as in the released code
            noise = self.context.drawn(len(batch), lambda rows: self._noise(rows, e))
            return e.detach() + per_token(noise, mask)

        def both(e: Tensor) -> Tensor:
            first, second = e.chunk(2)
            return torch.cat([first, noised(second)])

        if self.settings.shared_dropout:
            with forked(self.context.device):
                first = self.logits(model, batch.inputs, batch.labels)
            with edit_embeddings(model, noised, words=True):
                second = self.logits(model, batch.inputs, batch.labels)
        else:
            with edit_embeddings(model, both, words=True):
                first, second = self.logits(model, repeated(batch.inputs, 2), batch.labels, branches=2).chunk(2)
        return r3f_loss(first, second, batch.labels, self.settings.weight)

    def _noise(self, rows: int, e: Tensor) -> Tensor:
        noise = torch.empty(rows, self._longest, e.shape[-1], device=e.device)
        if self.settings.distribution == "normal":
            return noise.normal_(0, self.settings.eps, generator=self.generator)
        return noise.uniform_(-self.settings.eps, self.settings.eps, generator=self.generator)
