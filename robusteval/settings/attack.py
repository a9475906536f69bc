"""How a trained model is attacked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

from robusteval.errors import UserError
from robusteval.registry import pinned
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.fields import Record, same, setting


@dataclass(frozen=True)
class AttackConfig(Record):
    """What decides an attack's lines beside the model, the texts and the seed.

    examples: drawn once for all seeds; None for all rows. columns: default is what the task allows.
    """

    PANEL: ClassVar[str] = "Tests"

    recipes: tuple[str, ...] = setting(
        ("deepwordbug",), "Recipes or FILE.py:NAME, comma separated; '' for none.", distinct=True, name="attacks"
    )
    examples: int | None = setting(50, "Rows attacked.", low=1, high=1e9, name="attack_examples")
    columns: tuple[str, ...] = same(EvalConfig, "columns")
    precision: Literal["fp32", "bf16"] = setting(
        "fp32", "fp32, or bf16: faster on an accelerator, other numbers.", name="attack_precision"
    )
    truncate: bool = setting(False, "Attack also texts longer than --max-length, as far as they go.")
    query_budget: int | None = setting(None, "Most queries for one example.", low=1, high=1e12)
    time_limit: float | None = setting(None, "Most seconds for one example.", above=0)

    def __post_init__(self) -> None:
        # records of earlier versions name a file that may be gone; whoever attacks with it says so
        with suppress(UserError):
            object.__setattr__(self, "recipes", tuple(pinned(name, "attack recipe") for name in self.recipes))
        super().__post_init__()
