"""Which version of a model is opened, and what it may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from robusteval.settings.fields import Record, setting


@dataclass(frozen=True)
class ModelConfig(Record):
    """How a model that is given by its name is opened."""

    PANEL: ClassVar[str] = "Model and methods"

    model_revision: str = setting("main", "Revision of a hub model.")
    trust_remote_code: bool = setting(False, "Run code that a model repository brings.")
