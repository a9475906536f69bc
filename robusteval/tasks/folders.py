"""Finding the files of a split in a local folder, as they lie there by hand or as a hub repository lays them out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from robusteval.errors import UserError
from robusteval.tasks.base import Task

KINDS = (".parquet", ".jsonl", ".csv", ".tsv")
# the hub's names; older ones end in a digest
_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?:-[0-9a-f]{8,})?")


@dataclass
class Split:
    """Files that are one split together; total: how many shards it has by their names, 0 where the file is whole."""

    name: str
    total: int = 0
    shards: dict[int, Path] = field(default_factory=dict)

    def files(self) -> list[Path]:
        """All shards in order; UserError that names one that is missing."""
        if not self.total:
            return [self.shards[0]]
        present = next(iter(self.shards.values()))
        missing = [number for number in range(self.total) if number not in self.shards]
        if missing:
            ending = "".join(present.suffixes[-2:]) if present.suffix == ".gz" else present.suffix
            names = [f"{self.name}-{number:05d}-of-{self.total:05d}{ending}" for number in missing]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise UserError(f"data_dir: {str(present.parent)!r} lacks {', '.join(names[:3])}{more}")
        return [self.shards[number] for number in range(self.total)]


def places(task: Task, data_dir: Path) -> list[Path]:
    """Folders in which the files of a task may lie; the first is where they are expected."""
    family = data_dir / task.family
    own = [family / name for name in dict.fromkeys((task.folder or task.name, task.config)) if name]
    # a repository of this task alone
    alone = [family] if task.name == task.family else []
    return [*own, *(folder / "data" for folder in [*own, *alone])]


def find_splits(task: Task, data_dir: Path) -> dict[str, list[Split]]:
    """Split -> the files, or sets of shards, that bear its name; several where it is not clear which are meant."""
    found: dict[str, dict[tuple[Path, str, int], Split]] = {}
    for folder in places(task, data_dir):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            kind = path.with_suffix("").suffix if path.suffix == ".gz" else path.suffix
            if kind not in KINDS or not path.is_file():
                continue
            stem = path.name.removesuffix(".gz").removesuffix(kind)
            shard = _SHARD.fullmatch(stem)
            name, number, total = (shard["split"], int(shard["number"]), int(shard["total"])) if shard else (stem, 0, 0)
            ending = path.name.removeprefix(stem)
            split = found.setdefault(name, {}).setdefault((folder, ending, total), Split(name, total))
            if number in split.shards:
                both = f"{split.shards[number].name} and {path.name}"
                raise UserError(f"data_dir: {str(folder)!r} has two files for one part of {name!r}: {both}")
            split.shards[number] = path
    return {name: list(splits.values()) for name, splits in found.items()}


def shard_of(split: str) -> str:
    """A clause where what was asked for is one shard by name, and so only a part of its split."""
    shard = _SHARD.fullmatch(split)
    return f"{split} is one of {int(shard['total'])} shards" if shard and int(shard["total"]) > 1 else ""


def split_files(splits: dict[str, list[Split]], split: str) -> list[Path]:
    """The files of a split, or the one file of that very name, in order; none where there is none.

    Raises UserError where several files or sets of shards bear the name, or where a shard is missing.
    """
    named = splits.get(split, [])
    if len(named) > 1:
        first = [str(each.shards[min(each.shards)]) for each in named]
        raise UserError(f"data_dir: {split!r} may be {' or '.join(first)}; take away what is not meant")
    if named:
        return named[0].files()
    every = (path for each in splits.values() for some in each for path in some.shards.values())
    return [path for path in every if path.name.partition(".")[0] == split][:1]
