"""An experiment with hostile text wherever it can hold text, and its page."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from robusteval.page.file import experiment_page
from robusteval.page.pictures import Picture, part_of_page
from robusteval.results.experiment import Experiment
from support.attack_lines import UNREACHED, line
from support.hostile import HOSTILE
from support.made_experiments import made

NAMES = ("vanilla", "<img src=x onerror=alert(1)>", "a|b_c$d$", "方法" * 100)


def hostile_experiment(out: Path) -> Experiment:
    """An experiment with hostile text wherever it can hold text, runs that failed and are missing, and two commits."""

    def values(method: str, task: str, seed: int) -> dict[tuple[str, str, str], float]:
        base = 0.8 + 0.01 * NAMES.index(method) + 0.001 * seed
        return {
            ("train", "", "seconds"): 20.0, ("clean", "", "accuracy"): math.nan if method == NAMES[2] else base,
            ("mask", "0.2", "accuracy"): base - 0.1, ("attack", "deepwordbug", "accuracy_under_attack"): base / 2,
        }  # fmt: skip

    def lines(method: str, task: str, seed: int) -> list[Any]:
        made = [
            line(id=text, index=number, gold=text, original=[text], perturbed=[f"{text} more"], text_columns=[text],
                 predicted_before=text, predicted_after=text, message=text, seed=seed,
                 outcome=("succeeded", "failed")[number % 2])
            for number, text in enumerate(HOSTILE)
        ]  # fmt: skip
        return [*made, line(id="last", index=9, outcome="error", message="boom", seed=seed, **UNREACHED)]

    made(
        out, NAMES, (0, 1, 2), values, lines=lines, title=HOSTILE[2], failed={("vanilla", 2): HOSTILE[0]},
        left_out=[(NAMES[1], 1)], commit=lambda seed: "first" if seed else "<b>second</b>",
    )  # fmt: skip
    return Experiment.open(out, files=False)


def hostile_page(experiment: Experiment) -> str:
    violin = Picture("violin", HOSTILE[0], part_of_page(drawn(HOSTILE[2]), "violin"))
    return experiment_page(experiment, [violin, Picture("x", "", "", HOSTILE[2])])


def drawn(label: str) -> str:
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "robusteval"}):
        figure = Figure()
        axis = figure.subplots()
        axis.plot([0, 1], [0, 1], "o-", label=label)
        axis.imshow([[0, 1], [1, 0]])
        axis.legend()
        held = io.BytesIO()
        figure.savefig(held, format="svg", metadata={"Date": None})
    return held.getvalue().decode()
