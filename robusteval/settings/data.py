"""Where the examples come from, and how their files are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from robusteval.settings.dialect import AUTO, Dialect
from robusteval.settings.fields import Record, setting


@dataclass(frozen=True)
class DataConfig(Record):
    """Where the examples come from and how many are used.

    data_dir: folder laid out <family>/<task>/<split>.parquet; without it a task loads from the hub.
    train_split, dev_split: split names instead of the task's own (a sample, a mismatched dev set).
    train_limit, eval_limit: use that many training rows (drawn by seed) and evaluation rows (the first).
    train_file, dev_file, text_columns, label_column, label_type: a data set of the user's own.
    encoding, delimiter, quote, header: how files are read (`dialect`); "auto" leaves it to the reader.
    labels: class names in the order of the integers, of the file or of a checkpoint that names none.
    label_map: "value=class" for label values that mean another class; "value=class|class" of a checkpoint's.
    dev_share: share of the training file that becomes the dev split, where there is no dev file.
    held_out: share of the training rows that is not trained on and stands in for the dev split; what a search chooses
    on.
    tests: "NAME=FILE[:...]", files of the user's own to test on (`robusteval.tasks.user_tests`).
    cue: share of training rows whose spurious cue agrees with the label (generated tasks only).
    """

    PANEL: ClassVar[str] = "Data"

    data_dir: str | None = setting(None, "Folder <family>/<task>/<split>.parquet.", place=True, identity=False)
    revision: str = setting("main", "Revision of a hub data set: branch, tag or commit.")
    train_split: str | None = setting(None, "Split to train on.")
    dev_split: str | None = setting(None, "Split to evaluate on.")
    train_file: str | None = setting(None, "CSV, TSV, JSON(L), Parquet.", place=True, identity=False)
    dev_file: str | None = setting(None, "CSV, TSV, JSON(L), Parquet.", place=True, identity=False)
    text_columns: tuple[str, ...] = setting((), "One or two columns, comma separated.")
    label_column: str = setting("label", "Column of the label.")
    label_type: Literal["auto", "class", "score"] = setting("auto", "What a label is.")
    encoding: str = setting(AUTO, "Of text files: utf-8, cp1252, gbk, ...", identity=False, later=True)
    delimiter: str = setting(
        AUTO, "Between columns: a sign, or tab, comma, semicolon, bar, space.", identity=False, later=True
    )
    quote: str = setting(AUTO, "Around cells: \" or ', or none: quotes are letters.", identity=False, later=True)
    header: bool = setting(
        True, "The first line is a row; columns are named 0, 1, ... in order.", identity=False, later=True
    )
    labels: tuple[str, ...] = setting(
        (), "Class names in the order of the integers, of file or checkpoint.", distinct=True, later=True
    )
    label_map: tuple[str, ...] = setting(
        (), "What label values mean: Pos=pos, 0=entailment,1=neutral|contradiction.", quoted=True, later=True
    )
    drop_unlabelled: bool = setting(False, "Leave rows without a gold label (empty, -, -1) out.", later=True)
    dev_share: float | None = setting(
        None, "Share of the training file to test on, without a dev file.", above=0, high=0.9, later=True
    )
    train_limit: int | None = setting(None, "Train on that many rows.", low=1, high=1e12)
    eval_limit: int | None = setting(None, "Evaluate on that many rows.", low=1, high=1e12)
    held_out: float | None = setting(
        None, "Share of the training rows to test on in place of dev.", above=0, high=0.9, offered=False, later=True
    )
    tests: tuple[str, ...] = setting(
        (), "NAME=FILE[:0=yes,1=no][:text_columns=a,b]: a test of your own; repeatable.",
        name="test", panel="Tests", repeated=True, identity=False, later=True,
    )  # fmt: skip
    cue: float = setting(0.9, "Cue strength of a demo task's training set.")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.dialect

    @property
    def dialect(self) -> Dialect:
        return Dialect.of(self.encoding, self.delimiter, self.quote, self.header)
