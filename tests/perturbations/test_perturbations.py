"""Properties of every registered perturbation, from one table, and of the encoding they work on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from robusteval.errors import UserError
from robusteval.models.encoding import Collator, Encoded, encode
from robusteval.perturbations import PERTURBATIONS
from robusteval.perturbations.base import Source
from robusteval.perturbations.typos import NEIGHBOURS, misspell, slip
from robusteval.tasks.base import Examples, Task
from support import tiny

MASK = tiny.tokenizer().mask_token_id
CHARACTERS = list("我喜欢这部电影不好看演员很棒")
# longer than any text here: where typos lengthen a text that is cut, less of the other text of a pair may stay
LONGEST = 256


def laid_out(kind: str, single: str, pair: str) -> Any:
    """The tiny tokenizer with special tokens in other places."""
    built = tiny.tokenizer(kind)
    built.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return built


def chinese_tokenizer() -> Any:
    """One token per Chinese character, as BERT's Chinese models have it, beside single Latin letters."""
    words = [*tiny.SPECIAL, *CHARACTERS, *tiny.LETTERS, *("##" + letter for letter in tiny.LETTERS)]
    core = Tokenizer(models.WordPiece({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    core.normalizer = normalizers.BertNormalizer(handle_chinese_chars=True, lowercase=True)
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.post_processor = tiny.tokenizer().backend_tokenizer.post_processor
    names = {f"{name[1:-1].lower()}_token": name for name in tiny.SPECIAL}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=core, model_input_names=inputs, **names)


WORDS = tiny.NEUTRAL + tiny.GOOD + ["zebra"]
# tokenizer, the words of its texts, and what stands between them
SORTS: dict[str, tuple[Any, list[str], str]] = {
    "bert": (tiny.tokenizer(), WORDS, " "),
    "roberta": (tiny.tokenizer("roberta"), WORDS, " "),
    # XLNet's layout: special tokens at the end, padding on the left
    "xlnet": (laid_out("xlnet", "$A [SEP] [CLS]:2", "$A [SEP] $B:1 [SEP]:1 [CLS]:2"), WORDS, " "),
    # nothing between texts and rows
    "bare": (laid_out("bert", "$A", "$A $B:1"), WORDS, " "),
    "chinese": (chinese_tokenizer(), CHARACTERS, ""),
}
COLUMNS = ("premise", "hypothesis")


def source_of(
    *texts: list[str], sort: str = "bert", columns: tuple[str, ...] = (), max_length: int = LONGEST, **facts: Any
) -> Source:
    """The given texts, one list per column, as perturbations see them."""
    task = Task("tiny", "test", COLUMNS[: len(texts)], ("bad", "good"), ("accuracy",), **facts)
    count = len(texts[0])
    labels = np.arange(count) % 2
    examples = Examples(tuple(map(tuple, texts)), labels, tuple(map(str, range(count))), "")
    return Source.of(SORTS[sort][0], examples, task, max_length=max_length, columns=columns)


@st.composite
def sources(draw: st.DrawFn, max_length: int = LONGEST) -> Source:
    """One to eight rows of any sort, single texts or pairs, with any choice of columns."""
    sort = draw(st.sampled_from(list(SORTS)))
    _, words, space = SORTS[sort]
    text = st.lists(st.sampled_from(words), min_size=1, max_size=12).map(space.join)
    count = draw(st.integers(1, 8))
    sides = draw(st.integers(1, 2))
    texts = [draw(st.lists(text, min_size=count, max_size=count)) for _ in range(sides)]
    columns = draw(st.sampled_from([(), *((name,) for name in COLUMNS[:sides])]))
    return source_of(*texts, sort=sort, columns=columns, max_length=max_length)


def rows(encoded: Encoded, values: npt.NDArray[Any]) -> list[list[Any]]:
    return [part.tolist() for part in np.split(values, encoded.offsets[1:-1])]


def texts_of(encoded: Encoded) -> list[dict[int, list[int]]]:
    """The token ids of each row by text column; -1 has the special ones."""
    parts = zip(rows(encoded, encoded.column), rows(encoded, encoded.ids), strict=True)
    return [{side: [i for c, i in zip(columns, ids, strict=True) if c == side] for side in set(columns)}
            for columns, ids in parts]  # fmt: skip


def changed(source: Source, after: Encoded) -> int:
    return int((after.ids != source.encoded.ids).sum())


def removed(source: Source, after: Encoded) -> int:
    return len(source.encoded.ids) - len(after.ids)


def words_of(ids: list[int]) -> list[list[str]]:
    """The tokens of each word; a word begins with every token without "##"."""
    found: list[list[str]] = []
    for token in (tiny.WORDS[index] for index in ids):
        if token.startswith("##"):
            found[-1].append(token)
        else:
            found.append([token])
    return found


def misspelt(source: Source, after: Encoded) -> int:
    pairs = zip(words_of(source.encoded.ids.tolist()), words_of(after.ids.tolist()), strict=True)
    return sum(old != new for old, new in pairs)


def all_masked(source: Source, after: Encoded) -> None:
    assert (after.ids[source.eligible] == MASK).all()


def all_drawn_from_the_input(source: Source, after: Encoded) -> None:
    for old, new in zip(texts_of(source.encoded), texts_of(after), strict=True):
        own = set(old[0]) | set(old.get(1, []))
        assert set(new[0]) | set(new.get(1, [])) <= own


def one_left_of_each_text(source: Source, after: Encoded) -> None:
    for old, new in zip(texts_of(source.encoded), texts_of(after), strict=True):
        for side in source.columns:
            assert len(new[side]) == 1
            assert new[side][0] in old[side]


def all_in_other_places(source: Source, after: Encoded) -> None:
    for old, new in zip(texts_of(source.encoded), texts_of(after), strict=True):
        for side in source.columns:
            tokens = old[side]
            pairs = [tokens[at : at + 2][::-1] for at in range(0, len(tokens), 2)]
            assert new[side] == [token for pair in pairs for token in pair]


def all_words_misspelt(source: Source, after: Encoded) -> None:
    for row, (old, new) in enumerate(zip(texts_of(source.encoded), texts_of(after), strict=True)):
        for side in source.columns:
            if source.texts[side][row].isascii():
                pairs = zip(words_of(old[side]), words_of(new[side]), strict=True)
                assert all(before != now for before, now in pairs)
            else:
                assert old[side] == new[side]


@dataclass(frozen=True)
class Kind:
    """What a perturbation promises: at rate 1; and how many of 5200 distinct tokens it touches, and how to tell."""

    rate_one: Callable[[Source, Encoded], None]
    count: Callable[[Source, Encoded], int]
    expected: Callable[[float], float]
    keeps_length: bool = True


KINDS = {
    "mask": Kind(all_masked, changed, lambda rate: rate),
    # one draw in 26 is the token that stood there
    "replace": Kind(all_drawn_from_the_input, changed, lambda rate: rate * 25 / 26),
    "delete": Kind(one_left_of_each_text, removed, lambda rate: rate, keeps_length=False),
    # 25 of 26 tokens have a right neighbour; one has moved already with probability rate / (1 + rate)
    "swap": Kind(
        all_in_other_places, lambda s, a: changed(s, a) // 2, lambda rate: rate / (1 + rate) * 25 / 26
    ),
    "typos": Kind(all_words_misspelt, misspelt, lambda rate: rate, keeps_length=False),
}  # fmt: skip


def test_every_perturbation_is_in_the_table() -> None:
    assert set(KINDS) == set(PERTURBATIONS.names())


@pytest.mark.parametrize("kind", KINDS)
@given(source=sources(), seed=st.integers(0, 99), rate=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_what_may_not_change_does_not(kind: str, source: Source, seed: int, rate: float) -> None:
    before = source.encoded
    after = PERTURBATIONS[kind](source, rate, np.random.default_rng(seed))
    for old, new in zip(texts_of(before), texts_of(after), strict=True):
        assert old.keys() == new.keys()
        for side in old.keys() - set(source.columns):
            assert new[side] == old[side]
    if KINDS[kind].keeps_length:
        assert (after.offsets == before.offsets).all()
        assert (after.ids[~source.eligible] == before.ids[~source.eligible]).all()
    again = PERTURBATIONS[kind](source, rate, np.random.default_rng(seed))
    assert after.fingerprint() == again.fingerprint()
    assert PERTURBATIONS[kind](source, 0.0, np.random.default_rng(seed)).fingerprint() == before.fingerprint()


@pytest.mark.parametrize("kind", KINDS)
@given(source=sources(max_length=14), seed=st.integers(0, 99), rate=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_rows_stay_whole(kind: str, source: Source, seed: int, rate: float) -> None:
    before = source.encoded
    after = PERTURBATIONS[kind](source, rate, np.random.default_rng(seed))
    assert after.offsets[0] == 0 and after.offsets[-1] == len(after.ids) == len(after.column)
    assert len(after) == len(before) and (after.labels == before.labels).all()
    assert (after.lengths > 0).all() and after.lengths.max() <= 14
    # no text is empty, and texts and special tokens stand in the same sequence
    for old, new in zip(rows(before, before.column), rows(after, after.column), strict=True):
        assert [side for side, _ in groupby(new)] == [side for side, _ in groupby(old)]
    assert (after.types is None) == (before.types is None)
    if after.types is not None and before.types is not None:
        assert (after.types[~after.special] == after.column[~after.special]).all()
        assert (after.types[after.special] == before.types[before.special]).all()


@pytest.mark.parametrize("kind", KINDS)
@given(source=sources(), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_rate_one_touches_all_that_it_can(kind: str, source: Source, seed: int) -> None:
    KINDS[kind].rate_one(source, PERTURBATIONS[kind](source, 1.0, np.random.default_rng(seed)))


@pytest.mark.parametrize("kind", KINDS)
def test_counts_are_binomial_and_seeds_differ(kind: str) -> None:
    # every token of a row is another one, so that a replacement shows unless it drew the token itself
    source = source_of([" ".join(np.random.default_rng(n).permutation(tiny.LETTERS)) for n in range(200)])
    assert source.eligible.sum() == 200 * 26
    for rate in (0.1, 0.5):
        after = PERTURBATIONS[kind](source, rate, np.random.default_rng(1))
        other = PERTURBATIONS[kind](source, rate, np.random.default_rng(2))
        low, high = stats.binom.interval(1 - 1e-6, 200 * 26, KINDS[kind].expected(rate))
        assert low <= KINDS[kind].count(source, after) <= high
        assert after.fingerprint() != other.fingerprint()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sort", ["bert", "xlnet"])
def test_padding_stays_padding(kind: str, sort: str) -> None:
    source = source_of(["good film", "the very good story of zebra"], sort=sort)
    after = PERTURBATIONS[kind](source, 0.5, np.random.default_rng(0))
    batch = Collator(SORTS[sort][0])(after, np.arange(2))
    ids, real = batch.inputs["input_ids"].numpy(), batch.inputs["attention_mask"].numpy().astype(bool)
    assert (ids[~real] == 0).all() and (ids[real] == after.ids).all()
    assert real[:, 0 if sort == "bert" else -1].all()


def test_swaps_by_hand() -> None:
    source = source_of(["a b c d e"], ["x y"])

    class Draws:
        def random(self, count: int) -> npt.NDArray[np.float64]:
            # [CLS] a b c d e [SEP] x y [SEP]: a, b, d and the last tokens of both texts want to start
            return np.asarray([1, 0, 0, 1, 0, 0, 0, 1, 0])

    after = PERTURBATIONS["swap"](source, 0.5, Draws())  # type: ignore[arg-type]
    words = [tiny.WORDS[index] for index in after.ids]
    assert words == ["[CLS]", "b", "a", "c", "e", "d", "[SEP]", "x", "y", "[SEP]"]


def test_deletion_leaves_each_token_with_equal_chance() -> None:
    source = source_of(["a b c d"] * 4000)
    after = PERTURBATIONS["delete"](source, 1.0, np.random.default_rng(0))
    low, high = stats.binom.interval(1 - 1e-6, 4000, 0.25)
    assert all(low <= count <= high for count in np.bincount(after.ids)[tiny.WORDS.index("a") :][:4])


@given(st.text(max_size=60), st.integers(0, 99), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_typos_touch_nothing_but_words(text: str, seed: int, rate: float) -> None:
    after = misspell(text, rate, np.random.default_rng(seed))
    assert re.split("[A-Za-z]+", after) == re.split("[A-Za-z]+", text)
    assert misspell(text, 0.0, np.random.default_rng(seed)) == text


@given(st.from_regex("[A-Za-z]{1,10}", fullmatch=True), st.integers(0, 999))
@settings(max_examples=300, deadline=None)
def test_a_typo_is_one_edit(word: str, seed: int) -> None:
    after = slip(word, np.random.default_rng(seed))
    assert after and after != word
    longer, shorter = (after, word) if len(after) > len(word) else (word, after)
    if len(longer) > len(shorter):
        assert shorter in {longer[:at] + longer[at + 1 :] for at in range(len(longer))}
        return
    places = [at for at, (old, new) in enumerate(zip(word, after, strict=True)) if old != new]
    first, last = places[0], places[-1]
    if len(places) == 1:
        assert after[first].lower() in NEIGHBOURS[word[first].lower()]
        assert after[first].isupper() == word[first].isupper()
    else:
        assert 0 < first == last - 1 and last < len(word) - 1
        assert word[first] + word[last] == after[last] + after[first]


def test_the_keyboard() -> None:
    assert set(NEIGHBOURS) == set(tiny.LETTERS)
    assert {key: set(NEIGHBOURS[key]) for key in "qsp"} == {"q": set("wa"), "s": set("wadezx"), "p": set("ol")}
    assert all(key in NEIGHBOURS[other] for key, near in NEIGHBOURS.items() for other in near)


def test_chinese_has_no_typos() -> None:
    source = source_of(["我喜欢这部电影", "演员abc很棒"], sort="chinese")
    after = PERTURBATIONS["typos"](source, 1.0, np.random.default_rng(0))
    assert rows(after, after.ids)[0] == rows(source.encoded, source.encoded.ids)[0]
    assert after.fingerprint() != source.encoded.fingerprint()
    assert misspell("演员很棒 3.5, 100%!", 1.0, np.random.default_rng(0)) == "演员很棒 3.5, 100%!"


def test_a_model_without_a_mask_token_is_refused() -> None:
    with pytest.raises(UserError, match="mask_token: masking needs one"):
        PERTURBATIONS["mask"](replace(source_of(["good"]), mask_id=None), 0.5, np.random.default_rng(0))


def test_columns_and_mask_tokens_that_cannot_be() -> None:
    pair = (["good film"], ["bad"])
    with pytest.raises(UserError, match="columns: unknown name 'premis'; did you mean 'premise'"):
        source_of(*pair, columns=("premis",))
    with pytest.raises(UserError, match="columns: 'hypothesis' of 'tiny' must stay as it is; valid: premise"):
        source_of(*pair, columns=("hypothesis",), perturbable=("premise",))
    assert source_of(*pair, perturbable=("premise",)).columns == (0,)
    assert source_of(*pair).columns == (0, 1)
    examples = Examples((("good",),), np.asarray([1]), ("0",), "")
    task = tiny.TASK
    with pytest.raises(UserError, match="mask_token: 'zzz' is not a token"):
        Source.of(tiny.tokenizer(), examples, task, max_length=8, mask_token="zzz")
    assert Source.of(tiny.tokenizer(), examples, task, max_length=8, mask_token="film").mask_id == tiny.WORDS.index(
        "film"
    )


def test_encoding_by_hand() -> None:
    tokenizer = tiny.tokenizer()
    encoded = encode(tokenizer, [["good film"], ["bad"]], np.asarray([1]), max_length=32)
    words = [tiny.WORDS[token] for token in encoded.ids]
    assert words == ["[CLS]", "good", "film", "[SEP]", "bad", "[SEP]"]
    assert encoded.column.tolist() == [-1, 0, 0, -1, 1, -1]
    assert encoded.types is not None
    assert encoded.types.tolist() == [0, 0, 0, 0, 1, 1]


def test_long_texts_are_cut_and_counted() -> None:
    encoded = encode(tiny.tokenizer(), [["good " * 30, "bad"]], max_length=8)
    assert encoded.lengths.tolist() == [8, 3]
    assert encoded.truncated == 1


@pytest.mark.parametrize("kind", ["bert", "xlnet"])
def test_batches_are_padded_on_the_tokenizers_side(kind: str) -> None:
    tokenizer = tiny.tokenizer(kind)
    rows = ["good film", "bad", "the very good story"]
    encoded = encode(tokenizer, [rows], np.asarray([1, 0, 1]), max_length=32)
    batch = Collator(tokenizer)(encoded, np.asarray([2, 1]))
    reference = tokenizer.pad(
        {"input_ids": [tokenizer(rows[2])["input_ids"], tokenizer(rows[1])["input_ids"]]}, return_tensors="np"
    )
    assert (batch.inputs["input_ids"].numpy() == reference["input_ids"]).all()
    assert (batch.inputs["attention_mask"].numpy() == reference["attention_mask"]).all()
    assert batch.labels.tolist() == [1, 0]
    assert batch.special.sum() == 4 + 3
    assert [len(part) for part in batch.split(2)] == [1, 1]
    assert Collator(tokenizer, multiple=8)(encoded, np.asarray([0])).inputs["input_ids"].shape == (1, 8)
