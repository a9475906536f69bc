"""What a model is tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from robusteval.settings.checks import check_distinct
from robusteval.settings.fields import Record, setting
from robusteval.settings.grammar import part_name, pinned_parts


@dataclass(frozen=True)
class EvalConfig(Record):
    """What a trained model is tested on.

    suites: name[:key=value...] each; rates: share of tokens touched by each perturbation; columns: text columns that
    perturbations may touch (default: what the task allows).
    """

    PANEL: ClassVar[str] = "Tests"

    suites: tuple[str, ...] = setting(
        ("clean", "mask", "replace", "ood", "advglue"), "Test suites or FILE.py:NAME, comma separated.", quoted=True,
        unset="clean, mask, replace; ood and advglue where the task has them",
    )  # fmt: skip
    rates: tuple[float, ...] = setting((0.1, 0.2, 0.3), "Shares of perturbed tokens.", low=0, high=1, distinct=True)
    sets: int = setting(3, "Random sets per rate.", low=1, high=10_000)
    columns: tuple[str, ...] = setting((), "Text columns that perturbations and attacks may change.")
    mask_token: str | None = setting(None, "For a tokenizer without one.")

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "suites", tuple(pinned_parts(text, "suite") for text in self.suites))
        # a suite's rows bear its name alone
        check_distinct("suites", [part_name(text) for text in self.suites])
