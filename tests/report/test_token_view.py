"""Shaded tokens, by hand: where segments begin and end, what is ranked and shaded, and how it looks."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from rich.cells import cell_len
from rich.console import Console

from robusteval.page.tokens import tokens_page
from robusteval.report.token_lines import print_tokens
from robusteval.report.tokens import Shading, Shown, View, attacked, changes, level_of, segments
from robusteval.results.token_scores import ScoredText, Token


def scored(*texts: str, tokens: list[tuple[str, int, int | None, int | None, float]], cut: bool = False) -> ScoredText:
    return ScoredText(texts, tuple(Token(*token) for token in tokens), "good", 0.75, cut)


FILM = scored(
    "Unseen film!",
    tokens=[
        ("[CLS]", -1, None, None, 9.0), ("un", 0, 0, 2, 0.5), ("##seen", 0, 2, 6, 0.1), ("film", 0, 7, 11, 0.2),
        ("!", 0, 11, 12, 0.0), ("[SEP]", -1, None, None, 9.0),
    ],
)  # fmt: skip
PAIR = scored(
    "电影很好", "a b",
    tokens=[
        ("<s>", -1, None, None, 0.0), ("çĶ", 0, 0, 1, 0.1), ("µ", 0, 0, 1, 0.4), ("å½±", 0, 1, 2, 0.3),
        ("å¾Ī", 0, 2, 3, 0.2), ("å¥½", 0, 3, 4, 0.6), ("</s>", -1, None, None, 0.0), ("</s>", -1, None, None, 0.0),
        ("a", 1, 0, 1, 0.5), ("Ġb", 1, 2, 3, 0.35), ("</s>", -1, None, None, 0.0),
    ],
)  # fmt: skip


def rows(view: View, by: str = "gradient") -> list[list[tuple[str, tuple[str, ...], int]]]:
    found = segments(view, Shading.of(by, [view.scored]))
    return [[(each.text, each.pieces, each.rank) for each in row] for row in found]


def test_word_pieces_join_and_special_tokens_stand_where_they_are_read() -> None:
    assert rows(View(FILM)) == [
        [
            ("[CLS]", ("[CLS]",), 0), ("Un", ("un",), 1), ("seen", ("##seen",), 3), (" ", (), 0),
            ("film", ("film",), 2), ("!", ("!",), 4), ("[SEP]", ("[SEP]",), 0),
        ]
    ]  # fmt: skip


def test_bytes_of_one_character_are_one_segment_and_a_pair_is_ranked_together() -> None:
    assert rows(View(PAIR)) == [
        [
            ("<s>", ("<s>",), 0), ("电", ("çĶ", "µ"), 3), ("影", ("å½±",), 5), ("很", ("å¾Ī",), 0),
            ("好", ("å¥½",), 1), ("</s>", ("</s>",), 0), ("</s>", ("</s>",), 0),
        ],
        [("a", ("a",), 2), (" ", (), 0), ("b", ("Ġb",), 4), ("</s>", ("</s>",), 0)],
    ]  # fmt: skip


def test_what_was_not_read_has_no_shade_and_a_tokenizer_without_places_shows_its_pieces() -> None:
    cut = scored("good and more", tokens=[("good", 0, 0, 4, 0.5)], cut=True)
    assert rows(View(cut)) == [[("good", ("good",), 1), (" and more", (), 0)]]
    blind = scored("good", tokens=[("go", 0, None, None, 0.5), ("@@od", 0, None, None, 0.1)])
    assert [each for each in rows(View(blind))[0] if each[1]] == [("go", ("go",), 1), ("@@od", ("@@od",), 2)]
    assert rows(View(scored("", tokens=[("[CLS]", -1, None, None, 1.0)]))) == [[("[CLS]", ("[CLS]",), 0)]]


@pytest.mark.parametrize(
    ("by", "shares", "levels"),
    [
        # from 0 to .5; special tokens, which have more, have no shade and are no end of the scale
        ("gradient", [0, 1, 0.2, 0, 0.4, 0, 0], [0, 5, 1, 0, 2, 0, 0]),
        ("confidence", [0, 1, 0.2, 0, 0.4, 0, 0], [0, 5, 1, 0, 2, 0, 0]),
    ],
)
def test_shades(by: str, shares: list[float], levels: list[int]) -> None:
    (row,) = segments(View(FILM), Shading.of(by, [FILM]))
    assert [each.share for each in row] == pytest.approx(shares)
    assert [level_of(each, 6) for each in row] == levels
    # confidence is near one half throughout: its shades begin at its lowest score, those of gradients at 0
    near = scored("a b", tokens=[("a", 0, 0, 1, 0.4), ("b", 0, 2, 3, 0.6)])
    (row,) = segments(View(near), Shading.of(by, [near]))
    assert row[0].share == pytest.approx(0.0 if by == "confidence" else 2 / 3)
    alike = scored("a b", tokens=[("a", 0, 0, 1, 0.0), ("b", 0, 2, 3, 0.0)])
    assert all(each.share == 0 for each in segments(View(alike), Shading.of(by, [alike]))[0])


def test_changed_words_are_known_on_both_sides() -> None:
    old, new = changes("a good film", "a god film")
    assert (old, new) == ([(2, 6)], [(2, 5)])
    line = {"id": "7", "outcome": "succeeded", "gold": "good"}
    before = scored("a good", tokens=[("a", 0, 0, 1, 0.1), ("go", 0, 2, 4, 0.4), ("##od", 0, 4, 6, 0.2)])
    after = scored("a god", tokens=[("a", 0, 0, 1, 0.1), ("god", 0, 2, 5, 0.8)])
    shown = attacked(line, before, after)
    marked = [[each.text for each in row if each.changed] for (row,) in shown.rows("gradient")]
    assert marked == [["go", "od"], ["god"]]
    # one scale for both
    assert [each.share for each in shown.rows("gradient")[0][0] if each.changed] == pytest.approx([0.5, 0.25])
    assert len(attacked(line, before, before).views) == 1
    text = printed([shown])
    assert "a [-good-]" in text and "a {+god+}" in text
    page = tokens_page([shown], "gradient", "t")
    assert "<del>go</del>" in page and "<ins>god</ins>" in page


def printed(every: list[Shown], width: int = 0, **settings: object) -> str:
    out = io.StringIO()
    terminal = {"force_terminal": True, "width": width} if width else {"width": 40}
    print_tokens(every, "gradient", Console(file=out, **{"color_system": None, **terminal, **settings}))  # type: ignore[arg-type]
    return out.getvalue()


def test_ranks_stand_below_their_tokens_in_a_pipe() -> None:
    lines = printed([Shown((View(FILM),))]).splitlines()
    assert lines[:4] == [
        "good 0.750",
        "  [CLS] Unseen film! [SEP]",
        "        1 3    2   4",
        "  1 Un 0.5; 2 film 0.2; 3 seen 0.1; 4 ! 0",
    ]
    lines = printed([Shown((View(PAIR),))]).splitlines()
    # a Chinese character is two cells wide
    assert lines[1:3] == ["  <s> 电影很好 </s> </s>", "      3 5   1"]
    assert lines[3:5] == ["  a b </s>", "  2 4"]


@pytest.mark.parametrize("width", [24, 60, 80])
def test_a_terminal_wraps_between_words_and_loses_nothing(width: int) -> None:
    words = " ".join(["brilliant", "电影很好", "x" * 100, "film"] * 5)
    tokens = [("t", 0, found.start(), found.end(), found.start() / 100) for found in re.finditer(r"\w", words)]
    lines = printed([Shown((View(scored(words, tokens=tokens)),))], width).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    end = next(at for at, line in enumerate(lines) if line.startswith("  1 "))
    body = [line for line in lines[1:end] if not re.fullmatch(r"[ \d]+", line)]
    assert "".join("".join(body).split()) == "".join(words.split())
    assert sum(line.count("brilliant") for line in body) == 5
    # each rank stands below its token
    marks = {}
    for above, below in pairwise(lines[1 : end + 1]):
        if re.fullmatch(r"[ \d]+", below):
            marks |= {found.group(): above for found in re.finditer(r"\d", below)}
    assert sorted(marks) == ["1", "2", "3", "4", "5"]


def test_colours_are_never_alone() -> None:
    coloured = printed([Shown((View(FILM),))], 80, color_system="truecolor")
    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert "1 Un 0.5" in plain and "        1 3    2   4" in plain
    few = printed([Shown((View(FILM),))], 80, color_system="standard")
    assert not re.search(r"\x1b\[[\d;]*(3[0-7]|4[0-7]|9\d|10\d)[;m]", few), "only attributes where colours are few"


def test_a_page_is_escaped_and_bears_each_score() -> None:
    evil = "<img src=x onerror=alert(1)>\u202e"
    one = ScoredText(
        (evil,), (Token("<b>", 0, 0, 4, 0.25), Token('"x"', 0, 4, 9, 0.5)), "<script>", 0.5
    )  # fmt: skip
    page = tokens_page([Shown((View(one, "<i>"),), "<u>", "<s>")], "confidence", "<title>")
    for text in ("<img", "<script", "<b>", "<i>", "<u>", "<s>", "\u202e", 'title=""x"'):
        assert text not in page
    assert 'title="&lt;b&gt; 0.25"' in page and "&lt;img" in page and "&lt;U+202E&gt;" in page
    assert "http" not in page.replace("http-equiv", "")
    page = tokens_page([Shown((View(FILM),))], "gradient", "film")
    titles = re.findall(r'<span title="([^"]*)" class="(\w+)"', page)
    assert titles == [
        ("[CLS] 9", "special"), ("un 0.5", "s9"), ("##seen 0.1", "s2"), ("film 0.2", "s4"), ("! 0", "s0"),
        ("[SEP] 9", "special"),
    ]  # fmt: skip
    # the text is there as it was, piece by piece, with the ranks beside
    body = re.search(r'<div class="text">(.*?)</div>', page, re.DOTALL)
    assert body is not None
    assert re.sub(r"<sup>\d</sup>|<[^>]*>", "", body.group(1)) == "[CLS]Unseen film![SEP]"
