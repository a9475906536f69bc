"""The page: what its first screen says, what it holds, and that no text in it is more than text."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from robusteval.errors import UserError
from robusteval.page.file import experiment_page, transcripts_page
from robusteval.page.packing import attacks, rows
from robusteval.page.pictures import Picture, fitting, part_of_page
from robusteval.page.pictures import drawn as drawn_of
from robusteval.page.runs import runs_of
from robusteval.page.said import MOST_TESTS, by_seed, headline, screen
from robusteval.plots.base import Plot
from robusteval.plots.style import grid
from robusteval.registry import Entry
from robusteval.report.table import Table, build_table
from robusteval.report.transcripts import visible
from robusteval.results.experiment import Experiment
from robusteval.results.frames import rows_frame
from robusteval.results.rows import Row
from robusteval.settings.spec import ExperimentSpec
from support.attack_lines import line
from support.hostile import HOSTILE
from support.hostile_page import NAMES, drawn, hostile_experiment
from support.made_experiments import made
from support.small_experiment import done, small_plan
from support.table_rows import row

SEEDS = range(7)


def table_of(methods: Sequence[str], values: dict[str, Sequence[float]], **more: Any) -> Table:
    """Clean accuracy of each method by seed."""
    found = [
        row(method, seed, "clean", "accuracy", each) for method in methods for seed, each in enumerate(values[method])
    ]
    return build_table(rows_frame(found), list(methods), **more)


def climbing(start: float, seeds: Sequence[int] = SEEDS) -> list[float]:
    return [start + 0.001 * seed for seed in seeds]


def said(table: Table) -> list[str]:
    return [f"{each.of}: {each.text}" if each.of else each.text for each in headline(table)]


def test_nothing_is_said_of_methods_where_the_seeds_support_nothing() -> None:
    one = {"vanilla": [0.80], "tdt": [0.95]}
    assert said(table_of(["vanilla"], one)) == [
        "vanilla is the only method here: there is nothing to compare it with"
    ]  # fmt: skip
    assert said(table_of(["vanilla", "tdt"], one)) == [
        "There is one seed to compare the methods by, so nothing can be said of them: the numbers describe these runs "
        "alone"
    ]
    few = {method: [value, value + 0.01, value] for method, [value] in one.items()}
    assert said(table_of(["vanilla", "tdt"], few)) == [
        "With 3 seeds no difference can be called clear: for one comparison that takes 6 seeds"
    ]
    # what holds of every seed is said as that
    assert [each.text for each in screen(table_of(["vanilla", "tdt"], few)).sentences[1:]] == [
        "With every seed that was run, which is no verdict: tdt is better than vanilla on clean accuracy"
    ]
    mixed = {"vanilla": [0.8, 0.8], "tdt": [0.9, 0.8], "match": [0.7, 0.6]}
    assert [each.text for each in screen(table_of(list(mixed), mixed)).sentences[1:]] == [
        "With every seed that was run, which is no verdict: match is worse than vanilla on clean accuracy; neither on "
        "any test: tdt"
    ]
    apart = rows_frame([row("vanilla", 0, "clean", "accuracy", 0.8), row("tdt", 1, "clean", "accuracy", 0.9)])
    assert said(build_table(apart, ["vanilla", "tdt"])) == [
        "No seed has both vanilla and another method yet: nothing can be compared"
    ]
    marks = screen(table_of(["vanilla", "tdt"], few)).standings[1].marks
    assert [(mark.text, mark.delta, mark.verdict, mark.side) for mark in marks] == [
        ("95.33 ± 0.58", "+15.00", "too few seeds", "")
    ]  # fmt: skip


def test_what_is_clear_is_said_with_its_size_and_what_is_not_is_named() -> None:
    values = {
        "vanilla": climbing(0.80),
        "tdt": climbing(0.90),
        "match": climbing(0.70),
        "pats": [0.8, 0.9, 0.7] * 2 + [0.8],
    }
    table = table_of(list(values), values)
    [told] = said(table)
    assert told.startswith(
        "clean accuracy: clearly better than vanilla: tdt +10.00 (+10.00 to +10.00); clearly worse than vanilla: match "
        "−10.00 (−10.00 to −10.00); no clear difference to vanilla: pats. "
    )
    shown = screen(table)
    assert {each.method: each.marks[0].verdict for each in shown.standings} == {
        "vanilla": "", "tdt": "clearly better", "match": "clearly worse", "pats": "no clear difference",
    }  # fmt: skip
    assert [each.marks[0].side for each in shown.standings] == ["", "better", "worse", ""]
    assert shown.sure[0].startswith("Declared family: 3 comparisons with vanilla (clean accuracy); sign-flip test")


@pytest.mark.parametrize(
    ("starts", "told"),
    [
        ((0.6, 0.8, 0.9), "Each compared with each, c is ahead of all others"),
        ((0.6, 0.9, 0.9), "Each compared with each, these cannot be told apart at the top: b, c"),
        ((0.8, 0.8, 0.8), "There is no ranking: each compared with each, no two methods can be told apart"),
    ],
)
def test_who_is_first_is_said_only_where_all_pairs_support_it(starts: tuple[float, ...], told: str) -> None:
    seeds = range(9)
    jitter = {"a": 0.0, "b": 0.004, "c": -0.004}
    values = {
        name: [start + jitter[name] * (-1) ** seed for seed in seeds]
        for name, start in zip("abc", starts, strict=True)
    }  # fmt: skip
    assert said(table_of("abc", values))[0].endswith(told)


def test_a_difference_of_fewer_texts_than_six_is_not_clear_and_says_so() -> None:
    shown = table_of(["vanilla", "tdt"], {"vanilla": climbing(0.80), "tdt": climbing(0.83)})
    assert "no clear difference to vanilla: tdt (under 6 of 100 texts)" in said(shown)[0]
    assert screen(shown).standings[1].marks[0].verdict == "under 6 of 100 texts"
    assert "Under 6 texts: the seeds agree" in screen(shown).sure[1]


def test_a_method_without_any_number_is_not_measured() -> None:
    values = {"vanilla": climbing(0.80), "tdt": climbing(0.95), "nan": [math.nan] * 7}
    table = table_of(list(values), values)
    assert "not measured: nan" in said(table)[0]
    standing = screen(table).standings[2]
    assert (standing.marks[0].text, standing.marks[0].verdict, standing.marks[0].bar) == ("–", "not measured", None)


def test_only_the_family_has_verdicts_and_an_average_stands_for_its_tasks() -> None:
    def of(task: str, base: float) -> list[Row]:
        return [
            row(method, seed, suite, metric, base + shift + 0.001 * seed, task=task)
            for method, shift in (("vanilla", 0.0), ("tdt", 0.1))
            for suite, metric in (("clean", "accuracy"), ("mask", "accuracy"), ("attack", "accuracy_under_attack"))
            for seed in SEEDS
        ]

    table = build_table(rows_frame([*of("sst2", 0.8), *of("mrpc", 0.7)]), ["vanilla", "tdt"])
    shown = screen(table)
    assert [test.label for test in shown.tests] == [
        "clean accuracy (average of sst2, mrpc)", "mask 0.1 accuracy (average of sst2, mrpc)",
        "attack deepwordbug accuracy under attack (average of sst2, mrpc)",
    ]  # fmt: skip
    assert [test.about for test in shown.tests] == [
        "n 100; higher is better", "n 100; higher is better; no verdict", "n 100; higher is better; no verdict",
    ]  # fmt: skip
    assert [mark.verdict for mark in shown.standings[1].marks] == ["clearly better", "", ""]
    # each task alone where both are asked for, and no more tests than there is room for
    rates = [row("tdt", 0, "mask", "accuracy", 0.5, suite_value=str(rate)) for rate in range(9)]
    wide = screen(build_table(rows_frame([*of("sst2", 0.8), *rates]), ["vanilla", "tdt"]))
    assert (len(wide.tests), wide.left_out) == (MOST_TESTS, 7)


def test_bars_show_what_the_interval_says() -> None:
    values = {"vanilla": [0.8, 0.8], "tdt": [0.8, 0.9], "match": [0.79, 0.79]}
    table = table_of(list(values), values)
    _, tdt, match = (each.marks[0].bar for each in screen(table).standings)
    interval = table.lines[0].cells["tdt"].delta
    assert interval is not None and tdt is not None and match is not None
    assert tdt.high == pytest.approx(0.98) and tdt.low < 0.5 < tdt.mean < tdt.high
    # all bars of a test on one scale, 0 in its middle
    assert (tdt.mean - 0.5) / (0.5 - match.mean) == pytest.approx(0.05 / 0.01)
    assert (tdt.low - 0.5) / (tdt.high - 0.5) == pytest.approx(interval.low / interval.high)


def test_cost_is_set_against_the_baseline_only_where_the_runs_are_alike() -> None:
    def trained(method: str, seconds: float, task: str = "sst2") -> list[Row]:
        return [row(method, 0, "train", "peak_memory_mb", 100 + seconds, seconds=seconds, task=task)]

    found = [*trained("vanilla", 30), *trained("tdt", 75), *trained("match", 60, "mrpc")]
    scored = [row(method, 0, "clean", "accuracy", 0.8, seconds=0.0) for method in ("vanilla", "tdt", "match", "pats")]
    shown = screen(build_table(rows_frame([*found, *scored]), ["vanilla", "tdt", "match", "pats"]))
    assert [each.cost for each in shown.standings] == [
        ("30 s", "1 ×", "130.0 MiB"), ("1 min 15 s", "2.5 ×", "175.0 MiB"), ("1 min 00 s", "other runs", "160.0 MiB"),
        ("–", "–", "–"),
    ]  # fmt: skip


def test_a_cell_tells_its_seeds_and_what_is_missing() -> None:
    asked = {("", "sst2", method, "none"): (0, 1, 2, 3) for method in ("vanilla", "tdt")}
    values = [row("vanilla", 0, "clean", "accuracy", 0.8), row("vanilla", 1, "clean", "accuracy", 0.9)]
    values += [row("tdt", 0, "clean", "accuracy", 0.7, collapsed="good"), row("tdt", 1, "clean", "accuracy", 0.9)]
    table = build_table(rows_frame(values), ["vanilla", "tdt"], requested=asked)
    assert [each.marks[0].lacking for each in screen(table).standings] == ["2 of 4 seeds", "2 of 4 seeds, 1 collapsed"]
    cell = table.lines[0].cells["tdt"]
    assert by_seed(cell, build_table(rows_frame(values), ["vanilla"]).lines[0].metric).splitlines() == [
        "seed 0: 70.00 (collapsed)", "seed 1: 90.00", "no result of 2 of 4 seeds",
        "Δ −5.00, 95 % interval −68.53 to +58.53, 2 pairs",
    ]  # fmt: skip


def test_a_cell_of_very_many_seeds_tells_the_first_ones() -> None:
    line_ = table_of(["vanilla"], {"vanilla": [0.5] * 203}).lines[0]
    told = by_seed(line_.cells["vanilla"], line_.metric).splitlines()
    assert (len(told), told[19], told[20]) == (21, "seed 19: 50.00", "and 183 more seeds")


def read(packed: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def texts_of(held: dict[str, Any], one: Sequence[Any]) -> list[tuple[str, str]]:
    """Original and perturbed text of each column, put together again as the page's script does it."""
    found = []
    for _, number, changes in one[-1]:
        original, perturbed, place = held["texts"][number], "", 0
        for at in range(0, len(changes), 3):
            begin, length, instead = changes[at : at + 3]
            perturbed += original[place:begin] + instead
            place = begin + length
        found.append((original, perturbed + original[place:]))
    return found


def test_transcripts_are_packed_without_loss_each_text_once() -> None:
    texts = ["a fine film", "fine 🎬 films, 中文 too", *HOSTILE]
    lines = [
        line(
            id=text, index=number, original=[text, "and this"], perturbed=[f"so {text[:-1]}", "and that"],
            text_columns=["one", "two"], seed=seed, method=method, task="sst2", scenario="none", message=text,
        )
        for method in ("vanilla", "tdt") for seed in (0, 1) for number, text in enumerate(texts)
    ]  # fmt: skip
    found = attacks(lines)
    assert found is not None and (found.held, found.whole) == (len(lines), len(lines))
    held = read(found.text)
    assert len(held["texts"]) == len(texts) + 1 and len(held["runs"]) == 4
    # the answers of all methods and seeds to one text stand together
    assert [held["words"][one[1]] for one in held["lines"]] == [visible(text) for text in texts for _ in range(4)]
    for one in held["lines"]:
        text = texts[[visible(each) for each in texts].index(held["words"][one[1]])]
        assert texts_of(held, one) == [(visible(text), visible(f"so {text[:-1]}")), ("and this", "and that")]
        assert visible(text) in one[6]
    assert not re.search(r"[^A-Za-z0-9+/=]", found.text)


def test_too_many_transcripts_are_the_first_texts_of_every_method() -> None:
    lines = [
        line(id=str(number), index=number, original=[f"text {number * 7919}"], method=method, task="t", scenario="none")
        for method in ("a", "b") for number in range(400)
    ]  # fmt: skip
    whole = attacks(lines)
    assert whole is not None
    some = attacks(lines, limit=len(whole.text) // 2)
    assert some is not None and len(some.text) <= len(whole.text) // 2
    assert 100 < some.held < some.whole == 800
    indices = sorted(int(held["words"][one[1]]) for held in [read(some.text)] for one in held["lines"])
    assert indices[-1] - some.held / 2 <= 1
    assert attacks([]) is None


def test_rows_are_packed_whole_or_not_at_all() -> None:
    frame = rows_frame(
        [row("a", 0, "clean", "accuracy", 0.5, spread=(0.25, math.nan)), row("b", 1, "ood", "nll", math.nan)]
    )
    held = read(rows(frame))
    assert set(held) == set(frame.columns) and list(held)[:6] == ["run", "task", "model", "method", "scenario", "seed"]
    assert (held["value"], held["seed"], held["spread"]) == ([0.5, None], [0, 1], [[0.25, None], []])
    assert rows(frame, limit=10) == ""


def test_pictures_of_one_page_share_no_id_and_bring_nothing_along() -> None:
    one, two = (part_of_page(drawn("<a> & b"), name) for name in ("violin", "t-sne"))
    ids = [set(re.findall(r'\bid="([^"]+)"', each)) for each in (one, two)]
    assert all(ids) and not ids[0] & ids[1]
    for text, own in ((one, ids[0]), (two, ids[1])):
        told = {a or b for a, b in re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text)}
        assert told == own
        assert "&lt;a&gt; &amp; b" in text
        assert not re.search(r"<(style|metadata|script|!)|xmlns|\.\d{3,}(?=[^;]*\" */>)", text.replace("base64", ""))
        ElementTree.fromstring(text)
    hostile = (
        '<svg xmlns="http://www.w3.org/2000/svg" onload="x()"><script>x()</script><style>*{}</style>'
        '<a href="javascript:x()"><text>in</text></a><image href="http://x/y.png"/><g onclick="x()" style="fill: '
        'url(http://x)"><foreignObject><b/></foreignObject><text>kept</text></g></svg>'
    )
    left = part_of_page(hostile, "p")
    assert "kept" in left and not re.search(r"x\(\)|http|script|style|foreign|<a", left)
    with pytest.raises(UserError, match="picture p: is no SVG"):
        part_of_page("<svg>", "p")


def test_a_picture_that_is_too_large_is_named_instead() -> None:
    given = [Picture("a", "", "x" * 50), Picture("b", "", "y" * 200), Picture("c", "", "z" * 60)]
    found = fitting(given, left=100, one=100)
    assert [bool(each.svg) for each in found] == [True, False, False]
    assert "are too much for a page" in found[1].why


class Read(HTMLParser):
    """What the standard library reads in a page: elements that are balanced, their attributes and texts."""

    EMPTY = ("meta", "input", "br", "path", "use", "image")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.data: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.data.append(data)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> str:
    experiment = hostile_experiment(tmp_path_factory.mktemp("hostile"))
    pictures = [
        Picture("violin", HOSTILE[0], part_of_page(drawn(HOSTILE[2]), "violin")),
        Picture("x", "", "", HOSTILE[2]),
    ]
    return experiment_page(experiment, pictures)


def test_no_text_becomes_an_element_and_nothing_is_fetched(hostile: str) -> None:
    found = Read(hostile)
    assert found.open == []
    told = "".join(found.data)
    for text in (*HOSTILE, *NAMES, "<b>second</b>"):
        assert visible(text) in told
    assert "img" not in found.tags and "b" in found.tags and found.tags.count("script") == 3
    named = {name for name, _ in found.attributes}
    assert not {name for name in named if name.startswith("on")} and "src" not in named
    for name, value in found.attributes:
        if name in ("href", "xlink:href"):
            assert value is not None and value.startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", hostile)
    assert "<title>" + "&lt;img src=x" in hostile


def test_the_page_tells_what_is_missing_and_how_to_do_it_again(tmp_path: Path, hostile: str) -> None:
    experiment = hostile_experiment(tmp_path)
    runs = runs_of(experiment)
    assert runs.counts == {"failed": 1, "to do": 1, "done": 10} and not runs.whole
    assert [(each.run.name, each.state, each.why) for each in runs.every[:2]] == [
        ("sst2.m0.none.s2", "failed", HOSTILE[0]), ("sst2.m1.none.s1", "to do", ""),
    ]  # fmt: skip
    assert ("commit", "first (6 of 10); <b>second</b> (4 of 10)") in runs.environment
    assert "This experiment is not finished: 12 runs: 1 failed, 1 to do, 10 done." in hostile
    assert "Not all measured with the same commit" in hostile
    (tmp_path / "again.yaml").write_text(runs.spec)
    import yaml

    assert ExperimentSpec.read(yaml.safe_load(runs.spec)) == experiment.spec
    assert "robusteval run experiment.yaml" in hostile


def test_a_damaged_run_and_one_under_way_are_told(tmp_path: Path) -> None:
    from robusteval.results.store import RunFolder

    made(tmp_path, ["vanilla"], (0, 1, 2), lambda *_: {("clean", "", "accuracy"): 0.5}, left_out=[("vanilla", 2)])
    damaged = tmp_path / "runs" / "sst2.m0.none.s1" / "rows.jsonl"
    damaged.write_text(damaged.read_text().replace("0.5", "0.6"))
    with RunFolder(tmp_path / "runs" / "sst2.m0.none.s2").lock():
        runs = runs_of(Experiment.open(tmp_path, files=False))
    assert runs.state == "3 runs: 1 damaged, 1 running, 1 done"
    assert "are not those that were written" in runs.every[0].why


def test_an_experiment_of_one_run_without_attacks_has_a_page(tmp_path: Path) -> None:
    made(tmp_path, ["vanilla"], (0,), lambda *_: {("clean", "", "accuracy"): 0.5})
    page = experiment_page(Experiment.open(tmp_path, files=False))
    assert Read(page).open == []
    assert "vanilla is the only method here" in page and "not finished" not in page
    assert 'id="attacks"' not in page and 'id="pictures"' not in page


def test_five_thousand_transcripts_fit_the_page() -> None:
    import random

    words = [f"word{number}" for number in range(5000)]
    generator, lines = random.Random(0), []
    originals = [" ".join(generator.choices(words, k=25)) for _ in range(500)]
    for number in range(5000):
        tokens = originals[number % 500].split()
        for place in generator.sample(range(25), 4):
            tokens[place] = tokens[place][::-1]
        lines.append(line(id=str(number % 500), index=number % 500, original=[originals[number % 500]],
                          perturbed=[" ".join(tokens)], queries=number, seed=number // 500))  # fmt: skip
    page = transcripts_page(lines, "many")
    assert len(page.encode()) < 1_300_000
    assert "5000 transcripts are" not in page and page.count("<article") <= 3


def test_the_command_writes_it(tmp_path: Path, invoke: Any) -> None:
    made(tmp_path / "out", ["vanilla", "tdt"], (0, 1), lambda *_: {("clean", "", "accuracy"): 0.5})
    first = invoke("report", str(tmp_path / "out"), "--html", "--format", "md")
    assert (first.returncode, first.stderr) == (0, "")
    path = tmp_path / "out" / "report" / "index.html"
    assert first.stdout.rstrip().endswith(f"page: {path}")
    bytes_ = path.read_bytes()
    assert invoke("report", str(tmp_path / "out"), "--html").returncode == 0
    assert path.read_bytes() == bytes_
    path.write_text("mine")
    assert "holds something else, which would be lost" in invoke("report", str(tmp_path / "out"), "--html").stderr
    assert path.read_text() == "mine"
    (tmp_path / "empty").mkdir()
    assert invoke("report", str(tmp_path / "empty"), "--html").returncode == 2


def test_an_experiment_ends_with_its_page(tiny_folder: Path, tmp_path: Path, csv_files: tuple[Path, Path]) -> None:
    code, told = done(small_plan(tiny_folder, csv_files), tmp_path / "out", page=True)
    path = tmp_path / "out" / "report" / "index.html"
    assert code == 0 and f"page: {path}\n" in told
    page = path.read_text("utf-8")
    assert Read(page).open == [] and 'id="packed-attacks"' in page and "Attack transcripts" in page
    experiment = Experiment.open(tmp_path / "out", files=False)
    assert f"{len(experiment.rows())} measured numbers" in page
    assert done(small_plan(tiny_folder, csv_files), tmp_path / "other")[0] == 0
    assert not (tmp_path / "other" / "report" / "index.html").exists()


class Drawn(Entry):
    """An entry that is a plot already."""

    def load(self) -> Plot:
        return PLOTS_HERE[self.name]


def lacking(experiment: Experiment) -> Any:
    raise UserError("violin: no run has a perturbed suite; add --suites mask")


def broken(frame: Any) -> Any:
    raise ZeroDivisionError("division by zero")


def dots(frame: Any) -> Any:
    figure, [axes] = grid(1)
    axes.plot(frame["value"], "o")
    axes.set_title("方法 <b>")
    return figure


PLOTS_HERE = {
    "lacks": Plot(lacking, dots), "breaks": Plot(Experiment.rows, broken), "draws": Plot(Experiment.rows, dots),
}  # fmt: skip


def test_a_picture_that_cannot_be_drawn_is_told_in_its_place(tmp_path: Path) -> None:
    made(tmp_path, ["vanilla"], (0,), lambda *_: {("clean", "", "accuracy"): 0.5})
    experiment = Experiment.open(tmp_path, files=False)
    lacks, breaks, draws = (drawn_of(Drawn(name, "", "a summary"), experiment) for name in PLOTS_HERE)
    assert (lacks.svg, lacks.why) == ("", "violin: no run has a perturbed suite; add --suites mask")
    assert breaks.svg == "" and "it cannot be drawn: ZeroDivisionError: division by zero" in breaks.why
    assert draws.why == "" and "方法 &lt;b&gt;" in draws.svg
    page = experiment_page(experiment, [lacks, breaks, draws])
    assert "Not drawn: lacks, breaks" in page and page.count("<figure") == 1
