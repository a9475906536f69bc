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


def jensen_shannon(first: Tensor, second: Tensor, *, reverse: bool = False) -> Tensor:
    """(KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2; logits [B, K], result [B].

    reverse: KL(m || p) and KL(m || q) instead, the released code of Cutoff.
    """
    p, q = F.log_softmax(first.float(), -1), F.log_softmax(second.float(), -1)
    # the logarithm of the mixture serves as its logits
    mixture = torch.logaddexp(p, q)
    pairs = ((mixture, p), (mixture, q)) if reverse else ((p, mixture), (q, mixture))
    return 0.5 * (kl(*pairs[0]) + kl(*pairs[1]))
