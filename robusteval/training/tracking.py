"""Where else the step log may go. Imports no torch: a mistake is answered before anything heavy is loaded."""

from __future__ import annotations

import importlib.util

from robusteval.errors import UserError

TRACKERS = ("tensorboard", "mlflow", "wandb")


def check_tracker(name: str | None) -> None:
    """Raise UserError for a tracker that is not known or not installed."""
    if name is None:
        return
    if name not in TRACKERS:
        raise UserError(f"track: unknown tracker {name!r}; valid: {', '.join(TRACKERS)}")
    if importlib.util.find_spec(name) is None:
        raise UserError(f"track: {name!r} is not installed: pip install {name}")
