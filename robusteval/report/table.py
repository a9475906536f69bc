"""The comparison table: a line per test, a column per method, over the seeds that were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from robusteval.errors import some
from robusteval.report.averages import average_lines
from robusteval.report.cells import Cell, Line, seeds_text
from robusteval.report.comparisons import Family, declare
from robusteval.report.costs import Cost, costs
from robusteval.report.statistics import Interval, paired_intervals
from robusteval.results.metrics import Aspect, Metric, metric

# Whose results stand in one cell: model, task, method, scenario.
Place = tuple[str, str, str, str]
Requested = Mapping[Place, Sequence[int]]

_LINE = ["model", "task", "scenario", "suite", "suite_value", "split", "metric"]
_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Lines by model, task and scenario, in the order they were measured; columns are method labels.

    baseline: the column that the others are compared with. seeds: those asked for, of any column. family: the declared
    comparisons, and groups of methods that cannot be told apart. costs: what training and testing took.
    """

    methods: tuple[str, ...]
    baseline: str
    seeds: tuple[int, ...]
    lines: tuple[Line, ...]
    family: Family
    costs: tuple[Cost, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line.model for line in self.lines))

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line.task for line in self.lines if not line.over))

    @property
    def scenarios(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line.scenario for line in self.lines))

    @property
    def title(self) -> str:
        """The tasks, and the models where there are several."""
        return ", ".join(self.tasks) + (f"; {', '.join(self.models)}" if len(self.models) > 1 else "")

    @property
    def caption(self) -> str:
        """How to read the cells."""
        cells = [cell for line in self.lines for cell in line.cells.values()]
        many = len(self.seeds) > 1
        told = [f"{self.title}: mean over {len(self.seeds)} seed{'s' if many else ''} ({seeds_text(self.seeds)})"]
        told += ["± is the sample standard deviation over seeds" if many else "one seed, no spread"]
        if len(self.methods) > 1:
            told += [f"Δ is the mean difference to {self.baseline}, paired by seed"]
        if any(cell.drop is not None for cell in cells):
            told += ["{} is the mean per-seed difference to the same method without the scenario"]
        if not all(cell.whole for cell in cells):
            told += ["[3/5]: of five seeds asked for, three have a value"]
        if any(cell.collapsed for cell in cells):
            told += ["collapsed: the run predicts one class throughout; others: the mean without such runs"]
        return "; ".join([*told, "shares and correlations are shown times 100", "n is the denominator"])


def build_table(
    rows: pd.DataFrame,
    methods: Sequence[str],
    *,
    baseline: str = "",
    primary: Sequence[str] = (),
    requested: Requested | None = None,
    notes: Sequence[str] = (),
    declared: Mapping[str, Metric] = MappingProxyType({}),
) -> Table:
    """Arrange rows, a frame as `robusteval.results.reading.rows_frame` gives it.

    baseline: a method, by default the first. primary: tests of the declared family ("clean accuracy"), by default
    the first one that compares models; of several tasks their average. requested: the seeds that each column was to
    have, by model, task, method and scenario; by default those that are there. declared: metrics that suites of the
    user's own said more of.
    """
    baseline = baseline or methods[0]
    if not len(rows):
        return Table(tuple(methods), baseline, (), (), Family(baseline, ()), (), tuple(notes))
    shown = rows["method"].isin(list(methods))
    rows = rows if shown.all() else rows[shown]
    asked = (seed for each in (requested or {}).values() for seed in each)
    seeds = sorted({*rows["seed"].tolist(), *asked})
    lines = _lines(rows, methods, baseline, seeds, requested, declared)
    lines = _ordered([*lines, *average_lines(lines, baseline)])
    family, said = declare(lines, methods, baseline, primary)
    told = (*notes, *said, *_row_notes(rows))
    return Table(tuple(methods), baseline, tuple(seeds), tuple(lines), family, costs(rows), told)


def _lines(
    rows: pd.DataFrame,
    methods: Sequence[str],
    baseline: str,
    seeds: Sequence[int],
    requested: Requested | None,
    declared: Mapping[str, Metric],
) -> list[Line]:
    grouped = rows.groupby(_LINE, sort=False)
    number = grouped.ngroup().to_numpy()
    heads = grouped.agg(low=("n", "min"), high=("n", "max"), summary=("summary", "any"))
    keys: list[tuple[Any, ...]] = list(heads.index)
    aspects: list[Aspect] = rows["aspect"].iloc[np.unique(number, return_index=True)[1]].tolist()
    places, names = pd.factorize(rows["method"])
    column = np.array([methods.index(name) for name in names])[places]
    seed = np.searchsorted(seeds, rows["seed"])
    values = np.full((len(keys), len(methods), len(seeds)), np.nan)
    there, collapsed = np.zeros(values.shape, bool), np.zeros(values.shape, bool)
    at = (number, column, seed)
    values[at], there[at], collapsed[at] = rows["value"], True, rows["collapsed"].notna()
    _spread_out(collapsed, [(*key[:3], aspect in ("cost", "size")) for key, aspect in zip(keys, aspects, strict=True)])
    domain = np.zeros(values.shape[:2], bool)
    np.logical_or.at(domain, (number, column), rows["in_domain"].to_numpy(bool))
    deltas = _deltas(values, list(methods).index(baseline))
    drops = _drops(values, keys, aspects)
    spreads = _spreads(rows, at)
    plain, known, lost = values.tolist(), there.tolist(), collapsed.tolist()
    lacking = _lacking(there, keys).tolist()
    lines = []
    for place, (key, head) in enumerate(zip(keys, heads.to_dict("records"), strict=True)):
        model, task, scenario, suite, value, split, name = key
        cells = {}
        for each, method in enumerate(methods):
            found = [where for where, yes in enumerate(known[place][each]) if yes]
            asked = [seeds[where] for where in found]
            if requested is not None:
                without = {seeds[where] for where, yes in enumerate(lacking[place][each]) if yes}
                asked = [seed for seed in requested.get((model, task, method, scenario), ()) if seed not in without]
            cells[method] = Cell(
                {seeds[where]: plain[place][each][where] for where in found},
                len(asked),
                frozenset(seeds[where] for where in found if lost[place][each][where]),
                deltas[place][each],
                drops[place][each],
                spreads.get((place, each), ()),
                bool(domain[place, each]),
            )
        about, counts = metric(name, declared), (int(head["low"]), int(head["high"]))
        test = (model, task, scenario, suite, value, split)
        lines.append(Line(*test, about, counts, cells, aspects[place], bool(head["summary"])))
    return lines


def _lacking(there: npt.NDArray[np.bool_], keys: Sequence[tuple[Any, ...]]) -> npt.NDArray[np.bool_]:
    """Where a run has been through a test that gives it no such number, as one without confidence gives none by it."""
    tests: dict[tuple[Any, ...], list[int]] = {}
    for number, (model, task, scenario, suite, value, *_) in enumerate(keys):
        # a test is finished as a whole, and each attack is one
        tests.setdefault((model, task, scenario, suite, value if suite == "attack" else ""), []).append(number)
    found = np.zeros_like(there)
    for own in tests.values():
        found[own] = there[own].any(axis=0) & ~there[own]
    return found


def _spread_out(collapsed: npt.NDArray[np.bool_], places: Sequence[tuple[Any, ...]]) -> None:
    """A run that collapsed in one test did so in all, of models of that name, task and scenario."""
    rows: dict[tuple[Any, ...], list[int]] = {}
    for number, place in enumerate(places):
        rows.setdefault(place, []).append(number)
    for own in rows.values():
        collapsed[own] = collapsed[own].any(axis=0)


def _ordered(lines: list[Line]) -> list[Line]:
    """By model, task and scenario in the order they came; what training cost and counts of rows last in each."""
    ranks = [list(dict.fromkeys(getattr(line, name) for line in lines)) for name in ("model", "task", "scenario")]
    places = [{value: place for place, value in enumerate(rank)} for rank in ranks]
    model, task, scenario = places
    return sorted(
        lines,
        key=lambda line: (
            model[line.model], task[line.task], scenario[line.scenario], line.aspect in ("cost", "size")
        ),
    )  # fmt: skip


def _deltas(values: _Numbers, base: int) -> list[list[Interval | None]]:
    """Of each line and method, the interval of its differences to the baseline; none for the baseline itself."""
    lines, methods, seeds = values.shape
    differences = (values - values[:, base : base + 1]).reshape(lines * methods, seeds)
    found = [each if each.n else None for each in paired_intervals(differences)]
    rows = [found[start : start + methods] for start in range(0, len(found), methods)]
    return [[None if number == base else each for number, each in enumerate(row)] for row in rows]


def _drops(values: _Numbers, keys: Sequence[tuple[Any, ...]], aspects: Sequence[str]) -> list[list[float | None]]:
    """Of each line and method, the mean difference to the same test of the same method without a scenario."""
    plain = {(*key[:2], *key[3:]): place for place, key in enumerate(keys) if key[2] == "none"}
    found: list[list[float | None]] = []
    for place, (key, aspect) in enumerate(zip(keys, aspects, strict=True)):
        where = plain.get((*key[:2], *key[3:]))
        if key[2] == "none" or where is None or aspect in ("cost", "size"):
            found.append([None] * values.shape[1])
            continue
        differences = values[place] - values[where]
        counts = (~np.isnan(differences)).sum(axis=1)
        sums = np.nansum(differences, axis=1)
        found.append([float(total / n) if n else None for total, n in zip(sums, counts, strict=True)])
    return found


def _spreads(rows: pd.DataFrame, at: tuple[Any, Any, Any]) -> dict[tuple[int, int], tuple[float, ...]]:
    """The values on random sets of each line and method, in the order of seeds."""
    spreads, (number, column, seed) = rows["spread"].tolist(), at
    cells = [*zip(number.tolist(), column.tolist(), strict=True)]
    there = np.flatnonzero([bool(each) for each in spreads])
    found: dict[tuple[int, int], list[float]] = {}
    for row in there[np.argsort(seed[there], kind="stable")].tolist():
        found.setdefault(cells[row], []).extend(spreads[row])
    return {key: tuple(each for each in values if each == each) for key, values in found.items()}


def _row_notes(rows: pd.DataFrame) -> list[str]:
    """Notes that rows carry, each once, with the runs they belong to, unless they hold for a test of every run."""
    domain, sets = rows[rows["in_domain"].to_numpy(bool)], rows[rows["sets"] > 1]
    collapsed, noted = rows.dropna(subset="collapsed"), rows[[bool(each) for each in rows["notes"]]]
    told = pd.concat(
        [
            collapsed.assign(text="collapsed to " + collapsed["collapsed"].map(repr), kind="run"),
            domain.assign(text=domain["suite_value"] + " is in domain", kind="test"),
            sets.assign(text="mean of " + sets["sets"].astype(str) + " sets", kind="test"),
            noted.assign(text=noted["notes"], kind=noted["note_kinds"]).explode(["text", "kind"]),
        ]
    )
    # in the order of the rows, and of a row first what its fields tell
    told = told[["model", "task", "method", "seed", "scenario", "text", "kind"]].sort_index(kind="stable")
    several = [name for name in ("model", "task") if rows[name].nunique() > 1]
    found: dict[tuple[str, str], list[str]] = {}
    for run in told.drop_duplicates().to_dict("records"):
        whose = " ".join([*(run[name] for name in several), f"{run['method']} seed {run['seed']}"])
        under = "" if run["scenario"] == "none" else f" under {run['scenario']}"
        found.setdefault((run["text"], run["kind"]), []).append(whose + under)
    return [f"{some(who, 6)}: {text}" if kind == "run" else text for (text, kind), who in found.items()]
