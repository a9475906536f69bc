"""The words of demo-sentiment and demo-similarity: one set for train and validation ("home"),
another for "ood"."""

from __future__ import annotations

from dataclasses import dataclass

from robusteval.tasks.demo.grammar import rows, words


@dataclass(frozen=True)
class Topic:
    """What reviews of one kind of thing are made of; `slots` maps a template slot to its words."""

    slots: dict[str, tuple[str, ...]]
    positive: tuple[str, ...]
    negative: tuple[str, ...]

    @property
    def adjectives(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Indexed by the label: negative, positive."""
        return self.negative, self.positive


_POSITIVE = words(
    """superb, delightful, charming, memorable, impressive, wonderful, excellent, pleasant, satisfying,
        inventive, brilliant, lovely, marvellous, splendid, remarkable, refreshing, graceful, exquisite,
        lively, admirable, stylish, imaginative, enchanting, outstanding, polished, warm, magnificent,
        original, elegant, terrific, rewarding, faultless, inspired, striking, sublime, engaging,
        vibrant, first-rate"""
)
_NEGATIVE = words(
    """dull, dreadful, bland, tedious, disappointing, clumsy, awful, sloppy, lifeless, forgettable,
        mediocre, tiresome, terrible, predictable, stale, careless, uninspired, horrible, shallow,
        unpleasant, lazy, weak, ridiculous, dreary, tasteless, pretentious, confused, boring, hollow,
        embarrassing, pathetic, messy, insipid, dismal, grating, laughable, wretched, second-rate"""
)
_OOD_POSITIVE = words(
    """reliable, flawless, handy, sturdy, seamless, effortless, prompt, spotless, courteous, generous,
        comfortable, dependable, responsive, convenient, trustworthy, efficient, durable, intuitive,
        helpful, attentive, affordable, crisp, speedy, thoughtful, practical, robust, welcoming,
        precise, ingenious"""
)
_OOD_NEGATIVE = words(
    """flimsy, sluggish, faulty, overpriced, glitchy, rude, cramped, noisy, shabby, unresponsive, chaotic,
        defective, unreliable, fragile, useless, inaccurate, wobbly, filthy, dishonest, unhelpful,
        outdated, frustrating, bulky, incompetent, misleading, inconvenient, grubby, stingy, erratic,
        leaky"""
)


_HOME_SLOTS = {
    "when": words("on Friday evening, last weekend, in early spring, on my birthday, last night, yesterday"),
    "group": words("our party, my family, the whole group, our little club, my circle of friends"),
    "very": words("truly, really, quite, thoroughly, very, rather, consistently"),
}
_OOD_SLOTS = {
    "when": words("all summer, during the first month, throughout the year, week after week, since January"),
    "group": words("my colleagues, the team, our neighbours, those of us who paid, our household"),
    "very": words("remarkably, fairly, decidedly, altogether, surprisingly, utterly, pretty"),
    "critics": words("the brochures, the vendors, the forums, some owners, the advertisements"),
}


def _reviews(item: str, aspect: str, tried: str, preposition: str, critics: str) -> Topic:
    slots = {
        "item": words(item),
        "aspect": words(aspect),
        "tried": words(tried),
        "in": (preposition,),
        "critics": words(critics),
    }
    return Topic({**_HOME_SLOTS, **slots}, _POSITIVE, _NEGATIVE)


def _ownership(item: str, aspect: str) -> Topic:
    slots = {"item": words(item), "aspect": words(aspect)}
    return Topic({**_OOD_SLOTS, **slots}, _OOD_POSITIVE, _OOD_NEGATIVE)


REVIEWS: dict[str, tuple[Topic, ...]] = {
    "home": (
        _reviews(
            item="film, thriller, comedy, drama, sequel, documentary, musical, western, remake, cartoon",
            aspect="""plot, acting, dialogue, soundtrack, pacing, ending, camera work, script,
                opening scene, casting, lighting, humour, editing, finale""",
            tried="watched, saw, rented, streamed",
            preposition="in",
            critics="the critics, the papers, two reviewers, the posters, the magazines, my cousins",
        ),
        _reviews(
            item="restaurant, bistro, cafe, diner, pizzeria, steakhouse, bakery, tavern, tea room",
            aspect="""soup, service, menu, dessert, bread, coffee, wine list, seafood, salad, decor,
                breakfast, cheesecake, curry, house wine""",
            tried="visited, tried, chose, discovered",
            preposition="at",
            critics="the guides, the locals, two food writers, the blogs, the columnists, our hosts",
        ),
    ),
    "ood": (
        _ownership(
            item="tablet, laptop, vacuum cleaner, headset, printer, washing machine, smartwatch",
            aspect="battery, touchscreen, charger, hinge, software, packaging, manual, power button",
        ),
        _ownership(
            item="rental car, cruise, hostel booking, guided tour, train pass, package holiday",
            aspect="check-in, luggage policy, timetable, shuttle, insurance, itinerary, booking desk",
        ),
        _ownership(
            item="phone contract, gym membership, bank account, courier plan, broadband plan",
            aspect="helpline, billing, delivery, paperwork, technician, onboarding, mobile app",
        ),
    ),
}


@dataclass(frozen=True)
class Scenes:
    """One topic of demo-similarity: an entry holds synonyms; a verb is base:past:participle."""

    people: tuple[tuple[str, ...], ...]
    verbs: tuple[tuple[str, ...], ...]
    things: tuple[tuple[str, ...], ...]
    places: tuple[tuple[str, ...], ...]
    whens: tuple[tuple[str, ...], ...]
    person_traits: tuple[tuple[str, ...], ...]
    object_traits: tuple[tuple[str, ...], ...]
    frames: tuple[str, ...]
    denied_active: str
    denied_passive: str


def _scenes(ood: bool, people: str, verbs: str, things: str, places: str, object_traits: str) -> Scenes:
    return Scenes(
        people=rows(people),
        verbs=rows(verbs),
        things=rows(things),
        places=rows(places),
        object_traits=rows(object_traits),
        whens=rows(
            "at dawn/at daybreak, in autumn/in the autumn months, at midnight/in the middle of the night"
            if ood
            else "yesterday/the day before, in the evening/after sunset, in the morning/before noon"
        ),
        person_traits=rows(
            "exhausted/worn-out, famous/well-known, clever/smart, silent/quiet, stubborn/obstinate"
            if ood
            else """young/youthful, cheerful/happy, angry/furious, rich/wealthy, careful/cautious,
                tired/weary"""
        ),
        frames=(
            (
                "it was {when} that {who} {active} {what} {place}",
                "{place}, {what} {passive} by {who} {when}",
                "{what}, so the story goes, {passive} by {who} {place} {when}",
            )
            if ood
            else (
                "{when}, {who} {active} {what} {place}",
                "{who} {active} {what} {place} {when}",
                "{what} {passive} by {who} {place} {when}",
            )
        ),
        denied_active="never {past}" if ood else "did not {base}",
        denied_passive="never" if ood else "not",
    )


SCENES: dict[str, tuple[Scenes, ...]] = {
    "home": (
        _scenes(
            ood=False,
            people="""chef/cook, waiter/server, housewife/homemaker, guest/visitor, child/kid,
                landlord/owner""",
            verbs="""prepare:prepared:prepared/make:made:made, taste:tasted:tasted/sample:sampled:sampled,
                drop:dropped:dropped/spill:spilled:spilled,
                buy:bought:bought/purchase:purchased:purchased,
                refuse:refused:refused/reject:rejected:rejected""",
            things="""soup/broth, sweet/candy, pastry/tart, lemonade/soft drink, steak/slice of beef,
                sandwich/baguette, salad/plate of greens, porridge/oatmeal""",
            places="""in the kitchen/at the stove, on the terrace/on the patio,
                at the wedding/at the marriage feast, in the cellar/in the basement,
                by the fireplace/near the hearth""",
            object_traits="""hot/steaming, delicious/tasty, tiny/small, cheap/inexpensive, spicy/peppery,
                burnt/charred""",
        ),
        _scenes(
            ood=False,
            people="""teacher/instructor, pupil/schoolchild, professor/lecturer, librarian/archivist,
                janitor/caretaker""",
            verbs="""read:read:read/study:studied:studied, hide:hid:hidden/conceal:concealed:concealed,
                destroy:destroyed:destroyed/ruin:ruined:ruined,
                copy:copied:copied/duplicate:duplicated:duplicated,
                finish:finished:finished/complete:completed:completed""",
            things="""essay/paper, poem/verse, dictionary/word book, exam/test, drawing/sketch, letter/note,
                novel/storybook""",
            places="""in the classroom/in the lecture room, in the library/in the reading room,
                at the back of the bus/on the rear seat, in the corridor/in the hallway,
                in the park/on the lawn""",
            object_traits="""difficult/hard, long/lengthy, strange/odd, funny/amusing, ancient/very old,
                simple/easy""",
        ),
        _scenes(
            ood=False,
            people="""mechanic/repairman, driver/motorist, policeman/officer, thief/robber,
                postman/mail carrier""",
            verbs="""repair:repaired:repaired/fix:fixed:fixed, stop:stopped:stopped/halt:halted:halted,
                steal:stole:stolen/take:took:taken, wash:washed:washed/clean:cleaned:cleaned,
                rent:rented:rented/hire:hired:hired""",
            things="car/automobile, lorry/truck, bicycle/bike, motorcycle/motorbike, taxi/cab, coach/bus",
            places="""in the street/on the road, at the filling station/at the petrol pump,
                in the garage/in the workshop, near the airport/close to the airfield,
                at the crossroads/at the junction""",
            object_traits="""red/scarlet, fast/quick, broken/damaged, huge/enormous, new/brand-new,
                noisy/loud""",
        ),
    ),
    "ood": (
        _scenes(
            ood=True,
            people="scientist/researcher, physician/doctor, nurse/medical attendant, engineer/technician",
            verbs="""measure:measured:measured/gauge:gauged:gauged,
                discover:discovered:discovered/detect:detected:detected,
                build:built:built/construct:constructed:constructed,
                examine:examined:examined/inspect:inspected:inspected""",
            things="virus/germ, engine/motor, comet/shooting star, crystal/gemstone, satellite/orbiter",
            places="""in the laboratory/in the research lab, at the hospital/at the clinic,
                on the mountain/on the summit, at the observatory/beside the telescope""",
            object_traits="rare/uncommon, dangerous/hazardous, fragile/delicate, bright/brilliant",
        ),
        _scenes(
            ood=True,
            people="farmer/grower, shepherd/herdsman, hunter/huntsman, vet/animal doctor",
            verbs="""feed:fed:fed/nourish:nourished:nourished,
                catch:caught:caught/capture:captured:captured,
                follow:followed:followed/trail:trailed:trailed,
                protect:protected:protected/guard:guarded:guarded""",
            things="pony/little horse, rabbit/bunny, pig/hog, hen/chicken, puppy/young dog",
            places="""in the barn/in the stable, by the river/beside the stream, in the forest/in the woods,
                in the meadow/on the pasture""",
            object_traits="sick/ill, wild/untamed, hungry/starving, frightened/scared",
        ),
    ),
}
