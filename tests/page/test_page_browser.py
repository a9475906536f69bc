"""The page in a real browser: it sorts, filters, turns, prints and saves, by mouse and by keyboard, and asks nobody."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from robusteval.page.file import experiment_page, transcripts_page
from robusteval.report.transcripts import visible
from robusteval.results.experiment import Experiment
from robusteval.settings.spec import ExperimentSpec
from support.attack_lines import line
from support.browser import chromium
from support.hostile import HOSTILE, INJECTED
from support.hostile_page import NAMES, hostile_experiment, hostile_page
from support.made_experiments import made

SCORES = {"vanilla": 0.8, "tdt": 0.85, "match": 0.7}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@dataclass
class Opened:
    """A page, and what went wrong or out while it was open."""

    tab: Any
    trouble: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def texts(self, selector: str) -> list[str]:
        return [text.strip() for text in self.tab.locator(selector).all_inner_texts()]

    def quiet(self) -> None:
        """Nothing was said on the console, nothing asked for but the file itself."""
        assert self.trouble == []
        assert [url for url in self.asked if not url.startswith("blob:")] == [self.tab.url.partition("#")[0]]


Open = Callable[..., Opened]


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Open]:
    contexts = []

    def open_page(text: str, **options: Any) -> Opened:
        path = tmp_path / "page.html"
        path.write_text(text, encoding="utf-8")
        contexts.append(browser.new_context(**{"viewport": {"width": 1366, "height": 850}, **options}))
        found = Opened(contexts[-1].new_page())
        found.tab.on("console", lambda message: found.trouble.append(message.text))
        found.tab.on("pageerror", lambda error: found.trouble.append(str(error)))
        found.tab.on("dialog", lambda dialog: (found.trouble.append(dialog.message), dialog.dismiss()))
        found.tab.on("request", lambda request: found.asked.append(request.url))
        found.tab.goto(path.as_uri())
        if 'id="packed-attacks"' in text and options.get("java_script_enabled", True):
            found.tab.wait_for_selector("#filter select", state="attached")
        return found

    yield open_page
    for context in contexts:
        context.close()


def attacked(method: str, task: str, seed: int) -> list[Any]:
    """Thirty lines: of each three one fails."""
    return [
        line(id=f"row-{number}", index=number, seed=seed, original=[f"text {number} of a fine film 🎬 中文"],
             perturbed=[f"text {number} of a fnie film 🎬 中文 indeed"],
             outcome="succeeded" if number % 3 else "failed")
        for number in range(30)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    def values(method: str, task: str, seed: int) -> dict[tuple[str, str, str], float]:
        score = SCORES[method] + 0.01 * seed
        return {
            ("clean", "", "accuracy"): score, ("mask", "0.2", "accuracy"): math.nan if method == "match" else score / 2,
            ("attack", "deepwordbug", "attack_success_rate"): 0.66, ("train", "", "seconds"): 9.0,
        }  # fmt: skip

    out = tmp_path_factory.mktemp("plain")
    return Experiment.open(made(out, list(SCORES), (0, 1), values, lines=attacked), files=False)


@pytest.fixture(scope="module")
def page(plain: Experiment) -> str:
    return experiment_page(plain)


def test_hostile_text_stays_text(opened: Open, tmp_path: Path) -> None:
    found = opened(hostile_page(hostile_experiment(tmp_path / "out")))
    shown = found.tab.locator("body").inner_text()
    for text in (*NAMES, HOSTILE[2]):
        assert visible(text) in shown
    assert found.tab.title() == visible(HOSTILE[2])
    assert found.tab.locator("img, article b b, body > b").count() == 0
    # every transcript, page by page
    told = ""
    while True:
        told += found.tab.locator("#transcripts").inner_text()
        if found.tab.locator("#next").is_disabled():
            break
        found.tab.locator("#next").click()
    for text in HOSTILE:
        assert " ".join(visible(text).split()) in " ".join(told.split())
    assert found.tab.title() == visible(HOSTILE[2])
    found.quiet()
    # the same browser does run what is not escaped
    naive = opened(f"<!DOCTYPE html><title>results</title><p>{INJECTED}</p>")
    assert naive.tab.title() == "taken over"


def test_columns_sort_by_mouse_and_keyboard(opened: Open, page: str) -> None:
    found = opened(page)
    table = "#tables table >> nth=0"
    column = f"{table} >> tbody tr td:nth-child(6)"
    before = found.texts(column)
    assert before == ["70.50 ± 0.71 (−10.00)", "n/a", "66.00 ± 0.00 (+0.00)"]
    head = found.tab.locator(f"{table} >> thead button").nth(5)
    head.click()
    up = found.texts(column)
    assert found.tab.locator(f"{table} >> th[aria-sort=ascending]").count() == 1
    head.press("Enter")
    down = found.texts(column)

    def numbers(texts: list[str]) -> list[float]:
        return [float(text.split()[0]) for text in texts if text[0].isdigit() and "/" not in text.split()[0]]

    assert numbers(up) == sorted(numbers(before)) and numbers(down) == sorted(numbers(before), reverse=True)
    # what is no number comes last either way
    assert len(numbers(up)) < len(up) and up[-1] == down[-1] == "n/a"
    head.press("Enter")
    assert found.texts(column) == before
    found.tab.locator(f"{table} >> thead button").nth(0).click()
    assert found.texts(f"{table} >> tbody tr td:nth-child(1)") == ["attack deepwordbug", "clean", "mask 0.2"]
    found.quiet()


def test_seeds_are_shown_under_the_pointer_and_by_the_arrow_keys(opened: Open, page: str) -> None:
    found = opened(page)
    tip = found.tab.locator("#tip")
    cells = found.tab.locator("#tables table >> nth=0 >> [data-seeds]")
    assert not tip.is_visible()
    cells.nth(1).hover()
    assert tip.inner_text().splitlines()[:2] == ["seed 0: 85.00", "seed 1: 86.00"]
    assert "95 % interval" in tip.inner_text()
    found.tab.mouse.move(5, 5)
    found.tab.locator("h1").hover()
    assert not tip.is_visible()
    # one stop of the tab key for the whole table, then the arrows
    assert found.tab.locator("#tables table >> nth=0 >> [data-seeds][tabindex='0']").count() == 1
    cells.nth(0).focus()
    assert tip.inner_text().startswith("seed 0: 80.00")
    found.tab.keyboard.press("ArrowRight")
    assert tip.inner_text().startswith("seed 0: 85.00")
    found.tab.keyboard.press("ArrowDown")
    assert tip.inner_text().startswith("seed 0: 42.50")
    assert found.tab.evaluate("document.activeElement.getAttribute('aria-describedby')") == "tip"
    box, port = tip.bounding_box(), found.tab.viewport_size
    assert box["x"] >= 0 and box["x"] + box["width"] <= port["width"] and box["y"] + box["height"] <= port["height"]
    # a page that scrolls under the focus goes on showing it, in its new place
    before = tip.bounding_box()["y"]
    found.tab.mouse.wheel(0, 40)
    found.tab.wait_for_function("(y) => document.querySelector('#tip').getBoundingClientRect().y !== y", arg=before)
    assert tip.is_visible()
    found.tab.keyboard.press("Escape")
    assert not tip.is_visible()
    found.quiet()


def test_transcripts_are_filtered_and_turned(opened: Open, page: str) -> None:
    found = opened(page)
    shown = found.tab.locator("#shown")
    assert shown.inner_text() == "1–20 of 180: 60 failed, 120 succeeded"
    assert found.tab.locator("#transcripts article").count() == 20
    assert [text.split()[0] for text in found.texts("#filter label")] == [
        "method",
        "seed",
        "recipe",
        "outcome",
        "contains",
    ]
    found.tab.select_option("select[name=method]", "tdt")
    assert shown.inner_text() == "1–20 of 60: 20 failed, 40 succeeded"
    found.tab.select_option("select[name=outcome]", "failed")
    found.tab.select_option("select[name=recipe]", "deepwordbug")
    assert shown.inner_text() == "1–20 of 20: 20 failed"
    assert set(found.texts("#transcripts .outcome")) == {"failed"}
    assert all("tdt" in text for text in found.texts("#transcripts h3"))
    assert found.tab.locator("#next").is_disabled()
    found.tab.select_option("select[name=outcome]", "")
    found.tab.locator("#next").press("Enter")
    assert shown.inner_text().startswith("21–40 of 60")
    found.tab.locator("#previous").click()
    found.tab.locator("#next").click()
    found.tab.locator("#next").click()
    assert shown.inner_text().startswith("41–60 of 60")
    assert found.tab.locator("#next").is_disabled()
    found.tab.locator("input[name=holds]").fill("TEXT 7 OF")
    assert shown.inner_text() == "1–2 of 2: 2 succeeded"
    found.tab.locator("input[name=holds]").press("Enter")
    first = found.tab.locator("#transcripts article").first
    assert first.locator(".text").inner_text() == "text text 7 of a finefnie film 🎬 中文 indeed"
    assert (first.locator("del").inner_text(), first.locator("ins").all_inner_texts()) == ("fine", ["fnie", " indeed"])
    found.tab.locator("input[name=holds]").fill("nowhere")
    assert shown.inner_text() == "0: nothing is like this"
    found.quiet()


def test_themes(opened: Open, page: str) -> None:
    for scheme, first in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(23, 23, 26)")):
        found = opened(page, color_scheme=scheme)

        def background(tab: Any = found.tab) -> str:
            return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))

        button = found.tab.locator("#theme")
        seen = [background()]
        for name in ("light", "dark", "system"):
            button.press("Enter")
            assert button.inner_text() == f"Theme: {name}"
            seen.append(background())
        assert seen == [first, "rgb(255, 255, 255)", "rgb(23, 23, 26)", first]
        found.quiet()


def test_everything_can_be_reached_by_keyboard(opened: Open, page: str) -> None:
    found = opened(page)
    reached = set()
    for _ in range(80):
        found.tab.keyboard.press("Tab")
        names = "(e => e.id || e.name || e.dataset.save || e.className || e.textContent)(document.activeElement)"
        reached.add(found.tab.evaluate(names))
    controls = {"theme", "method", "recipe", "outcome", "holds", "next", "yaml", "csv", "json"}
    assert {*controls, "Attack transcripts", "mark", "wide"} <= reached


def test_rows_and_spec_are_saved_as_they_are(opened: Open, plain: Experiment, page: str, tmp_path: Path) -> None:
    found = opened(page)

    def saved(kind: str) -> tuple[str, str]:
        with found.tab.expect_download() as waiting:
            found.tab.locator(f"[data-save={kind}]").click()
        waiting.value.save_as(tmp_path / kind)
        return waiting.value.suggested_filename, (tmp_path / kind).read_text("utf-8")

    name, text = saved("yaml")
    assert name == "experiment.yaml" and ExperimentSpec.read(yaml.safe_load(text)) == plain.spec
    frame = plain.rows()
    name, text = saved("json")
    held = json.loads(text)
    assert name == "rows.json" and len(held) == len(frame)
    assert [one["value"] for one in held] == [None if math.isnan(each) else each for each in frame["value"]]
    assert [one["run"] for one in held] == frame["run"].tolist()
    name, text = saved("csv")
    lines = list(csv.DictReader(io.StringIO(text)))
    assert name == "rows.csv" and set(lines[0]) == set(frame.columns)
    values = [float(one["value"] or "nan") for one in lines]
    assert values == pytest.approx(frame["value"].tolist(), rel=0, abs=0, nan_ok=True)
    found.quiet()


def test_it_prints(opened: Open, page: str) -> None:
    found = opened(page)
    made = found.tab.pdf(format="A4")
    assert made.startswith(b"%PDF") and made.count(b"/Type /Page\n") + made.count(b"/Type /Page ") >= 2
    found.tab.emulate_media(media="print")
    assert not found.tab.locator("#theme").is_visible() and not found.tab.locator("#filter").is_visible()
    assert found.tab.locator("#summary table").is_visible()
    found.tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert found.tab.locator("#spec").is_visible()


@pytest.mark.parametrize("width", [390, 1366])
def test_nothing_sticks_out(opened: Open, page: str, tmp_path: Path, width: int) -> None:
    for text in (page, hostile_page(hostile_experiment(tmp_path / "out"))):
        found = opened(text, viewport={"width": width, "height": 844})
        assert found.tab.evaluate("document.documentElement.scrollWidth") <= width


def test_without_a_script_there_is_a_readable_beginning(opened: Open, page: str) -> None:
    found = opened(page, java_script_enabled=False)
    assert "With 2 seeds no difference can be called clear" in found.tab.locator("#summary").inner_text()
    assert found.tab.locator("#tables table").first.is_visible()
    assert set(found.texts("#transcripts .outcome")) == {"succeeded", "failed"}
    assert found.tab.locator("#transcripts del").first.inner_text() == "fine"
    assert not found.tab.locator("#theme").is_visible() and not found.tab.locator("#pager").is_visible()


def test_transcripts_of_one_attack_have_a_page_of_their_own(opened: Open) -> None:
    found = opened(transcripts_page(attacked("", "", 3), "deepwordbug"))
    assert found.tab.locator("#shown").inner_text() == "1–20 of 30: 10 failed, 20 succeeded"
    assert found.texts("nav a") == ["Attack transcripts"]
    found.quiet()
