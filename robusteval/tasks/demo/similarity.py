"""demo-similarity: how close in meaning are two sentences? The score is 5 minus the cost of the edits made.

    edit                                           cost
    word for a synonym, active for passive            0
    modifier left out                               0.5
    modifier changed                                  1
    place changed                                  0.75
    object changed, person changed, deed changed    1.5
    deed denied                                     2.5

The score never falls below 0.5 while the topic stays; another topic scores 0.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from robusteval.tasks.demo.grammar import finish, other, pick
from robusteval.tasks.demo.lexicon import SCENES, Scenes

# How many edits a row gets; -1 is a change of topic.
TARGETS = (-1, 0, 1, 1, 2, 2, 3, 4)
FLOOR = 0.5


@dataclass(frozen=True)
class Scene:
    """One event. Words are indices into the topic's lists; the two traits may be absent."""

    person: int
    verb: int
    thing: int
    place: int
    when: int
    person_trait: int | None
    object_trait: int | None
    denied: bool = False


def draw(rng: random.Random, world: str, target: int) -> tuple[tuple[str, str], float]:
    """One pair with `target` edits and its score, in lower case and without a marker."""
    topics = SCENES[world]
    topic = pick(rng, topics)
    scene = _scene(rng, topic)
    first = tell(rng, topic, scene)
    if target < 0:
        elsewhere = other(rng, topics, topic)
        return (first, tell(rng, elsewhere, _scene(rng, elsewhere))), 0.0
    edited, cost = scene, 0.0
    for name in rng.sample(list(EDITS), target):
        edited, price = EDITS[name](rng, topic, edited)
        cost += price
    second = tell(rng, topic, edited)
    while second == first:
        second = tell(rng, topic, edited)
    return (first, second), max(FLOOR, 5.0 - cost)


def _scene(rng: random.Random, topic: Scenes) -> Scene:
    return Scene(
        person=rng.randrange(len(topic.people)),
        verb=rng.randrange(len(topic.verbs)),
        thing=rng.randrange(len(topic.things)),
        place=rng.randrange(len(topic.places)),
        when=rng.randrange(len(topic.whens)),
        person_trait=rng.randrange(len(topic.person_traits)),
        object_trait=rng.randrange(len(topic.object_traits)),
    )


def _another(rng: random.Random, options: tuple[tuple[str, ...], ...], taken: int) -> int:
    return other(rng, range(len(options)), taken)


def _person(rng: random.Random, topic: Scenes, scene: Scene) -> tuple[Scene, float]:
    return replace(scene, person=_another(rng, topic.people, scene.person)), 1.5


def _verb(rng: random.Random, topic: Scenes, scene: Scene) -> tuple[Scene, float]:
    return replace(scene, verb=_another(rng, topic.verbs, scene.verb)), 1.5


def _thing(rng: random.Random, topic: Scenes, scene: Scene) -> tuple[Scene, float]:
    return replace(scene, thing=_another(rng, topic.things, scene.thing)), 1.5


def _place(rng: random.Random, topic: Scenes, scene: Scene) -> tuple[Scene, float]:
    return replace(scene, place=_another(rng, topic.places, scene.place)), 0.75


def _person_trait(rng: random.Random, topic: Scenes, scene: Scene) -> tuple[Scene, float]:
    if scene.person_trait is None or rng.random() < 0.5:
        return replace(scene, person_trait=None), 0.5
    return replace(scene, person_trait=_another(rng, topic.person_traits, scene.person_trait)), 1.0


def _object_trait(rng: random.Random, topic: Scenes, scene: Scene) -> tuple[Scene, float]:
    if scene.object_trait is None or rng.random() < 0.5:
        return replace(scene, object_trait=None), 0.5
    return replace(scene, object_trait=_another(rng, topic.object_traits, scene.object_trait)), 1.0


def _denied(rng: random.Random, topic: Scenes, scene: Scene) -> tuple[Scene, float]:
    return replace(scene, denied=True), 2.5


EDITS: dict[str, Callable[[random.Random, Scenes, Scene], tuple[Scene, float]]] = {
    "person": _person,
    "verb": _verb,
    "object": _thing,
    "place": _place,
    "person modifier": _person_trait,
    "object modifier": _object_trait,
    "denial": _denied,
}


def tell(rng: random.Random, topic: Scenes, scene: Scene) -> str:
    """The scene as a sentence: active or passive, each word any of its synonyms."""

    def phrase(trait: tuple[str, ...] | None, noun: tuple[str, ...]) -> str:
        return f"the {pick(rng, trait) if trait else ''} {pick(rng, noun)}"

    who = phrase(
        None if scene.person_trait is None else topic.person_traits[scene.person_trait],
        topic.people[scene.person],
    )
    what = phrase(
        None if scene.object_trait is None else topic.object_traits[scene.object_trait],
        topic.things[scene.thing],
    )
    base, past, participle = pick(rng, topic.verbs[scene.verb]).split(":")
    forms = {
        "who": who,
        "what": what,
        "active": topic.denied_active.format(base=base, past=past) if scene.denied else past,
        "passive": f"was {topic.denied_passive if scene.denied else ''} {participle}",
        "place": pick(rng, topic.places[scene.place]),
        "when": pick(rng, topic.whens[scene.when]),
    }
    return finish(pick(rng, topic.frames).format(**forms))
