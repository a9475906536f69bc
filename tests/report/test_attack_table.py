"""The table of one attack, by hand."""

from __future__ import annotations

import io
import re

from rich.console import Console

from robusteval.report.attack import print_attack
from support.attack_lines import UNREACHED, line


def printed(*lines: object, resumed: int = 0) -> dict[str, list[str]]:
    stream = io.StringIO()
    print_attack(lines, "deepwordbug on [model]", Console(file=stream, width=100), resumed)  # type: ignore[arg-type]
    told = [re.split(r"\s{2,}", text) for text in stream.getvalue().splitlines()]
    return {**{row[0]: row[1:] for row in told}, "text": [stream.getvalue()]}


def test_every_number_has_its_denominator() -> None:
    failed = line(id="row-1", index=1, outcome="failed", predicted_after="good", queries=4, words_changed=0)
    skipped = line(id="row-2", index=2, outcome="skipped", predicted_before="bad", predicted_after="bad", queries=1)
    wrong = line(id="row-3", index=3, **UNREACHED, outcome="error", message="RuntimeError: lost")
    found = printed(line(similarity=0.8125), failed, skipped, wrong, resumed=2)
    assert found["accuracy before"] == ["66.67 %", "3"]
    assert found["accuracy under attack"] == ["33.33 %", "3"]
    assert found["attack success rate"] == ["50.00 %", "2"]
    assert found["queries per attack"] == ["12.5", "2"]
    assert found["words changed"] == ["33.3 %", "1"]
    assert found["similarity"] == ["0.812", "1"]
    assert found["errors"] == ["1", "4"]
    assert "deepwordbug on [model]" in found["text"][0]
    assert "2 of 4 examples were finished before" in found["text"][0]
    assert "1 of 1 errors: RuntimeError: lost" in found["text"][0]


def test_a_share_of_nothing_is_not_there() -> None:
    found = printed(line(**UNREACHED, outcome="error", message="RuntimeError: lost"))
    assert found["attack success rate"] == found["similarity"] == ["n/a", "0"]
