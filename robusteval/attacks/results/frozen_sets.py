"""Frozen adversarial sets: the successful examples of finished attacks, as rows that any model can be tested on."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from robusteval.errors import UserError
from robusteval.results.reading import Source, attack_lines, source_of
from robusteval.storage.files import check_place, write_atomic

logger = logging.getLogger(__name__)

# The columns of a frozen set beside its texts.
FACTS = ("label", "id", "recipe", "source", "method", "checkpoint", "seed", "predicted")


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
        lines, source = attack_lines(path), source_of(path)
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
