"""Files of pictures: the same bytes each time, text as text, a word where a font lacks a glyph."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest

from robusteval import plots
from robusteval.errors import UserError
from robusteval.plots import saving, style
from robusteval.plots.base import chosen
from robusteval.plots.saving import MissingGlyphs, rendered, svg
from robusteval.plots.style import PALETTE, Picture, looks, names
from robusteval.results.frames import rows_frame
from support.table_rows import row


def picture(method: str = "vanilla") -> Picture:
    spread = (0.8, 0.82, 0.85, 0.9, 0.91)
    return plots.violin(rows_frame([row(method, 0, "mask", "accuracy", 0.85, spread=spread, sets=5)]))  # type: ignore[no-any-return]


@pytest.mark.parametrize("ending", saving.FORMATS)
def test_bytes_are_the_same_each_time(ending: str) -> None:
    assert rendered(picture(), ending) == rendered(picture(), ending)


def test_text_stays_text_and_is_escaped() -> None:
    text = svg(picture("<i>$a$ & b</i>"))
    assert text.startswith("<svg") and "&lt;i&gt;$a$ &amp; b&lt;/i&gt;" in text and "<i>" not in text


def test_a_file_has_the_format_of_its_ending(tmp_path: Path) -> None:
    for ending, begins in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        plots.save(picture(), tmp_path / f"a.{ending}")
        assert (tmp_path / f"a.{ending}").read_bytes().startswith(begins)
    with pytest.raises(UserError, match=r"^format: .*'gif'"):
        plots.save(picture(), tmp_path / "a.gif")


def test_a_notebook_shows_it() -> None:
    assert picture()._repr_png_().startswith(b"\x89PNG")


def test_what_no_font_has_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style, "_cjk_fonts", lambda: ())
    with pytest.warns(MissingGlyphs, match="fonts-noto-cjk") as met:
        rendered(picture("中文方法"))
    assert len(met) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rendered(picture("vanilla"))


def test_methods_keep_their_colours() -> None:
    every = ("vanilla", "r3f", "match", "tdt:pairs=4", "tdt", "child-d", *(f"own{number}" for number in range(8)))
    frame = pd.DataFrame({"method": every})
    frame.attrs["methods"] = every
    found = looks(frame)
    assert found["vanilla"].colour == PALETTE[0] and found["match"].colour == PALETTE[5]
    # whatever part of them is drawn
    part = frame[frame["method"].isin(["own3", "child-d", "vanilla"])]
    assert {method: looks(part)[method] for method in every} == found
    # fourteen methods, no two alike
    assert len(set(found.values())) == len(every)
    assert len({each.colour for each in list(found.values())[:8]}) == 8


def test_names_are_short_and_differ() -> None:
    shown = names(["a" * 200, "a" * 199 + "b", "a" * 100 + "c" + "a" * 99, "two words", "", "$5 and $6"])
    assert len(set(shown.values())) == 6
    assert all(len(line) <= 28 for text in shown.values() for line in text.split("\n"))
    assert shown["two words"] == "two words" and shown["$5 and $6"] == r"\$5 and \$6"


def test_a_frame_is_narrowed() -> None:
    frame = rows_frame([row("vanilla", 0, "clean", "accuracy", 0.9), row("match", 1, "clean", "accuracy", 0.8)])
    assert list(chosen(frame, {"method": ["match"], "seed": ["1"]})["value"]) == [0.8]
    with pytest.raises(UserError, match=r"^method: .*'macth'.*match"):
        chosen(frame, {"method": ["macth"]})
    with pytest.raises(UserError, match=r"^rate: this picture's numbers are not told apart by rate"):
        chosen(frame, {"rate": ["0.1"]})
