"""Experiments on disk of made-up numbers, sealed as runs write them: any number of runs and transcripts in no time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from robusteval.results.asked import Wanted, keep_asked
from robusteval.results.attack_lines import AttackLine
from robusteval.results.rows import Row
from robusteval.results.store import RunFolder
from robusteval.settings.spec import ExperimentSpec
from robusteval.storage.files import append_lines

# method, task, seed -> metric values by (suite, value, metric)
Values = Callable[[str, str, int], Mapping[tuple[str, str, str], float]]
Lines = Callable[[str, str, int], Iterable[AttackLine]]

ENVIRONMENT: dict[str, Any] = {
    "versions": {"python": "3.11.7", "robusteval": "0.1.0", "torch": "2.13.0+cpu"},
    "git_commit": "0123456789abcdef", "hardware": {"machine": "x86_64", "device": "cpu", "accelerator": ""},
}  # fmt: skip


def nothing(method: str, task: str, seed: int) -> Iterable[AttackLine]:
    return ()


def made(
    out: Path,
    methods: Sequence[str],
    seeds: Sequence[int],
    values: Values,
    *,
    tasks: Sequence[str] = ("sst2",),
    lines: Lines = nothing,
    recipe: str = "deepwordbug",
    left_out: Iterable[tuple[str, int]] = (),
    failed: Mapping[tuple[str, int], str] | None = None,
    commit: Callable[[int], str] = lambda seed: "0123456789abcdef",
    **spec: Any,
) -> Path:
    """An experiment in `out`: a run for each task, method and seed.

    left_out: method and seed of runs that nobody began; failed: those that failed, and with what; commit: by seed;
    spec: more of the experiment's.
    """
    labels = [{"label": method, "parts": [["vanilla", {}]]} for method in methods]
    held = ExperimentSpec.read({"tasks": list(tasks), "methods": labels, "seeds": list(seeds), **spec})
    wanted = [
        Wanted(f"{task}.m{number}.none.s{seed}", held.models[0], task, method, "none", seed,
               {"clean": "", f"attack/{recipe}": ""} if lines is not nothing else {"clean": ""}, f"{task}.m{number}")
        for task in tasks for number, method in enumerate(methods) for seed in seeds
    ]  # fmt: skip
    keep_asked(out, held, wanted)
    missing = set(left_out)
    for run in wanted:
        if (run.method, run.seed) in missing:
            continue
        folder = RunFolder(out / "runs" / run.name)
        folder.path.mkdir(parents=True)
        trouble = (failed or {}).get((run.method, run.seed))
        if trouble is not None:
            (folder.path / "error.txt").write_text(f"Traceback\n{trouble}\n", encoding="utf-8")
            continue
        folder.write_record("environment.json", {**ENVIRONMENT, "git_commit": commit(run.seed)})
        rows = [row_of(run, *place, value) for place, value in values(run.method, run.task, run.seed).items()]
        folder.finish_stage("train", [each for each in rows if each.suite == "train"])
        folder.finish_stage("clean", [each for each in rows if each.suite not in ("train", "attack")])
        if lines is not nothing:
            (folder.path / "attacks").mkdir()
            append_lines(folder.path / "attacks" / f"{recipe}.jsonl", lines(run.method, run.task, run.seed))
            folder.finish_stage(f"attack/{recipe}", [each for each in rows if each.suite == "attack"])
        folder.finish(keep_model=False)
    return out


def row_of(run: Wanted, suite: str, value: str, metric: str, number: float) -> Row:
    return Row(
        run.name, run.task, run.method, "none", None, run.seed, suite, value, "validation", metric, number, 300,
        20.0 if suite == "train" else 5.0, model=run.model,
        aspect="robustness" if suite == "mask" else None,
    )  # fmt: skip
