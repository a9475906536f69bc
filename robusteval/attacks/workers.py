"""Several processes that attack a share of the examples each, with a model of their own.

All of them append to one result file; a process that is killed loses the examples it was at, no other, and
the same command with any number of processes goes on from there.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import tempfile
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from robusteval.attacks.plan import AttackPlan, Target, make_plan
from robusteval.attacks.queries.batched import Predict
from robusteval.attacks.queries.cache import LogitsCache, victim_name
from robusteval.attacks.queries.wrapper import Sees, token_ids
from robusteval.attacks.runner import AttackResult, Check, Progress, attack_targets, carry_out, check_parallel
from robusteval.errors import UserError, describe_error
from robusteval.evaluation.predict import Predictor
from robusteval.models.catalogue import locate
from robusteval.models.hashes import checkpoint_sha256
from robusteval.models.opening import open_classifier
from robusteval.results.attack_lines import AttackLine, append
from robusteval.runtime import stopping
from robusteval.runtime.devices import pick_device
from robusteval.runtime.logs import quiet_libraries
from robusteval.tasks.base import Examples


@dataclass(frozen=True)
class Victim:
    """What is attacked. name: of whatever decides its logits besides the text (`victim_name`); it keys the cache.

    sees: as in `attack_examples`.
    """

    predict: Predict
    name: str
    sees: Sees | None = None


Load = Callable[[], Victim]
"""Makes the victim inside the process that attacks it; must be picklable (a function of a module, a partial)."""


def checkpoint_victim(
    folder: Path,
    labels: Sequence[str],
    max_length: int,
    device: str,
    threads: int,
    precision: str = "fp32",
    trust_remote_code: bool = False,
    outputs: tuple[str, ...] = (),
) -> Victim:
    """A fine-tuned checkpoint; `threads` CPU threads, 0 for torch's own choice."""
    if threads:
        torch.set_num_threads(threads)
    loaded = open_classifier(
        folder, labels=tuple(labels), outputs=outputs, keep_head=True, trust_remote_code=trust_remote_code
    )
    chosen = pick_device(device)
    predictor = Predictor(loaded.model.to(chosen), loaded.tokenizer, max_length, precision=precision)
    name = victim_name(loaded.sha256, labels, max_length, chosen.type, precision, outputs=outputs)
    return Victim(predictor.logits, name, token_ids(loaded.tokenizer, max_length))


def attack_checkpoint(
    folder: Path,
    examples: Examples,
    labels: Sequence[str],
    recipe: str,
    *,
    workers: int = 1,
    parallel: int = 1,
    max_length: int = 128,
    device: str = "auto",
    precision: str = "fp32",
    threads: int = 0,
    trust_remote_code: bool = False,
    outputs: tuple[str, ...] = (),
    cache: Path | None = None,
    out: Path | None = None,
    progress: Progress | None = None,
    check: Check | None = None,
    **settings: Any,
) -> AttackResult:
    """Attack the fine-tuned classifier in `folder` with `workers` processes.

    precision: "bf16" runs the model in bfloat16 autocast: faster on an accelerator, other numbers than fp32.
    threads: CPU threads of each process, 0 for an equal share of the cores. cache: a file for `LogitsCache`.
    outputs: as in `models.load_model`. settings: those of `make_plan`. The other arguments, the result and the errors
    are those of `attack_examples`.

    Where a worker ends early, however it ends, the others finish their shares and UserError says which
    file keeps the finished lines. With more than one worker the calling script needs the usual
    `if __name__ == "__main__":`, because its processes are spawned.
    """
    _check_numbers(workers, parallel)
    plan = make_plan(examples, labels, recipe, **settings)
    # As `checkpoint_victim` names it, before anything is loaded.
    sha256 = checkpoint_sha256(locate(str(folder))[0])
    model = victim_name(sha256, labels, max_length, pick_device(device).type, precision, outputs=outputs)
    threads = threads or (max(1, (os.cpu_count() or 1) // workers) if workers > 1 else 0)
    load = functools.partial(
        checkpoint_victim, folder, tuple(labels), max_length, device, threads, precision, trust_remote_code,
        outputs,
    )  # fmt: skip
    return attack_in_workers(load, plan, workers, parallel, cache, out, progress, model, check)


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
) -> AttackResult:
    """Carry out `plan` with `workers` processes, each attacking what `load` returns there; one means this one.

    model: the name of that victim, which lines bear; a file with lines of another one is refused.
    """
    _check_numbers(workers, parallel)
    with ExitStack() as stack:
        file = out
        if file is None:
            file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "lines.jsonl"
        share = functools.partial(_share, load, plan, parallel, cache, file, model)

        def attack(targets: Sequence[Target]) -> Generator[AttackLine, None, None]:
            if workers == 1 or len(targets) == 1:
                return share(targets)
            return _together(share, [targets[first::workers] for first in range(workers)], file)

        return carry_out(plan, attack, out, progress, model, check)


def _check_numbers(workers: int, parallel: int) -> None:
    check_parallel(parallel)
    if workers < 1:
        raise UserError(f"workers: {workers} is out of range, at least 1")


Share = Callable[[Sequence[Target]], Generator[AttackLine, None, None]]


def _share(
    load: Load, plan: AttackPlan, parallel: int, cache: Path | None, out: Path, model: str, targets: Sequence[Target]
) -> Generator[AttackLine, None, None]:
    """Attack some targets in this process; a line is on disk before it is returned."""
    victim = load()
    if model and victim.name != model:
        raise UserError("model: its files changed since this command began; give the command again")
    with ExitStack() as stack:
        known = stack.enter_context(LogitsCache(cache, victim.name)) if cache is not None else None
        for line in attack_targets(victim.predict, plan, targets, parallel, known, victim.sees, model):
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
    except Exception as error:
        pipe.send(("crash", f"{describe_error(error)}\n{traceback.format_exc()}"))
