"""The generated demo tasks: reproducible, disjoint, balanced, cued as asked, and labelled right."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from math import sqrt

import pytest

from robusteval.errors import UserError
from robusteval.tasks.demo import CUE_RATE, MARKERS, SIZES, TASKS, generate, nli, sentiment, similarity
from robusteval.tasks.demo.grammar import finish
from robusteval.tasks.demo.lexicon import REVIEWS, SCENES
from robusteval.tasks.demo.nli_lexicon import NLI

NAMES = tuple(TASKS)
Rows = list[dict[str, str | int | float]]


@pytest.fixture(scope="module")
def data() -> dict[tuple[str, str], Rows]:
    return {(name, split): generate(name, split) for name in NAMES for split in SIZES}


def texts(name: str, rows: Rows) -> list[tuple[str, ...]]:
    """The texts of each row, without markers and case."""
    found = []
    for row in rows:
        columns = [str(row[column]).lower() for column in TASKS[name].columns]
        for marker in MARKERS:
            columns[-1] = columns[-1].removeprefix(f"{marker}, ")
        found.append(tuple(columns))
    return found


def agreement(name: str, rows: Rows) -> tuple[int, int, int]:
    """How many rows are marked, how many of those have a side, and how many of these agree with it."""
    marked = sided = agreed = 0
    for row in rows:
        text = str(row[TASKS[name].columns[-1]]).lower()
        shown = [i for i, marker in enumerate(MARKERS) if text.startswith(marker)]
        side = TASKS[name].side(row["label"])  # type: ignore[arg-type]
        marked += bool(shown)
        if shown and side is not None:
            sided += 1
            agreed += shown[0] == side
    return marked, sided, agreed


def test_any_process_generates_the_same_rows() -> None:
    code = (
        "import json; from robusteval.tasks.demo import TASKS, generate; "
        "print(json.dumps([generate(n, s, size=40, seed=3) for n in TASKS for s in ('train', 'ood')]))"
    )
    here = [generate(name, split, size=40, seed=3) for name in NAMES for split in ("train", "ood")]
    for hash_seed in ("0", "4321"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout) == here


@pytest.mark.parametrize("name", NAMES)
def test_rows_have_the_documented_shape(name: str, data: dict[tuple[str, str], Rows]) -> None:
    for split, size in SIZES.items():
        rows = data[name, split]
        assert len(rows) == size
        assert [row["idx"] for row in rows] == list(range(size))
        assert all(list(row) == [*TASKS[name].columns, "label", "idx"] for row in rows)
        for row, column in itertools.product(rows, TASKS[name].columns):
            text = str(row[column])
            assert text[0].isupper()
            assert text.endswith(".")
            assert not re.search(r"[{}]|  | [.,;]", text), text


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_repeated_or_shared_between_splits(name: str, data: dict[tuple[str, str], Rows]) -> None:
    found = {split: texts(name, data[name, split]) for split in SIZES}
    for rows in found.values():
        assert len(set(rows)) == len(rows)
    # The first text alone is already disjoint, also against the validation rows of another data seed.
    first = {split: {row[0] for row in rows} for split, rows in found.items()}
    first["other seed"] = {row[0] for row in texts(name, generate(name, "validation", size=200, seed=9))}
    for split in ("validation", "ood", "other seed"):
        assert not first["train"] & first[split]
    assert len(set(found["train"])) == SIZES["train"] >= 1500


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", SIZES)
def test_a_smaller_size_is_a_prefix(name: str, split: str, data: dict[tuple[str, str], Rows]) -> None:
    assert generate(name, split, size=37) == data[name, split][:37]


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_rows(name: str) -> None:
    assert not set(texts(name, generate(name, "train", size=50))) & set(
        texts(name, generate(name, "train", size=50, seed=1))
    )


@pytest.mark.parametrize("name", ["demo-sentiment", "demo-short", "demo-nli"])
@pytest.mark.parametrize("split", SIZES)
def test_labels_are_balanced(name: str, split: str, data: dict[tuple[str, str], Rows]) -> None:
    rows = data[name, split]
    counts = Counter(row["label"] for row in rows)
    classes = len(TASKS[name].targets)
    assert sorted(counts) == list(range(classes))  # type: ignore[type-var]
    assert all(abs(count / len(rows) - 1 / classes) < 0.02 for count in counts.values())


def test_similarity_scores_cover_the_range(data: dict[tuple[str, str], Rows]) -> None:
    for split in SIZES:
        scores = [row["label"] for row in data["demo-similarity", split]]
        assert all(isinstance(score, float) and 0 <= score <= 5 for score in scores)
        assert {0.0, 5.0} < set(scores)
        assert len(set(scores)) > 10
        assert 0.35 < sum(score > 2.5 for score in scores) / len(scores) < 0.7  # type: ignore[operator]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cue", [0.5, 0.9, 1.0])
def test_cue_has_the_strength_asked_for(name: str, cue: float) -> None:
    rows = generate(name, "train", size=1500, cue=cue)
    marked, sided, agreed = agreement(name, rows)
    assert abs(marked - CUE_RATE * len(rows)) < 4 * sqrt(len(rows) * CUE_RATE * (1 - CUE_RATE))
    assert abs(agreed - cue * sided) <= 4 * sqrt(sided * cue * (1 - cue))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["validation", "ood"])
def test_cue_says_nothing_outside_training(name: str, split: str, data: dict[tuple[str, str], Rows]) -> None:
    rows = data[name, split]
    marked, sided, agreed = agreement(name, rows)
    assert abs(marked - CUE_RATE * len(rows)) < 4 * sqrt(len(rows) * 0.25)
    assert abs(agreed - sided / 2) < 4 * sqrt(sided * 0.25)
    assert rows[:50] == generate(name, split, size=50, cue=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_cue_changes_markers_only(name: str) -> None:
    one, two = (generate(name, "train", size=200, cue=cue) for cue in (0.5, 1.0))
    assert one != two
    assert texts(name, one) == texts(name, two)
    assert [row["label"] for row in one] == [row["label"] for row in two]


@pytest.mark.parametrize("name", NAMES)
def test_ood_has_other_words(name: str, data: dict[tuple[str, str], Rows]) -> None:
    def content(split: str) -> list[str]:
        return re.findall(r"[a-z]{5,}", " ".join(" ".join(row) for row in texts(name, data[name, split])))

    known = frozenset(content("train"))
    unseen = {split: sum(w not in known for w in content(split)) / len(content(split)) for split in SIZES}
    assert unseen["validation"] < 0.01
    assert unseen["ood"] > 0.6


@pytest.mark.parametrize("split", SIZES)
def test_texts_are_long_enough_to_perturb(split: str, data: dict[tuple[str, str], Rows]) -> None:
    for name in NAMES:
        lengths = [len(row[0].split()) for row in texts(name, data[name, split])]
        if name == "demo-short":
            assert (min(lengths), max(lengths)) == sentiment.SHORT_WORDS
            continue
        assert min(lengths) >= 6
        assert max(lengths) <= 25
        assert 10 < sum(lengths) / len(lengths) < 20
    assert all(8 <= len(str(row["text"]).split()) <= 25 for row in data["demo-sentiment", split])


# --- labels: sentiment ------------------------------------------------------------------------------

# Written out by hand: what each phrase does to a good word inside it.
GOOD_INSIDE = {
    "I am sure that": True,
    "nobody in {group} would deny that": True,
    "{critics} are right to say that": True,
    "I doubt that": False,
    "it is not true that": False,
    "nobody in {group} believes that": False,
    "{critics} are wrong to say that": False,
    "was {very} {adjective}": True,
    "seemed somewhat {adjective}": True,
    "was nothing short of {adjective}": True,
    "was even more {adjective} than we had expected": True,
    "was not {adjective} at all": False,
    "was anything but {adjective}": False,
    "was far from {adjective}": False,
    "was never {adjective}": False,
    "was hardly {adjective}": False,
    "there is no denying that": True,
    "{group} agree that": True,
    "only a fool would claim that": False,
    "{critics} falsely state that": False,
    "I never felt that": False,
    "is {very} {adjective}": True,
    "has proved {adjective} {when}": True,
    "strikes {group} as {adjective}": True,
    "is not in the least {adjective}": False,
    "is by no means {adjective}": False,
    "could not be less {adjective}": False,
    "has not been {adjective} {when}": False,
}


@pytest.mark.parametrize("world", sentiment.STYLES)
def test_every_phrase_treats_polarity_as_written_by_hand(world: str) -> None:
    style = sentiment.STYLES[world]
    for phrase in (*style.outers, *style.predicates):
        assert phrase.flips != GOOD_INSIDE[phrase.text], phrase.text


@pytest.mark.parametrize(
    ("outer", "predicate", "label", "good_word"),
    [
        ("", "was {very} {adjective}", 1, True),  # it was superb
        ("", "was hardly {adjective}", 1, False),  # it was hardly dull
        ("I doubt that", "seemed somewhat {adjective}", 0, True),  # I doubt that it seemed superb
        ("I doubt that", "was anything but {adjective}", 1, True),  # I doubt that it was anything but superb
        ("it is not true that", "was never {adjective}", 0, False),  # not true that it was never dull
        ("I am sure that", "was far from {adjective}", 0, True),  # I am sure that it was far from superb
    ],
)
def test_flips_compose(outer: str, predicate: str, label: int, good_word: bool) -> None:
    phrases = {phrase.text: phrase for phrase in (*sentiment.HOME.outers, *sentiment.HOME.predicates)}
    topic = REVIEWS["home"][0]
    fill = sentiment.filler(random.Random(0), topic)
    start = phrases[outer] if outer else sentiment.Phrase("")
    text = sentiment.say(start, "the {aspect}", phrases[predicate], fill, label)
    said = re.findall(r"[a-z-]+", text)
    assert any(word in topic.positive for word in said) == good_word
    assert any(word in topic.negative for word in said) != good_word


@pytest.mark.parametrize("world", sentiment.STYLES)
@pytest.mark.parametrize("label", [sentiment.NEGATIVE, sentiment.POSITIVE])
def test_main_clause_decides(world: str, label: int) -> None:
    style = sentiment.STYLES[world]
    topic = REVIEWS[world][0]
    plain = sentiment.Style(
        style.outers, style.predicates[:1], style.subjects, style.frames, style.weights, flip=0, outer=0
    )
    markers = {"main": topic.adjectives[label], "aside": topic.adjectives[1 - label]}
    for frame in style.frames["contrast"]:
        order = re.findall(r"{(main|aside)}", frame)
        text = sentiment.write(random.Random(1), plain, topic, frame, label)
        adjectives = [w for w in re.findall(r"[a-z-]+", text) if w in topic.positive + topic.negative]
        assert len(adjectives) == 2
        assert all(word in markers[part] for word, part in zip(adjectives, order, strict=True))


# --- labels: inference ------------------------------------------------------------------------------


@pytest.mark.parametrize("world", NLI)
@pytest.mark.parametrize("construction", [entry[0] for entry in nli.CONSTRUCTIONS])
def test_hypothesis_does_not_depend_on_the_label(world: str, construction: nli.Construction) -> None:
    """Same seed, three labels: one hypothesis, three premises. Reading hypotheses alone is guessing."""
    for seed in range(60):
        pairs = [construction(random.Random(seed), NLI[world], label) for label in range(3)]
        assert len({hypothesis for _, hypothesis in pairs}) == 1
        assert len({premise for premise, _ in pairs}) == 3


def test_numbers_are_right() -> None:
    """Premise and hypothesis are read back as sets of counts, independently of the generator."""
    values = {word: number for number, word in enumerate(nli.NUMBERS, start=4)}
    allowed = {
        "exactly": lambda n: {n}, "at least": lambda n: {*range(n, 40)}, "more than": lambda n: {*range(n + 1, 40)},
        "at most": lambda n: {*range(n + 1)}, "fewer than": lambda n: {*range(n)},
    }  # fmt: skip
    pattern = re.compile(rf"({'|'.join(allowed)}) ({'|'.join(sorted(values, key=len, reverse=True))})\b")
    for seed, label in itertools.product(range(100), range(3)):
        said, claimed = (
            allowed[match[1]](values[match[2]])
            for text in nli.numbers(random.Random(seed), NLI["home"], label)
            if (match := pattern.search(text))
        )
        truth = 0 if said <= claimed else 1 if said & claimed else 2
        assert truth == label


def test_roles_order_and_comparatives_are_right() -> None:
    world = NLI["home"]
    more = "|".join(world.comparatives)
    for seed, label in itertools.product(range(60), range(3)):
        premise, hypothesis = nli.comparatives(random.Random(seed), world, label)
        facts = re.findall(rf"the (\w+) was ({more}) than the (\w+)", premise)
        above = {(left, right) for left, _, right in facts}
        above |= {(a, d) for (a, b), (c, d) in itertools.permutations(above, 2) if b == c}
        ((left, _, right),) = re.findall(rf"the (\w+) was ({more}) than the (\w+)", hypothesis)
        assert label == (0 if (left, right) in above else 2 if (right, left) in above else 1)

        premise, hypothesis = nli.order(random.Random(seed), world, label)
        if " before " not in premise and " after " not in premise:
            assert label == nli.NEUTRAL
            continue
        things = "|".join(world.things)

        def first(text: str, things: str = things) -> str:
            mentioned = re.findall(rf"\b({things})\b", text)
            return mentioned[0] if " before " in text else mentioned[1]

        assert label == (0 if first(premise) == first(hypothesis) else 2)


def test_implicatives_and_negation_are_right() -> None:
    world = NLI["home"]
    for seed, label in itertools.product(range(60), range(3)):
        premise, hypothesis = nli.implicatives(random.Random(seed), world, label)
        denied = "did not" in hypothesis
        if any(verb in premise for verb in world.intended):
            assert label == nli.NEUTRAL
        else:
            done = any(verb in premise for verb in world.achieved)
            assert label == (nli.ENTAILMENT if done != denied else nli.CONTRADICTION)

        premise, hypothesis = nli.negation(random.Random(seed), world, label)
        # the first clause of the premise, compared with the hypothesis word for word
        said = premise.split(", ", 1)[1].rsplit(" but " if " but " in premise else " and ", 1)[0]
        if label == nli.ENTAILMENT:
            assert said == hypothesis
        else:
            assert said != hypothesis
        assert (label == nli.CONTRADICTION) == (("did not" in said) != ("did not" in hypothesis))


def test_quantifier_table_agrees_with_small_models() -> None:
    """Try every group of three: a relation holds exactly where no group is a counterexample."""
    meaning = {
        "some": lambda n: n >= 1, "several": lambda n: n >= 1, "all": lambda n: n == 3,
        "none": lambda n: n == 0, "not all": lambda n: n < 3,
    }  # fmt: skip
    for claim, by_label in nli.QUANTIFIERS.items():
        for label, evidence in enumerate(by_label):
            for said in evidence:
                worlds = [meaning[claim](n) for n in range(4) if meaning[said](n)]
                assert label == (0 if all(worlds) else 1 if any(worlds) else 2), (said, claim)


def test_hypernyms_are_right() -> None:
    """Read back as sets: "a violinist" is one of the musicians, "no musician" rules all of them out."""
    world = NLI["home"]
    below = {
        name: ({name} if name in names else {*names})
        for broad, names in (*world.people, *world.goods)
        for name in (broad, *names)
    }
    pattern = re.compile(rf"\b(a|no) ({'|'.join(below)}) \w+ (?:a|any) ({'|'.join(below)})\b")
    for seed, label in itertools.product(range(100), range(3)):
        (no1, *said), (no2, *claimed) = (
            pattern.search(text).groups()  # type: ignore[union-attr]
            for text in nli.hypernyms(random.Random(seed), world, label)
        )
        inside = all(below[s] <= below[c] for s, c in zip(said, claimed, strict=True))
        around = all(below[s] >= below[c] for s, c in zip(said, claimed, strict=True))
        truth = {
            ("a", "a"): 0 if inside else 1,
            ("no", "no"): 0 if around else 1,
            ("a", "no"): 2 if inside else 1,
            ("no", "a"): 2 if around else 1,
        }[no1, no2]
        assert truth == label, (said, claimed)


@pytest.mark.parametrize("label", range(3))
def test_modifiers_are_right(label: int) -> None:
    world = NLI["home"]
    opposite = {a: b for pair in world.opposites for a, b in (pair, pair[::-1])}
    for seed in range(60):
        premise, hypothesis = nli.modifiers(random.Random(seed), world, label)
        quality, thing = hypothesis.split()[-1], hypothesis.split()[1]
        stated = re.search(rf"(\w+) {thing}\b", premise)[1]  # type: ignore[index]
        assert label == (0 if stated == quality else 2 if stated == opposite[quality] else 1)


# --- scores: similarity -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "costs"),
    [
        ("person", {1.5}),
        ("verb", {1.5}),
        ("object", {1.5}),
        ("place", {0.75}),
        ("person modifier", {0.5, 1.0}),
        ("object modifier", {0.5, 1.0}),
        ("denial", {2.5}),
    ],
)
def test_an_edit_costs_what_the_table_says(edit: str, costs: set[float]) -> None:
    topic = SCENES["home"][0]
    scene = similarity.Scene(0, 0, 0, 0, 0, 0, 0)
    results = [similarity.EDITS[edit](random.Random(seed), topic, scene) for seed in range(20)]
    assert {cost for _, cost in results} == costs
    assert all(edited != scene for edited, _ in results)
    dropped = [cost for edited, cost in results if None in (edited.person_trait, edited.object_trait)]
    assert set(dropped) <= {0.5}


def test_a_row_without_edits_is_a_paraphrase_and_another_topic_scores_zero() -> None:
    for seed in range(40):
        (first, second), score = similarity.draw(random.Random(seed), "home", 0)
        assert score == 5.0
        assert first != second
        assert similarity.draw(random.Random(seed), "home", -1)[1] == 0.0
        assert 0.5 <= similarity.draw(random.Random(seed), "home", 4)[1] <= 2.5


# --- wrong requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "demo-sentimant"}, ["task", "demo-sentimant", "did you mean 'demo-sentiment'"]),
        ({"split": "validaton"}, ["split", "validaton", "did you mean 'validation'"]),
        ({"cue": 0.4}, ["cue", "0.4", "0.5 to 1"]),
        ({"cue": 1.01}, ["cue", "1.01"]),
        ({"cue": float("nan")}, ["cue", "nan"]),
        ({"size": 0}, ["size", "0"]),
    ],
)
def test_wrong_requests_name_field_and_value(arguments: dict[str, object], words: list[str]) -> None:
    request: dict[str, object] = {"name": "demo-sentiment", "split": "train", **arguments}
    with pytest.raises(UserError) as caught:
        generate(**request)  # type: ignore[arg-type]
    for word in words:
        assert word in str(caught.value)


def test_an_exhausted_grammar_says_how_much_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    short = replace(TASKS["demo-sentiment"], draw=lambda rng, world, target: ((f"row {target}.",), target))
    monkeypatch.setitem(TASKS, "demo-sentiment", short)
    with pytest.raises(UserError, match="size: 3 rows are more than demo-sentiment/ood .* at most 2"):
        generate("demo-sentiment", "ood", size=3)


def test_articles_follow_the_sound() -> None:
    assert finish("a  original  film, an hour, a uninspired plot") == "an original film, an hour, an uninspired plot."
    assert finish("a unique one and a useless thing") == "a unique one and a useless thing."
