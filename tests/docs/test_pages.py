"""The pages of docs/ and the README: links lead somewhere, tables of settings are those of the code, none is lost."""

from __future__ import annotations

import dataclasses
import doctest
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from robusteval.evaluation import SUITES
from robusteval.methods import METHODS
from robusteval.scenarios import SCENARIOS
from support.places import DOCS, ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
KINDS: dict[str, Any] = {"methods": METHODS, "scenarios": SCENARIOS, "suites": SUITES}
# pages whose other settings are those of another page
ELSEWHERE = {"tdt-hard.md": "tdt.md"}
# what is said in words, and the default that is meant
WORDS = {"true": True, "false": False, "none": None, "": None}


def prose(page: Path) -> str:
    """A page without its code: what looks like a link there is none."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "`code`", re.sub(r"^    .*$", "", text, flags=re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


def dead_links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    assert not list(dead_links(page))


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n[a](gone.md) [b](#a-page) [c](page.md#nowhere) [d](https://x.org) `[e](code.md)`\n")
    assert list(dead_links(page)) == ["gone.md", "page.md#nowhere"]


def test_every_page_is_in_the_navigation() -> None:
    named = re.findall(r'"([\w./*-]+\.md|\w+/\*)"', (DOCS / "zensical.toml").read_text("utf-8"))
    pages = {page.name for page in DOCS.glob("*.md")} | {f"{kind}/*" for kind in (*KINDS, "attacks")}
    assert set(named) == pages
    assert len(named) == len(pages)


@pytest.mark.parametrize("kind", KINDS)
def test_every_page_of_a_kind_is_of_something_registered(kind: str) -> None:
    assert {page.stem for page in (DOCS / kind).glob("*.md")} <= {entry.name for entry in KINDS[kind]}


def written_settings(page: Path) -> dict[str, str]:
    """The first table of settings of a page: name -> default as it is written."""
    found: dict[str, str] = {}
    table = re.search(r"^\| setting \| default.*?\n\n", page.read_text("utf-8") + "\n\n", re.DOTALL | re.MULTILINE)
    for line in table.group().strip().splitlines()[2:] if table else ():
        names, default = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:3])
        told = re.findall(r"`([^`]+)`", names)
        defaults = default.split(", ") if len(told) > 1 else [default]
        found |= dict(zip(told, defaults, strict=True))
    return {name: default.strip("`").replace("\\|", "|") for name, default in found.items()}


def same(written: str, default: Any) -> bool:
    if written == default or (written in WORDS and default is WORDS[written]):
        return True
    if isinstance(default, int | float) and not isinstance(default, bool):
        return float(written) == default
    # what an empty default comes to is said in words
    return default in (None, "") and not re.fullmatch(r"[\d.e-]+", written)


TABLES = [page for kind in KINDS for page in sorted((DOCS / kind).glob("*.md")) if written_settings(page)]


@pytest.mark.parametrize("page", TABLES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_settings_on_a_page_are_those_of_the_code(page: Path) -> None:
    record = KINDS[page.parent.name][page.stem].Settings
    defaults = {field.name: field.default for field in dataclasses.fields(record)}
    written = written_settings(page)
    assert written.keys() <= defaults.keys()
    assert not {name: (told, defaults[name]) for name, told in written.items() if not same(told, defaults[name])}
    there = page.with_name(ELSEWHERE.get(page.name, page.name))
    missing = defaults.keys() - written.keys() - written_settings(there).keys()
    assert not missing, f"{page.name} says nothing of {', '.join(sorted(missing))}"


def test_most_pages_of_methods_have_a_table() -> None:
    assert len([page for page in TABLES if page.parent.name == "methods"]) > len(list(METHODS)) / 2


def test_docstrings_become_lists() -> None:
    pytest.importorskip("griffe", reason="griffe is not installed (pip install 'robusteval[docs]')")
    spec = importlib.util.spec_from_file_location("docstrings", DOCS / "docstrings.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert doctest.testmod(module) == doctest.TestResults(failed=0, attempted=1)
    assert module.markdown("It does.\n\nin place: x.\nin: y.", {"in"}) == "It does.\n\nin place: x.\n\n- `in`: y."
    assert module.markdown("A:\n>>> f()") == "A:\n\n```pycon\n>>> f()\n```"
