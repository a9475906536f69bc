"""Telling what the user should know before the work begins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

Notify = Callable[[str], None]
"""Is told what the user should know, one notice at a time."""


def tell(notices: Iterable[str], notify: Notify | None) -> None:
    """Hand each notice to `notify`, or log it where there is none."""
    for notice in notices:
        if notify is not None:
            notify(notice)
        else:
            logger.warning("%s", notice)
