"""Progress for people: a bar with ETA on a terminal, a line now and then elsewhere, silence on request."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from robusteval.runtime.terminal import Screen

LINE_EVERY = 30.0


def duration(seconds: float) -> str:
    """Like "3 min 20 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class ProgressBar:
    """One stretch of work of known length.

    >>> with ProgressBar("training", total=2, quiet=True) as bar:
    ...     bar.advance(1, "loss 0.69")
    """

    def __init__(self, title: str, total: int, *, quiet: bool = False, done: int = 0) -> None:
        self._title, self._total, self._done = title, total, done
        self._quiet, self._fresh = quiet, True
        self._start = self._last = time.monotonic()
        self._first = done
        console = Screen(file=sys.stderr)
        self._bar: Progress | None = None
        if console.redraws and not quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task(title, total=total, completed=done, note="")

    def __enter__(self) -> ProgressBar:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def reach(self, done: int, total: int, note: str = "") -> None:
        """Now `done` of `total` items are done; those before the first call were done earlier, and cost no time."""
        if self._fresh:
            self._first = self._done = done - 1
            self._start = time.monotonic()
            if self._bar:
                self._bar.reset(self._task, total=total, completed=done - 1)
        self._fresh = False
        self._total = total
        self.advance(done - self._done, note)

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more items done; `note` is shown beside the bar."""
        self._done += count
        if self._bar:
            self._bar.update(self._task, completed=self._done, note=note)
            return
        now = time.monotonic()
        if self._quiet or now - self._last < LINE_EVERY:
            return
        self._last = now
        left = (now - self._start) / max(1, self._done - self._first) * (self._total - self._done)
        print(
            f"{self._title}: {self._done}/{self._total}, {left:.0f} s left {note}",
            file=sys.stderr,
            flush=True,
        )
