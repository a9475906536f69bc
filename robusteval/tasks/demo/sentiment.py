"""demo-sentiment: one sentence of a review; the label is the opinion its main clause ends up with.

A template is written once for both labels. `{same}` is an adjective of the label's polarity and `{other}` one
of the opposite polarity, so "not {other} at all" is a positive phrase in a positive row. Slots with a number
("{same2}") are filled with another word of the same list.
"""

from __future__ import annotations

import random
import re

from robusteval.tasks.demo.grammar import finish, pick
from robusteval.tasks.demo.lexicon import REVIEWS, Topic

NEGATIVE, POSITIVE = 0, 1

_SLOT = re.compile(r"{(\w+?)\d?}")

# construction -> templates that work for both labels
HOME: dict[str, tuple[str, ...]] = {
    "plain": (
        "the {aspect} {in} the {item} we {tried} {when} was {very} {same}, and the {aspect2} was {same2}",
        "I thought that the {aspect} {in} this {item} was {same} and that the {aspect2} was {very} {same2}",
    ),
    "negation": (
        "the {aspect} {in} the {item} was not {other} at all, and the {aspect2} was never {other2}",
        "nobody in {group} thought that the {aspect} {in} this {item} was {other}",
        "there was nothing {other} about the {aspect}, and nothing {other2} about the {item} as a whole",
    ),
    "contrast": (
        "although the {aspect} was {other}, the {item} as a whole was {very} {same}",
        "the {item} we {tried} {when} was {very} {same}, even though the {aspect} seemed {other}",
        "the {aspect} was {other} and the {aspect2} was {other2}, but in the end the {item} was {same}",
    ),
    "report": (
        "{critics} called the {item} {same}, and after {visit} I know that they were right",
        "{critics} called the {item} {other}, and after {visit} I know that they were wrong",
        "{critics} warned us that the {aspect} would be {other}, but it turned out to be {same}",
    ),
    "hedge": (
        "it may be just me, but the {aspect} {in} this {item} seemed somewhat {same}",
        "I would say, with some hesitation, that the {item} was {same} rather than {other}",
    ),
    "comparative": (
        "the {item} we {tried} {when} was far more {same} than the {other} one {critics} had praised",
        "I have rarely found the {aspect} {in} a {item} as {same} as it was {when}",
        "compared with the {other} {item} we {tried} {when}, this one was {very} {same}",
    ),
    "litotes": (
        "the {aspect} {in} the {item} was anything but {other}, whatever {critics} may have said",
        "I could hardly call the {aspect} {other}, and the {aspect2} was far from {other2}",
    ),
    "double negation": (
        "nobody in {group} could say that the {aspect} {in} the {item} was not {same}",
        "it is not true that the {item} was not {same}, and {critics} know it",
    ),
}

OOD: dict[str, tuple[str, ...]] = {
    "plain": (
        "{when}, my {item} came with a {very} {same} {aspect} and, luckily or not, a {same2} {aspect2}",
    ),
    "negation": (
        "neither the {aspect} nor the {aspect2} of my {item} has been {other} for a single day",
        "at no point did the {aspect} strike any of {group} as {other} or the {aspect2} as {other2}",
        "not once {when} did my {item} feel {other}, and its {aspect} did not look {other2} either",
    ),
    "contrast": (
        "for all its {other} {aspect}, my {item} has proved {very} {same} to {group}",
        "my {item} remains {same} to this day, never mind its {other} {aspect} and {other2} {aspect2}",
        "while its {aspect} looks {other} on paper, this {item} is {same} where it counts",
        "despite a {other} {aspect} and a {other2} {aspect2}, {group} found the {item} {very} {same}",
    ),
    "report": (
        "{critics} describe this {item} as {other}, which could not be further from the truth",
        "if {critics} tell you that this {item} is {same}, believe every word of it",
    ),
    "comparative": (
        "its {aspect} is nowhere near as {other} as {critics} would have you believe",
        "of every {item} {group} ever paid for, none had a more {same} {aspect}",
    ),
    "litotes": (
        "you would struggle to find a {other} {aspect} in this {item}, and its {aspect2} is by no means {other2}",
    ),
    "double negation": (
        "{group} cannot deny that this {item} has a {same} {aspect}",
        "I would not go so far as to claim that its {aspect} is not {same}",
    ),
}
# How often each construction is used; the out-of-domain text negates and concedes more often.
_HOME_WEIGHTS = {
    "plain": 4, "negation": 4, "contrast": 5, "report": 3, "hedge": 2, "comparative": 3, "litotes": 2,
    "double negation": 1,
}  # fmt: skip
_OOD_WEIGHTS = {
    "plain": 2, "negation": 5, "contrast": 7, "report": 2, "comparative": 2, "litotes": 2,
    "double negation": 1,
}  # fmt: skip
_WORLDS = {"home": (HOME, _HOME_WEIGHTS), "ood": (OOD, _OOD_WEIGHTS)}


def draw(rng: random.Random, world: str, target: int) -> tuple[tuple[str, ...], int]:
    """One sentence with the label `target`, in lower case and without a marker."""
    templates, weights = _WORLDS[world]
    names = list(weights)
    name = rng.choices(names, [weights[name] for name in names])[0]
    text = fill(pick(rng, templates[name]), rng, pick(rng, REVIEWS[world]), target)
    return (text,), target


def fill(template: str, rng: random.Random, topic: Topic, label: int) -> str:
    """`template` with every slot filled so that the sentence has the polarity `label`."""
    same, opposite = (
        (topic.positive, topic.negative) if label == POSITIVE else (topic.negative, topic.positive)
    )
    lists = {**topic.slots, "same": same, "other": opposite}
    used: dict[str, list[str]] = {}

    def word(match: re.Match[str]) -> str:
        slot = match.group(1)
        taken = used.setdefault(slot, [])
        taken.append(pick(rng, [entry for entry in lists[slot] if entry not in taken]))
        return taken[-1]

    return finish(_SLOT.sub(word, template))
