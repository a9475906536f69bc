"""Cutoff (Shen et al., 2020): predict alike when tokens, a span or features are cut out of the embeddings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from robusteval.components.divergence import jensen_shannon
from robusteval.components.embeddings import edit_embeddings, repeated, token_rank
from robusteval.methods.base import Method, TrainingData, task_loss
from robusteval.models.encoding import Batch
from robusteval.settings.checks import check_choice, check_range


def cut_count(lengths: Tensor, ratio: float, *, at_least_one: bool = True) -> Tensor:
    """Tokens to cut of each row: int(length * ratio), at least one unless the ratio is 0; lengths [B], result [B].

    >>> cut_count(torch.tensor([11, 25]), 0.1)
    tensor([1, 2])
    """
    # the small addend undoes binary rounding: 30 * 0.1 must not become 2
    return (lengths * ratio + 1e-6).long().clamp(min=1 if at_least_one and ratio > 0 else 0)


def cut_tokens(draws: Tensor, eligible: Tensor, counts: Tensor, *, replacement: bool = False) -> Tensor:
    """Which tokens are cut: counts[b] distinct eligible ones [B, L]; draws: uniform numbers [B, N], one a token.

    replacement: draw indices with replacement (released code), so that fewer tokens may be cut.
    """
    rank = token_rank(eligible)
    if replacement:
        drawn = (draws * eligible.sum(1, keepdim=True)).long()
        used = torch.arange(draws.shape[1], device=draws.device) < counts[:, None]
        return ((rank[:, :, None] == drawn[:, None, :]) & used[:, None, :]).any(-1) & eligible
    score = draws.gather(1, rank.clamp(max=draws.shape[1] - 1)).masked_fill(~eligible, math.inf)
    return (score.argsort(1).argsort(1) < counts[:, None]) & eligible


def cut_span(draws: Tensor, eligible: Tensor, counts: Tensor, *, spare_last: bool = False) -> Tensor:
    """counts[b] neighbouring eligible tokens [B, L]; draws: uniform numbers [B] that place the span.

    Of n eligible tokens and c to cut, it starts at 0 to n - c, or with `spare_last` to n - c - 1 (released code).
    """
    rank, total = token_rank(eligible), eligible.sum(1)
    places = total - counts + (0 if spare_last else 1)
    start = (draws * places.clamp(min=1)).long()[:, None]
    return (rank >= start) & (rank < start + counts[:, None]) & eligible


@dataclass(frozen=True)
class CutoffSettings:
    """Defaults are the paper's formula; where the released code deviates, a setting says so.

    mode: cut single tokens, one span, or feature columns; ratio: share that is cut.
    ce_weight, js_weight: weights of the cut copy's loss and of the divergence.
    js: "true", or "code" with the arguments of the KL swapped.
    protect_special: never cut [CLS] and [SEP]; the code may.
    replacement: draw token indices with replacement, as the code does.
    at_least_one: cut one token of short texts too; the code leaves texts under 1 / ratio tokens uncut.
    spare_last: a span never reaches the last token, as in the code.
    clean_ce: keep the clean copy's loss; the code's token mode drops it.
    """

    mode: Literal["token", "span", "dim"] = "token"
    ratio: float = 0.1
    ce_weight: float = 1.0
    js_weight: float = 1.0
    js: Literal["true", "code"] = "true"
    protect_special: bool = True
    replacement: bool = False
    at_least_one: bool = True
    clean_ce: bool = True
    spare_last: bool = False

    def __post_init__(self) -> None:
        check_choice("cutoff:mode", self.mode, ("token", "span", "dim"))
        check_range("cutoff:ratio", self.ratio, 0, 1)
        check_range("cutoff:ce_weight", self.ce_weight, 0, math.inf)
        check_range("cutoff:js_weight", self.js_weight, 0, math.inf)
        check_choice("cutoff:js", self.js, ("true", "code"))


class Cutoff(Method[CutoffSettings]):
    """Clean and cut copies go through the model as one batch. 6F per step; no divergence for regression."""

    Settings = CutoffSettings

    def setup(self, model: Any, data: TrainingData) -> None:
        self._longest = int(data.encoded.lengths.max())

    def loss(self, model: Any, batch: Batch) -> Tensor:
        settings = self.settings
        js_weight = 0.0 if self.context.regression else settings.js_weight
        if settings.ce_weight == 0 and js_weight == 0:
            return super().loss(model, batch)
        inputs = repeated(batch.inputs, 2)
        cut = None if settings.mode == "dim" else self._cut(batch)
        if cut is not None:
            attention = batch.inputs["attention_mask"]
            inputs["attention_mask"] = torch.cat([attention, attention.masked_fill(cut, 0)])

        def edit(e: Tensor) -> Tensor:
            first, second = e.chunk(2)
            gone = cut[:, :, None] if cut is not None else self._cut_columns(second)
            return torch.cat([first, second.masked_fill(gone, 0)])

        with edit_embeddings(model, edit, words=False):
            clean, other = self.logits(model, inputs, batch.labels, branches=2).chunk(2)
        loss = settings.ce_weight * task_loss(other, batch.labels)
        if settings.clean_ce:
            loss = task_loss(clean, batch.labels) + loss
        if js_weight:
            loss = loss + js_weight * jensen_shannon(clean, other, reverse=settings.js == "code").mean()
        return loss

    def _cut(self, batch: Batch) -> Tensor:
        """The cut tokens [B, L]; draws do not depend on the padding."""
        settings, real = self.settings, batch.inputs["attention_mask"].bool()
        eligible = ~batch.special if settings.protect_special else real
        counts = cut_count(real.sum(1), settings.ratio, at_least_one=settings.at_least_one)
        if settings.mode == "span":
            return cut_span(self._uniform(len(batch)), eligible, counts, spare_last=settings.spare_last)
        draws = self._uniform(len(batch), self._longest)
        return cut_tokens(draws, eligible, counts, replacement=settings.replacement)

    def _cut_columns(self, e: Tensor) -> Tensor:
        """The cut feature columns [B, 1, d], others for each example."""
        width = e.shape[-1]
        columns = torch.ones(len(e), width, dtype=torch.bool, device=e.device)
        counts = cut_count(columns.sum(1), self.settings.ratio, at_least_one=self.settings.at_least_one)
        draws = self._uniform(len(e), width)
        return cut_tokens(draws, columns, counts, replacement=self.settings.replacement)[:, None, :]

    def _uniform(self, rows: int, *shape: int) -> Tensor:
        device = self.context.device
        return self.context.drawn(rows, lambda rows: torch.rand(rows, *shape, generator=self.generator, device=device))
