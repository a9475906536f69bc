"""Properties of every scenario: exact counts, nesting, what stays untouched, what is refused, and weighted batches."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from robusteval.errors import UserError
from robusteval.evaluation.base import Measurement, Subject, Suite
from robusteval.evaluation.predict import Predictor
from robusteval.evaluation.subgroups import Classes, Groups
from robusteval.models.encoding import Encoded
from robusteval.scenarios import SCENARIOS
from robusteval.scenarios.base import Prepared, build_scenarios, prepare
from robusteval.scenarios.groups import WORDS, negation_groups, parse_words
from robusteval.scenarios.label_noise import confusion_odds, flip
from robusteval.scenarios.low_resource import stratified
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.runs import MethodConfig, RunSpec, ScenarioConfig
from robusteval.tasks.base import Examples, Task, fingerprint
from robusteval.tasks.load import TaskData, load_split, resolve
from robusteval.training.order import BatchOrder
from support import tiny

NLI = Task("nli", "test", ("premise", "hypothesis"), ("entailment", "neutral", "contradiction"), ("accuracy",))
PAIR = Task("pair", "test", ("left", "right"), ("no", "yes"), ("accuracy",))
SINGLE = Task("single", "test", ("text",), ("bad", "good"), ("accuracy",))
SCORE = Task("score", "test", ("left", "right"), (), ("pearson",))
seeds = st.integers(0, 2**63 - 1)
sizes = st.lists(st.integers(6, 60), min_size=3, max_size=3)


def examples(class_sizes: list[int], *, columns: int = 2, seed: int = 0) -> Examples:
    """Rows in mixed order with so many of each class; every text is another one."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(class_sizes)), class_sizes))
    texts = tuple(tuple(f"{column} {row}" for row in range(len(labels))) for column in range(columns))
    return Examples(texts, labels, tuple(f"id{row}" for row in range(len(labels))), fingerprint(texts, labels))


def scored(count: int = 20) -> Examples:
    rows = examples([count])
    scores = np.linspace(0, 5, count).astype(np.float32)
    return Examples(rows.texts, scores, rows.ids, fingerprint(rows.texts, scores))


def apply(text: str, rows: Examples, task: Task = NLI, seed: int = 0) -> Prepared:
    return prepare(build_scenarios(ScenarioConfig.parse(text)[0]), rows, task, seed)


def flipped(before: Examples, after: Examples) -> set[int]:
    return set(np.flatnonzero(before.labels != after.labels).tolist())


def test_no_scenario_is_the_identity() -> None:
    rows = examples([5, 5, 5])
    assert apply("none", rows).examples is rows


# label noise


@given(class_sizes=sizes, rates=st.tuples(st.floats(0, 0.4), st.floats(0, 0.4)), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_label_noise_flips_exactly_and_is_nested(class_sizes: list[int], rates: tuple[float, float], seed: int) -> None:
    rows, odds = examples(class_sizes), 1 - np.eye(3)
    few, many = (
        flip(rows.labels, round(rate * len(rows)), odds, np.random.default_rng(seed))[0] for rate in sorted(rates)
    )
    hit = np.flatnonzero(few != rows.labels)
    # a flipped row never keeps its class, and every other row does: so the count of differences is exact
    assert len(hit) == round(min(rates) * len(rows))
    assert (many != rows.labels).sum() == round(max(rates) * len(rows))
    assert (many[hit] == few[hit]).all()
    assert set(few) <= {0, 1, 2}


@given(class_sizes=sizes, seed=seeds)
@settings(max_examples=20, deadline=None)
def test_label_noise_depends_on_the_seed_alone(class_sizes: list[int], seed: int) -> None:
    rows = examples([20 * size for size in class_sizes])
    after = apply("label-noise:rate=0.1", rows, seed=seed)
    assert after.examples.texts is rows.texts and after.examples.ids == rows.ids
    assert after.examples.labels.dtype == np.int64
    assert after.counts["flipped"] == round(0.1 * len(rows)) == len(flipped(rows, after.examples))
    true = Counter(NLI.labels[rows.labels[row]] for row in flipped(rows, after.examples))
    assert {name: after.counts[f"flipped {name}"] for name in NLI.labels} == {name: true[name] for name in NLI.labels}
    again = apply("label-noise:rate=0.1", rows, seed=seed)
    assert again.examples.fingerprint == after.examples.fingerprint != rows.fingerprint
    assert flipped(rows, apply("label-noise:rate=0.1", rows, seed=seed + 1).examples) != flipped(rows, after.examples)
    assert flipped(rows, after.examples) <= flipped(rows, apply("label-noise:rate=0.15", rows, seed=seed).examples)
    nothing = apply("label-noise:rate=0", rows, seed=seed)
    assert nothing.examples.fingerprint == rows.fingerprint and nothing.counts["flipped"] == 0


def test_uniform_noise_is_uniform() -> None:
    rows = examples([3000, 3000, 3000])
    after = apply("label-noise:rate=0.5", rows).examples
    for true in range(3):
        wrong = after.labels[(rows.labels == true) & (after.labels != true)]
        low, high = stats.binom.interval(1 - 1e-6, len(wrong), 0.5)
        assert low <= (wrong == (true + 1) % 3).sum() <= high
        # and the rows are drawn without regard to their class
        low, high = stats.binom.interval(1 - 1e-6, 3000, 0.5)
        assert low <= len(wrong) <= high


def test_noise_by_a_confusion_matrix() -> None:
    rows = examples([2000, 2000, 2000])
    text = "label-noise:rate=0.2:confusion=entailment>neutral=0.9|entailment>2=0.1|contradiction>neutral=5"
    after = apply(text, rows)
    assert after.counts["flipped"] == 1200 == len(flipped(rows, after.examples))
    assert after.counts["flipped neutral"] == 0
    assert (after.examples.labels[rows.labels == 1] == 1).all()
    assert (after.examples.labels[rows.labels == 2] != 0).all()
    wrong = after.examples.labels[(rows.labels == 0) & (after.examples.labels != 0)]
    low, high = stats.binom.interval(1 - 1e-6, len(wrong), 0.9)
    assert low <= (wrong == 1).sum() <= high
    assert confusion_odds("0>1=2|neutral>entailment=3", NLI).tolist() == [[0, 2, 0], [3, 0, 0], [0, 0, 0]]
    # any chance below one finds a class, whatever the weights round to
    odds = np.asarray([[0, 0.1, 0.2, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]])

    class Highest:
        def permutation(self, count: int) -> Any:
            return np.arange(count)

        def random(self, count: int) -> Any:
            return np.full(count, np.nextafter(1, 0))

    assert flip(np.zeros(4, np.int64), 4, odds, Highest())[0].tolist() == [2, 2, 2, 2]  # type: ignore[arg-type]


# minority


@given(class_sizes=sizes, keeps=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)), label=st.integers(0, 2), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_minority_touches_one_class(class_sizes: list[int], keeps: tuple[float, float], label: int, seed: int) -> None:
    rows = examples(class_sizes)
    few, many = (apply(f"minority:keep={keep!r}:label={label}", rows, seed=seed) for keep in sorted(keeps))
    name, size = NLI.labels[label], class_sizes[label]
    kept = [ident for ident, of in zip(few.examples.ids, few.examples.labels, strict=True) if of == label]
    assert len(kept) == few.counts[f"kept {name}"] == round(min(keeps) * size)
    assert few.counts["removed"] == size - len(kept) == len(rows) - len(few.examples)
    assert set(few.examples.ids) <= set(many.examples.ids)
    # every row of the other classes is there, in the old order, with its text and class
    others = np.flatnonzero(rows.labels != label)
    assert few.examples.take(np.flatnonzero(few.examples.labels != label)).ids == rows.take(others).ids
    assert few.examples.fingerprint == rows.take([rows.ids.index(ident) for ident in few.examples.ids]).fingerprint
    assert apply(f"minority:label={name}:keep=1", rows, seed=seed).examples.fingerprint == rows.fingerprint


def test_both_ways_to_say_how_rare() -> None:
    rows = examples([40, 45, 31])
    for keep, reduce in ((0.3, 0.7), (0.4, 0.6), (0.5, 0.5), (0.1, 0.9), (0.9, 0.1)):
        one, other = (apply(f"minority:{text}", rows, seed=3) for text in (f"keep={keep}", f"reduce={reduce}"))
        assert one.examples.ids == other.examples.ids
        assert Counter(one.examples.labels.tolist()) == {0: 40, 1: round(keep * 45), 2: 31}
        (scenario,) = build_scenarios(ScenarioConfig.parse(f"minority:reduce={reduce}")[0])
        assert scenario.value == keep
        assert scenario.suites == ("classes",)
    assert (
        apply("minority:keep=0.3", rows, seed=3).examples.ids != apply("minority:keep=0.3", rows, seed=4).examples.ids
    )


def test_a_class_name_wins_over_an_index() -> None:
    numbered = Task("numbered", "file", ("left", "right"), ("2", "1", "0"), ("accuracy",))
    rows = examples([10, 10, 10])
    assert apply("minority:label=2:keep=0.5", rows, numbered).counts == {"removed": 5, "kept 2": 5}
    assert Counter(apply("minority:label=2:keep=0.5", rows, numbered).examples.labels.tolist())[0] == 5
    assert Counter(apply("minority:keep=0.5", rows, numbered).examples.labels.tolist())[1] == 5


@pytest.mark.parametrize(
    ("names", "rare"),
    [
        (("1", "2", "3"), "1"),  # a file of the user's own with these labels
        (("-1", "0", "1"), "1"),
        (("0", "1", "2"), "1"),
        (("2", "3", "4"), "3"),
        (("bad", "fair", "good"), "fair"),
    ],
)
def test_the_class_that_is_rare_by_default(names: tuple[str, ...], rare: str) -> None:
    task = Task("mine", "file", ("left", "right"), names, ("accuracy",))
    after = apply("minority:keep=0.5", examples([10, 10, 10]), task)
    assert after.counts == {"removed": 5, f"kept {rare}": 5}
    assert Counter(after.examples.labels.tolist())[names.index(rare)] == 5


# low resource


@given(class_sizes=sizes, lost=st.tuples(st.integers(0, 5), st.integers(0, 5)), stratify=st.booleans(), seed=seeds)
@settings(max_examples=40, deadline=None)
def test_low_resource_is_nested_and_exact(
    class_sizes: list[int], lost: tuple[int, int], stratify: bool, seed: int
) -> None:
    rows = examples(class_sizes)
    # fewer rows go than the smallest class has, so that none can be emptied
    counts = [len(rows) - each for each in sorted(lost, reverse=True)]
    text = f"low-resource:stratify={str(stratify).lower()}:examples="
    few, many = (apply(f"{text}{count}", rows, seed=seed) for count in counts)
    assert len(few.examples) == counts[0] == few.counts["drawn"]
    assert sum(few.counts[f"drawn {name}"] for name in NLI.labels) == counts[0]
    assert set(few.examples.ids) <= set(many.examples.ids)
    positions = [rows.ids.index(ident) for ident in few.examples.ids]
    assert positions == sorted(positions)
    assert few.examples.fingerprint == rows.take(positions).fingerprint


@given(class_sizes=st.lists(st.integers(1, 60), min_size=2, max_size=5), seed=seeds)
@settings(max_examples=60, deadline=None)
def test_every_beginning_of_a_stratified_order_keeps_the_shares(class_sizes: list[int], seed: int) -> None:
    labels = examples(class_sizes).labels
    order = stratified(np.random.default_rng(seed).permutation(len(labels)), labels)
    assert sorted(order) == list(range(len(labels)))
    shares = np.asarray(class_sizes) / len(labels)
    for count in range(len(class_sizes), len(labels) + 1):
        seen = np.bincount(labels[order[:count]], minlength=len(class_sizes))
        assert seen.min() >= 1
        # within a row of the exact share, once every class is due the first row that it is given anyway
        if len(class_sizes) <= 3 and (count * shares >= 1).all():
            assert (np.abs(seen - count * shares) < 1).all()


def test_low_resource_by_seed_and_at_both_ends() -> None:
    rows = examples([300, 300, 300])
    one, same, other = (apply("low-resource:examples=100", rows, seed=seed) for seed in (1, 1, 2))
    assert one.examples.fingerprint == same.examples.fingerprint != other.examples.fingerprint
    for stratify in ("true", "false"):
        whole = apply(f"low-resource:examples=900:stratify={stratify}", rows)
        assert whole.examples.fingerprint == rows.fingerprint
    few = apply("low-resource:examples=5", scored(), SCORE)
    assert len(few.examples) == 5 and few.examples.labels.dtype == np.float32 and few.counts == {"drawn": 5}
    ladder = ScenarioConfig.parse("low-resource:examples=500/1000/2000")
    assert [build_scenarios(step)[0].value for step in ladder] == [500.0, 1000.0, 2000.0]


# groups


def negation_rows() -> Examples:
    second = ["It's fine.", "NO, it is not!", "nobody knows", "I cannot, no-one can", "nothing", "'never'", "known"]
    texts = (tuple("no never" for _ in second), tuple(second))
    labels = np.asarray([0, 0, 1, 1, 2, 2, 2])
    return Examples(texts, labels, tuple("abcdefg"), fingerprint(texts, labels))


def test_negation_groups_by_hand() -> None:
    groups, names = negation_groups(negation_rows(), NLI, WORDS.split("|"))
    assert groups.tolist() == [0, 1, 3, 2, 5, 5, 4]
    assert names == (
        "entailment/no negation", "entailment/negation", "neutral/no negation", "neutral/negation",
        "contradiction/no negation", "contradiction/negation",
    )  # fmt: skip
    after = apply("groups", negation_rows())
    assert after.examples.fingerprint == negation_rows().fingerprint
    assert after.groups is not None and after.groups.tolist() == groups.tolist()
    assert after.group_names == names and after.weights is None
    assert list(after.counts.values()) == [1, 1, 1, 1, 1, 2]
    other = apply("groups:words=Known|FINE", negation_rows())
    assert other.groups is not None and other.groups.tolist() == [1, 0, 2, 2, 4, 4, 5]


def test_the_suite_counts_the_same_words() -> None:
    for text, suites in (("groups", ("groups",)), ("groups:words=not|no", ("groups:words=not|no",))):
        (scenario,) = build_scenarios(ScenarioConfig.parse(text)[0])
        assert scenario.suites == suites and scenario.value is None


@given(labels=st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=60))
@settings(max_examples=30, deadline=None)
def test_balanced_groups_weigh_the_same(labels: list[tuple[int, bool]]) -> None:
    texts = (tuple("a" for _ in labels), tuple("no way" if negated else "yes" for _, negated in labels))
    gold = np.asarray([label for label, _ in labels])
    rows = Examples(texts, gold, tuple(map(str, range(len(labels)))), fingerprint(texts, gold))
    after = apply("groups:balance=true", rows)
    assert after.groups is not None and after.weights is not None
    assert after.weights.shape == (len(labels),)
    for group in set(after.groups.tolist()):
        assert after.weights[after.groups == group].sum() == pytest.approx(1)


def test_real_negation_groups(data_dir: Path) -> None:
    config = DataConfig(data_dir=str(data_dir), train_split="train_sample")
    task = resolve("mnli", config)
    rows = load_split(task, task.train, config)
    groups, names = negation_groups(rows, task, parse_words(WORDS, "words"))
    # another way to say it: words between white space, once ASCII punctuation is gone
    pattern = re.compile(r"(?<!\S)(?:nobody|no|never|nothing)(?!\S)", re.IGNORECASE)
    found = Counter(
        f"{task.labels[int(label)]}/{'negation' if pattern.search(bare) else 'no negation'}"
        for label, bare in zip(
            rows.labels, (re.sub(r"[!-/:-@\[-`{-~]", "", text) for text in rows.texts[1]), strict=True
        )
    )
    assert {name: int((groups == index).sum()) for index, name in enumerate(names)} == found
    # negation marks contradiction: most negated rows are of that class
    assert found["contradiction/negation"] > 2 * (found["entailment/negation"] + found["neutral/negation"])


# weighted batches


@given(count=st.integers(1, 400), batch=st.integers(1, 33), seed=seeds, bucket=st.booleans(), epoch=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_weighted_order_is_a_function_of_seed_and_step(
    count: int, batch: int, seed: int, bucket: bool, epoch: int
) -> None:
    generator = np.random.default_rng(seed)
    lengths, weights = generator.integers(3, 40, count), generator.random(count)
    weights[0] = 1.0
    weights[1::3] = 0.0
    order = BatchOrder(lengths, batch, seed, bucket=bucket, weights=weights)
    again = BatchOrder(lengths, batch, seed, bucket=bucket, weights=7 * weights)
    drawn = order.epoch(epoch)
    assert sum(map(len, drawn)) == count and len(drawn) == order.steps_per_epoch
    assert not (set(np.concatenate(drawn)) & set(np.flatnonzero(weights == 0)))
    for step in (epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch - 1):
        assert (again[step] == drawn[step % order.steps_per_epoch]).all()


def test_weighted_marginals_are_binomial() -> None:
    weights = np.asarray([0.1, 0.2, 0.3, 0.4] * 50)
    order = BatchOrder(np.full(200, 5), 16, 11, weights=weights)
    seen = np.zeros(200, np.int64)
    for epoch in range(200):
        np.add.at(seen, np.concatenate(order.epoch(epoch)), 1)
    for kind, share in enumerate((0.1, 0.2, 0.3, 0.4)):
        low, high = stats.binom.interval(1 - 1e-6, 200 * 200, share)
        assert low <= seen[kind::4].sum() <= high
    low, high = stats.binom.interval(1 - 1e-6 / 200, 200 * 200, weights / 50)
    assert (low <= seen).all() and (seen <= high).all()
    assert any((order.epoch(0)[0] != other).any() for other in order.epoch(1) if len(other) == 16)


def test_balanced_draws_give_every_group_its_share() -> None:
    second = ["no"] * 3 + ["yes"] * 57
    texts = (tuple("a" for _ in second), tuple(second))
    labels = np.asarray([0, 1, 2] + [0, 1, 2] * 19)
    rows = Examples(texts, labels, tuple(map(str, range(60))), fingerprint(texts, labels))
    after = apply("groups:balance=true", rows)
    assert after.groups is not None
    order = BatchOrder(np.full(60, 5), 16, 0, weights=after.weights)
    drawn = np.bincount(after.groups[np.concatenate([row for e in range(100) for row in order.epoch(e)])], minlength=6)
    low, high = stats.binom.interval(1 - 1e-6, 6000, 1 / 6)
    assert (low <= drawn).all() and (drawn <= high).all()


def test_order_without_weights_is_what_it_always_was() -> None:
    lengths = np.random.default_rng(0).integers(3, 30, 23)
    plain = BatchOrder(lengths, 4, 7, bucket=False)
    assert [batch.tolist() for batch in plain.epoch(1)] == PLAIN
    assert [batch.tolist() for batch in BatchOrder(lengths, 4, 7).epoch(1)] == BUCKETED


# the batches of commit da97705, before there were weights
PLAIN = [[9, 13, 10, 4], [11, 8, 14, 15], [2, 6, 16, 22], [19, 21, 5, 20], [3, 18, 0, 1], [12, 17, 7]]
BUCKETED = [[18, 17, 2, 12], [10, 16, 1, 13], [0, 9, 15, 22], [14, 19, 11, 21], [6, 5, 7], [4, 20, 3, 8]]


# composition


def test_scenarios_compose_in_turn() -> None:
    rows = examples([200, 150, 100])
    both = apply("low-resource:examples=90:stratify=true+label-noise:rate=0.1", rows, seed=5)
    first = apply("low-resource:examples=90:stratify=true", rows, seed=5)
    assert both.examples.ids == first.examples.ids
    assert len(flipped(first.examples, both.examples)) == 9
    assert both.counts["drawn"] == 90 and both.counts["flipped"] == 9
    # each scenario draws from a stream of its own: noise is the same with and without what came before it
    alone = prepare(build_scenarios(ScenarioConfig.parse("label-noise:rate=0.1")[0]), first.examples, NLI, 5)
    assert alone.examples.fingerprint == both.examples.fingerprint
    noisy = apply("label-noise:rate=0.5+groups:balance=true", rows)
    assert noisy.groups is not None and (noisy.groups // 2 == noisy.examples.labels).all()
    small = apply("minority:keep=0.3+low-resource:examples=60+groups", rows)
    assert small.groups is not None and len(small.groups) == 60 == len(small.examples)
    assert {"removed", "kept neutral", "drawn", "neutral/negation"} <= set(small.counts)


# names with spaces

SPACED = Task("mine", "file", ("left", "right"), ("not good", "very good"), ("accuracy",))


@pytest.mark.parametrize(
    ("text", "label", "counts"),
    [
        ("minority:label=very good:keep=0.5", "minority:label=very good:keep=0.5",
         {"removed": 5, "kept very good": 5}),
        (" minority : keep = 0.5 : label = not good ", "minority:keep=0.5:label=not good",
         {"removed": 5, "kept not good": 5}),
        ("label-noise:rate=0.25:confusion=very good > not good = 1",
         "label-noise:rate=0.25:confusion=very good>not good=1",
         {"flipped": 5, "flipped not good": 0, "flipped very good": 5}),
        ("minority:label=very good:keep=0.5 + low-resource:examples=15",
         "minority:label=very good:keep=0.5+low-resource:examples=15",
         {"removed": 5, "kept very good": 5, "drawn": 15, "drawn not good": 10, "drawn very good": 5}),
    ],
)  # fmt: skip
def test_a_class_name_may_hold_spaces(text: str, label: str, counts: dict[str, int]) -> None:
    (config,) = ScenarioConfig.parse(text)
    assert config.label == label
    assert apply(text, examples([10, 10]), SPACED).counts == counts
    assert ScenarioConfig.parse(label) == (config,)


def test_a_ladder_over_names_with_spaces() -> None:
    ladder = ScenarioConfig.parse("minority:label=very good / not good:keep=0.5")
    assert [step.label for step in ladder] == ["minority:label=very good:keep=0.5", "minority:label=not good:keep=0.5"]
    folders = [RunSpec(task="mine", scenario=step).name() for step in (*ladder, ScenarioConfig.parse("none")[0])]
    assert folders[0].startswith("mine.vanilla.minority-label=very-good-keep=0-5.s0.")
    assert all(re.fullmatch(r"[\w.+=-]+", folder) for folder in folders)
    # one folder each, also where only a space tells two classes apart
    (joined,) = ScenarioConfig.parse("minority:label=very-good:keep=0.5")
    assert RunSpec(task="mine", scenario=joined).name() not in folders


def test_spaces_in_a_methods_text_count_for_nothing() -> None:
    assert MethodConfig.parse(" match : temperature = 2 + r3f ") == MethodConfig.parse("match:temperature=2+r3f")


# refusals


@pytest.mark.parametrize(
    ("text", "task", "message"),
    [
        ("label-nois", NLI, "scenario: unknown name 'label-nois'; did you mean 'label-noise'"),
        ("label-noise:ratio=0.1", NLI, "label-noise setting: unknown name 'ratio'; did you mean 'rate'"),
        ("label-noise:rate=1.1", NLI, "label-noise:rate: 1.1 is out of range"),
        ("label-noise:rate=.nan", NLI, "label-noise:rate: nan is out of range"),
        ("label-noise:rate=0.1", SCORE, "scenario: 'label-noise' works on classes, and 'score' has scores"),
        ("label-noise:confusion=entail>neutral=1", NLI, "unknown name 'entail'; did you mean 'entailment'"),
        ("label-noise:confusion=entailment=1", NLI, "'entailment=1' cannot be read; valid: true>wrong=weight"),
        ("label-noise:confusion=neutral>neutral=1", NLI, "leaves the class as it is"),
        ("label-noise:confusion=neutral>0=1|neutral>0=2", NLI, "'neutral>0' is given twice"),
        ("label-noise:confusion=neutral>0=-1", NLI, "the weight in 'neutral>0=-1' is '-1'; valid: a number > 0"),
        ("label-noise:confusion=neutral>0=much", NLI, "valid: a number > 0"),
        ("label-noise:rate=0.5:confusion=neutral>0=1", NLI,
         "0.5 asks for 20 wrong classes, and 'confusion' flips classes of 10 training rows only; valid: at most 0.25"),
        ("label-noise:rate=0.25:confusion=neutral>0=1", NLI,
         "label-noise:rate: 0.25 would leave no training row of the class 'neutral'"),
        ("label-noise+label-noise:rate=0.2", NLI, "scenario: label-noise is given twice"),
        ("minority", NLI, "minority:keep: not given; valid: either keep=0.3 or reduce=0.7"),
        ("minority:keep=0.3:reduce=0.7", NLI, "minority:keep: 0.3 is given beside reduce"),
        ("minority:keep=1.5", NLI, "minority:keep: 1.5 is out of range"),
        ("minority:reduce=-1", NLI, "minority:reduce: -1.0 is out of range"),
        ("minority:keep=0.5:label=neutrl", NLI, "minority:label: unknown name 'neutrl'; did you mean 'neutral'"),
        ("minority:keep=0.5:label=3", NLI, "valid names: contradiction, entailment, neutral"),
        ("minority:keep=0", NLI, "minority:keep: 0 would leave no training row of the class 'neutral'"),
        ("minority:keep=0.04", NLI, "minority:keep: 0.04 would leave no training row of the class 'neutral'"),
        ("minority:keep=0.5", SCORE, "'minority' works on classes"),
        ("low-resource:examples=0", NLI, "low-resource:examples: 0 is out of range"),
        ("low-resource:examples=41", NLI, "low-resource:examples: 41 of 40 training rows; valid: 1 to 40"),
        ("low-resource:examples=2", NLI, "low-resource:examples: 2 would leave no training row of the class"),
        ("low-resource:examples=2:stratify=true", NLI, "valid: more examples"),
        ("low-resource:examples=5:stratify=true", SCORE, "low-resource:stratify: True keeps class shares"),
        ("groups", SCORE, "'groups' looks for negation in the second text of a pair, and 'score' has scores"),
        ("groups", SINGLE, "'single' has one text; valid: a task that classifies pairs"),
        ("groups:words=no|never ever", NLI, "groups:words: 'never ever' in 'no|never ever' is not one word"),
        ("groups : words = no | never", NLI, ""),
        ("groups:words=no||never", NLI, "groups:words: '' in 'no||never' is not one word"),
        ("groups:words=no-one", NLI, "groups:words: 'no-one' in 'no-one' is not one word"),
        ("groups+label-noise:rate=0.1", NLI, "'label-noise' would change rows that are already grouped"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(text: str, task: Task, message: str) -> None:
    rows = {SCORE: scored(), SINGLE: examples([20, 20], columns=1)}.get(task, examples([20, 10, 10]))
    if not message:
        apply(text, rows, task)  # white space around what separates is no part of a scenario's text
        return
    with pytest.raises(UserError, match=re.escape(message)):
        apply(text, rows, task)


def test_a_class_that_does_not_occur_cannot_become_rare() -> None:
    with pytest.raises(UserError, match="minority:label: 'contradiction' has no training rows"):
        apply("minority:label=contradiction:keep=0.5", examples([10, 10]))


def test_scenarios_are_listed_by_name() -> None:
    assert SCENARIOS.names() == ["label-noise", "minority", "low-resource", "groups"]
    for entry in SCENARIOS:
        assert entry.summary and SCENARIOS[entry.name].Settings is not None


# the suites that go with them


class Fixed(Predictor):
    """A predictor that answers what it is told, once."""

    def __init__(self, classes: list[int], count: int) -> None:
        super().__init__(tiny.model(num_labels=count), tiny.tokenizer())
        self.answer, self.asked = np.eye(count, dtype=np.float32)[classes], 0

    def encoded(self, encoded: Encoded, *names: Any) -> Any:
        self.asked += 1
        return self.answer


def measure(suite: Suite[Any], task: Task, dev: Examples, found: list[int]) -> list[Measurement]:
    predictor = Fixed(found, task.num_labels)
    data = TaskData(task, dev.take([]), dev)
    assert suite.check(data, predictor.tokenizer, EvalConfig()) == []
    subject = Subject(predictor, data, EvalConfig())
    measured = list(suite.run(subject))
    assert predictor.asked == 1
    assert {item.suite for item in measured} == {suite.name}
    assert {item.split for item in measured} == {task.dev}
    return measured


def test_accuracy_on_each_class() -> None:
    gold = np.asarray([0, 0, 0, 0, 2])
    texts = (("good",) * 5, ("bad",) * 5)
    dev = Examples(texts, gold, tuple("abcde"), fingerprint(texts, gold))
    measured = measure(Classes.configure("classes", {}), NLI, dev, [0, 0, 0, 1, 0])
    assert [(item.value, item.metrics, item.n) for item in measured] == [
        ("entailment", {"accuracy": 0.75}, 4),
        ("contradiction", {"accuracy": 0.0}, 1),
    ]
    with pytest.raises(UserError, match="suites: 'classes' needs classes, and 'score' has scores"):
        Classes.configure("classes", {}).check(TaskData(SCORE, scored(), scored()), None, EvalConfig())


def test_accuracy_on_each_group() -> None:
    dev = negation_rows()
    measured = measure(Groups.configure("groups", {}), NLI, dev, [0, 0, 1, 0, 2, 1, 2])
    found = {
        item.value: (item.metrics["accuracy"], item.n, "".join(note.text for note in item.notes)) for item in measured
    }
    assert found == {
        "entailment/no negation": (1.0, 1, ""),
        "entailment/negation": (1.0, 1, ""),
        "neutral/no negation": (0.0, 1, ""),
        "neutral/negation": (1.0, 1, ""),
        "contradiction/no negation": (1.0, 1, ""),
        "contradiction/negation": (0.5, 2, ""),
        "average": (pytest.approx(5 / 7), 7, ""),
        "worst": (0.0, 1, "the worst group is neutral/no negation"),
    }
    few = dev.take([0, 1, 2])
    notices = Groups.configure("groups", {}).check(TaskData(NLI, few, few), None, EvalConfig())
    expected = (
        "groups: no dev row is in the group neutral/no negation, contradiction/no negation, contradiction/negation"
    )
    assert notices == [expected]
    for task, rows in ((SCORE, scored()), (SINGLE, examples([2, 2], columns=1))):
        with pytest.raises(UserError, match="suites: 'groups' looks for negation in the second text of a pair"):
            Groups.configure("groups", {}).check(TaskData(task, rows, rows), None, EvalConfig())
    with pytest.raises(UserError, match="suites: groups:words: 'no one' in 'no one' is not one word"):
        Groups.configure("groups", {"words": "no one"})
