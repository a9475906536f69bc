"""How the work is done: no number depends on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from robusteval.settings.fields import Record, setting


@dataclass(frozen=True)
class WorkConfig(Record):
    """How to work; nothing in here changes a result, so it is no part of a run's name.

    out: the folder of an experiment. workers: for runs, or for the examples of one attack.
    parallel: 0 is 16 on an accelerator, where it pays, and 1 on a CPU.
    cache: also for resuming. threads: 0 for torch's own choice.
    max_errors: errors of a time limit do not count; an attack with more is not finished.
    """

    PANEL: ClassVar[str] = "How to work"

    out: Path = setting(Path("robusteval-runs"), "Folder of the experiment.", unset="robusteval-runs/...")
    parallel: int = setting(
        0, "Examples attacked at a time; 0: what suits the device.", low=0, high=1024, name="attack_parallel"
    )
    cache: bool = setting(True, "Keep no logits on disk while attacking.")
    device: str = setting("auto", "auto, cpu, cuda, cuda:N or mps.")
    engine: str = setting("local", "Where the runs are done: local or ray.")
    address: str | None = setting(None, "Of a Ray cluster, HOST:PORT or auto.", unset="one that is begun here")
    workers: int = setting(1, "Processes, each with a run, or with a share of the examples.", low=1, high=1024)
    resources_dir: Path | None = setting(None, "Folder with local copies of attack resources.", name="resources")
    track: str | None = setting(None, "tensorboard, mlflow or wandb.")
    keep_models: bool = setting(True, "Drop the checkpoints; a test that is asked for later trains them again.")
    checkpoint_seconds: float = setting(120.0, "Time between resumable states.", low=0, high=1e9)
    page: bool = setting(True, "Write no page (report/index.html) at the end.")
    quiet: bool = setting(False, "No progress bars.")
    threads: int = setting(0, "CPU threads of each process.", low=0, high=1024, offered=False)
    max_errors: int = setting(
        0, "So many examples may end in an error; with more, the exit code tells.", low=0, high=1e9, panel="Tests"
    )

    def parallel_on(self, kind: str) -> int:
        """Examples attacked at a time on this kind of device ("cpu", "cuda")."""
        return self.parallel or (1 if kind == "cpu" else 16)
