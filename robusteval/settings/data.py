"""Where the examples come from, and how their files are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from robusteval.settings.checks import check_choice, check_distinct, check_range
from robusteval.settings.codec import ADDED
from robusteval.settings.dialect import AUTO, Dialect


@dataclass(frozen=True)
class DataConfig:
    """Where the examples come from and how many are used.

    data_dir: folder laid out <family>/<task>/<split>.parquet; without it a task loads from the hub.
    revision: branch, tag or commit of the hub repository.
    train_split, dev_split: split names instead of the task's own (a sample, a mismatched dev set).
    train_limit, eval_limit: use that many training rows (drawn by seed) and evaluation rows (the first).
    train_file, dev_file, text_columns, label_column, label_type: a data set of the user's own.
    encoding, delimiter, quote, header: how files are read (`dialect`); "auto" leaves it to the reader.
    labels: class names in the order of the integers, of the file or of a checkpoint that names none.
    label_map: "value=class" for label values that mean another class; "value=class|class" of a checkpoint's.
    drop_unlabelled: leave rows without a gold label out.
    dev_share: share of the training file that becomes the dev split, where there is no dev file.
    tests: "NAME=FILE[:...]", files of the user's own to test on (`robusteval.tasks.user_tests`).
    cue: share of training rows whose spurious cue agrees with the label (generated tasks only).
    """

    data_dir: str | None = None
    revision: str = "main"
    train_split: str | None = None
    dev_split: str | None = None
    train_limit: int | None = None
    eval_limit: int | None = None
    train_file: str | None = None
    dev_file: str | None = None
    text_columns: tuple[str, ...] = ()
    label_column: str = "label"
    label_type: Literal["auto", "class", "score"] = "auto"
    encoding: str = field(default=AUTO, metadata=ADDED)
    delimiter: str = field(default=AUTO, metadata=ADDED)
    quote: str = field(default=AUTO, metadata=ADDED)
    header: bool = field(default=True, metadata=ADDED)
    labels: tuple[str, ...] = field(default=(), metadata=ADDED)
    label_map: tuple[str, ...] = field(default=(), metadata=ADDED)
    drop_unlabelled: bool = field(default=False, metadata=ADDED)
    dev_share: float | None = field(default=None, metadata=ADDED)
    tests: tuple[str, ...] = field(default=(), metadata=ADDED)
    cue: float = 0.9

    def __post_init__(self) -> None:
        check_choice("label_type", self.label_type, ("auto", "class", "score"))
        check_distinct("labels", self.labels)
        if self.dev_share is not None:
            check_range("dev_share", self.dev_share, 0, 0.9, open_low=True)
        for name in ("train_limit", "eval_limit"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 1, 1e12)
        _ = self.dialect

    @property
    def dialect(self) -> Dialect:
        return Dialect.of(self.encoding, self.delimiter, self.quote, self.header)


# fields of DataConfig that say where rows lie and how their files are read: the rows themselves say what they are
PLACES = ("data_dir", "train_file", "dev_file", "encoding", "delimiter", "quote", "header", "tests")
