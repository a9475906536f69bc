"""Pictures of what was measured, one file each, from data frames alone.

    from robusteval import plots
    plots.violin(experiment.rows())

Each name of `PLOTS` is a function here, with "_" for "-": from a frame, as its docstring describes it, to a
matplotlib figure, which notebooks show and `plots.save` writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robusteval.registry import Registry

if TYPE_CHECKING:
    from robusteval.plots.base import Plot

PLOTS: Registry[Plot] = Registry("picture")
for _name, _target, _summary in (
    ("violin", "perturbed_sets", "the metric over random perturbed sets, per rate and method (TDT, Figure 5)"),
    ("violin-seeds", "seed_spread", "the score over seeds, per method (Bi-Drop, Figure 4)"),
    ("suites", "dots", "all tests at a glance: means, and differences to the baseline, with intervals"),
    ("groups", "critical_groups", "which methods the declared tests tell apart"),
    ("cost", "robustness_cost", "robustness against the time of a training step"),
    ("training-loss", "losses", "the loss of methods over the training steps (MATCH-TUNING, Figure 4)"),
    ("drop-curve", "ordered_drop", "accuracy against dropped tokens, highest or lowest scores first (TDT, Figure 6)"),
    ("ladder", "rungs", "scores along the values a/b/c of a setting, as the dropout rate (Bi-Drop, Figure 5)"),
    ("train-size", "training_size", "score and spread of the sensitivity by number of training rows (PATS, Figure 3)"),
    ("task-transfer", "other_tasks", "the frozen encoder under a new classifier of other tasks (Bi-Drop, Figure 3)"),
    ("transfer-matrix", "attack_transfer", "which model the adversarial texts made against another fool"),
    ("tsne", "neighbours", "representations by class, and TDT's variants of them, by t-SNE (TDT, Figure 3)"),
    ("confidence", "token_confidence", "the confidence of tokens before and after training with tdt (TDT, Figure 4)"),
    ("sensitivity", "sensitivity_spread", "the sensitivity of parameters, per method (PATS, Figure 2)"),
    ("matching", "matching_mass", "mass of the matching matrix: self, same, other labels (MATCH-TUNING, Figure 3)"),
    ("reliability", "confidence_accuracy", "accuracy against confidence, with the number of rows"),
    ("directions", "loss_directions", "the loss along random directions around the weights"),
):
    PLOTS.add(_name, f"robusteval.plots.{_target}:PLOT", _summary)

# a picture's module never bears its name, which is that of the function
_FUNCTIONS = {name.replace("-", "_"): name for name in PLOTS.names()}


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return PLOTS[_FUNCTIONS[name]].draw
    if name == "save":
        from robusteval.plots.saving import save

        return save
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_FUNCTIONS, "save"]
