"""Frozen adversarial sets: the successful examples of finished attacks, as rows that any model can be tested on."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robusteval.errors import UserError
from robusteval.models.checkpoint_folder import some
from robusteval.results.attack_lines import AttackLine, first_of_each, read_attack_lines
from robusteval.storage.files import check_place, write_atomic
from robusteval.storage.reading import read_json

logger = logging.getLogger(__name__)

# Fields of a result line without which it can be neither shown nor frozen.
NEEDED = (
    "id", "index", "recipe", "seed", "text_columns", "gold", "outcome", "original", "perturbed", "predicted_before",
    "predicted_after", "scores_before", "scores_after", "queries", "model_rows", "words_changed", "words", "message",
)  # fmt: skip

# Where result files lie in a folder of results, of a run, of an experiment.
RESULTS = ("*.jsonl", "attacks/*.jsonl", "*/attacks/*.jsonl", "runs/*/attacks/*.jsonl")

# The columns of a frozen set beside its texts.
FACTS = ("label", "id", "recipe", "source", "method", "checkpoint", "seed", "predicted")


@dataclass(frozen=True)
class Source:
    """Which model was attacked.

    name: the run's folder, or the name of a result file that lies in no run.
    method, checkpoint: the run's method and the sha256 of the model it trained; empty where not known.
    """

    name: str
    method: str = ""
    checkpoint: str = ""


def read_results(path: Path) -> list[AttackLine]:
    """The lines of a result file by position, an example's first one only (see `lines.first_of_each`).

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


def source_of(path: Path) -> Source:
    """The run that the result file `path` (RUN/attacks/<recipe>.jsonl) lies in, or else the file itself."""
    run = path.absolute().parent.parent
    try:
        method = (read_json(run / "config.json") or {})["spec"]["method"]["label"]
    except (UserError, KeyError, TypeError):
        return Source(path.stem)
    environment = read_json(run / "environment.json") or {}
    return Source(run.name, method, str(environment.get("checkpoint_sha256", "")))


def successes(lines: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The lines whose attack reached its recipe's goal."""
    return [line for line in lines if line["outcome"] == "succeeded"]


def frozen_frame(
    lines: Sequence[Mapping[str, Any]], source: Source, text_columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """One row per successful example of one result file.

    text_columns: other names for the text columns than those of the lines, one for each, in order.

    Columns: the text columns with the adversarial texts, label (name of the gold class), id, recipe, source,
    method, checkpoint, seed, predicted (what the attacked model said), and original_<column> for each text.
    Texts that are empty after the attack are left out with a warning: no data set may hold them.
    UserError where no attack succeeded, or where the names do not fit.
    """
    hits = successes(lines)
    if not hits:
        raise UserError(f"results: none of the {len(lines)} attacks on {source.name!r} succeeded: nothing to freeze")
    names = _text_columns(hits[0], source, text_columns)
    rows = [_row(line, source, names) for line in hits if all(text.strip() for text in line["perturbed"])]
    if len(rows) < len(hits):
        logger.warning("%s: %d texts are empty after the attack and left out", source.name, len(hits) - len(rows))
    if not rows:
        raise UserError(f"results: every successful attack on {source.name!r} left empty text: nothing to freeze")
    return pd.DataFrame(rows)


def _text_columns(line: Mapping[str, Any], source: Source, given: Sequence[str] | None) -> list[str]:
    number = len(line["original"])
    names = list(given or line["text_columns"])
    if len(names) != number:
        said = f"{', '.join(names)} names {len(names)} of the {number} text columns of {source.name!r}"
        raise UserError(f"text_columns: {said}; name all, in order")
    taken = [*_facts(line, source), *(f"original_{name}" for name in names)]
    for place, name in enumerate(names):
        if name in taken or name in names[:place]:
            raise UserError(f"text_columns: a frozen set has another column {name!r}; name the text columns otherwise")
    return names


def _facts(line: Mapping[str, Any], source: Source) -> dict[str, Any]:
    return {
        "label": line["gold"],
        "id": line["id"],
        "recipe": line["recipe"],
        "source": source.name,
        "method": source.method,
        "checkpoint": source.checkpoint,
        "seed": line["seed"],
        "predicted": line["predicted_after"],
    }


def _row(line: Mapping[str, Any], source: Source, names: Sequence[str]) -> dict[str, Any]:
    originals = {f"original_{name}": text for name, text in zip(names, line["original"], strict=True)}
    return {**dict(zip(names, line["perturbed"], strict=True)), **_facts(line, source), **originals}


def freeze(paths: Sequence[Path], text_columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The successful examples of several result files, end to end; see `frozen_frame`.

    An example that several recipes or models were attacked with has a row for each. UserError where two files
    have the same source, recipe and seed, or where they do not have the same text columns.
    """
    frames: list[pd.DataFrame] = []
    seen: dict[tuple[str, str, int], Path] = {}
    for path in paths:
        lines, source = read_results(path), source_of(path)
        key = (source.name, lines[0]["recipe"], lines[0]["seed"])
        if key in seen:
            raise UserError(
                f"results: {str(seen[key])!r} and {str(path)!r} are both {key[1]!r} with seed {key[2]} on "
                f"{source.name!r}; give one of them, or files of different names"
            )
        seen[key] = path
        frame = frozen_frame(lines, source, text_columns)
        if frames and list(frame.columns) != list(frames[0].columns):
            raise UserError(
                f"results: {str(path)!r} has other text columns than {str(paths[0])!r}; freeze them one by one"
            )
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def write_frozen(frame: pd.DataFrame, path: Path) -> None:
    """Write a frozen set as Parquet, whole or not at all; UserError where the file cannot be written."""
    check_set(path)
    content = io.BytesIO()
    frame.to_parquet(content, index=False)
    write_atomic(path, content.getvalue())


def check_set(path: Path) -> None:
    """Raise UserError where a frozen set cannot be written to `path`, or would take the place of anything else."""
    check_place(path, folder=False)
    if not path.is_file():
        return
    try:
        held = set(pq.read_schema(path).names)
    except (OSError, pa.ArrowInvalid):
        held = set()
    if not held.issuperset(FACTS):
        raise UserError(f"out: {str(path)!r} holds something else, which would be lost; name another file")
