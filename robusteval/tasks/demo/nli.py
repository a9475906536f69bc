"""demo-nli: does the premise settle the hypothesis? The label is what follows from the words alone.

Every construction draws the hypothesis before it looks at the label, then writes a premise for that label.
So no hypothesis tells anything about its label: a model that reads only hypotheses is at chance.
Definite noun phrases name the same thing in both sentences ("the baker" is one baker).
A neutral premise mostly speaks of other things; at the rate `TANGLED` it uses the words of the hypothesis and
still leaves it open, which is what a model finds hardest.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from robusteval.tasks.demo.grammar import finish, other, pick, words
from robusteval.tasks.demo.nli_lexicon import NLI, NliWorld

ENTAILMENT, NEUTRAL, CONTRADICTION = 0, 1, 2
LABELS = ("entailment", "neutral", "contradiction")

TANGLED = 0.25

Pair = tuple[str, str]
Construction = Callable[[random.Random, NliWorld, int], Pair]


def negation(rng: random.Random, world: NliWorld, label: int) -> Pair:
    """A fact is affirmed or denied; neutral is about other deeds, other people, or what was done to what."""
    who, verb, thing, place = _fact(rng, world)
    denied = rng.random() < 0.5
    hypothesis = f"the {who} {_said(world, verb, denied)} the {thing} {place}"
    verb2, thing2 = other(rng, world.verbs, verb), other(rng, world.things, thing)
    if label == NEUTRAL and rng.random() < TANGLED:
        if rng.random() < 0.5:
            who = other(rng, world.agents, who)
        else:
            thing, thing2 = thing2, thing
    elif label == NEUTRAL:
        verb = pick(rng, [entry for entry in world.verbs if entry not in (verb, verb2)])
        thing = pick(rng, [entry for entry in world.things if entry not in (thing, thing2)])
    denied = denied != (label == CONTRADICTION)
    first = f"the {who} {_said(world, verb, denied)} the {thing} {place}"
    link = "but" if denied else "and"
    return f"{pick(rng, world.leads)}, {first} {link} {verb2[1]} the {thing2}", hypothesis


def hypernyms(rng: random.Random, world: NliWorld, label: int) -> Pair:
    """Broader and narrower words, under an affirmation or under "no", where the direction turns round."""
    people, tools = pick(rng, world.people), pick(rng, world.goods)
    narrow, broad = (pick(rng, people[1]), pick(rng, tools[1])), (people[0], tools[0])
    verb, place = pick(rng, world.verbs)[1], pick(rng, world.places)
    general, denied = rng.random() < 0.5, rng.random() < 0.5

    def sentence(pair: Pair, no: bool) -> str:
        return f"{world.no if no else 'a'} {pair[0]} {verb} {'any' if no else 'a'} {pair[1]} {place}"

    hypothesis = sentence(broad if general else narrow, denied)
    if label == ENTAILMENT:
        premise = sentence(broad if denied else narrow, denied)
    elif label == CONTRADICTION:
        # "No musician ..." rules out every violinist; "a violinist ..." refutes "no musician ...".
        premise = sentence(narrow if denied else broad, not denied)
    elif rng.random() >= TANGLED:
        elsewhere = other(rng, world.goods, tools)
        premise = sentence((narrow[0], pick(rng, elsewhere[1])), rng.random() < 0.5)
    elif general:
        premise = sentence(narrow, True)
    else:
        premise = sentence((broad[0], other(rng, tools[1], narrow[1])), denied)
    return f"{pick(rng, world.leads)}, {premise}", hypothesis


def quantifiers(rng: random.Random, world: NliWorld, label: int) -> Pair:
    """all, some, no, not all: what one says about another."""
    group, deed = pick(rng, world.groups), pick(rng, world.deeds)
    claim = pick(rng, tuple(QUANTIFIERS))
    hypothesis = f"{pick(rng, world.quantifiers[claim])} {group} {deed}"
    evidence = pick(rng, QUANTIFIERS[claim][label])
    if label == NEUTRAL and rng.random() >= TANGLED:
        group = other(rng, world.groups, group)
    said = pick(rng, world.evidence[evidence])
    return f"{pick(rng, world.leads)}, {said} {group} {deed}", hypothesis


# claim -> (evidence that entails it, leaves it open, contradicts it)
QUANTIFIERS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "some": (("all", "several"), ("not all",), ("none",)),
    "all": (("all",), ("several",), ("none", "not all")),
    "none": (("none",), ("not all",), ("several", "all")),
    "not all": (("none",), ("several",), ("all",)),
}


def numbers(rng: random.Random, world: NliWorld, label: int) -> Pair:
    """Counts as intervals: inside is entailment, apart is contradiction, overlapping is neutral."""
    group, deed = pick(rng, world.groups), pick(rng, world.deeds)
    claim, (low, high) = _count(rng, world)
    hypothesis = f"{claim} {group} {deed}"
    while True:
        said, (least, most) = _count(rng, world)
        inside, apart = low <= least and most <= high, most < low or high < least
        found = ENTAILMENT if inside else CONTRADICTION if apart else NEUTRAL
        if found == label and (said != claim or label == ENTAILMENT):
            return f"{pick(rng, world.leads)}, {said} {group} {deed}", hypothesis


NUMBERS = words("four, five, six, seven, eight, nine, ten, eleven, twelve, thirteen, fourteen")
_MANY = 10**6


def _count(rng: random.Random, world: NliWorld) -> tuple[str, tuple[int, int]]:
    kind, number = pick(rng, tuple(world.counts)), rng.randrange(4, 4 + len(NUMBERS))
    bounds = {
        "exactly": (number, number),
        "at least": (number, _MANY),
        "more": (number + 1, _MANY),
        "at most": (0, number),
        "fewer": (0, number - 1),
    }
    return world.counts[kind].format(NUMBERS[number - 4]), bounds[kind]


def roles(rng: random.Random, world: NliWorld, label: int) -> Pair:
    """Who did it to whom, active or passive."""
    one, two = rng.sample(world.agents, 2)
    contest = rng.random() < 0.5
    verb = pick(rng, world.contests if contest else world.greetings)
    where = pick(rng, world.finals if contest else world.places)
    hypothesis = _told(rng, one, verb, two, where)
    third, witness = rng.sample([agent for agent in world.agents if agent not in (one, two)], 2)
    if label == ENTAILMENT:
        premise = _told(rng, one, verb, two, where)
    elif label == CONTRADICTION and contest:
        premise = _told(rng, two, verb, one, where)
    elif label == CONTRADICTION:
        premise = f"the {one} {world.deny.format(*verb)} the {two} {where}"
    elif contest:
        premise = _told(rng, third, verb, two, where)
    else:
        premise = _told(rng, two, verb, one, where)
    return f"{pick(rng, world.leads)}, {premise}, and the {witness} looked on", hypothesis


def _told(rng: random.Random, agent: str, verb: tuple[str, ...], patient: str, where: str) -> str:
    if rng.random() < 0.5:
        return f"the {agent} {verb[1]} the {patient} {where}"
    return f"the {patient} was {verb[2]} by the {agent} {where}"


def modifiers(rng: random.Random, world: NliWorld, label: int) -> Pair:
    """A property that is stated, stated of something else, or contradicted by its opposite."""
    who, verb, thing, place = _fact(rng, world)
    pair = pick(rng, world.opposites)
    quality = pick(rng, pair)
    hypothesis = f"the {thing} that the {who} {verb[1]} was {quality}"
    thing2 = other(rng, world.things, thing)
    stated = other(rng, pair, quality) if label == CONTRADICTION else quality
    extra = ""
    if label == NEUTRAL:
        stated = pick(rng, other(rng, world.opposites, pair))
        extra = quality if rng.random() < TANGLED else ""
    elif rng.random() < TANGLED:
        extra = pick(rng, other(rng, world.opposites, pair))
    parts = [f"a {stated} {thing}", f"a {extra} {thing2}"]
    rng.shuffle(parts)
    return f"{pick(rng, world.leads)}, the {who} {verb[1]} {parts[0]} and {parts[1]} {place}", hypothesis


def implicatives(rng: random.Random, world: NliWorld, label: int) -> Pair:
    """managed to / forgot to / hoped to: the verb above decides whether the thing was done."""
    who, verb, thing, place = _fact(rng, world)
    denied = rng.random() < 0.5
    hypothesis = f"the {who} {_said(world, verb, denied)} the {thing} {place}"
    done = None if label == NEUTRAL else denied == (label == CONTRADICTION)
    attempt = pick(rng, {True: world.achieved, False: world.omitted, None: world.intended}[done])
    return f"{pick(rng, world.leads)}, the {who} {attempt} {verb[0]} the {thing} {place}", hypothesis


def order(rng: random.Random, world: NliWorld, label: int) -> Pair:
    """Which of two things came first."""
    who, verb, thing, place = _fact(rng, world)
    verb2, thing2 = other(rng, world.verbs, verb), other(rng, world.things, thing)
    first, second = (verb, thing), (verb2, thing2)
    hypothesis = _sequence(rng, who, first, second, world.sequences)
    if label == NEUTRAL:
        one, two = rng.sample([first, second], 2)
        both = f"the {who} {one[0][1]} the {one[1]} and {two[0][1]} the {two[1]} {place}"
        return f"{both} {pick(rng, world.same_day)}", hypothesis
    if label == CONTRADICTION:
        first, second = second, first
    return f"{_sequence(rng, who, first, second, world.sequences)} {place}", hypothesis


def _sequence(
    rng: random.Random,
    who: str,
    first: tuple[tuple[str, ...], str],
    second: tuple[tuple[str, ...], str],
    frames: tuple[str, ...],
) -> str:
    forms = {
        "who": who, "past1": first[0][1], "done1": first[0][2], "ing1": first[0][3], "thing1": first[1],
        "past2": second[0][1], "ing2": second[0][3], "thing2": second[1],
    }  # fmt: skip
    return pick(rng, frames).format(**forms)


def comparatives(rng: random.Random, world: NliWorld, label: int) -> Pair:
    """Two comparisons that chain, chain the other way round, or leave the question open."""
    one, middle, two = rng.sample(world.agents, 3)
    more = pick(rng, world.comparatives)
    hypothesis = f"the {one} was {more} than the {two}"
    if label == CONTRADICTION:
        one, two = two, one
    steps = [(one, middle), (two if label == NEUTRAL else middle, middle if label == NEUTRAL else two)]
    rng.shuffle(steps)
    said = " and ".join(f"the {left} was {more} than the {right}" for left, right in steps)
    return f"{pick(rng, world.leads)}, {said}", hypothesis


# construction and how often it is used, at home and out of domain
CONSTRUCTIONS: tuple[tuple[Construction, int, int], ...] = (
    (negation, 6, 6),
    (hypernyms, 4, 4),
    (quantifiers, 4, 4),
    (numbers, 1, 1),
    (roles, 1, 1),
    (modifiers, 3, 3),
    (implicatives, 6, 6),
    (order, 1, 1),
    (comparatives, 1, 1),
)


def draw(rng: random.Random, world: str, target: int) -> tuple[Pair, int]:
    """One pair with the label `target`, in lower case and without a marker."""
    weights = [out if world == "ood" else home for _, home, out in CONSTRUCTIONS]
    construction = rng.choices([entry[0] for entry in CONSTRUCTIONS], weights)[0]
    premise, hypothesis = construction(rng, NLI[world], target)
    return (finish(premise), finish(hypothesis)), target


def _fact(rng: random.Random, world: NliWorld) -> tuple[str, tuple[str, ...], str, str]:
    return pick(rng, world.agents), pick(rng, world.verbs), pick(rng, world.things), pick(rng, world.places)


def _said(world: NliWorld, verb: tuple[str, ...], denied: bool) -> str:
    return world.deny.format(*verb) if denied else verb[1]
