"""What recipes need, and importing TextAttack without its side effects."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from robusteval.attacks import ATTACKS, LEFT_OUT, recipe_entry, stopwords
from robusteval.attacks.resources import RESOURCES, check_recipe, needs, require
from robusteval.errors import UserError

REPOSITORY = Path(__file__).resolve().parent.parent


def python(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own, with an empty home and an empty NLTK folder."""
    home, nltk_data = tmp_path / "home", tmp_path / "nltk"
    home.mkdir(exist_ok=True)
    nltk_data.mkdir(exist_ok=True)
    # The user's site folder and NLTK's fall-back folders follow from HOME; nothing else may help.
    own = {"HOME": str(home), "NLTK_DATA": str(nltk_data), "PYTHONPATH": str(REPOSITORY)}
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LD_LIBRARY_PATH", "TMPDIR")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=kept | own | environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_every_recipe_of_textattack_is_registered_or_left_out_with_a_reason() -> None:
    assert set(ATTACKS.names()) >= {
        "deepwordbug",
        "pruthi",
        "pwws",
        "textfooler",
        "bert-attack",
        "faster-alzantot",
    }
    assert not set(ATTACKS.names()) & set(LEFT_OUT)
    of_textattack = [name for name in ATTACKS.names() if not name.endswith(("-minilm", "-neighbours"))]
    assert len(of_textattack) + len(LEFT_OUT) == 24
    for entry in ATTACKS:
        assert entry.summary
        assert all(need in RESOURCES for need in needs(entry.name)), entry.name
        assert all(status.looked and status.supply for status in check_recipe(entry.name))


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'textfoler'; did you mean 'textfooler'"):
        recipe_entry("textfoler")
    with pytest.raises(UserError, match="text-to-text"):
        require("seq2sick")


def test_a_missing_resource_is_refused_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    with pytest.raises(UserError, match=r"(?s)wordnet: looked for .*python -m nltk.downloader wordnet"):
        require("pwws")
    with pytest.raises(UserError, match=r"(?s)counter-fitted vectors.*pos tagger.*use: ") as raised:
        require("textfooler", tmp_path)
    assert str(tmp_path / "nltk_data") in str(raised.value)


def test_a_recipe_that_cannot_run_says_why() -> None:
    with pytest.raises(UserError, match="LSTM classifier"):
        require("hotflip")


@pytest.mark.parametrize("folder", ["", "nltk_data"])
@pytest.mark.parametrize("name", ["corpora/wordnet/x", "corpora/wordnet.zip"])
def test_resources_are_found_in_the_given_folder(
    folder: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", [])
    path = tmp_path / folder / name
    path.parent.mkdir(parents=True)
    path.touch()
    require("pwws", tmp_path)
    assert nltk.data.path == []


def test_textattack_files_are_found_in_the_given_folder(tmp_path: Path) -> None:
    vectors = tmp_path / "textattack" / "word_embeddings" / "paragramcf"
    assert not check_recipe("iga", tmp_path)[0].present
    vectors.mkdir(parents=True)
    assert check_recipe("iga", tmp_path)[0].present


def test_the_built_in_stop_words_are_distinct_lower_case_words() -> None:
    assert len(set(stopwords.ENGLISH)) == len(stopwords.ENGLISH)
    assert all(word == word.lower().strip() for word in stopwords.ENGLISH)


def test_naming_recipes_imports_neither_torch_nor_textattack(tmp_path: Path) -> None:
    code = """
import sys
import robusteval.attacks, robusteval.attacks.resources, robusteval.attacks.summary
assert not {"torch", "textattack", "nltk", "transformers", "flair"} & set(sys.modules)
"""
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr


ATTACK = """
import numpy as np
from robusteval.attacks.runner import attack_examples
from robusteval.tasks.base import Examples
def predict(texts):
    return np.array([[0.0, 2.0 if "good" in text[0] else -2.0] for text in texts], np.float32)
examples = Examples((("a good film , and a long one",),), np.array([1]), ("a",), "")
result = attack_examples(predict, examples, ("bad", "good"), "deepwordbug")
print(result.lines[0]["outcome"], result.lines[0]["stopwords"])
"""

IMPORT_ALONE = """
import logging, os, socket, sys
def refuse(*arguments, **options): raise AssertionError("a connection was tried")
socket.socket.connect = socket.getaddrinfo = refuse
logging.basicConfig()
other, handlers, environment = logging.getLogger("other"), logging.getLogger().handlers[:], dict(os.environ)
from robusteval.attacks.importing import load_textattack
textattack = load_textattack()
import nltk, logging.config
assert not other.disabled and logging.getLogger().handlers == handlers, "logging was taken over"
assert textattack.shared.logger.handlers == [] and textattack.shared.logger.propagate
assert dict(os.environ) == environment, set(os.environ.items()) ^ set(environment.items())
assert not any("InstallFinder" in type(finder).__name__ for finder in sys.meta_path)
assert nltk.download.__name__ == "download" and "words" not in vars(nltk.corpus.stopwords)
assert logging.config.dictConfig.__name__ == "dictConfig"
assert not os.path.exists(os.path.join(os.environ["HOME"], ".cache", "textattack")), "the cache was marked"
"""


def test_importing_without_stop_words_works_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = python(IMPORT_ALONE + ATTACK, tmp_path, TA_CACHE_DIR=str(tmp_path / "own"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "succeeded built-in"
    assert done.stderr.count("using the short built-in list") == 1
    assert not (tmp_path / "own").exists()


WITHOUT_FLAIR = """
import importlib.abc, sys
class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "flair":
            raise ImportError("flair is blocked")
sys.meta_path.insert(0, Blocker())
"""


def test_importing_without_flair_works_and_its_recipes_are_refused(tmp_path: Path) -> None:
    check = """
import sys
assert not any(name.partition(".")[0] == "flair" for name in sys.modules)
from robusteval.attacks.resources import check_recipe
states = {state.name: state for state in check_recipe("checklist")}
assert not states["flair"].present and "flair is blocked" in states["flair"].looked, states
"""
    done = python(WITHOUT_FLAIR + ATTACK + check, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "succeeded built-in"
