"""What a log file shows of long work: a line now and then, no control characters, and each note once."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from robusteval.attacks.resources import offline
from robusteval.runtime import progress, stopping
from robusteval.runtime.terminal import Screen, loading


class Stream(io.StringIO):
    """Standard error that is a terminal, or none."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("terminal", "environment", "drawn"),
    [
        (True, {}, True),
        (False, {}, False),
        (False, {"FORCE_COLOR": "1"}, False),  # as in many CI systems, whose logs are files
        (False, {"TTY_INTERACTIVE": "1"}, False),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_a_bar_is_drawn_on_a_terminal_alone(
    terminal: bool, environment: dict[str, str], drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    assert Screen(file=stream).redraws is drawn
    seconds = iter(range(0, 1000, 20))
    if not drawn:
        monkeypatch.setattr(progress.time, "monotonic", lambda: next(seconds))
    with loading("torch"), progress.ProgressBar("training", 6) as bar:
        for step in range(6):
            bar.advance(1, f"loss {step}")
    said = stream.getvalue()
    if drawn:
        assert "\x1b[" in said
        return
    assert not any(sign in said for sign in "\x1b\r\b")
    # steps end 20, 40, ... s after the beginning, and at most one line is written in 30 s
    assert said.splitlines() == [
        "training: 2/6, 80 s left loss 1", "training: 4/6, 40 s left loss 3", "training: 6/6, 0 s left loss 5",
    ]  # fmt: skip


@pytest.fixture
def noted(caplog: pytest.LogCaptureFixture) -> Iterator[Any]:
    offline._tell_stopwords.cache_clear()
    with caplog.at_level(logging.WARNING):
        yield lambda: [each for each in caplog.messages if "stopwords corpus" in each]
    offline._tell_stopwords.cache_clear()


def test_missing_stop_words_are_told_once_in_the_first_process(
    noted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "nltk_stopwords_present", lambda _: False)
    for _ in range(2):
        with offline.offline(tmp_path):
            pass
    assert len(noted()) == 1


@pytest.mark.parametrize("rank", ["", "1"])
def test_workers_say_nothing_of_missing_stop_words(
    rank: str, noted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "nltk_stopwords_present", lambda _: False)
    if rank:
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
    else:
        monkeypatch.setattr(stopping, "is_worker", lambda: True)
    with offline.offline(tmp_path):
        pass
    assert noted() == []
