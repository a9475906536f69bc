"""Doing a plan's runs on this machine, one after the other or several processes at a time."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from robusteval.errors import UserError, first_line
from robusteval.experiments.jobs import Job
from robusteval.experiments.run import execute
from robusteval.runtime import memory, stopping
from robusteval.runtime.logs import quiet_libraries
from robusteval.settings.work import WorkConfig
from robusteval.storage.files import disk_trouble, write_atomic
from robusteval.tasks.load import TaskData

FINISHED_BEFORE = "finished before"
WORKER_LOST = "a worker process was killed or ran out of memory; the same command goes on"

Report = Callable[[Job, str], None]
"""(run, what became of it: "done", `FINISHED_BEFORE` or an error message)."""


def run_jobs(
    jobs: Sequence[Job], work: WorkConfig, report: Report, data: Callable[[Job], TaskData | None] = lambda job: None
) -> list[tuple[Job, str]]:
    """Do every run that is not finished; returns the runs that failed, with the reason.

    A run that fails does not stop the others. Each of several worker processes has its share of the CPU's cores, which
    can change results in the last digits compared to another number of workers. data: rows that are in memory.
    """
    open_runs, failed = [], []
    for run in jobs:
        folder = run.folder(work.out)
        if not run.done(work.out):
            open_runs.append(run)
        elif damage := folder.damage():
            report(run, damage)
            failed.append((run, damage))
        else:
            folder.tidy()
            report(run, FINISHED_BEFORE)
    workers = work.workers
    if workers <= 1 or len(open_runs) <= 1:
        for run in open_runs:
            message = _outcome(run, work, data(run))
            report(run, message)
            if message != "done":
                failed.append((run, message))
        return failed
    threads = max(1, (os.cpu_count() or 1) // workers)
    quiet = dataclasses.replace(work, quiet=True, threads=work.threads or threads)
    context = multiprocessing.get_context("spawn")
    stopping.start_tracker()
    begin, count = stopping.begin_worker, min(workers, len(open_runs))
    with ProcessPoolExecutor(count, mp_context=context, initializer=begin) as pool:
        try:
            with stopping.shielded():
                futures = {pool.submit(_remote, run, quiet): run for run in open_runs}
            for future in as_completed(futures):
                run = futures[future]
                try:
                    message = future.result()
                except BrokenProcessPool:
                    message = WORKER_LOST
                report(run, message)
                if message != "done":
                    failed.append((run, message))
        except KeyboardInterrupt:
            # runs that have not begun must not begin now
            pool.shutdown(wait=False, cancel_futures=True)
            stopping.end_workers()
            raise
    return failed


def _outcome(run: Job, work: WorkConfig, data: TaskData | None) -> str:
    """Do one run; "done", or why it failed. Whatever breaks in one run, the others go on."""
    try:
        execute(run, work, data)
    except UserError as error:
        return str(error)
    except Exception as error:  # the other runs go on; the report is kept
        if stopping.asked():  # C code may answer an interruption with an error of its own
            raise KeyboardInterrupt from error
        folder = run.folder(work.out).path
        full = disk_trouble(error, folder)
        return full or f"{type(error).__name__}: {first_line(error)} ({_reported(folder)})"
    finally:
        memory.release()
    return "done"


def _reported(folder: Path) -> str:
    """Where the report of the error under way is found: in the run's folder, or else on the screen."""
    report, told = folder / "error.txt", traceback.format_exc()
    try:
        write_atomic(report, told)
    except UserError as error:
        print(told, file=sys.stderr)
        return f"all of it above; {error}"
    return f"all of it in {report}"


def _remote(run: Job, work: WorkConfig) -> str:
    """In a worker process: rows are loaded anew there."""
    quiet_libraries()
    try:
        return _outcome(run, work, None)
    except KeyboardInterrupt:
        # the pool would carry it to a parent that is going itself
        os._exit(stopping.EXIT_CODE)
