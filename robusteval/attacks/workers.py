"""Several processes that attack a share of the examples each, with a model of their own.

All of them append to one result file; a process that is killed loses the examples it was at, no other, and
the same command with any number of processes goes on from there.
"""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import tempfile
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from robusteval.attacks.plan import AttackPlan, Target
from robusteval.attacks.queries.cache import LogitsCache
from robusteval.attacks.runner import AttackResult, Check, Progress, Victim, attack_targets, carry_out, check_parallel
from robusteval.errors import UserError, describe_error
from robusteval.results.attack_lines import AttackLine, append
from robusteval.runtime import stopping
from robusteval.runtime.logs import quiet_libraries

Load = Callable[[], Victim]
"""Makes the victim inside the process that attacks it; must be picklable (a function of a module, a partial)."""


def attack_in_workers(
    load: Load,
    plan: AttackPlan,
    workers: int = 1,
    parallel: int = 1,
    cache: Path | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    model: str = "",
    check: Check | None = None,
    here: Victim | None = None,
) -> AttackResult:
    """Carry out `plan` with `workers` processes, each attacking what `load` returns there; one means this one.

    model: the name of that victim, which lines bear; a file with lines of another one is refused.
    check: called before the first query, if there is one; what it raises is raised.
    here: the victim, where this process has it already. cache: a file for `LogitsCache`.

    Where a worker ends early, however it ends, the others finish their shares and UserError says which
    file keeps the finished lines. With more than one worker the calling script needs the usual
    `if __name__ == "__main__":`, because its processes are spawned.
    """
    check_numbers(workers, parallel)
    with ExitStack() as stack:
        file = out
        if file is None:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "lines.jsonl"
        share = functools.partial(_share, load, plan, parallel, cache, file, model)

        def attack(targets: Sequence[Target]) -> Generator[AttackLine, None, None]:
            if workers == 1 or len(targets) == 1:
                return share(targets, here)
            return _together(share, [targets[first::workers] for first in range(workers)], file)

        return carry_out(plan, attack, out, progress, model, check)


def check_numbers(workers: int, parallel: int) -> None:
    check_parallel(parallel)
    if workers < 1:
        raise UserError(f"workers: {workers} is out of range, at least 1")


Share = Callable[..., Generator[AttackLine, None, None]]
"""(targets, the victim where it is at hand) -> their lines, as they are finished."""


def _share(
    load: Load,
    plan: AttackPlan,
    parallel: int,
    cache: Path | None,
    out: Path,
    model: str,
    targets: Sequence[Target],
    here: Victim | None = None,
) -> Generator[AttackLine, None, None]:
    """Attack some targets in this process; a line is on disk before it is returned."""
    victim = here or load()
    if model and victim.name != model:
        raise UserError("model: its files changed since this command began; give the command again")
    with ExitStack() as stack:
        known = stack.enter_context(LogitsCache(cache, victim.name)) if cache is not None else None
        for line in attack_targets(dataclasses.replace(victim, name=model), plan, targets, parallel, known):
            append(out, line)
            yield line


def _together(share: Share, shares: Sequence[Sequence[Target]], out: Path) -> Generator[AttackLine, None, None]:
    """The lines of all shares, each attacked in a process of its own, as they are finished."""
    context = multiprocessing.get_context("spawn")
    running: dict[Any, Any] = {}
    trouble: list[str] = []
    try:
        for targets in filter(None, shares):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(share, targets, theirs), daemon=True)
            with stopping.shielded():
                process.start()
            theirs.close()
            running[ours] = process
        while running:
            for pipe in wait(list(running)):
                kind, content = _received(pipe)
                if kind == "line":
                    yield content
                    continue
                if kind == "mistake":
                    raise UserError(content)
                process = running.pop(pipe)
                process.join()
                if kind != "end":
                    trouble.append(content or f"process {process.pid} ended with code {process.exitcode}")
    finally:
        stopping.end_workers(running.values())
    if trouble:
        raise UserError(f"attack: {'; '.join(trouble)}; {out} keeps the finished lines, the same command goes on")


def _received(pipe: Any) -> tuple[str, Any]:
    """What a worker says; "gone" where it ended without a word."""
    try:
        kind, content = pipe.recv()
    except EOFError:
        return "gone", None
    return kind, content


def _work(share: Share, targets: Sequence[Target], pipe: Connection) -> None:
    """In a worker: attack `targets`, and tell the parent after every line and at the end."""
    stopping.begin_worker()
    quiet_libraries()
    try:
        for line in share(targets):
            pipe.send(("line", line))
        pipe.send(("end", None))
    except (KeyboardInterrupt, BrokenPipeError):
        # Interrupted, or nobody is left to tell: what is finished is on disk.
        return
    except UserError as error:
        pipe.send(("mistake", str(error)))
    except Exception as error:  # whatever it is, the parent names it
        pipe.send(("crash", f"{describe_error(error)}\n{traceback.format_exc()}"))
