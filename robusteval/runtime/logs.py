"""What commands let other libraries say. Never called when robusteval is used as a library."""

from __future__ import annotations

import logging
import warnings


def quiet_libraries() -> None:
    """Keep our own warnings, one line each; silence what a command's user can do nothing about."""
    import transformers

    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
