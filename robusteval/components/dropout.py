"""Notices that come late: whether a model has dropout is a question for the first pass, since setups change it."""

from __future__ import annotations

import logging
from typing import Any

from robusteval.methods.base import Method

logger = logging.getLogger(__name__)


def late_notice(method: Method[Any], text: str) -> None:
    """A notice that comes after `setup`, when the trainer has printed the others; kept with the run as they are."""
    method.notices.append(text)
    if method.root is not method:
        method.root.notices.append(text)
    logger.warning(text)
