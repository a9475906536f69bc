"""Many attacks at once: each in a thread of its own, one running at a time, all served by one model call.

An attack runs until it asks for predictions and waits there. When all of them wait, their questions are
answered together. Nothing in TextAttack has to know: an attack sees a function call that returns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Generic, TypeVar, cast

from robusteval.runtime.generators import RandomStates

Result = TypeVar("Result")
Question = Sequence[Any]
Answers = Callable[[Sequence[Question]], Sequence[Any]]
"""n questions -> n answers; an answer that is an exception is raised where its question was asked."""


class Ended(BaseException):
    """Raised inside a routine that nobody will go on with; only the routine's thread sees it."""


class Routine(Generic[Result]):
    """A function in a thread of its own that waits wherever it asks a question.

    seconds: what it ran itself, plus its share of the answers. The global random states are its own while it
    runs: what others draw in between does not reach it.
    """

    def __init__(self, function: Callable[[Routine[Result]], Result]) -> None:
        self.question: Question | None = None
        self.seconds = 0.0
        self._function = function
        self._answer: Any = None
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._states: RandomStates | None = None
        self._resumed_at = 0.0
        self._to_routine, self._to_caller = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def go_on(self, answer: Any = None) -> bool:
        """Run until the next question (True) or the end (False)."""
        if self._states is not None:
            self._states.restore()
        self._answer = answer
        self._resumed_at = time.perf_counter()
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._to_routine.release()
        self._to_caller.acquire()
        self.seconds = self.spent()
        if self.question is None:
            self._thread.join()
            return False
        self._states = RandomStates.now()
        return True

    def ask(self, question: Question) -> Any:
        """Inside the routine: wait for the answer to `question`; an answer that is an exception is raised."""
        self.question = question
        self._to_caller.release()
        self._to_routine.acquire()
        self.question = None
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    def spent(self) -> float:
        """Inside the routine: its seconds up to now."""
        return self.seconds + time.perf_counter() - self._resumed_at

    def result(self) -> Result:
        """What the function returned; what it raised is raised."""
        if self._error is not None:
            raise self._error
        return cast(Result, self._result)

    def stop(self) -> None:
        """End the routine where it waits; one that still runs ends at its next question."""
        if self._thread.is_alive():
            self._answer = Ended()
            self._to_routine.release()
            self._thread.join()

    def _run(self) -> None:
        try:
            self._result = self._function(self)
        except Ended:
            pass
        except BaseException as error:
            self._error = error
        self._to_caller.release()


def lock_step(
    functions: Iterable[Callable[[Routine[Result]], Result]], parallel: int, answers: Answers
) -> Generator[Result, None, None]:
    """The results of `functions` in order of completion, with `parallel` of them under way at any time.

    A function that raises ends everything, and so does a consumer that stops: no thread is left behind.
    `answers` runs in the caller's thread, so that Ctrl-C ends a run between two model calls.
    """
    coming = iter(functions)
    live: list[Routine[Result]] = []
    replies: Sequence[Any] = ()
    try:
        while True:
            waiting = []
            for routine, reply in zip(list(live), replies, strict=True):
                if routine.go_on(reply):
                    waiting.append(routine)
                else:
                    live.remove(routine)
                    yield routine.result()
            while len(waiting) < parallel and (function := next(coming, None)) is not None:
                routine = Routine(function)
                live.append(routine)
                if routine.go_on():
                    waiting.append(routine)
                else:
                    live.remove(routine)
                    yield routine.result()
            if not waiting:
                return
            live = waiting
            replies = _answered(live, answers)
    finally:
        for routine in live:
            routine.stop()


def _answered(routines: Sequence[Routine[Any]], answers: Answers) -> Sequence[Any]:
    """Ask all questions together; the time goes to the routines in proportion to what they asked."""
    questions = [routine.question or () for routine in routines]
    began = time.perf_counter()
    replies = answers(questions)
    each = (time.perf_counter() - began) / max(1, sum(map(len, questions)))
    for routine, question in zip(routines, questions, strict=True):
        routine.seconds += each * len(question)
    return replies
