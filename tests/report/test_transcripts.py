"""Transcripts: every change is shown, and no text, whatever it holds, is more than text."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from robusteval.errors import UserError
from robusteval.report.transcripts import print_transcripts, transcripts, visible, word_differences
from robusteval.results.attack_lines import AttackLine
from support.attack_lines import UNREACHED, line
from support.hostile import HOSTILE

LINES = [
    line(),
    line(id="row-1", index=1, outcome="failed", predicted_after="good"),
    line(id="row-2", index=2, outcome="error", message="RuntimeError: boom", **UNREACHED),
]


def printed(lines: list[AttackLine], **console: Any) -> str:
    out = io.StringIO()
    print_transcripts(transcripts(lines), Console(file=out, emoji=False, **console))
    return out.getvalue()


def test_differences_by_hand() -> None:
    pieces = word_differences("The plot, dull and slow.", "The polt, dull slow!")
    assert [(piece.kind, piece.text) for piece in pieces] == [
        ("same", "The "), ("deleted", "plot"), ("inserted", "polt"), ("same", ", dull "), ("deleted", "and "),
        ("same", "slow"), ("deleted", "."), ("inserted", "!"),
    ]  # fmt: skip
    assert word_differences("don't go", "don't go") == [("same", "don't go")]
    assert word_differences("", "") == []
    assert word_differences("one", "") == [("deleted", "one")]


@given(st.text(), st.text())
def test_pieces_make_both_texts_again(old: str, new: str) -> None:
    pieces = word_differences(old, new)
    assert "".join(text for kind, text in pieces if kind != "inserted") == old
    assert "".join(text for kind, text in pieces if kind != "deleted") == new


def test_what_would_steer_a_terminal_or_reorder_a_page_is_written_out() -> None:
    assert visible("a\u001b[2J\u202eb\u200bc\td\ne") == "a<U+001B>[2J<U+202E>b<U+200B>c\td\ne"
    assert visible("שלום \u200dנ") == "שלום \u200dנ"


def test_the_terminal_shows_outcomes_scores_and_changes() -> None:
    plain = printed(LINES, width=200)
    first, second, third = plain.strip().split("\n\n")
    assert first.splitlines() == [
        "row-0  succeeded  gold good; good 0.875 → bad 0.750; 21 queries; 1 of 3 words changed",
        "  text: a [-fine-]{+fnie+} film",
    ]
    assert second.startswith("row-1  failed")
    assert third.splitlines() == [
        "row-2  error  gold good; 21 queries; RuntimeError: boom", "  text: a fine film",
    ]  # fmt: skip
    assert "1 of 3 words changed; similarity 0.83" in printed([line(similarity=0.8284)], width=200)
    coloured = printed(LINES[:1], width=200, force_terminal=True, color_system="standard", legacy_windows=False)
    assert "\x1b[9;31mfine\x1b[0m\x1b[32mfnie\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).splitlines()[1] == "  text: a finefnie film"


def test_the_terminal_takes_nothing_in_a_text_for_markup_or_control() -> None:
    text = " ".join(HOSTILE)
    shown = printed([line(id="[bold]id[/bold]", original=[text], perturbed=[f"{text} [/] :bomb:"])], width=10_000)
    assert "[bold]id[/bold]" in shown
    assert "[red]markup[/red] :smile:" in shown
    assert "{+ [/] :bomb:+}" in shown
    assert not {"\x1b", "\x07", "\x9b", "\x00", "\u202e"} & set(shown)


def test_columns_have_their_names_where_one_of_a_pair_is_protected() -> None:
    sides: dict[str, Any] = {"text_columns": ["premise", "hypothesis"], "original": ["one", "two"]}
    pair = line(columns=["hypothesis"], perturbed=["one", "tow"], **sides)
    assert [name for name, _ in transcripts([pair])[0].columns] == ["premise", "hypothesis"]
    assert printed([pair]).splitlines()[1:] == ["  premise: one", "  hypothesis: [-two-]{+tow+}", ""]


def test_choosing_what_is_shown() -> None:
    many = [line(id=str(number), outcome="failed" if number % 2 else "succeeded") for number in range(9)]
    assert [one.id for one in transcripts(many, "failed", 2)] == ["1", "3"]
    with pytest.raises(UserError, match="outcome: unknown name 'succeded'; did you mean 'succeeded'"):
        transcripts(many, "succeded")
    with pytest.raises(UserError, match="limit: 0 is out of range"):
        transcripts(many, None, 0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from robusteval.cli import main

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["robusteval", "transcript", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    results, page = tmp_path / "lines.jsonl", tmp_path / "pages" / "page.html"
    # lines are written in order of completion
    results.write_text("".join(json.dumps(one) + "\n" for one in reversed(LINES)))
    code, out, _ = call(str(results))
    assert code == 0
    assert [out.index(name) for name in ("row-0", "row-1", "row-2")] == sorted(
        out.index(name) for name in ("row-0", "row-1", "row-2")
    )
    assert "a [-fine-]{+fnie+} film" in out
    assert "deepwordbug, seed 3: lines.jsonl: 3 examples; attack success rate 50.0 % of 2 attacked" in out
    code, out, _ = call(str(results), "--outcome", "succeeded", "--limit", "1")
    assert "row-0" in out and "row-1" not in out
    assert call(str(results), "--html", str(page))[0] == 0
    assert "<title>deepwordbug, seed 3: lines.jsonl</title>" in page.read_text()
    assert call(str(results), "--html", str(page), "--outcome", "skipped")[0] == 0
    assert "None of them is like this" in page.read_text()

    (tmp_path / "other.jsonl").write_text('{"value": 1}\n')
    (tmp_path / "empty.jsonl").write_text("")
    for arguments, message in (
        ([str(tmp_path / "none.jsonl")], "there is no file"),
        ([str(tmp_path / "empty.jsonl")], "holds no line"),
        ([str(tmp_path / "other.jsonl")], "line 1 lacks 'id': no file of attack results"),
        ([str(results), "--outcome", "lost"], "outcome: unknown name 'lost'"),
        ([str(results), "--html", str(tmp_path)], "is a folder"),
        ([str(results), "--html", str(results)], "holds something else, which would be lost"),
    ):
        code, _, said = call(*arguments)
        assert code == 2
        assert message in said
