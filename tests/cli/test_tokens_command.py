"""The command that shades tokens: what it prints, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from support.attack_lines import line
from support.field_cases import Done

Invoke = Callable[..., Done]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    lines = [
        line(original=["a good film"], perturbed=["a gd film"]),
        line(id="row-1", index=1, outcome="failed", original=["bad"], perturbed=["bd"]),
    ]
    path = tmp_path / "lines.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return path


def test_a_text_and_what_an_attack_changed(tiny_folder: Path, results: Path, tmp_path: Path, invoke: Invoke) -> None:
    done = invoke("tokens", str(tiny_folder), "good film", "--max-length", "32", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "[CLS] good film [SEP]" in done.stdout and "gradient x input" in done.stdout
    shared = ("tokens", str(tiny_folder), "--results", str(results), "--max-length", "32", "--device", "cpu")
    done = invoke(*shared)
    assert "a [-good-] film" in done.stdout and "a {+gd+} film" in done.stdout and "failed; gold" in done.stdout
    assert "texts are predicted otherwise than in the results" in done.stdout
    page = tmp_path / "page.html"
    done = invoke(*shared, "--outcome", "succeeded", "--html", str(page), "--json")
    assert [each["id"] for each in json.loads(done.stdout)["examples"]] == ["row-0"]
    text = page.read_text()
    assert "<del>" in text and "<ins>" in text and "row-1" not in text
    # a page of ours may be written anew, anything else may not
    assert invoke(*shared, "--html", str(page)).returncode == 0
    done = invoke(*shared, "--html", str(results))
    assert done.returncode == 2 and "holds something else" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "texts: give one text, two for a pair, or --results FILE.jsonl"),
        (["  "], "texts: give one text"),
        (["a", "b", "c"], "texts: give one text"),
        (["a", "--results", "{results}"], "texts: they have no effect beside --results"),
        (["a", "--outcome", "failed"], "outcome: it has no effect without --results"),
        (["--results", "{results}", "--outcome", "lost"], "outcome: "),
        (["--results", "{results}", "--outcome", "skipped"], "results: no text to show"),
        (["--results", "{results}", "--limit", "0"], "limit: 0 is out of range"),
        (["--results", "{results}.none"], "results: there is no file"),
        (["a", "--by", "gradeint"], "did you mean 'gradient'"),
        (["a", "--by", "confidence", "--max-length", "32"], "has no confidence.safetensors"),
        (["a", "--max-length", "4000"], "max_length"),
    ],
)
def test_what_is_refused(arguments: list[str], words: str, tiny_folder: Path, results: Path, invoke: Invoke) -> None:
    done = invoke("tokens", str(tiny_folder), *(each.format(results=results) for each in arguments), "--device", "cpu")
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and "Traceback" not in done.stderr
