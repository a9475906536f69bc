"""What one run left on disk, as data frames: the one way in which tables, pictures and notebooks see results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from robusteval.errors import UserError, first_line, some, unknown_name
from robusteval.registry import result_name
from robusteval.results.attack_lines import AttackLine, first_of_each, read_attack_lines
from robusteval.results.frames import rows_frame
from robusteval.results.journal import Journal
from robusteval.results.metrics import Metric
from robusteval.results.rows import Row
from robusteval.results.store import RunFolder
from robusteval.settings.runs import RunSpec
from robusteval.storage.reading import numbered_lines, read_json

# The columns by which frames say whose their lines are.
WHOSE = ("run", "task", "model", "method", "scenario", "seed")

# Fields of a result line without which it can be neither shown nor frozen.
NEEDED = (
    "id", "index", "recipe", "seed", "text_columns", "gold", "outcome", "original", "perturbed", "predicted_before",
    "predicted_after", "scores_before", "scores_after", "queries", "model_rows", "words_changed", "words", "message",
)  # fmt: skip

# Where result files lie in a folder of results, of a run, of an experiment.
RESULTS = ("*.jsonl", "attacks/*.jsonl", "*/attacks/*.jsonl", "runs/*/attacks/*.jsonl")


class Run:
    """What one run left, or one `evaluate`, whose folder has no `spec` and whose method is the checkpoint's name.

    Only finished tests are read. UserError, which names the file, where something is not what was written.
    """

    def __init__(self, path: Path, tests: Sequence[str] | None = None) -> None:
        """path: a run's folder, which is taken as sound; `open` makes sure. tests: the stages that are looked at beside
        training, in that order; all by default."""
        self.folder, self.tests = RunFolder(path), tests

    @classmethod
    def open(cls, path: Path, *, model: bool = False) -> Run:
        """The run in `path`, whose files are checked against their digests; model: the kept checkpoint's too.

        UserError where there is no run, or it is damaged.
        """
        if not (path / "rows.jsonl").is_file():
            raise UserError(f"run: {str(path)!r} holds no rows.jsonl")
        run = cls(path)
        run.folder.check(model=model)
        return run

    @property
    def path(self) -> Path:
        return self.folder.path

    @cached_property
    def spec(self) -> RunSpec | None:
        """What the run was asked to do; None for an evaluation."""
        place = self.path / "config.json"
        held = self.folder.read_record(place.name)
        return RunSpec.read(held.get("spec", {}), f"{place}: ") if held else None

    @cached_property
    def journal(self) -> Journal:
        """All that rows.jsonl holds."""
        return self.folder.journal()

    @cached_property
    def records(self) -> tuple[Row, ...]:
        """Every measured number; rows of earlier versions, which did not say it, bear the run's model."""
        model = self.spec.model if self.spec is not None else ""
        rows = (row for stage in self._stages for row in self.journal.rows_of(stage))
        return tuple(replace(row, model=row.model or model) for row in rows)

    @property
    def lines(self) -> list[bytes]:
        """The text of each of `records`."""
        return self.journal.lines_of(self._stages)

    @property
    def _stages(self) -> Iterable[str]:
        return self.journal.stages if self.tests is None else ("train", *self.tests)

    @property
    def declared(self) -> Mapping[str, Metric]:
        """The metrics that suites of the user's own said more of."""
        return self.journal.declared

    @property
    def whose(self) -> dict[str, Any]:
        """The columns `WHOSE` of this run."""
        first = self.records[0] if self.records else None
        if self.spec is None:
            return {name: getattr(first, name, "") for name in WHOSE}
        told = {"task": result_name(self.spec.task), "model": self.spec.model, "seed": self.spec.seed}
        told |= {"method": self.spec.method.label, "scenario": self.spec.scenario.label}
        return {"run": self.path.name, **{name: told[name] for name in WHOSE[1:]}}

    def rows(self) -> pd.DataFrame:
        """One line per measured number, see `rows_frame`."""
        return rows_frame(self.records, self.declared)

    @property
    def predicted_suites(self) -> tuple[str, ...]:
        """The suites whose predictions are there."""
        return self._stems("predictions", ".parquet")

    def predictions(self, suite: str) -> pd.DataFrame:
        """One line per predicted row of a suite.

        value: the test's setting, as `suite_value` of the rows; set: number of the random set; id: of the row;
        gold, predicted: index of the class, or the score of a regression; logits: one per class, in that order.
        """
        return self._table("predictions", suite)

    @property
    def analysed_suites(self) -> tuple[str, ...]:
        """The suites that left a table of their own."""
        return self._stems("analysis", ".parquet")

    def analysis(self, suite: str) -> pd.DataFrame:
        """The table of a suite's own, a histogram or a curve: its columns are told where the suite is described.

        calibration: bin, low, high, count, confidence, accuracy. flatness: direction, alpha (in norms of each filter),
        loss (nats). ood, test: set, rows, fingerprint, origin. sensitivity: counts per layer and bin.
        representations: a line per row and version (original, positive, negative), with gold, predicted, confidence,
        vector, and of an original token_confidence_before and token_confidence, a number per token of its text.
        """
        return self._table("analysis", suite)

    def training(self) -> pd.DataFrame:
        """One line per training step: step, loss (nats; NaN where it was not finite), lr, grad_norm, seconds, and what
        the method logs; no lines where nothing was trained."""
        frame = pd.DataFrame([line for _, line in numbered_lines(self.path / "train.jsonl")])
        return frame.astype({name: "float64" for name in frame.columns if name != "step"})

    @property
    def recipes(self) -> tuple[str, ...]:
        """The attacks whose lines are there."""
        return self._stems("attacks", ".jsonl")

    def attack_lines(self, recipe: str) -> list[AttackLine]:
        """The lines of an attack, as `attack_lines` gives them."""
        return attack_lines(self.path / "attacks" / f"{recipe}.jsonl")

    def attacks(self) -> pd.DataFrame:
        """One line per attacked example of every recipe: the fields of `AttackLine` (seconds in s, similarity a
        cosine), but victim for its `model`, which the columns of a run need."""
        lines = [line for recipe in self.recipes for line in self.attack_lines(recipe)]
        return pd.DataFrame(lines).rename(columns={"model": "victim"})

    def environments(self) -> list[dict[str, Any]]:
        """What the run was measured with: first what trained it, then whatever else continued it."""
        return self.folder.environments()

    def environment(self) -> pd.DataFrame:
        """One line per entry of `environments`: git_commit, and a column for each version and part of the hardware."""
        return pd.DataFrame(
            [
                {"git_commit": each.get("git_commit", ""), **each.get("versions", {}), **each.get("hardware", {})}
                for each in self.environments()
            ]
        )

    def _stems(self, folder: str, suffix: str) -> tuple[str, ...]:
        return tuple(sorted(path.stem for path in (self.path / folder).glob(f"*{suffix}")))

    def _table(self, folder: str, suite: str) -> pd.DataFrame:
        path = self.path / folder / f"{suite}.parquet"
        if not path.is_file():
            raise unknown_name(folder, suite, self._stems(folder, ".parquet"))
        try:
            return pd.read_parquet(path)
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{path}: cannot be read as a table ({first_line(error)})") from None


def attack_lines(path: Path) -> list[AttackLine]:
    """The lines of a result file by position, an example's first one only (see `first_of_each`).

    UserError where there is no such file, or it holds something else.
    """
    if path.is_dir():
        inside = sorted(str(found) for place in RESULTS for found in path.glob(place))
        hint = f"; it holds {some(inside)}" if inside else ""
        raise UserError(f"results: {str(path)!r} is a folder, not a file of attack results{hint}")
    if not path.is_file():
        raise UserError(f"results: there is no file {str(path)!r}")
    lines = read_attack_lines(path, NEEDED)
    if not lines:
        raise UserError(f"results: {str(path)!r} holds no line")
    return sorted(first_of_each(lines), key=lambda line: line["index"])


@dataclass(frozen=True)
class Source:
    """Which model was attacked.

    name: the run's folder, or the name of a result file that lies in no run.
    method, checkpoint: the run's method and the sha256 of the model it trained; empty where not known.
    """

    name: str
    method: str = ""
    checkpoint: str = ""


def source_of(path: Path) -> Source:
    """The run that the result file `path` (RUN/attacks/<recipe>.jsonl) lies in, or else the file itself."""
    run = path.absolute().parent.parent
    try:
        method = (read_json(run / "config.json") or {})["spec"]["method"]["label"]
    except (UserError, KeyError, TypeError):
        return Source(path.stem)
    environment = read_json(run / "environment.json") or {}
    return Source(run.name, method, str(environment.get("checkpoint_sha256", "")))
