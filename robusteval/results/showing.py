"""Results as a notebook shows them: a table of tests by methods, as HTML with every text escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from types import MappingProxyType

import pandas as pd

from robusteval.results.metrics import Metric, metric


def overview(rows: pd.DataFrame, declared: Mapping[str, Metric] = MappingProxyType({})) -> pd.DataFrame:
    """One line per test and metric, one column per method: mean ± sample standard deviation over seeds, as text.

    rows: as `rows_frame`; the main metrics of what was tested are taken, without costs and counts. What differs between
    rows (task, model, scenario) is said in columns of its own. A number is in the unit that its metric is shown in; NaN
    is "n/a".
    """
    found = rows[rows["role"].eq("main") & ~rows["aspect"].isin(("cost", "size"))] if len(rows) else rows
    if found.empty:
        return pd.DataFrame(columns=["test", "metric"])
    differing = [name for name in ("model", "task", "scenario") if found[name].nunique() > 1]
    found = found.assign(test=(found["suite"] + " " + found["suite_value"]).str.strip())
    lines: dict[tuple[str, ...], dict[str, str]] = {}
    for key, group in found.groupby([*differing, "test", "metric", "method"], sort=False):
        *where, name, method = map(str, key)
        lines.setdefault((*where, name), {})[method] = _cell(metric(name, declared), group["value"])
    methods = list(dict.fromkeys(found["method"]))
    return pd.DataFrame(
        [[*where, *(cells.get(method, "") for method in methods)] for where, cells in lines.items()],
        columns=[*differing, "test", "metric", *methods],
    )


def _cell(about: Metric, values: pd.Series[float]) -> str:
    spread = f" ± {about.text(float(values.std()))}" if len(values) > 1 else ""
    return about.text(float(values.mean())) + spread


def as_html(frame: pd.DataFrame, caption: str = "") -> str:
    """A frame as an HTML table, every text escaped."""
    table = frame.to_html(index=False, escape=True, border=0)
    return f"<div><p>{escape(caption)}</p>{table}</div>" if caption else table
