"""robusteval: fine-tune language models robustly, and prove it.

`train`, `evaluate` and `attack` are imported on first use; importing the package itself costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robusteval.version import VERSION as __version__

__all__ = ["__version__", "attack", "evaluate", "train"]

if TYPE_CHECKING:
    from robusteval.api import attack, evaluate, train


def __getattr__(name: str) -> Any:
    if name in ("train", "evaluate", "attack"):
        from robusteval import api

        return getattr(api, name)
    raise AttributeError(f"module 'robusteval' has no attribute {name!r}")
