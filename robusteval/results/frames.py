"""Rows as a data frame: from records, and from the text of thousands of runs at once."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import json

from robusteval.results.metrics import Metric, metric
from robusteval.results.rows import Row

_ABOUT = ("shown", "unit", "scale", "direction", "role")
# the fields of a row as its line holds them, in order
_NUMBERS = {"scenario_value": pa.float64(), "seed": pa.int64(), "value": pa.float64(), "n": pa.int64(),
            "seconds": pa.float64(), "sets": pa.int64(), "summary": pa.bool_(), "in_domain": pa.bool_(),
            "selected_on_dev": pa.bool_(), "spread": pa.list_(pa.float64()),
            "notes": pa.list_(pa.struct([("text", pa.string()), ("kind", pa.string())]))}  # fmt: skip
_NESTED = ("notes", "spread")
_SCHEMA = pa.schema([(name, _NUMBERS.get(name, pa.string())) for name in Row.__dataclass_fields__])


def rows_frame(rows: Sequence[Row], declared: Mapping[str, Metric] = MappingProxyType({})) -> pd.DataFrame:
    """One line per row, in order.

    Columns: the fields of `Row` (value: the raw number, in the unit of its metric before `scale`; n: its denominator;
    seconds: what measuring took, in s), with `aspect` always told, notes as a list of texts with note_kinds beside it,
    and spread as a list; and of the metric shown, unit, scale, direction, role.
    """
    lines = []
    for row in rows:
        about = metric(row.metric, declared)
        lines.append(
            {
                **vars(row),
                "aspect": row.aspect or about.aspect,
                "notes": [note.text for note in row.notes],
                "note_kinds": [note.kind for note in row.notes],
                "spread": list(row.spread),
                **{name: getattr(about, name) for name in ("shown", "unit", "scale", "direction", "role")},
            }
        )
    return pd.DataFrame(lines)


def frame_of_lines(lines: Sequence[bytes], declared: Mapping[str, Metric]) -> pd.DataFrame | None:
    """What `rows_frame` gives for the rows with these texts, which are known to be as they were written.

    None where they are of an earlier version, whose rows must be read one by one.
    """
    text = b"\n".join(lines)
    if not lines or text.count(b'"selected_on_dev":') != len(lines) or b'"model": ""' in text:
        return None
    options = json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="error")
    try:
        table = json.read_json(io.BytesIO(text), parse_options=options).combine_chunks()
    except pa.ArrowException:
        return None
    plain = [name for name in _SCHEMA.names if name not in _NESTED]
    frame: pd.DataFrame = table.select(plain).to_pandas()
    frame["notes"] = _lists(table["notes"], lambda values: values.field("text").to_pylist())
    kinds = _lists(table["notes"], lambda values: values.field("kind").to_pylist())
    frame["spread"] = _lists(table["spread"], lambda values: values.to_numpy(zero_copy_only=False).tolist())
    about = {name: metric(name, declared) for name in frame["metric"].unique()}
    of_metric = frame["metric"].map({name: each.aspect for name, each in about.items()})
    frame["aspect"] = frame["aspect"].where(frame["aspect"].notna(), of_metric)
    frame = frame[_SCHEMA.names].assign(note_kinds=kinds)
    for field in _ABOUT:
        frame[field] = frame["metric"].map({name: getattr(each, field) for name, each in about.items()})
    return frame


def _lists(column: pa.ChunkedArray, values: Callable[[pa.Array], list[Any]]) -> list[list[Any]]:
    """A column of lists as lists; most of them are empty."""
    array = column.chunk(0)
    ends, held = array.offsets.to_numpy(), values(array.values)
    found: list[list[Any]] = [[] for _ in range(len(array))]
    for place in np.flatnonzero(np.diff(ends)):
        found[place] = held[ends[place] : ends[place + 1]]
    return found
