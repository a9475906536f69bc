"""What a process keeps from run to run: the rows of the tasks that it met last."""

from __future__ import annotations

import sys
from collections import OrderedDict

from robusteval.experiments.jobs import Job
from robusteval.settings.data import DataConfig
from robusteval.tasks.load import TaskData, load_task

# Bytes of rows that are kept, but for those of the task at hand.
MOST = 2**30
_rows: OrderedDict[tuple[str, DataConfig], tuple[TaskData, int]] = OrderedDict()


def rows_of(job: Job) -> TaskData:
    """The rows of a run's task, as `load_task` loads them; loaded anew where they are not those of the job's facts."""
    key = (job.spec.task, job.spec.data)
    data, size = _rows.pop(key, (None, 0))
    if data is None or data.fingerprint != job.facts["data"]:
        data = load_task(*key)
        size = _bytes(data)
    while _rows and size + sum(size for _, size in _rows.values()) > MOST:
        _rows.popitem(last=False)
    _rows[key] = data, size
    return data


def _bytes(data: TaskData) -> int:
    """About how much memory rows take."""
    splits = [data.train, data.dev, *([data.ood] if data.ood else []), *data.adversarial.values()]
    splits += [test.examples for test in data.tests.values()]
    return sum(sys.getsizeof(text) for split in splits for column in (*split.texts, split.ids) for text in column)
