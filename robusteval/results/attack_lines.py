"""The result file of an attack: one JSON line per attacked example."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, get_type_hints

from robusteval.errors import UserError
from robusteval.settings.codec import content_hash, convert
from robusteval.storage.files import append_lines, json_line, write_atomic, writing
from robusteval.storage.locks import locked_file, taking_turns
from robusteval.storage.reading import complete_lines, parse_json

Outcome = Literal["succeeded", "failed", "skipped", "error"]


class AttackLine(TypedDict):
    """One attacked example.

    id, index: its name and its position in the split. gold, predicted_*: label names.
    model: what decides the logits besides the text, as `cache.victim_name` puts it together; "" if nobody said.
    stopwords: whose list protected stop words, "nltk" or "built-in".
    resources: what was found of each resource that is made of files, "<name> sha256:<16 digits>" (`contents`), and
    under "textattack" its version.
    text_columns: all text columns, in order; columns: those that the attack might change.
    original, perturbed: one string per text column; for a failed attack the best attempt, for a skipped one
    the original. changed: per text column the places that differ, each as [start, end, start, end]: words start to
    end (exclusive) of the original, and those of the perturbed text that stand there instead.
    words_changed: word edits between the two, the sum of the longer sides in `changed`; words: words of the original.
    similarity: cosine of the sentence vectors before and after, mean over `columns`; None unless the attack
    succeeded and the encoder is there (`similarity`).
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
    model: str
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
    changed: list[list[list[int]]] | None
    words_changed: int | None
    words: int | None
    similarity: float | None
    seconds: float
    message: str


# How the message of an example that took too long begins.
TIME_LIMIT = "time limit"
FIELDS = tuple(AttackLine.__annotations__)
# Beside them in a file: a digest of the line, by which a change is noticed. Its seconds are a clock's, no result.
SEAL = "seal"
# What every line of a file must agree on with the run that goes on with it, and what the line of an example besides.
RUN = ("recipe", "seed", "model", "stopwords", "resources", "text_columns", "columns", "query_budget")
IDENTITY = (*RUN, "gold", "original")


def finished(path: Path, expected: Sequence[Mapping[str, Any]]) -> dict[str, AttackLine]:
    """The lines of `path` by id, checked against `expected` (id and the IDENTITY fields of each example).

    A torn last line is not there; an absent file has no lines. UserError, naming the file, where it holds anything
    but results, or where a line comes from another text, label, recipe, seed, model, stop-word list, WordNet or other
    resource, other columns or another budget.
    """
    lines = _results(path)
    examples = {example["id"]: example for example in expected}
    for line in lines:
        for example, fields in ((examples.get(line["id"]), IDENTITY), (next(iter(expected), None), RUN)):
            if example is not None:
                _check_same(path, line, example, fields)
    return {line["id"]: line for line in first_of_each(lines)}


def _check_same(path: Path, line: AttackLine, example: Mapping[str, Any], fields: Sequence[str]) -> None:
    held: Mapping[str, Any] = line
    for field in fields:
        if held[field] != example[field]:
            raise UserError(
                f"{path}: the line of id {line['id']!r} has {field} {held[field]!r}, but this "
                f"run has {example[field]!r}; give another file, or delete this one to start again"
            )


def timed_out(line: Mapping[str, Any]) -> bool:
    """Whether the example ended in nothing but its time limit."""
    return line["outcome"] == "error" and str(line.get("message", "")).startswith(TIME_LIMIT)


def forget_errors(path: Path) -> None:
    """Drop the lines of errors but those of a time limit, so that their examples are tried again.

    Nobody else may be working on `path`. UserError as `finished`.
    """
    lines = _results(path)
    kept = [line for line in lines if line["outcome"] != "error" or timed_out(line)]
    if len(kept) < len(lines):
        write_atomic(path, b"".join(map(json_line, map(_sealed, kept))))


def _sealed(line: AttackLine) -> dict[str, Any]:
    return {**line, SEAL: _seal(line)}


def _seal(line: Mapping[str, Any]) -> str:
    return content_hash({key: value for key, value in line.items() if key not in (SEAL, "seconds")})[:16]


Line = TypeVar("Line", bound=Mapping[str, Any])


def first_of_each(lines: Iterable[Line]) -> list[Line]:
    """One line for each recipe, seed, model and id: the first, which every run that came later has gone on from.

    Of two processes that worked on one file both may have attacked an example.
    """
    kept: dict[tuple[Any, ...], Line] = {}
    for line in lines:
        kept.setdefault((line["recipe"], line["seed"], line.get("model", ""), line["id"]), line)
    return list(kept.values())


def _results(path: Path) -> list[AttackLine]:
    """All complete lines of `path`; UserError unless they, and what follows them, were written by an attack."""
    lines = read_attack_lines(path, FIELDS)
    if not begins_a_line(complete_lines(path)[1]):
        raise _something_else(path, "its last line is neither complete nor the beginning of one")
    return lines


def read_attack_lines(path: Path, needed: Sequence[str]) -> list[AttackLine]:
    """All complete lines of `path`; UserError where one lacks a `needed` field or is not what an attack wrote."""
    lines: list[Any] = []
    for number, text in enumerate(complete_lines(path)[0], 1):
        where = f"{path}: line {number}"
        try:
            line: Any = parse_json(text, where) if text else None
        except UserError as error:
            raise UserError(f"{error}: no file of attack results; give another file") from None
        if not text:
            continue
        lacks = [field for field in needed if not isinstance(line, dict) or field not in line]
        if lacks:
            raise _something_else(path, f"line {number} lacks {lacks[0]!r}")
        _check_line(line, where)
        # lines of an earlier version bear no seal
        if line.pop(SEAL, None) not in (None, _seal(line)):
            raise UserError(f"{where} is not what the attack wrote; delete it, and the attack makes it anew")
        lines.append(line)
    return lines


def _check_line(line: dict[str, Any], where: str) -> None:
    """Raise UserError, which begins with `where`, where a field is not of its kind or two do not fit each other."""
    for field, value in line.items():
        if field in _HINTS:
            convert(_HINTS[field], value, f"{where}: {field}")
    texts = [line["text_columns"], line["original"], *([line["perturbed"]] if line["perturbed"] is not None else [])]
    told = [line[field] for field in ("perturbed", "predicted_before", "predicted_after", "scores_before")]
    if len({len(each) for each in texts}) > 1 or (line["outcome"] != "error" and None in told):
        raise UserError(f"{where}: its texts and predictions do not belong together")
    if min(line["queries"], line["index"], line["words"] or 0, line["words_changed"] or 0) < 0:
        raise UserError(f"{where}: it has a negative count")


_HINTS = get_type_hints(AttackLine)


def _something_else(path: Path, found: str) -> UserError:
    return UserError(f"{path}: {found}: no file of attack results, or of another version; give another file")


def begins_a_line(torn: bytes) -> bool:
    """Whether a result line, cut somewhere, can look like this: its fields in their order, as far as it goes."""
    rest = torn.decode(errors="replace")
    decoder = json.JSONDecoder()
    for place, field in enumerate((*FIELDS, SEAL)):
        name = f'{", " if place else "{"}"{field}": '
        if not rest.startswith(name):
            return name.startswith(rest)
        rest = rest[len(name) :]
        try:
            _, end = decoder.raw_decode(rest)
        except ValueError:
            # The value is cut; of text, as the first one is, its quotation mark at least must be there.
            return place > 0 or rest == "" or rest.startswith('"')
        rest = rest[end:]
        if re.fullmatch(r"\.|[eE][+-]?", rest):
            return True  # a number that is cut where its first part is one, too
        if field == FIELDS[-1] and rest == "}":
            return True  # of an earlier version, without a seal
    return "}".startswith(rest)


def append(path: Path, line: AttackLine) -> None:
    """Add `line` to `path` and force it to disk; several processes may do so to one file.

    UserError where it cannot be written; the lines before it are kept.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with taking_turns(path):
            append_lines(path, [_sealed(line)])


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold the result file `path` for one run, which can then append to it.

    UserError where another process holds it, it is no regular file, or cannot be written. The system ends the claim
    of a process that ends, however it does. A new file that got no line is not left behind.
    """
    with ExitStack() as stack:
        with writing(path):
            if path.exists() and not path.is_file():
                raise UserError(f"out: {str(path)!r} is no regular file")
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked_file(path))
            new = not path.exists()
            path.open("ab").close()
        if new:
            stack.callback(_remove_if_empty, path)
        yield


def _remove_if_empty(path: Path) -> None:
    if path.is_file() and path.stat().st_size == 0:
        path.unlink()
