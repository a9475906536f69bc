"""Rows as a data frame: from records, and from the text of thousands of runs at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa
from pyarrow import compute, json

from robusteval.results.metrics import Metric, metric
from robusteval.results.rows import Row

_ABOUT = ("shown", "unit", "scale", "direction", "role")
# the fields of a row as its line holds them, in order
_NUMBERS = {"scenario_value": pa.float64(), "seed": pa.int64(), "value": pa.float64(), "n": pa.int64(),
            "seconds": pa.float64(), "sets": pa.int64(), "summary": pa.bool_(), "in_domain": pa.bool_(),
            "selected_on_dev": pa.bool_(), "spread": pa.list_(pa.float64()),
            "notes": pa.list_(pa.struct([("text", pa.string()), ("kind", pa.string())]))}  # fmt: skip
_NESTED = ("notes", "spread")
# a second thread costs more than it saves
_READING = json.ReadOptions(use_threads=False, block_size=2**22)
_SCHEMA = pa.schema([(name, _NUMBERS.get(name, pa.string())) for name in Row.__dataclass_fields__])


def rows_frame(rows: Sequence[Row], declared: Mapping[str, Metric] = MappingProxyType({})) -> pd.DataFrame:
    """One line per row, in order.

    Columns: the fields of `Row` (value: the raw number, in the unit of its metric before `scale`; n: its denominator;
    seconds: what measuring took, in s), with `aspect` always told, notes as a tuple of texts with note_kinds beside it,
    and spread as a tuple; and of the metric shown, unit, scale, direction, role.
    """
    lines = []
    for row in rows:
        about = metric(row.metric, declared)
        lines.append(
            {
                **vars(row),
                "aspect": row.aspect or about.aspect,
                "notes": tuple(note.text for note in row.notes),
                "note_kinds": tuple(note.kind for note in row.notes),
                "spread": row.spread,
                **{name: getattr(about, name) for name in ("shown", "unit", "scale", "direction", "role")},
            }
        )
    return pd.DataFrame(lines)


def frame_of_lines(lines: Sequence[bytes], declared: Mapping[str, Metric]) -> pd.DataFrame | None:
    """What `rows_frame` gives for the rows with these texts, which are known to be as they were written.

    None where they are of an earlier version, whose rows must be read one by one.
    """
    if not lines:
        return None
    options = json.ParseOptions(explicit_schema=_SCHEMA, unexpected_field_behavior="error")
    try:
        table = json.read_json(pa.BufferReader(b"\n".join(lines)), _READING, options).combine_chunks()
    except pa.ArrowException:
        return None
    # what earlier versions did not write, or left empty
    if table["selected_on_dev"].null_count or compute.any(compute.equal(table["model"], "")).as_py():
        return None
    plain = [name for name in _SCHEMA.names if name not in _NESTED]
    frame: pd.DataFrame = table.select(plain).to_pandas()
    frame["notes"] = _tuples(table["notes"], lambda values: values.field("text").to_pylist())
    frame["note_kinds"] = _tuples(table["notes"], lambda values: values.field("kind").to_pylist())
    frame["spread"] = _tuples(table["spread"], lambda values: values.to_numpy(zero_copy_only=False).tolist())
    place, names = pd.factorize(frame["metric"])
    metrics = [metric(name, declared) for name in names]
    about = pd.DataFrame([{field: getattr(each, field) for field in ("aspect", *_ABOUT)} for each in metrics])
    about = about.take(place).set_index(frame.index)
    frame["aspect"] = frame["aspect"].fillna(about["aspect"])
    return pd.concat([frame[[*_SCHEMA.names, "note_kinds"]], about[list(_ABOUT)]], axis=1)


def _tuples(column: pa.ChunkedArray, values: Callable[[pa.Array], list[Any]]) -> list[tuple[Any, ...]]:
    """A column of lists as tuples."""
    array = column.chunk(0)
    ends, held = array.offsets.to_pylist(), tuple(values(array.values))
    return [held[begin:end] for begin, end in itertools.pairwise(ends)]
