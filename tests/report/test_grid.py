"""Grids on terminals of several widths and in a pipe: they fit, nothing is cut, and lines stay lines."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence

import pytest
from rich.cells import cell_len
from rich.console import Console

from robusteval.report.grid import blocks, folded, print_grid
from robusteval.runtime.terminal import Screen

NAMES = {
    "short": "m",
    "usual": "match:temperature=2",
    "long": "bidrop:" + "probability=0.1," * 12,
    "unbroken": "x" * 200,
    "Chinese": "匹配微调方法" * 4,
    "emoji": "\U0001f600\U0001f680 method",
    "markup": "[red]m[/red] [bold] :smile: | <b>",
    "control": "a\x1b[31m\u202eb",
}
COLLAPSED = "9.00 (−0.37) {−3.00} [1/6] [1/2 collapsed; others 82.00 ± 0.10]"
CELLS = ("82.50 ± 0.71ᵃ", "100.00 ± 0.00ᵃ (+12.50*)", COLLAPSED, "–")
TESTS = (("clean", "accuracy"), ("attack deepwordbug", "mean_words_changed_percent"), ("ood 社交媒体", "macro_f1"))


def grid(name: str, methods: int) -> tuple[list[str], list[list[str]]]:
    header = ["test", "metric", "n", *(f"{name}{number} (Δ)" for number in range(methods))]
    rows = [[*test, "872", *(CELLS[(row + each) % 4] for each in range(methods))] for row, test in enumerate(TESTS)]
    return header, rows


def printed(header: Sequence[str], rows: Sequence[Sequence[str]], width: int, **settings: object) -> list[str]:
    """The lines; a width of 0 is a pipe."""
    out = io.StringIO()
    terminal = {"force_terminal": True, "width": width, "color_system": None} if width else {"width": 40}
    print_grid(Screen(file=out, **terminal), header, rows, **settings)  # type: ignore[arg-type]
    return re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()).splitlines()


def marks(*texts: str) -> Counter[str]:
    return Counter("".join("".join(texts).split()))


def seen(text: str) -> str:
    return text.replace("\x1b", "<U+001B>").replace("\u202e", "<U+202E>")


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_terminal_is_never_too_narrow_and_nothing_is_cut(name: str, width: int) -> None:
    for methods in (1, 2, 4, 7, 12):
        header, rows = grid(name, methods)
        lines = printed(header, rows, width, words=2)
        assert max(map(cell_len, lines)) <= width
        count = sum(line.startswith("──") for line in lines)
        every = [[seen(cell) for cell in row] for row in (header, *rows)]
        # each character as often as it is to be there, the names of the rows once in each block
        expected = marks(*(cell for row in every for cell in (*row[2:], *row[:2] * count)))
        found = marks(*(line for line in lines if not line.startswith("──")))
        assert found == expected
        # every row begins in every block
        assert sum(line.split()[:1] == ["clean"] for line in lines) == count


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_pipe_has_a_line_for_each_row_and_no_frame(name: str) -> None:
    for methods in (1, 4, 12):
        header, rows = grid(name, methods)
        head, *lines, last = printed(header, rows, 0, words=2)
        assert len(lines) == len(rows) and not last
        starts, ends = set(), set()
        for line, row in zip((head, *lines), (header, *rows), strict=True):
            at, texts = 0, [seen(cell) for cell in row]
            for place, text in enumerate(texts):
                at = line.index(text, at)
                before = cell_len(line[:at])
                (starts if place < 2 else ends).add((place, before if place < 2 else before + cell_len(text)))
                at += len(text)
            assert line.endswith(texts[-1])
        # columns stand in line: words at their beginning, numbers at their end
        assert len(starts) == 2 and len(ends) == 1 + methods


def test_a_wider_terminal_has_more_side_by_side() -> None:
    header, rows = grid("match", 12)
    lines = [printed(header, rows, width, words=2) for width in (60, 80, 120, 200)]
    counts = [sum(line.startswith("──") for line in each) for each in lines]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]
    whole = printed(header, rows, 2000, words=2)
    assert len(whole) == 2 + len(rows) + 1  # header, rule, rows, an empty line
    # as wide as the text, not as the terminal
    assert cell_len(whole[1]) == max(map(cell_len, whole))


def test_four_methods_and_their_differences_fit_80_columns_side_by_side() -> None:
    cells = ["82.50 ± 0.71", *["82.00 ± 0.71 (−0.50)"] * 3]
    rows = [["clean", "accuracy", "872", *cells], ["attack deepwordbug", "attack_success_rate", "600", *cells]]
    lines = printed(["test", "metric", "n", "vanilla", "match (Δ)", "tdt (Δ)", "pats (Δ)"], rows, 80, words=2)
    assert sum(line.startswith("──") for line in lines) <= 2


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_names_of_a_list_are_whole_on_one_line(width: int) -> None:
    rows = [
        ["bidrop-perturbation", "Bi-Drop: the sub-network that dropout agrees on", "backward", ""],
        ["match", "MATCH-TUNING: in-batch composite representations", "representation", "a GPU"],
    ]
    header = ["name", "what it is", "hook", "needs"]
    lines = printed(header, rows, width, words=4, keep=1)
    assert all(cell_len(line) <= width for line in lines)
    for name, *facts in rows:
        assert [line for line in lines if line.split() and line.split()[0] == name and not line.startswith(" ")]
        assert all(word in " ".join(lines) for fact in facts for word in fact.split() if width >= 40)


@pytest.mark.parametrize(
    ("text", "width", "indent", "lines"),
    [
        ("short", 10, 0, ("short",)),
        ("", 10, 0, ("",)),
        ("82.50 ± 0.71 (+0.50) [1/6]", 13, 0, ("82.50 ± 0.71", "(+0.50) [1/6]")),
        ("82.50 ± 0.71 (+0.50) [1/6]", 8, 0, ("82.50 ±", "0.71", "(+0.50)", "[1/6]")),
        ("attack_success_rate", 10, 2, ("attack_", "  success_", "  rate")),
        ("match:temperature=2", 14, 0, ("match:", "temperature=2")),
        ("abcdefgh", 3, 0, ("abc", "def", "gh")),
        ("电影很好", 5, 0, ("电影", "很好")),
        ("a  b", 2, 0, ("a", "b")),
    ],
)
def test_where_a_text_is_folded(text: str, width: int, indent: int, lines: tuple[str, ...]) -> None:
    assert folded(text, width, indent) == lines
    assert marks(text) == marks(*lines)


def test_a_section_begins_with_an_empty_line_on_a_terminal_alone() -> None:
    rows = [["clean", "1"], ["mask", "2"]]
    assert printed(["test", "A"], rows, 80, sections=[1]) == ["test   A", "────────", "clean  1", "", "mask   2", ""]
    assert printed(["test", "A"], rows, 0, sections=[1], title="T") == ["T", "test   A", "clean  1", "mask   2", ""]


def test_what_an_encoding_lacks_is_measured_as_it_is_printed() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_grid(Screen(file=stream), ["", "match (Δ)"], [["电", "1 ± 2"], ["b", "3"]])
    stream.flush()
    lines = stream.buffer.getvalue().decode("ascii").splitlines()  # type: ignore[attr-defined]
    assert lines == ["        match (diff)", "\\u7535        1 +- 2", "b                  3", ""]


def test_columns_alone_decide_their_blocks() -> None:
    assert isinstance(Screen(file=io.StringIO()), Console)
    assert blocks([], 80) == [()]
