"""MATCH-TUNING (Tong et al., IJCAI 2022): each example is predicted from a mixture of its in-batch neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from robusteval.errors import UserError
from robusteval.methods.base import Method, TrainingData
from robusteval.settings.checks import check_choice, check_range


def matching_matrix(
    h: Tensor, temperature: float = 1.0, mask: Tensor | None = None, *, renormalize: bool = False
) -> Tensor:
    """The matching matrix M = softmax(h hᵀ / temperature) (Eq. 2) [B, B], rows over in-batch neighbours.

    h: representations [B, d]. mask: weights multiplied onto M [B, B] (Section 5.1); rows then no longer sum
    to 1, unless `renormalize` applies the mask before the softmax. Computed in fp32.
    """
    with fp32(h):
        similarity = h.float() @ h.float().T / temperature
    if mask is not None and renormalize:
        # a row that may keep nobody keeps itself: a softmax over nothing is not a number
        alone = (mask == 0).all(dim=-1, keepdim=True) & torch.eye(len(h), dtype=torch.bool, device=h.device)
        similarity = similarity.masked_fill((mask == 0) & ~alone, -math.inf)
    matrix = similarity.softmax(dim=-1)
    if mask is not None and not renormalize:
        matrix = matrix * mask
    return matrix


def composite(h: Tensor, temperature: float = 1.0, mask: Tensor | None = None) -> Tensor:
    """The composite representations z = M h (Eq. 3) [B, d], with M from `matching_matrix`.

    >>> composite(torch.eye(2))[0]
    tensor([0.7311, 0.2689])
    """
    return mix(matching_matrix(h, temperature, mask), h)


def mix(matrix: Tensor, h: Tensor) -> Tensor:
    """M h in fp32, in the type of h [B, d]."""
    with fp32(h):
        return (matrix.float() @ h.float()).to(h.dtype)


def fp32(h: Tensor) -> torch.autocast:
    """Mixed precision off: autocast would multiply in half precision whatever the type of the operands."""
    return torch.autocast(h.device.type, enabled=False)


def neighbour_mask(labels: Tensor, keep: str, *, keep_self: bool = True, literal: bool = False) -> Tensor | None:
    """The mask on M for keep = "all" (None), "positive" or "negative" neighbours [B, B].

    With A[i, j] = 1 where labels agree (Eq. 5): positive is A. Negative is 1 - A plus the diagonal
    (`keep_self`), since without oneself a binary task is trained label-flipped; `literal` is the printed
    (I - A), which has negative weights.
    """
    if keep == "all":
        return None
    same = (labels[:, None] == labels[None, :]).float()
    identity = torch.eye(len(labels), device=labels.device)
    if keep == "positive":
        return same
    if literal:
        return identity - same
    return 1 - same + identity if keep_self else 1 - same


@dataclass(frozen=True)
class MatchSettings:
    """Defaults are Eq. 2-4; the released code is pre_act=true with eval=batch.

    temperature: divides the similarities (paper's appendix: 1 to 6).
    keep: neighbours that take part: all, positive (same label) or negative (other labels).
    keep_self, literal, renormalize: readings of the masked variants, see `neighbour_mask`.
    eval: "self" predicts from h alone; "batch" mixes at evaluation too, so that predictions depend on batch mates:
        each `batch_size` of the training, in the order of the rows (released code; not part of a saved checkpoint).
    pre_act: the representation is the dense layer's output without its activation (released code).
    scale: "sqrt_d" also divides similarities by the square root of the width.
    detach_matrix: no gradient through M.
    gather: where several processes train, examples are matched over all of the batch, as in one process; "false"
        matches those of each process among themselves, as if the batch were that small.
    """

    temperature: float = 1.0
    keep: Literal["all", "positive", "negative"] = "all"
    keep_self: bool = True
    literal: bool = False
    renormalize: bool = False
    eval: Literal["self", "batch"] = "self"
    pre_act: bool = False
    scale: Literal["none", "sqrt_d"] = "none"
    detach_matrix: bool = False
    gather: bool = True

    def __post_init__(self) -> None:
        check_range("match:temperature", self.temperature, 0, math.inf, open_low=True)
        check_choice("match:keep", self.keep, ("all", "positive", "negative"))
        check_choice("match:eval", self.eval, ("self", "batch"))
        check_choice("match:scale", self.scale, ("none", "sqrt_d"))
        if self.literal and self.renormalize:
            raise UserError("match:renormalize: true cannot go with literal=true, whose weights are negative")


def mass_warning(mass_self: float, batch_size: int) -> str | None:
    """What the mass on oneself at the start of training foretells; None where it is in a useful range."""
    if batch_size > 1 and abs(mass_self * batch_size - 1) <= 0.2:
        return (
            f"match: the mass on oneself starts at {mass_self:.3f}, within 20 % of 1/{batch_size}: the composite is "
            "almost the batch mean, and training may collapse to the majority class (try a lower temperature)"
        )
    if mass_self > 0.999:
        return (
            f"match: the mass on oneself starts at {mass_self:.5f}: the composite is the representation itself and "
            "the method has no effect (try a higher temperature)"
        )
    return None


class Match(Method[MatchSettings]):
    """Replaces the pooled vector by its composite while training. 3F per step, one B x B matrix."""

    Settings = MatchSettings

    @property
    def remedies(self) -> tuple[str, ...]:
        return ("match:temperature=0.1",) if self.settings.temperature > 0.1 else ()

    @property
    def plain_at_evaluation(self) -> bool:
        return self.settings.eval == "self" and not self.settings.pre_act

    @property
    def mixes_at_evaluation(self) -> bool:
        return self.settings.eval == "batch"

    def setup(self, model: Any, data: TrainingData) -> None:
        """Look at the matrix of one batch: its scale decides whether the method can act at all."""
        if data.config.accumulation > 1:
            self.notices.append(
                f"match: examples are matched within a micro-batch, {data.config.accumulation} of which make a batch"
            )
        apart = 1 if self.settings.gather else self.context.processes
        if apart > 1:
            self.notices.append(
                f"match: examples are matched within each process's share of a batch, of which there are {apart}"
            )
        batch = next(data.batches(0), None)
        # as many rows as are matched with each other
        batch = next(batch.split(data.config.accumulation * apart)) if batch is not None else None
        if batch is None or len(batch) < 2:
            return
        training = model.training
        with torch.no_grad():
            self.logits(model.eval(), batch.inputs, batch.labels)
        model.train(training)
        warning = mass_warning(float(self.logged["mass_self"]), len(batch))
        if warning:
            self.notices.append(warning)

    def representation(self, h: Tensor, dense: Tensor) -> Tensor:
        """z = M h per branch: concatenated copies of a mini-batch each build their own matrix."""
        if self.settings.pre_act:
            h = dense
        labels = self.context.labels
        if labels is None:
            # no loss is being computed: an evaluation pass
            return self._compose(h, None) if self.settings.eval == "batch" else h
        part = self.context.part
        if part is None or not self.settings.gather:
            return torch.cat([self._compose(each, labels) for each in h.chunk(self.context.branches)])
        labels = self.context.gather(labels)
        whole = [self._compose(self.context.gather(each), labels) for each in h.chunk(self.context.branches)]
        return torch.cat([each[part.rows] for each in whole])

    def _compose(self, h: Tensor, labels: Tensor | None) -> Tensor:
        settings = self.settings
        temperature = settings.temperature
        if settings.scale == "sqrt_d":
            temperature *= math.sqrt(h.shape[-1])
        masked = labels is not None and not self.context.regression
        mask = (
            neighbour_mask(labels, settings.keep, keep_self=settings.keep_self, literal=settings.literal)
            if masked and labels is not None
            else None
        )
        matrix = matching_matrix(h, temperature, mask, renormalize=settings.renormalize)
        if settings.detach_matrix:
            matrix = matrix.detach()
        if labels is not None:
            self._log_mass(matrix.detach(), labels)
        return mix(matrix, h)

    def _log_mass(self, matrix: Tensor, labels: Tensor) -> None:
        """Mean mass on oneself, on others of the same label and on other labels (the paper's Figure 3)."""
        total = matrix.shape[0]
        itself = matrix.diagonal().sum() / total
        same = (matrix * (labels[:, None] == labels[None, :])).sum() / total
        self.logged = {
            "mass_self": itself,
            "mass_same": same - itself,
            "mass_other": matrix.sum() / total - same,
        }
