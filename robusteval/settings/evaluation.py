"""What a model is tested on."""

from __future__ import annotations

from dataclasses import dataclass

from robusteval.settings.checks import check_choice, check_distinct, check_range


@dataclass(frozen=True)
class EvalConfig:
    """What a trained model is tested on.

    suites: name[:key=value...] each; rates: share of tokens touched by each perturbation; sets: random sets per
    rate; columns: text columns that perturbations may touch (default: what the task allows); mask_token: for
    tokenizers that have none.
    attacks: recipe names; attack_examples: evaluation rows attacked by each; attack_precision: fp32 or bf16;
    query_budget, time_limit: the most queries and seconds for one example.
    """

    suites: tuple[str, ...] = ("clean", "mask", "replace", "ood", "advglue")
    rates: tuple[float, ...] = (0.1, 0.2, 0.3)
    sets: int = 3
    columns: tuple[str, ...] = ()
    mask_token: str | None = None
    attacks: tuple[str, ...] = ("deepwordbug",)
    attack_examples: int = 50
    attack_precision: str = "fp32"
    query_budget: int | None = None
    time_limit: float | None = None

    def __post_init__(self) -> None:
        for rate in self.rates:
            check_range("rates", rate, 0, 1)
        for name in ("rates", "attacks"):
            check_distinct(name, getattr(self, name))
        # a suite's rows bear its name alone
        check_distinct("suites", [text.partition(":")[0].strip() for text in self.suites])
        check_range("sets", self.sets, 1, 10_000)
        check_choice("attack_precision", self.attack_precision, ("fp32", "bf16"))
        check_range("attack_examples", self.attack_examples, 1, 1e9)
        if self.query_budget is not None:
            check_range("query_budget", self.query_budget, 1, 1e12)
        if self.time_limit is not None:
            check_range("time_limit", self.time_limit, 0, float("inf"), open_low=True)
