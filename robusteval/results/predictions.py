"""predictions/<suite>.parquet: every predicted row of a suite, written set by set, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from robusteval.results.metrics import predictions
from robusteval.storage.files import replacing, writing


@dataclass(frozen=True)
class Predictions:
    """Enough to recompute any metric: row ids, gold labels and logits [n, K] of one evaluated set."""

    ids: tuple[str, ...]
    gold: npt.NDArray[np.generic]
    logits: npt.NDArray[np.float32]


Record = Callable[[str, str, int, Predictions], None]
"""Is called with suite, value, number of the set and its predictions, as soon as they are there."""


@contextmanager
def predictions_file(path: Path, *, regression: bool) -> Iterator[Record]:
    """Takes one set at a time; the file appears, whole, when the block ends well and there was one.

    Columns suite value, set, id, gold, predicted, logits; the suite names the file already.
    """
    writer: pq.ParquetWriter | None = None
    with ExitStack() as whole:

        def close() -> None:
            if writer is not None:
                with writing(path):
                    writer.close()

        def add(suite: str, value: str, number: int, each: Predictions) -> None:
            nonlocal writer
            columns = {
                "value": pa.array([value] * len(each.ids), pa.string()),
                "set": pa.array([number] * len(each.ids), pa.int32()),
                "id": pa.array(each.ids, pa.string()),
                "gold": pa.array(each.gold.astype("float32" if regression else "int64")),
                "predicted": pa.array(predictions(each.logits, regression=regression)),
                "logits": pa.array(list(each.logits), pa.list_(pa.float32())),
            }
            table = pa.table(columns)
            if writer is None:
                new = whole.enter_context(replacing(path))
                whole.callback(close)
                with writing(path):
                    writer = pq.ParquetWriter(new, table.schema)
            with writing(path, table.nbytes):
                writer.write_table(table)

        yield add
