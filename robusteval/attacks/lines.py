"""The result file of an attack: one JSON line per attacked example."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict

from robusteval.errors import UserError
from robusteval.files import append_lines, read_lines

Outcome = Literal["succeeded", "failed", "skipped", "error"]


class AttackLine(TypedDict):
    """One attacked example.

    id, index: its name and its position in the split. gold, predicted_*: label names.
    stopwords: whose list protected stop words, "nltk" or "built-in".
    resources: what was found of each resource that is made of files, "<name> sha256:<16 digits>" (`contents`).
    text_columns: all text columns, in order; columns: those that the attack might change.
    original, perturbed: one string per text column; for a failed attack the best attempt, for a skipped one
    the original. words_changed: word edits between the two; words: words of the original.
    scores_*: probabilities, one per label. queries: as TextAttack counts them, cache hits included;
    model_rows: texts that the model computed for this example; cached_rows: those answered without it, from
    the disk or because another attack asked for the same text in the same call.
    query_budget: the most queries it might make, None for no limit. seconds: its own, and its share of the
    model's. message: the exception of an error, or a remark; else empty.
    An error line has None for everything that was not reached.
    """

    id: str
    index: int
    recipe: str
    seed: int
    stopwords: str
    resources: dict[str, str]
    text_columns: list[str]
    columns: list[str]
    query_budget: int | None
    gold: str
    outcome: Outcome
    original: list[str]
    perturbed: list[str] | None
    predicted_before: str | None
    predicted_after: str | None
    scores_before: list[float] | None
    scores_after: list[float] | None
    queries: int
    model_rows: int
    cached_rows: int
    words_changed: int | None
    words: int | None
    seconds: float
    message: str


# What a finished line must agree on with the example that would be attacked again.
IDENTITY = (
    "recipe", "seed", "stopwords", "resources", "text_columns", "columns", "query_budget", "gold", "original",
)  # fmt: skip


def finished(path: Path, expected: Sequence[Mapping[str, Any]]) -> dict[str, AttackLine]:
    """The lines of `path` by id, checked against `expected` (id and the IDENTITY fields of each example).

    A torn last line is not there; an absent file has no lines. UserError, naming the file, where a line
    is no JSON, or comes from another text, label, recipe, seed, stop-word list, WordNet or other resource, other
    columns or another budget.
    """
    try:
        lines: dict[str, Any] = {line["id"]: line for line in read_lines(path)}
    except (KeyError, TypeError) as error:
        raise UserError(f"{path}: not a file of attack results ({type(error).__name__}: {error})") from error
    for example in expected:
        line = lines.get(example["id"])
        if line is None:
            continue
        for field in IDENTITY:
            if line.get(field) != example[field]:
                raise UserError(
                    f"{path}: the line of id {example['id']!r} has {field} {line.get(field)!r}, but this "
                    f"run has {example[field]!r}; give another file, or delete this one to start again"
                )
    return lines


def append(path: Path, line: AttackLine) -> None:
    """Add `line` to `path` and force it to disk; several processes may do so to one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        append_lines(path, [line])


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let no other process append: mending a torn last line must not meet a line that is being written."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        yield
        return
    with open(path, "ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
