"""One attempt at a run, in whichever process: whatever breaks in it, the others go on."""

from __future__ import annotations

import functools
import gc
import sys
import traceback
from pathlib import Path

import torch

from robusteval.errors import UserError, first_line
from robusteval.experiments.engine import End
from robusteval.experiments.jobs import Job
from robusteval.experiments.kept import rows_of
from robusteval.experiments.run import execute
from robusteval.runtime import memory, stopping
from robusteval.runtime.devices import pick_device
from robusteval.runtime.logs import quiet_libraries
from robusteval.settings.work import WorkConfig
from robusteval.storage.claims import ClaimLost, Held
from robusteval.storage.files import disk_trouble, write_atomic
from robusteval.tasks.load import TaskData


def attempt(job: Job, work: WorkConfig, data: TaskData | None = None) -> End:
    """Do what is left of a run in this process; how that ended. data: its rows, where they are in memory."""
    threads = torch.get_num_threads()
    try:
        execute(job, work, data or rows_of(job))
        return End("done", "", *_used(work))
    except Held as error:
        return End("held", str(error.who))
    except ClaimLost:
        return End("held", "another process")
    except Exception as error:  # the other runs go on; the report is kept
        if stopping.asked():  # C code may answer an interruption with an error of its own
            raise KeyboardInterrupt from error
        if memory.ran_out(error):
            return End("memory", first_line(error))
        if isinstance(error, UserError):
            return End("failed", str(error))
        folder = job.folder(work.out).path
        full = disk_trouble(error, folder)
        return End("failed", full or f"{type(error).__name__}: {first_line(error)} ({_reported(folder)})")
    finally:
        torch.set_num_threads(threads)
        memory.release()


def attempt_in_worker(job: Job, work: WorkConfig) -> End:
    """`attempt` in a process that does runs and nothing else, and keeps their rows from run to run."""
    quiet_libraries()
    end = attempt(job, work)
    _settle()
    return end


@functools.cache
def _settle() -> None:
    """Once, after the first run has imported what runs need: a collection need not look at all of that again."""
    gc.collect()
    gc.freeze()


def _used(work: WorkConfig) -> tuple[int, int]:
    """Bytes that this process took of its accelerator since training began, and that it has."""
    device = pick_device(work.device)
    if device.type != "cuda":
        return 0, 0
    return torch.cuda.max_memory_reserved(device), torch.cuda.get_device_properties(device).total_memory


def _reported(folder: Path) -> str:
    """Where the report of the error under way is found: in the run's folder, or else on the screen."""
    report, told = folder / "error.txt", traceback.format_exc()
    try:
        write_atomic(report, told)
    except UserError as error:
        print(told, file=sys.stderr)
        return f"all of it above; {error}"
    return f"all of it in {report}"
