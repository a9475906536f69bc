"""Attacks of one process: none sees what another one read, and the process is afterwards what it was before."""

from __future__ import annotations

import functools
import json
import os
import pickle
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from robusteval.attacks.resources.offline import load_textattack, offline
from robusteval.attacks.runner import attack_examples
from robusteval.tasks.base import Examples
from support.processes import carried_out, script

TEXT = "a good film with many long scenes and few short ones"
EXAMPLES = Examples(((TEXT,),), np.array([1]), ("one",), "")


def keyword(texts: list[tuple[str, ...]]) -> npt.NDArray[np.float32]:
    return np.array([[0.0, 2.0 if "good" in text[0] else -2.0] for text in texts], np.float32)


def save_vectors(folder: Path, near: str) -> None:
    """Word vectors in the form of TextAttack's own cache: nothing is near "good" but `near`."""
    place = folder / "textattack" / "word_embeddings" / "paragramcf"
    place.mkdir(parents=True)
    np.save(place / "paragram.npy", np.array([[1.0, 0.0], [0.9, 0.1]], np.float32))
    np.save(place / "nn.npy", np.array([[0, 1], [1, 0]]))
    contents = {
        "wordlist.pickle": {"good": 0, near: 1},
        "mse_dist.p": defaultdict(dict),
        "cos_sim.p": defaultdict(dict),
    }
    for name, content in contents.items():
        (place / name).write_bytes(pickle.dumps(content))


def save_stop_words(folder: Path, *words: str) -> None:
    place = folder / "corpora" / "stopwords"
    place.mkdir(parents=True)
    (place / "english").write_text("\n".join(words) + "\n")


def save_tagger(folder: Path, tag: str, universal: str) -> None:
    """A tagger by which "good" is `tag`, which is `universal` among the tags of all languages."""
    tagger, tags = (folder / "taggers" / name for name in ("averaged_perceptron_tagger_eng", "universal_tagset"))
    tagger.mkdir(parents=True)
    for name, content in (("weights", {}), ("tagdict", {"good": tag}), ("classes", [tag])):
        (tagger / f"averaged_perceptron_tagger_eng.{name}.json").write_text(json.dumps(content))
    tags.mkdir()
    (tags / "en-ptb.map").write_text(f"{tag}\t{universal}\n")


def test_an_attack_takes_the_word_vectors_of_its_own_folder(tmp_path: Path) -> None:
    for near in ("fine", "great"):
        save_vectors(tmp_path / near, near)
        save_stop_words(tmp_path / near, "a")

    def attacked(near: str) -> str:
        result = attack_examples(keyword, EXAMPLES, ("bad", "good"), "iga", resources_dir=tmp_path / near)
        assert result.lines[0]["perturbed"] is not None, result.lines[0]
        return result.lines[0]["perturbed"][0]

    for near in ("fine", "great", "great", "fine"):
        assert attacked(near) == TEXT.replace("good", near)
    # and what was read is read anew where it has changed on the disk
    (tmp_path / "fine").rename(tmp_path / "before")
    save_vectors(tmp_path / "fine", "excellent")
    assert attacked("fine") == TEXT.replace("good", "excellent")


def test_words_are_tagged_by_the_folder_that_is_given(tmp_path: Path) -> None:
    nltk = pytest.importorskip("nltk")
    save_tagger(tmp_path / "one", "JJ", "ADJ")
    save_tagger(tmp_path / "two", "NN", "NOUN")
    save_tagger(tmp_path / "three", "NN", "VERB")
    expected = {"one": "ADJ", "two": "NOUN", "three": "VERB"}
    for name in ("one", "two", "three", "one"):
        with offline(tmp_path / name):
            assert nltk.pos_tag(["good"], tagset="universal") == [("good", expected[name])]


def test_a_block_inside_another_leaves_the_outer_one_as_it_was(tmp_path: Path) -> None:
    nltk = pytest.importorskip("nltk")
    load_textattack()
    for name in ("one", "two"):
        save_stop_words(tmp_path / name, name)
    before = type(nltk.corpus.stopwords), dict(vars(nltk.corpus.stopwords)), list(nltk.data.path)
    with offline(tmp_path / "one"):
        assert nltk.corpus.stopwords.words("english") == ["one"]
        with offline(tmp_path / "two"):
            assert nltk.corpus.stopwords.words("english") == ["two"]
        assert nltk.corpus.stopwords.words("english") == ["one"]
    assert before == (type(nltk.corpus.stopwords), vars(nltk.corpus.stopwords), nltk.data.path)


STATE = """
import logging, os, socket, sys
from pathlib import Path
def refuse(*arguments, **options): raise OSError("a connection was tried")
socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from robusteval.attacks.runner import attack_examples
from robusteval.tasks.base import Examples

def state():
    import nltk, textattack
    from huggingface_hub import constants
    from textattack.shared import utils
    install, embedding = sys.modules["textattack.shared.utils.install"], textattack.shared.WordEmbedding
    return {
        "path": (id(nltk.data.path), list(nltk.data.path)), "environment": dict(os.environ),
        "download": nltk.download, "http": install.http_get, "cache": install.TEXTATTACK_CACHE_DIR,
        "offline": constants.HF_HUB_OFFLINE, "objects": (id(utils.GLOBAL_OBJECTS), dict(utils.GLOBAL_OBJECTS)),
        "vectors": embedding.counterfitted_GLOVE_embedding, "words": textattack.shared.attacked_text.words_from_text,
        "corpus": (type(nltk.corpus.stopwords), sorted(vars(nltk.corpus.stopwords))),
        "tagger": nltk.tag._get_tagger, "handlers": list(textattack.shared.logger.handlers),
        "level": textattack.shared.logger.level, "draws": np.random.get_state()[1].tolist(),
    }

def attack():
    def predict(texts):
        return np.array([[0.0, 2.0 if "good" in text[0] else -2.0] for text in texts], np.float32)
    examples = Examples((("TEXT",),), np.array([1]), ("one",), "")
    result = attack_examples(predict, examples, ("bad", "good"), "iga", resources_dir=Path("RESOURCES"))
    print(*result.lines[0]["perturbed"], sep="")
"""
BEFORE = """
import textattack, nltk
assert nltk.corpus.stopwords.words("english") == ["theirs"]
before = state()
attack()
assert state() == before, [key for key, value in state().items() if value != before[key]]
assert nltk.corpus.stopwords.words("english") == ["theirs"]
"""
AFTER = """
attack()
import textattack, nltk
assert nltk.corpus.stopwords.words("english") == ["theirs"]
before = state()
attack()
assert state() == before, [key for key, value in state().items() if value != before[key]]
assert textattack.shared.utils.install.http_get.__module__ == "textattack.shared.utils.install"
assert textattack.constraints.pre_transformation.StopwordModification().stopwords == {"theirs"}
"""


@pytest.mark.parametrize(("code", "attacks"), [(BEFORE, 1), (AFTER, 2)], ids=["before", "after"])
def test_a_program_that_imports_textattack_itself_keeps_its_own(code: str, attacks: int, tmp_path: Path) -> None:
    """The program's own stop words are "theirs"; those of the folder given to the attack are others."""
    save_vectors(tmp_path / "resources", "great")
    save_stop_words(tmp_path / "resources", "a")
    save_stop_words(tmp_path / "theirs", "theirs")
    (tmp_path / "home").mkdir()
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LD_LIBRARY_PATH", "TMPDIR")}
    own = {"HOME": str(tmp_path / "home"), "NLTK_DATA": str(tmp_path / "theirs")}
    attack = STATE.replace('TEXT"', f'{TEXT}"').replace("RESOURCES", str(tmp_path / "resources"))
    done = carried_out(functools.partial(script, attack + code), kept | own)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-attacks:] == [TEXT.replace("good", "great")] * attacks
