"""Whether a model has dropout, a question for the first pass: other methods' setups still change it."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from robusteval.methods.base import Method

logger = logging.getLogger(__name__)


def has_dropout(model: nn.Module) -> bool:
    return any("Dropout" in type(module).__name__ and getattr(module, "p", 0) > 0 for module in model.modules())


def late_notice(method: Method[Any], text: str) -> None:
    """A notice that comes after `setup`, when the trainer has printed the others; kept with the run as they are."""
    method.notices.append(text)
    if method.root is not method:
        method.root.notices.append(text)
    logger.warning(text)
