"""The words of demo-nli: one set for train and validation ("home"), another for "ood"."""

from __future__ import annotations

from dataclasses import dataclass

from robusteval.tasks.demo.grammar import rows, words


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
                paint/painted/painted/painting, borrow/borrowed/borrowed/borrowing,
                find/found/found/finding, repair/repaired/repaired/repairing, hide/hid/hidden/hiding,
                lose/lost/lost/losing, buy/bought/bought/buying, damage/damaged/damaged/damaging,
                sketch/sketched/sketched/sketching"""
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
        opposites=rows("wet/dry, heavy/light, new/old, clean/dirty, full/empty, large/small, cheap/expensive"),
        comparatives=words("taller, older, faster, richer, kinder"),
        groups=words("guests, pupils, tourists, dancers, waiters, farmers, clerks, singers"),
        deeds=words(
            """wore a blue hat, carried an umbrella, missed the last bus, ate the soup,
                left before midnight, arrived on foot, bought a ticket, signed the letter"""
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
        achieved=words("managed to, remembered to, took the trouble to"),
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
                rescue/rescued/rescued/rescuing, steal/stole/stolen/stealing,
                weigh/weighed/weighed/weighing, abandon/abandoned/abandoned/abandoning,
                describe/described/described/describing, transport/transported/transported/transporting,
                examine/examined/examined/examining"""
        ),
        greetings=rows(
            """interview/interviewed/interviewed, salute/saluted/saluted, consult/consulted/consulted,
                warn/warned/warned"""
        ),
        contests=rows("outvote/outvoted/outvoted, outbid/outbid/outbid, outscore/outscored/outscored"),
        places=words(
            """on the island, aboard the ship, inside the laboratory, at the embassy, across the desert,
                close to the volcano, under the lighthouse"""
        ),
        finals=words("at the assembly, at the charity auction, in the decisive vote"),
        leads=words(
            """according to the report, despite the storm, when the expedition ended,
                once the fog had lifted, as far as anyone knows, late in the voyage"""
        ),
        opposites=rows("valuable/worthless, strange/familiar, ugly/beautiful, famous/unknown, harmless/dangerous"),
        comparatives=words("heavier, stronger, younger, quieter"),
        groups=words("passengers, robots, witnesses, divers, soldiers, delegates, patients"),
        deeds=words(
            """crossed the river, slept in a tent, answered the question, received a medal,
                survived the winter, boarded the plane"""
        ),
        deny="never {1}",
        no="not a single",
        quantifiers={
            "all": ("each of the", "the entire group of"),
            "some": ("a number of", "one or more of the"),
            "none": ("not a single one of the", "zero of the"),
            "not all": ("fewer than all the", "not the whole group of"),
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
            "more": "over {}",
            "at most": "no more than {}",
            "fewer": "under {}",
        },
        achieved=words("found the time to, took care to, did not neglect to"),
        omitted=words("neglected to, declined to, omitted to"),
        intended=words("intended to, offered to, was told to"),
        sequences=(
            "first the {who} {past1} the {thing1} and only then {past2} the {thing2}",
            "having {done1} the {thing1}, the {who} {past2} the {thing2}",
        ),
        same_day=words("at some time that spring, in no particular order"),
    ),
}
