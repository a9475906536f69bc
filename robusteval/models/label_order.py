"""A checkpoint's outputs and a task's labels: matched by name, never by index, and brought into the task's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from robusteval.errors import UserError
from robusteval.models.architectures import check_architecture, submodules
from robusteval.settings.grammar import mapping


@dataclass(frozen=True)
class LabelMatch:
    """order: the checkpoint's output that answers each class of the task; empty where they stand in that order already.

    classes: the class that each output answers, where several answer one; order is then empty.
    notices: what the user should know about it.
    """

    order: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()


def label_names(config: Any) -> tuple[str, ...]:
    """The class names of a transformers configuration in the order of the outputs; none for a single output."""
    named = config.id2label or {}
    return tuple(str(named.get(i, f"LABEL_{i}")) for i in range(config.num_labels)) if config.num_labels > 1 else ()


def name_labels(config: Any, labels: Sequence[str]) -> None:
    """Have a configuration name the outputs as the task does; a score has no name."""
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: index for index, label in enumerate(labels)}


def match_labels(name: str, config: Any, labels: Sequence[str], outputs: Sequence[str] = ()) -> LabelMatch:
    """How the head of the checkpoint `name` answers a task with these classes (none: a score); capitals do not count.

    outputs: the class that each output answers, where that is known (`Task.outputs`); its own names do not count then.
    UserError where the number of outputs is another, where the names are, and where the outputs need another order
    and nothing is known of the architecture's last layer.
    """
    if config.problem_type == "multi_label_classification":
        raise UserError(
            f"checkpoint: {name!r} answers several labels at once (problem_type multi_label_classification), which is "
            "not supported; change problem_type in its config.json where it is to give one class"
        )
    count = len(labels) or 1
    if outputs:
        return _told(name, config, labels, outputs)
    if config.num_labels != count:
        raise UserError(
            f"checkpoint: {name!r} has {config.num_labels} labels but the task has {count}"
            + (f" ({', '.join(labels)})" if labels else " (a score)")
            + ("; --label-map says which of them answer one class together" if 1 < count < config.num_labels else "")
        )
    own = label_names(config)
    found, asked = list(own), list(labels)
    if len({label.lower() for label in labels}) == count:
        found, asked = [label.lower() for label in own], [label.lower() for label in labels]
    if found == asked:
        return LabelMatch()
    if [label.lower() for label in own] == [f"label_{index}" for index in range(count)]:
        positions = ", ".join(f"{index} = {label}" for index, label in enumerate(labels))
        return LabelMatch(notices=(f"the checkpoint does not name its labels; taken by position: {positions}",))
    theirs, ours = ", ".join(own), ", ".join(labels)
    if set(found) != set(asked) or len(set(asked)) < count:
        raise UserError(
            f"checkpoint: {name!r} names its labels {theirs} but the task names them {ours}; say which answers which "
            f"with --label-map, as in --label-map {mapping([(labels[0], own[0])])}"
        )
    _check_sortable(name, config, theirs, ours)
    notice = f"labels mapped by name: the checkpoint orders them {theirs}, the task {ours}"
    return LabelMatch(tuple(found.index(label) for label in asked), notices=(notice,))


def _told(name: str, config: Any, labels: Sequence[str], outputs: Sequence[str]) -> LabelMatch:
    """The match of outputs of which the user said what they answer."""
    if config.num_labels != len(outputs):
        raise UserError(f"checkpoint: {name!r} has {config.num_labels} outputs, not {len(outputs)}")
    classes = tuple(labels.index(output) for output in outputs)
    told = ", ".join(f"{own} = {output}" for own, output in zip(label_names(config), outputs, strict=True))
    notices = (f"outputs of the checkpoint taken as {told}",)
    if len(outputs) > len(labels):
        many = "; where several answer one class, the likeliest decides"
        return LabelMatch(classes=classes, notices=(notices[0] + many,))
    if classes == tuple(range(len(labels))):
        return LabelMatch(notices=notices)
    _check_sortable(name, config, ", ".join(outputs), ", ".join(labels))
    return LabelMatch(tuple(classes.index(index) for index in range(len(labels))), notices=notices)


def _check_sortable(name: str, config: Any, theirs: str, ours: str) -> None:
    try:
        check_architecture(config.model_type)
    except UserError:
        raise UserError(
            f"checkpoint: {name!r} orders its labels {theirs} but the task orders them {ours}, and they cannot be put "
            f"in order: where the last layer of the architecture {config.model_type!r} lies is not known"
        ) from None


def merge_outputs(model: Any, classes: Sequence[int], labels: Sequence[str]) -> None:
    """Have a classifier answer with a logit per class, the largest of its outputs that answer it; it is changed.

    classes: the class of each output. The prediction is then that of the outputs, renamed.
    """
    groups = [[output for output, each in enumerate(classes) if each == index] for index in range(len(labels))]

    def merge(module: Any, inputs: Any, result: Any) -> Any:
        logits = result.logits
        result.logits = torch.stack([logits[..., group].amax(-1) for group in groups], -1)
        return result

    model.register_forward_hook(merge)
    model.config.num_labels = len(labels)
    name_labels(model.config, labels)


def apply_match(model: Any, match: LabelMatch, labels: Sequence[str]) -> None:
    """Have a classifier answer as its match says; it is changed."""
    if match.order:
        reorder_outputs(model, match.order, labels)
    if match.classes:
        merge_outputs(model, match.classes, labels)


def reorder_outputs(model: Any, order: Sequence[int], labels: Sequence[str]) -> None:
    """Put the outputs of a classifier in another order, output i becoming what output order[i] was, and name them.

    UserError where the last layer is not a linear one with as many outputs.
    """
    try:
        classifier = submodules(model).classifier
    except AttributeError as error:
        raise _no_layer(model) from error
    if not isinstance(classifier, nn.Linear) or classifier.out_features != len(order):
        raise _no_layer(model)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.copy_(parameter[list(order)])
    name_labels(model.config, labels)


def _no_layer(model: Any) -> UserError:
    return UserError(
        f"checkpoint: the last layer of {type(model).__name__!r} is not where it usually lies, so that its labels "
        "cannot be put into the task's order"
    )
