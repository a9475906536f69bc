"""Evaluation: fast prediction, metrics, and the suites that a model goes through. Naming them imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robusteval.registry import Registry

if TYPE_CHECKING:
    from robusteval.evaluation.base import Suite
    from robusteval.tasks.base import Task

SUITES: Registry[type[Suite[Any]]] = Registry(
    "suite", "robusteval.evaluation.suites:accepted", ("robusteval.suites", "robusteval.perturbations")
)
for _name, _target, _summary in (
    ("clean", "suites:Clean", "the dev split as it is"),
    ("mask", "suites:Perturbed", "dev with tokens masked, per rate"),
    ("replace", "suites:Perturbed", "dev with tokens replaced by others of the same input, per rate"),
    ("delete", "suites:Perturbed", "dev with tokens removed, per rate"),
    ("swap", "suites:Perturbed", "dev with neighbouring tokens swapped, per rate"),
    ("typos", "suites:Perturbed", "dev with typing errors, per rate"),
    (
        "ordered-drop",
        "token_drop:OrderedDrop",
        "dev without its highest or lowest scored tokens (TDT, Figure 6)",
    ),
    ("classes", "subgroups:Classes", "accuracy on each class of the dev split"),
    ("groups", "subgroups:Groups", "accuracy on each group of class x negation, their average and the worst"),
    ("cue", "cue:Cue", "accuracy on the rows of a demo task whose cue sides with, or against, their label"),
    ("calibration", "calibration:Calibration", "confidence against accuracy: ECE, Brier score, likelihood"),
    ("generalisation", "generalisation:Generalisation", "frozen encoder, new linear classifier for other tasks"),
    ("sensitivity", "sensitivity:Sensitivity", "spread of |theta dL/dtheta| over the parameters (PATS)"),
    ("representations", "representations:Representations", "what enters the last layer, and TDT's confidence (TDT)"),
    ("flatness", "flatness:Flatness", "loss around the weights, top Hessian eigenvalue"),
    ("ood", "ood:OutOfDomain", "the task's out-of-domain split and the other tasks' rows it transfers to"),
    ("test", "user_tests:Own", "files of the user's own (--test NAME=FILE)"),
    ("advglue", "ood:AdvGlue", "the AdvGLUE dev sets made from the task"),
):
    SUITES.add(_name, f"robusteval.evaluation.{_target}", _summary)


def default_suites(task: Task) -> tuple[str, ...]:
    """The suites of a task where none are named: clean and perturbed text, and the other text that it declares."""
    ood = ("ood",) if task.out_of_domain or task.transfers else ()
    advglue = ("advglue",) if task.adversarial else ()
    return ("clean", "mask", "replace", *ood, *advglue)
