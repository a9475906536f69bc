"""predictions/<suite>.parquet: every predicted row of a suite, written set by set, so that memory stays flat."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from robusteval.evaluation.base import Predictions
from robusteval.evaluation.metrics import predictions


class PredictionsFile:
    """Columns suite value, set, id, gold, predicted, logits. The file appears, whole, when the block ends well."""

    def __init__(self, path: Path, *, regression: bool) -> None:
        self._path, self._regression = path, regression
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._writer: pq.ParquetWriter | None = None

    def __enter__(self) -> PredictionsFile:
        return self

    def add(self, suite: str, value: str, number: int, each: Predictions) -> None:
        """Append one set; `suite` names the file already."""
        columns = {
            "value": pa.array([value] * len(each.ids), pa.string()),
            "set": pa.array([number] * len(each.ids), pa.int32()),
            "id": pa.array(each.ids, pa.string()),
            "gold": pa.array(each.gold.astype("float32" if self._regression else "int64")),
            "predicted": pa.array(predictions(each.logits, regression=self._regression)),
            "logits": pa.array(list(each.logits), pa.list_(pa.float32())),
        }
        table = pa.table(columns)
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._temporary, table.schema)
        self._writer.write_table(table)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is None:
            return
        self._writer.close()
        if kind is None:
            os.replace(self._temporary, self._path)
        else:
            self._temporary.unlink(missing_ok=True)
