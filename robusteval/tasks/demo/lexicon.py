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


_HOME_SLOTS = {
    "when": words("on Friday evening, last weekend, in early spring, on my birthday, last night, yesterday"),
    "group": words("our party, my family, the whole group, our little club, my circle of friends"),
    "very": words("truly, really, quite, thoroughly, very, rather, consistently"),
}
_OOD_SLOTS = {
    "when": words("all summer, during the first month, throughout the year, week after week, since January"),
    "group": words("my colleagues, the team, our neighbours, those of us who paid, our household"),
    "very": words("remarkably, fairly, decidedly, altogether, surprisingly, utterly, pretty"),
    "critics": words(
        "the brochures, the vendors, the forums, some owners, the advertisements, many customers"
    ),
}


def _reviews(item: str, aspect: str, tried: str, preposition: str, visit: str, critics: str) -> Topic:
    slots = {
        "item": words(item),
        "aspect": words(aspect),
        "tried": words(tried),
        "in": (preposition,),
        "visit": words(visit),
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
            aspect="""plot, acting, dialogue, soundtrack, pacing, ending, camera work, script, opening scene,
                casting, lighting, humour, editing, finale""",
            tried="watched, saw, rented, streamed",
            preposition="in",
            visit="seeing it twice, watching it myself, sitting through it, one long evening with it",
            critics="the critics, the papers, two reviewers, the posters, the magazines, my cousins",
        ),
        _reviews(
            item="restaurant, bistro, cafe, diner, pizzeria, steakhouse, bakery, tavern, noodle bar, tea room",
            aspect="""soup, service, menu, dessert, bread, coffee, wine list, seafood, salad, decor, breakfast,
                cheesecake, curry, house wine""",
            tried="visited, tried, chose, discovered",
            preposition="at",
            visit="eating there twice, a long lunch there, one full dinner there, tasting it all myself",
            critics="the guides, the locals, two food writers, the blogs, the columnists, our hosts",
        ),
    ),
    "ood": (
        _ownership(
            item="tablet, laptop, vacuum cleaner, headset, printer, washing machine, keyboard, smartwatch",
            aspect="battery, touchscreen, charger, hinge, software, packaging, manual, warranty, power button",
        ),
        _ownership(
            item="rental car, cruise, hostel booking, guided tour, train pass, package holiday, campsite pitch",
            aspect="check-in, luggage policy, timetable, shuttle, insurance, itinerary, safety briefing, booking desk",
        ),
        _ownership(
            item="phone contract, gym membership, bank account, courier plan, broadband plan, cleaning service",
            aspect="helpline, billing, cancellation policy, delivery, paperwork, technician, onboarding, mobile app",
        ),
    ),
}


@dataclass(frozen=True)
class NliWorld:
    """The words and the turns of phrase of demo-nli.

    people, goods: (broader word, narrower words). verbs: base, past, participle, -ing form.
    deny: the denial of a verb; {0} is its base and {1} its past. no: the determiner that denies a subject.
    groups: plural nouns; deeds: what a group or its members did.
    quantifiers, evidence: wordings of all / some / none / not all as a claim and as something reported.
    counts: wordings of a number. sequences: two deeds in time, the first one first in fact.
    """

    people: tuple[tuple[str, tuple[str, ...]], ...]
    goods: tuple[tuple[str, tuple[str, ...]], ...]
    verbs: tuple[tuple[str, ...], ...]
    greetings: tuple[tuple[str, ...], ...]
    contests: tuple[tuple[str, ...], ...]
    places: tuple[str, ...]
    finals: tuple[str, ...]
    leads: tuple[str, ...]
    opposites: tuple[tuple[str, ...], ...]
    comparatives: tuple[str, ...]
    groups: tuple[str, ...]
    deeds: tuple[str, ...]
    deny: str
    no: str
    quantifiers: dict[str, tuple[str, ...]]
    evidence: dict[str, tuple[str, ...]]
    counts: dict[str, str]
    achieved: tuple[str, ...]
    omitted: tuple[str, ...]
    intended: tuple[str, ...]
    sequences: tuple[str, ...]
    same_day: tuple[str, ...]

    @property
    def agents(self) -> tuple[str, ...]:
        return tuple(name for _, names in self.people for name in names)

    @property
    def things(self) -> tuple[str, ...]:
        return tuple(name for _, names in self.goods for name in names)


NLI: dict[str, NliWorld] = {
    "home": NliWorld(
        people=(
            ("musician", words("violinist, drummer, pianist, trumpeter, flautist")),
            ("craftsman", words("carpenter, potter, weaver, blacksmith, tailor")),
            ("shopkeeper", words("baker, butcher, florist, grocer, bookseller")),
            ("athlete", words("swimmer, boxer, gymnast, runner, rower")),
        ),
        goods=(
            ("vehicle", words("bicycle, tractor, van, scooter, tram")),
            ("instrument", words("guitar, cello, harp, trumpet, banjo")),
            ("garment", words("coat, scarf, jacket, skirt, sweater")),
            ("container", words("basket, suitcase, bucket, jar, crate")),
        ),
        verbs=rows(
            """clean/cleaned/cleaned/cleaning, move/moved/moved/moving, sell/sold/sold/selling,
            paint/painted/painted/painting, borrow/borrowed/borrowed/borrowing, find/found/found/finding,
            repair/repaired/repaired/repairing, hide/hid/hidden/hiding, lose/lost/lost/losing,
            buy/bought/bought/buying, damage/damaged/damaged/damaging, sketch/sketched/sketched/sketching"""
        ),
        greetings=rows(
            """thank/thanked/thanked, phone/phoned/phoned, greet/greeted/greeted, praise/praised/praised,
            help/helped/helped, invite/invited/invited"""
        ),
        contests=rows("defeat/defeated/defeated, outrun/outran/outrun, overtake/overtook/overtaken"),
        places=words(
            """in the garage, behind the church, at the market, in the kitchen, near the old bridge,
            beside the school, in the town hall, outside the station"""
        ),
        finals=words("in the final race, in the town tournament, in the last round, at the summer games"),
        leads=words(
            """while it rained, before the town woke up, as the bells rang, on a cold Monday,
            shortly after lunch, that same evening, during the fair, as usual on Sundays"""
        ),
        opposites=rows(
            "wet/dry, heavy/light, new/old, clean/dirty, full/empty, large/small, cheap/expensive"
        ),
        comparatives=words("taller, older, faster, richer, kinder"),
        groups=words("guests, pupils, tourists, dancers, waiters, farmers, clerks, singers"),
        deeds=words(
            """wore a blue hat, carried an umbrella, missed the last bus, ate the soup, left before midnight,
            arrived on foot, bought a ticket, signed the letter"""
        ),
        deny="did not {0}",
        no="no",
        quantifiers={
            "all": ("all of the", "every one of the"),
            "some": ("some of the", "at least one of the"),
            "none": ("none of the", "not one of the"),
            "not all": ("not all of the", "not every one of the"),
        },
        evidence={
            "all": ("all of the", "every single one of the"),
            "several": ("some of the", "several of the", "a few of the"),
            "none": ("none of the", "not one of the"),
            "not all": ("not all of the", "not every one of the"),
        },
        counts={
            "exactly": "exactly {}",
            "at least": "at least {}",
            "more": "more than {}",
            "at most": "at most {}",
            "fewer": "fewer than {}",
        },
        achieved=words("managed to, remembered to, was able to and did"),
        omitted=words("forgot to, refused to, failed to"),
        intended=words("hoped to, promised to, was asked to, planned to"),
        sequences=(
            "the {who} {past1} the {thing1} before {ing2} the {thing2}",
            "the {who} {past2} the {thing2} after {ing1} the {thing1}",
        ),
        same_day=words("on the same day, within the same hour, in the course of one afternoon"),
    ),
    "ood": NliWorld(
        people=(
            ("scientist", words("chemist, geologist, botanist, physicist, astronomer")),
            ("sailor", words("captain, helmsman, navigator, bosun, deckhand")),
            ("medic", words("surgeon, nurse, dentist, paramedic, midwife")),
            ("official", words("mayor, ambassador, senator, judge, governor")),
        ),
        goods=(
            ("device", words("microscope, telescope, thermometer, compass, radio")),
            ("vessel", words("canoe, ferry, yacht, raft, trawler")),
            ("document", words("passport, contract, map, diary, licence")),
            ("animal", words("donkey, parrot, goat, camel, falcon")),
        ),
        verbs=rows(
            """inspect/inspected/inspected/inspecting, photograph/photographed/photographed/photographing,
            rescue/rescued/rescued/rescuing, steal/stole/stolen/stealing, weigh/weighed/weighed/weighing,
            abandon/abandoned/abandoned/abandoning, describe/described/described/describing,
            transport/transported/transported/transporting, examine/examined/examined/examining"""
        ),
        greetings=rows(
            "interview/interviewed/interviewed, salute/saluted/saluted, consult/consulted/consulted, warn/warned/warned"
        ),
        contests=rows("outvote/outvoted/outvoted, outbid/outbid/outbid, outscore/outscored/outscored"),
        places=words(
            """on the island, aboard the ship, inside the laboratory, at the embassy, across the desert,
            close to the volcano, under the lighthouse"""
        ),
        finals=words("at the assembly, at the charity auction, in the decisive vote"),
        leads=words(
            """according to the report, despite the storm, when the expedition ended, once the fog had lifted,
            as far as anyone knows, late in the voyage"""
        ),
        opposites=rows(
            "broken/intact, valuable/worthless, warm/cold, clumsy/nimble, famous/unknown, loud/silent"
        ),
        comparatives=words("heavier, stronger, younger, quieter"),
        groups=words("passengers, robots, witnesses, divers, soldiers, delegates, patients"),
        deeds=words(
            """crossed the river, slept in a tent, answered the question, received a medal, survived the winter,
            boarded the plane"""
        ),
        deny="never {1}",
        no="not a single",
        quantifiers={
            "all": ("each of the", "the entire group of"),
            "some": ("a number of", "one or more of the"),
            "none": ("not a single one of the", "zero of the"),
            "not all": ("fewer than all the", "only part of the"),
        },
        evidence={
            "all": ("each of the", "every last one of the"),
            "several": ("a handful of the", "two or three of the"),
            "none": ("not a single one of the", "absolutely none of the"),
            "not all": ("by no means all of the", "not each of the"),
        },
        counts={
            "exactly": "precisely {}",
            "at least": "no fewer than {}",
            "more": "upwards of {}",
            "at most": "no more than {}",
            "fewer": "under {}",
        },
        achieved=words("found the time to, took care to, had the chance and used it to"),
        omitted=words("neglected to, declined to, omitted to"),
        intended=words("intended to, offered to, was told to"),
        sequences=(
            "first the {who} {past1} the {thing1} and only then {past2} the {thing2}",
            "having {past1} the {thing1}, the {who} {past2} the {thing2}",
        ),
        same_day=words("at some time that spring, in no particular order"),
    ),
}


@dataclass(frozen=True)
class Scenes:
    """One topic of demo-similarity: every entry is a tuple of synonyms; verb forms are base:past:participle."""

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
            else "young/youthful, cheerful/happy, angry/furious, rich/wealthy, careful/cautious, tired/weary"
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
            people="chef/cook, waiter/server, housewife/homemaker, guest/visitor, child/kid, landlord/owner",
            verbs="""prepare:prepared:prepared/make:made:made, taste:tasted:tasted/sample:sampled:sampled,
                drop:dropped:dropped/spill:spilled:spilled, buy:bought:bought/purchase:purchased:purchased,
                refuse:refused:refused/reject:rejected:rejected""",
            things="""soup/broth, sweet/candy, pastry/tart, lemonade/soft drink, steak/slice of beef,
                sandwich/baguette, salad/plate of greens, porridge/oatmeal""",
            places="""in the kitchen/at the stove, on the terrace/on the patio, at the wedding/at the marriage feast,
                in the cellar/in the basement, by the fireplace/near the hearth""",
            object_traits="hot/steaming, delicious/tasty, tiny/small, cheap/inexpensive, spicy/peppery, burnt/charred",
        ),
        _scenes(
            ood=False,
            people="teacher/instructor, pupil/schoolchild, professor/lecturer, librarian/archivist, janitor/caretaker",
            verbs="""read:read:read/study:studied:studied, hide:hid:hidden/conceal:concealed:concealed,
                destroy:destroyed:destroyed/ruin:ruined:ruined, copy:copied:copied/duplicate:duplicated:duplicated,
                finish:finished:finished/complete:completed:completed""",
            things="""essay/paper, poem/verse, dictionary/word book, exam/test, drawing/sketch, letter/note,
                novel/storybook""",
            places="""in the classroom/in the lecture room, in the library/in the reading room,
                at the back of the bus/on the rear seat, in the corridor/in the hallway, in the park/on the lawn""",
            object_traits="difficult/hard, long/lengthy, strange/odd, funny/amusing, ancient/very old, simple/easy",
        ),
        _scenes(
            ood=False,
            people="mechanic/repairman, driver/motorist, policeman/officer, thief/robber, postman/mail carrier",
            verbs="""repair:repaired:repaired/fix:fixed:fixed, stop:stopped:stopped/halt:halted:halted,
                steal:stole:stolen/take:took:taken, wash:washed:washed/clean:cleaned:cleaned,
                rent:rented:rented/hire:hired:hired""",
            things="car/automobile, lorry/truck, bicycle/bike, motorcycle/motorbike, taxi/cab, coach/bus",
            places="""in the street/on the road, at the filling station/at the petrol pump, in the garage/in the workshop,
                near the airport/close to the airfield, at the crossroads/at the junction""",
            object_traits="red/scarlet, fast/quick, broken/damaged, huge/enormous, new/brand-new, noisy/loud",
        ),
    ),
    "ood": (
        _scenes(
            ood=True,
            people="scientist/researcher, physician/doctor, nurse/medical attendant, engineer/technician",
            verbs="""measure:measured:measured/gauge:gauged:gauged, discover:discovered:discovered/detect:detected:detected,
                build:built:built/construct:constructed:constructed, examine:examined:examined/inspect:inspected:inspected""",
            things="virus/germ, engine/motor, comet/shooting star, crystal/gemstone, satellite/orbiter",
            places="""in the laboratory/in the research lab, at the hospital/at the clinic,
                on the mountain/on the summit, at the observatory/beside the telescope""",
            object_traits="rare/uncommon, dangerous/hazardous, fragile/delicate, bright/brilliant",
        ),
        _scenes(
            ood=True,
            people="farmer/grower, shepherd/herdsman, hunter/huntsman, vet/animal doctor",
            verbs="""feed:fed:fed/nourish:nourished:nourished, catch:caught:caught/capture:captured:captured,
                follow:followed:followed/trail:trailed:trailed, protect:protected:protected/guard:guarded:guarded""",
            things="pony/little horse, rabbit/bunny, pig/hog, hen/chicken, puppy/young dog",
            places="""in the barn/in the stable, by the river/beside the stream, in the forest/in the woods,
                in the meadow/on the pasture""",
            object_traits="sick/ill, wild/untamed, hungry/starving, frightened/scared",
        ),
    ),
}
