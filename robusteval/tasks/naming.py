"""Which class a label value means: of a file of the user's own, of a task, or of what a model answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from robusteval.errors import UserError, nearest, unknown_name
from robusteval.settings.checks import check_distinct
from robusteval.settings.grammar import cut, cut_once, mapping, name
from robusteval.tasks.labels import check_distinct_names, joined_labels, shown

# as many names stand in an error
SHOWN = 8
# second classes that say which of the two is 1; of other pairs nobody knows
_AFFIRMATIVE = {("negative", "positive"), ("neg", "pos"), ("no", "yes"), ("false", "true")}


@dataclass(frozen=True)
class Naming:
    """labels: the classes in order; values: label value in the data -> class, where it has another name.

    outputs: the class that each output of a model answers; empty where output i answers class i.
    """

    labels: tuple[str, ...]
    values: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def read_label_map(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Label value -> the classes that it stands for, from "0=entailment", "1=neutral|contradiction"."""
    read: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, classes = cut_once(text, "=")
        targets = tuple(name(each) for each in cut(classes, "|"))
        if not equals or not all(targets):
            raise UserError(
                f"label_map: {text!r} is not value=class or value=class|class; a name that holds one of , : = + / | > "
                "stands in double quotes"
            )
        if name(key) in read:
            raise UserError(f"label_map: {name(key)!r} is given twice")
        check_distinct("label_map", targets)
        read[name(key)] = targets
    return read


def is_position(value: str) -> bool:
    """Whether a label value is an integer from 0."""
    return value.isascii() and value.isdigit() and str(int(value)) == value


def numbered(values: Iterable[str], names: Sequence[str]) -> bool:
    """Whether all label values are integers from 0, none of which is a name itself."""
    values = list(values)
    return bool(values) and all(map(is_position, values)) and not set(values) & set(names)


def by_position(values: Iterable[str], labels: Sequence[str]) -> dict[str, str]:
    """Integer label value -> the class that `--labels` puts there; UserError for one beyond them."""
    known = {str(index): label for index, label in enumerate(labels)}
    beyond = sorted(set(values) - set(known), key=int)
    if beyond:
        in_order = sorted(set(values), key=int)
        # as many integers as names, with one left out or counted from 1: what they seem to mean
        meant = zip(in_order, labels, strict=True) if len(in_order) == len(labels) else [(beyond[0], labels[-1])]
        raise UserError(
            f"labels: {len(labels)} names stand for the integers 0 to {len(labels) - 1}, but a row has the label "
            f"{beyond[0]}; say what each means with --label-map instead, as in --label-map {mapping(meant)}"
        )
    return known


def file_classes(
    counts: Counter[str], labels: Sequence[str], label_map: Mapping[str, Sequence[str]], where: str
) -> Naming:
    """The classes of a training file: its distinct label values, in sorted order or in that of `--labels`.

    counts: rows of each value; label_map: value -> the one class that it becomes.
    Raises UserError where two classes seem to be one, where a value is none of `labels`, and for too few classes.
    """
    values: dict[str, str] = {}
    notices: list[str] = []
    if labels:
        check_distinct("labels", labels)
        if numbered(counts, labels):
            values = by_position(counts, labels)
            notices.append(_told("as --labels names them", values))
    for value, targets in label_map.items():
        if len(targets) > 1:
            raise UserError(
                f"label_map: {value!r} would be {' and '.join(targets)}, but a row to train on has one class"
            )
        values[value] = targets[0]
    rows: Counter[str] = Counter()
    for value, count in counts.items():
        rows[values.get(value, value)] += count
    if labels:
        for value in rows:
            if value not in labels:
                raise unknown_name(f"{where}: --labels", value, labels)
    check_distinct_names(rows, {*labels, *(key for key, name in values.items() if key == name)}, where)
    several = None if labels else joined_labels(set(rows))
    if several:
        raise UserError(
            f"{where}: the label {several!r} seems to hold several ones, which is not supported; where it is a class, "
            "name all classes with --labels"
        )
    if len(rows) < 2:
        raise UserError(f"{where} holds {len(rows)} distinct label; two are needed")
    names = tuple(labels) or tuple(sorted(rows, key=label_order))
    for value, target in values.items():
        if target not in names:
            raise unknown_name(f"label_map: {value}", target, names)
    unused = [value for value in label_map if value not in counts]
    notices += [f"no training row has the label {value!r} of --label-map" for value in unused]
    return Naming(names, values, notices=tuple(notices))


def label_order(label: str) -> tuple[bool, int, str]:
    """Numbers by value, then other names by spelling."""
    number = label.lstrip("-").isdigit()
    return not number, int(label) if number else 0, label


def generic(outputs: Sequence[str]) -> bool:
    """Whether a model does not name its outputs."""
    return [each.lower() for each in outputs] == [f"label_{index}" for index in range(len(outputs))]


def model_classes(
    found: Sequence[str], outputs: Sequence[str], labels: Sequence[str], label_map: Mapping[str, Sequence[str]],
    where: str, how: str = "--label-map ",
) -> Naming:  # fmt: skip
    """How the label values of a file speak of what a model answers.

    found: the distinct label values; outputs: names of the model's outputs; labels: names of the outputs that the
    model does not name, and of the file's integers; label_map: value -> outputs that it stands for. Capitals do not
    count. Where a value stands for several outputs, it is a class of its own, which all of them answer. how: the
    words before a label map, for errors.
    Raises UserError where what a value means is not sure: no number is taken for an output that may be another.
    """
    notices: list[str] = []
    if labels:
        check_distinct("labels", labels)
    unnamed = generic(outputs)
    if labels and unnamed:
        if len(labels) != len(outputs):
            raise UserError(f"labels: {len(labels)} names are given, but the checkpoint has {len(outputs)} outputs")
        outputs = tuple(labels)
    places = by_position(found, labels) if labels and numbered(found, outputs) else {}
    if places:
        notices.append(_told("as --labels names them", places))
    folded = _folded(outputs)
    stands = {value: _outputs(value, targets, folded, outputs) for value, targets in label_map.items()}
    open_values = [value for value in found if value not in stands and value not in places]
    guessed = {} if labels else _positions(open_values, outputs, unnamed, where, how)
    if guessed:
        why = "the model does not name its labels; " if unnamed else ""
        notices.append(why + _told("taken by position", guessed))
    for value in found:
        if value in stands:
            continue
        called = places.get(value, guessed.get(value, value))
        if called in stands:
            stands[value] = stands[called]
        elif called in outputs or called.lower() in folded:
            stands[value] = (called if called in outputs else folded[called.lower()],)
        else:
            raise _unknown(value, called, found, outputs, where, how)
    notices += [
        f"no row of {where} has the label {value!r} of --label-map"
        for value in label_map
        if value not in found and value not in [places.get(each) for each in found]
    ]
    return _grouped(stands, outputs, tuple(notices))


def _told(how: str, places: Mapping[str, str]) -> str:
    return f"integer labels {how}: {', '.join(f'{value} = {called}' for value, called in places.items())}"


def _folded(outputs: Sequence[str]) -> dict[str, str]:
    """Output in lower case -> output; those that differ in capitals only keep them."""
    rows = Counter(each.lower() for each in outputs)
    return {each.lower() if rows[each.lower()] == 1 else each: each for each in outputs}


def _outputs(value: str, targets: Sequence[str], folded: Mapping[str, str], outputs: Sequence[str]) -> tuple[str, ...]:
    for target in targets:
        if target not in outputs and target.lower() not in folded:
            raise unknown_name(f"label_map: {value}", target, outputs)
    return tuple(target if target in outputs else folded[target.lower()] for target in targets)


def _positions(values: Sequence[str], outputs: Sequence[str], unnamed: bool, where: str, how: str) -> dict[str, str]:
    """Integer value -> output, where it is sure which is meant: beside a 0, and where names do not say otherwise."""
    if not numbered(values, outputs):
        return {}
    numbers = sorted(map(int, values))
    pair = tuple(each.lower() for each in outputs)
    sure = numbers[0] == 0 and numbers[-1] < len(outputs) if unnamed else numbers == [0, 1] and pair in _AFFIRMATIVE
    if sure:
        return {str(number): outputs[number] for number in numbers}
    shift = 1 if numbers[0] > 0 and numbers[-1] <= len(outputs) else 0
    fitting = [number for number in numbers if 0 <= number - shift < len(outputs)]
    if len(fitting) < len(numbers):  # the rest has to go somewhere: positions say nothing
        pairs = [(str(numbers[0]), outputs[0]), (str(numbers[-1]), outputs[-1])]
    else:
        pairs = [(str(number), outputs[number - shift]) for number in numbers]
    told = f"{', '.join(outputs[:SHOWN])}{', ...' if len(outputs) > SHOWN else ''}"
    reason = "are integers" if numbers[0] == 0 else "are integers without a 0"
    in_row = numbers[0] == 0 and numbers[-1] < len(outputs)
    labels = "--labels" if how.startswith("--label-map") else "labels="
    names = f", or {labels} with the names in the order of the integers" if in_row else ""
    raise UserError(
        f"{where}: the labels {', '.join(map(str, numbers[:SHOWN]))} {reason}, and which of the model's classes "
        f"({told}) each means is not said; say it, as in {how}{mapping(pairs)}{names}"
    )


def _unknown(
    value: str, called: str, found: Sequence[str], outputs: Sequence[str], where: str, how: str
) -> UserError:  # fmt: skip
    what = shown(value) if called == value else f"{shown(value)} ({called})"
    close = nearest(called, outputs, 1)
    pairs = [(value, close[0] if close else outputs[0])]
    if all(map(is_position, (*found, *outputs))) and len(found) == len(outputs):
        pairs = list(zip(found, outputs, strict=True))  # both are counted, from another beginning
    told = f"{', '.join(outputs[:SHOWN])}{', ...' if len(outputs) > SHOWN else ''}"
    return UserError(
        f"{where}: the label {what} is none of the model's ({told}); say which it means, as in {how}{mapping(pairs)}"
    )


def _grouped(stands: Mapping[str, tuple[str, ...]], outputs: Sequence[str], notices: tuple[str, ...]) -> Naming:
    """Classes from what the label values stand for: an output each, or one for several outputs together."""
    answers: dict[str, str] = {}
    groups: dict[frozenset[str], str] = {}
    for value, targets in stands.items():
        # a number is no name for a class
        own = "|".join(targets) if len(targets) == 1 or is_position(value) else value
        called = groups.setdefault(frozenset(targets), own)
        for output in targets:
            if answers.setdefault(output, called) != called:
                raise UserError(f"label_map: the output {output!r} would answer {answers[output]!r} and {called!r}")
    for members, called in groups.items():
        if called in outputs and called not in members:
            raise UserError(f"label_map: {called!r} is also the name of an output that answers something else")
    answers = {output: answers.get(output, output) for output in outputs}
    labels = tuple(dict.fromkeys(answers[output] for output in outputs))
    values = {value: answers[targets[0]] for value, targets in stands.items() if answers[targets[0]] != value}
    if len(labels) == len(outputs):
        return Naming(tuple(outputs), values, (), notices)
    return Naming(labels, values, tuple(answers[output] for output in outputs), notices)


def task_outputs(
    classes: Sequence[str], outputs: Sequence[str], labels: Sequence[str], label_map: Mapping[str, Sequence[str]]
) -> tuple[str, ...]:
    """The class of a declared task that each output of a model answers, as the user says it; capitals do not count.

    labels: names of the outputs, of a model that names none; label_map: class, or its index -> outputs.
    Raises UserError for a class or an output that is left without its counterpart.
    """
    if labels and not generic(outputs):
        told = ", ".join(outputs)
        raise UserError(f"labels: the checkpoint names its labels itself ({told}); --label-map maps the task's to them")
    if labels and len(labels) != len(outputs):
        raise UserError(f"labels: {len(labels)} names are given, but the checkpoint has {len(outputs)} outputs")
    outputs = tuple(labels or outputs)
    folded, known = _folded(outputs), _folded(classes)
    stands = {}
    for value, targets in label_map.items():
        index = int(value) if numbered([value], classes) and int(value) < len(classes) else None
        if index is None and value not in classes and value.lower() not in known:
            raise unknown_name("label_map", value, classes)
        called = classes[index] if index is not None else value if value in classes else known[value.lower()]
        stands[called] = _outputs(value, targets, folded, outputs)
    answers: dict[str, str] = {}
    for label in classes:
        for output in stands.get(label, (label if label in outputs else folded.get(label.lower(), ""),)):
            if output not in outputs:
                told = ", ".join(outputs)
                raise UserError(f"label_map: no output of the checkpoint ({told}) answers the class {label!r}")
            if output in answers:
                raise UserError(f"label_map: the output {output!r} would answer {answers[output]!r} and {label!r}")
            answers[output] = label
    for output in outputs:
        if output not in answers:
            raise UserError(f"label_map: the output {output!r} answers no class; valid classes: {', '.join(classes)}")
    return tuple(answers[output] for output in outputs)
