"""Divergences between predicted distributions, per example and in fp32; all take logits."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def kl(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) of softmax distributions; logits [B, K], result [B].

    >>> kl(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
    tensor([0.1109])
    """
    p, q = F.log_softmax(first.float(), -1), F.log_softmax(second.float(), -1)
    return (p.exp() * (p - q)).sum(-1)


def symmetric_kl(first: Tensor, second: Tensor) -> Tensor:
    """KL(first || second) + KL(second || first); logits [B, K], result [B]."""
    return kl(first, second) + kl(second, first)


def detached_symmetric_kl(first: Tensor, second: Tensor) -> Tensor:
    """The same number, of which each KL sends its gradient to its second argument alone; logits [B, K], result [B]."""
    return kl(first.detach(), second) + kl(second.detach(), first)


def log_odds_distance(first: Tensor, second: Tensor, eps: float = 1e-6) -> Tensor:
    """2 sum_k p_k (logit(p_k) - logit(q_k)), with a gradient through p_k alone; logits [B, K], result [B].

    The "stable" divergence of SMART's released code. eps bounds both log-odds.
    """
    p, q = (F.softmax(logits.float(), -1) for logits in (first, second))
    odds = [-(1 / (each.detach() + eps) - 1 + eps).log() for each in (p, q)]
    return 2 * (p * (odds[0] - odds[1])).sum(-1)


def jensen_shannon(first: Tensor, second: Tensor, *, reverse: bool = False) -> Tensor:
    """(KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2; logits [B, K], result [B].

    reverse: KL(m || p) and KL(m || q) instead, the released code of Cutoff.
    """
    p, q = F.log_softmax(first.float(), -1), F.log_softmax(second.float(), -1)
    # the logarithm of the mixture serves as its logits
    mixture = torch.logaddexp(p, q)
    pairs = ((mixture, p), (mixture, q)) if reverse else ((p, mixture), (q, mixture))
    return 0.5 * (kl(*pairs[0]) + kl(*pairs[1]))
