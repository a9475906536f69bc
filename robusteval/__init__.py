"""robusteval: fine-tune language models robustly, and prove it."""

from __future__ import annotations

__version__ = "0.1.0"
