"""The words of the demo tasks: one set for train and validation ("home"), another for "ood"."""

from __future__ import annotations

from dataclasses import dataclass

from robusteval.tasks.demo.grammar import rows, words


@dataclass(frozen=True)
class Topic:
    """What reviews of one kind of thing are made of; `slots` maps a template slot to its words."""

    slots: dict[str, tuple[str, ...]]
    positive: tuple[str, ...]
    negative: tuple[str, ...]


_POSITIVE = words(
    """superb, delightful, charming, memorable, impressive, wonderful, excellent, pleasant, satisfying,
    inventive, brilliant, lovely, marvellous, splendid, remarkable, refreshing, graceful, exquisite, lively,
    admirable, stylish, imaginative, enchanting, outstanding, polished, warm, magnificent, original, elegant,
    terrific, rewarding, faultless, inspired, striking, sublime, engaging, vibrant, first-rate"""
)
_NEGATIVE = words(
    """dull, dreadful, bland, tedious, disappointing, clumsy, awful, sloppy, lifeless, forgettable, mediocre,
    tiresome, terrible, predictable, stale, careless, uninspired, horrible, shallow, unpleasant, lazy, weak,
    ridiculous, dreary, tasteless, pretentious, confused, boring, hollow, embarrassing, pathetic, messy,
    insipid, dismal, grating, laughable, wretched, second-rate"""
)
_OOD_POSITIVE = words(
    """reliable, flawless, handy, sturdy, seamless, effortless, prompt, spotless, courteous, generous,
    comfortable, dependable, responsive, convenient, trustworthy, efficient, durable, intuitive, helpful,
    attentive, affordable, crisp, speedy, thoughtful, practical, robust, welcoming, precise, ingenious, solid"""
)
_OOD_NEGATIVE = words(
    """flimsy, sluggish, faulty, overpriced, glitchy, rude, cramped, noisy, shabby, unresponsive, chaotic,
    defective, unreliable, fragile, useless, inaccurate, wobbly, filthy, dishonest, unhelpful, outdated,
    frustrating, bulky, incompetent, misleading, inconvenient, grubby, stingy, erratic, leaky"""
)


def _home(item: str, aspect: str, tried: str, preposition: str, when2: str, critics: str) -> Topic:
    slots = {
        "item": words(item),
        "aspect": words(aspect),
        "tried": words(tried),
        "in": (preposition,),
        "when": words(
            "on Friday evening, last weekend, in early spring, on my birthday, last night, on Sunday, yesterday"
        ),
        "when2": None or words(when2),
        "critics": words(critics),
        "group": words("our party, my family, the whole group, our little club, my circle of friends"),
        "very": words("truly, really, quite, thoroughly, very, rather, consistently"),
    }
    # A second {when2} slot never meets {when} in one template, so the two lists may speak of different things.
    return Topic({**slots, "when": slots["when"]}, _POSITIVE, _NEGATIVE)
