"""demo-sentiment: one sentence of a review; the label is the opinion its main clause ends up with.

A clause is an outer phrase ("I doubt that ..."), a subject, and a predicate around an adjective ("... was far
from dull"). Outer phrases and predicates keep or flip the polarity of what they contain, so the adjective
alone does not decide: "I doubt that the soup was anything but superb" is praise.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from robusteval.tasks.demo.grammar import finish, pick
from robusteval.tasks.demo.lexicon import REVIEWS, Topic

NEGATIVE, POSITIVE = 0, 1

_SLOT = re.compile(r"{(\w+?)\d?}")


@dataclass(frozen=True)
class Phrase:
    """Words around a clause or an adjective, and whether they flip its polarity."""

    text: str
    flips: bool = False


@dataclass(frozen=True)
class Style:
    """How one world writes: `frames` per construction, with {main}, {second}, {aside} for clauses.

    {main} and {second} have the polarity of the label, {aside} the opposite one.
    flip, outer: probabilities that a predicate flips and that a clause has an outer phrase.
    """

    outers: tuple[Phrase, ...]
    predicates: tuple[Phrase, ...]
    subjects: tuple[str, ...]
    frames: dict[str, tuple[str, ...]]
    weights: dict[str, int]
    flip: float
    outer: float


HOME = Style(
    outers=(
        Phrase("I am sure that"),
        Phrase("nobody in {group} would deny that"),
        Phrase("{critics} are right to say that"),
        Phrase("I doubt that", flips=True),
        Phrase("it is not true that", flips=True),
        Phrase("nobody in {group} believes that", flips=True),
        Phrase("{critics} are wrong to say that", flips=True),
    ),
    predicates=(
        Phrase("was {very} {adjective}"),
        Phrase("seemed somewhat {adjective}"),
        Phrase("was nothing short of {adjective}"),
        Phrase("was even more {adjective} than we had expected"),
        Phrase("was not {adjective} at all", flips=True),
        Phrase("was anything but {adjective}", flips=True),
        Phrase("was far from {adjective}", flips=True),
        Phrase("was never {adjective}", flips=True),
        Phrase("was hardly {adjective}", flips=True),
    ),
    subjects=("the {aspect}", "the {aspect} {in} the {item}", "the {item} as a whole", "this {item}"),
    frames={
        "plain": ("{main}, and {second}", "{main}, or so it seemed to me {when}"),
        "contrast": (
            "although {aside}, {main}",
            "{main}, even though {aside}",
            "{aside}, but {main}",
            "{main}, while {aside}",
        ),
        "comparison": (
            "{main}, unlike the {opposite} {item} we {tried} {when}",
            "after the {opposite} {item} we {tried} {when}, {main}",
        ),
    },
    weights={"plain": 4, "contrast": 4, "comparison": 2},
    flip=0.18,
    outer=0.11,
)

OOD = Style(
    outers=(
        Phrase("there is no denying that"),
        Phrase("{group} agree that"),
        Phrase("only a fool would claim that", flips=True),
        Phrase("{critics} falsely state that", flips=True),
        Phrase("I never felt that", flips=True),
    ),
    predicates=(
        Phrase("is {very} {adjective}"),
        Phrase("has proved {adjective} {when}"),
        Phrase("strikes {group} as {adjective}"),
        Phrase("is not in the least {adjective}", flips=True),
        Phrase("is by no means {adjective}", flips=True),
        Phrase("could not be less {adjective}", flips=True),
        Phrase("has not been {adjective} {when}", flips=True),
    ),
    subjects=("its {aspect}", "the {aspect} of my {item}", "my {item}"),
    frames={
        "plain": ("{main}; besides, {second}", "{main}, to be perfectly frank"),
        "contrast": (
            "{aside}; all the same, {main}",
            "{main}, never mind that {aside}",
            "{aside}, I grant, and yet {main}",
        ),
        "comparison": ("next to the {opposite} {item} of {group}, {main}",),
    },
    weights={"plain": 3, "contrast": 6, "comparison": 1},
    flip=0.4,
    outer=0.2,
)
STYLES = {"home": HOME, "ood": OOD}
# one clause and nothing around it: quick to train on, and the words that flip still decide
SHORT = {
    world: replace(style, frames={"plain": ("{main}",)}, weights={"plain": 1}, flip=flip, outer=0.0)
    for world, style, flip in (("home", HOME, 0.3), ("ood", OOD, 0.4))
}

# of a sentence: fewest and most
WORDS, SHORT_WORDS = (8, 22), (5, 9)


def draw(rng: random.Random, world: str, target: int) -> tuple[tuple[str, ...], int]:
    """One sentence with the label `target`, in lower case and without a marker."""
    return _draw(rng, STYLES[world], world, target, WORDS)


def draw_short(rng: random.Random, world: str, target: int) -> tuple[tuple[str, ...], int]:
    """One clause with the label `target`, in lower case and without a marker."""
    return _draw(rng, SHORT[world], world, target, SHORT_WORDS)


def _draw(
    rng: random.Random, style: Style, world: str, target: int, words: tuple[int, int]
) -> tuple[tuple[str, ...], int]:
    fewest, most = words
    while True:
        name = rng.choices(list(style.weights), list(style.weights.values()))[0]
        text = write(rng, style, pick(rng, REVIEWS[world]), pick(rng, style.frames[name]), target)
        if fewest <= len(text.split()) <= most:
            return (text,), target


def write(rng: random.Random, style: Style, topic: Topic, frame: str, label: int) -> str:
    """`frame` filled so that its main clause has the polarity `label`."""
    fill = filler(rng, topic)
    # Only the main clause may judge the thing as a whole; the others speak of one aspect each.
    parts = tuple(subject for subject in style.subjects if "{aspect}" in subject)
    clauses = {
        "main": lambda: clause(rng, style, fill, label, style.subjects),
        "second": lambda: clause(rng, style, fill, label, parts),
        "aside": lambda: clause(rng, style, fill, 1 - label, parts),
    }
    text = re.sub(r"{(main|second|aside)}", lambda match: clauses[match.group(1)](), frame)
    return finish(fill(text, 1 - label))


def clause(
    rng: random.Random,
    style: Style,
    fill: Callable[[str, int], str],
    polarity: int,
    subjects: tuple[str, ...],
) -> str:
    """Outer phrase, subject and predicate; the adjective makes the whole come out as `polarity`."""
    outer = pick(rng, style.outers) if rng.random() < style.outer else Phrase("")
    flips = rng.random() < style.flip
    predicate = pick(rng, [phrase for phrase in style.predicates if phrase.flips == flips])
    return say(outer, pick(rng, subjects), predicate, fill, polarity)


def say(outer: Phrase, subject: str, predicate: Phrase, fill: Callable[[str, int], str], polarity: int) -> str:
    word = polarity ^ outer.flips ^ predicate.flips
    return fill(f"{outer.text} {subject} {predicate.text}", word)


def filler(rng: random.Random, topic: Topic) -> Callable[[str, int], str]:
    """Fills slots from the topic; one sentence uses no word twice and speaks of one item."""
    used: dict[str, list[str]] = {"item": [pick(rng, topic.slots["item"])]}

    def fill(text: str, polarity: int) -> str:
        def word(match: re.Match[str]) -> str:
            slot = match.group(1)
            if slot == "item":
                return used["item"][0]
            adjective = slot in ("adjective", "opposite")
            options = topic.adjectives[polarity] if adjective else topic.slots[slot]
            taken = used.setdefault(slot, [])
            fresh = [option for option in options if option not in taken]
            taken.append(pick(rng, fresh or options))
            return taken[-1]

        return _SLOT.sub(word, text)

    return fill
