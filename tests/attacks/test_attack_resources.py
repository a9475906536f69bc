"""What recipes need, and importing TextAttack without its side effects."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robusteval.attacks.plan import make_plan
from robusteval.attacks.recipes.registry import ATTACKS, LEFT_OUT, needs, recipe_entry
from robusteval.attacks.recipes.requirements import check_recipe, require
from robusteval.attacks.resources import stopwords
from robusteval.attacks.resources.contents import described
from robusteval.attacks.resources.declared import RESOURCES
from robusteval.attacks.resources.offline import offline
from robusteval.cli.doctor import diagnose
from robusteval.errors import UserError
from robusteval.results.attack_lines import finished
from robusteval.tasks.base import Examples
from support.attack_lines import line
from support.places import ROOT
from support.processes import carried_out, script


def python(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a process of its own, with an empty home and an empty NLTK folder."""
    home, nltk_data = tmp_path / "home", tmp_path / "nltk"
    home.mkdir(exist_ok=True)
    nltk_data.mkdir(exist_ok=True)
    # NLTK's fall-back folders follow from HOME; nothing else may help.
    own = {"HOME": str(home), "NLTK_DATA": str(nltk_data)}
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "LD_LIBRARY_PATH", "TMPDIR")}
    return carried_out(functools.partial(script, code), kept | own | environment)


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
    of_textattack = [name for name in ATTACKS.names() if not name.endswith(("-minilm", "-neighbours", "-masked-lm"))]
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


EXAMPLES = Examples((("a good film",),), np.array([1]), ("row-0",), "")


def planned(recipe: str, folder: Path) -> dict[str, str]:
    """What the result lines of `recipe` would say of its resources, besides TextAttack's version."""
    said = make_plan(EXAMPLES, ("bad", "good"), recipe, resources_dir=folder).resources
    return {name: content for name, content in said.items() if name != "textattack"}


def digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.fixture
def nltk_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A --resources folder with something called WordNet, and no other place where NLTK would look."""
    import nltk.data

    monkeypatch.setattr(nltk.data, "path", [])
    wordnet = tmp_path / "resources" / "corpora" / "wordnet"
    (wordnet / "lexnames").mkdir(parents=True)
    (wordnet / "data.noun").write_text("good")
    (wordnet / "lexnames" / "names").write_text("film")
    return tmp_path / "resources"


def test_a_resume_with_another_wordnet_is_refused(nltk_folder: Path, tmp_path: Path) -> None:
    plan = make_plan(EXAMPLES, ("bad", "good"), "pwws", resources_dir=nltk_folder)
    (expected,) = [plan.facts(target) | {"model": ""} for target in plan.targets]
    out = tmp_path / "lines.jsonl"
    out.write_text(json.dumps(line() | expected) + "\n")
    assert list(finished(out, [expected])) == ["row-0"]
    (nltk_folder / "corpora" / "wordnet" / "data.noun").write_text("goods")
    again = make_plan(EXAMPLES, ("bad", "good"), "pwws", resources_dir=nltk_folder)
    with pytest.raises(UserError, match=r"lines\.jsonl: the line of id 'row-0' has resources .* delete this one"):
        finished(out, [again.facts(target) | {"model": ""} for target in again.targets])


def test_a_folder_is_known_by_its_names_and_contents(nltk_folder: Path) -> None:
    wordnet = nltk_folder / "corpora" / "wordnet"
    listed = "".join(
        f"{hashlib.sha256(text.encode()).hexdigest()}  {name}\n"
        for name, text in (("data.noun", "good"), ("lexnames/names", "film"))
    )
    plain = {"wordnet": f"wordnet sha256:{digits(listed)}"}
    assert planned("pwws", nltk_folder) == plain
    # notes of a downloader, weights for other frameworks and dates say nothing about the content
    (wordnet / ".cache").mkdir()
    (wordnet / ".cache" / "note").write_text("downloaded today")
    (wordnet / "tf_model.h5").write_text("weights")
    os.utime(wordnet / "data.noun", (1, 1))
    assert planned("pwws", nltk_folder) == plain
    (wordnet / "data.noun").rename(wordnet / "data.verb")
    assert planned("pwws", nltk_folder) != plain
    (wordnet / "lexnames" / "names").unlink()
    (wordnet / "lexnames" / "names").symlink_to(wordnet / "nowhere")
    with pytest.raises(UserError, match="resources: .*names' cannot be read"):
        planned("pwws", nltk_folder)


def test_the_files_that_an_attack_reads_are_the_ones_named(
    nltk_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert planned("deepwordbug", nltk_folder) == {}
    for name in ("averaged_perceptron_tagger_eng", "universal_tagset"):
        (nltk_folder / "taggers" / name).mkdir(parents=True)
    (nltk_folder / "taggers" / "universal_tagset.zip").write_text("zipped")
    empty = f"sha256:{digits('')}"
    found = {state.name: state for state in check_recipe("textfooler", nltk_folder)}
    assert described(found["pos tagger"].paths) == f"averaged_perceptron_tagger_eng {empty}, universal_tagset {empty}"
    # NLTK reads what is unpacked, in whatever folder, before what is zipped
    import nltk.data

    zipped = tmp_path / "zipped" / "corpora" / "wordnet.zip"
    zipped.parent.mkdir(parents=True)
    zipped.write_text("zipped")
    assert planned("pwws", tmp_path / "zipped") == {"wordnet": f"wordnet.zip sha256:{digits('zipped')}"}
    monkeypatch.setattr(nltk.data, "path", [str(nltk_folder)])
    assert planned("pwws", tmp_path / "zipped") == planned("pwws", nltk_folder)
    # of two that would do, the one in the folder comes first
    vectors, cached = nltk_folder / "counter-fitted-vectors.txt", nltk_folder / "textattack" / "word_embeddings"
    (cached / "paragramcf").mkdir(parents=True)
    assert planned("iga", nltk_folder) == {"counter-fitted vectors": f"paragramcf {empty}"}
    vectors.write_text("good 1 2")
    assert planned("iga", nltk_folder) == {"counter-fitted vectors": f"{vectors.name} sha256:{digits('good 1 2')}"}


def test_contents_are_read_for_a_plan_once_and_not_for_a_check(
    nltk_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = Path.open

    def opened(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.is_relative_to(nltk_folder):
            read.append(path.name)
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    assert check_recipe("pwws", nltk_folder)[0].present and diagnose(nltk_folder, nltk_folder, "pwws")
    assert read == []
    assert planned("pwws", nltk_folder) == planned("pwws", nltk_folder)
    assert sorted(read) == ["data.noun", "names"]


def test_the_built_in_stop_words_are_distinct_lower_case_words() -> None:
    assert len(set(stopwords.ENGLISH)) == len(stopwords.ENGLISH)
    assert all(word == word.lower().strip() for word in stopwords.ENGLISH)


def test_naming_recipes_imports_neither_torch_nor_textattack() -> None:
    code = """
import sys
import robusteval.attacks.recipes.requirements, robusteval.attacks.resources.declared, robusteval.results.attack_summary
assert not {"torch", "textattack", "nltk", "transformers", "flair"} & set(sys.modules)
"""
    # nothing is imported there beforehand
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
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
from robusteval.attacks.resources.offline import load_textattack
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
from robusteval.attacks.recipes.requirements import check_recipe
states = {state.name: state for state in check_recipe("checklist")}
assert not states["flair"].present and "flair is blocked" in states["flair"].looked, states
"""
    done = python(WITHOUT_FLAIR + ATTACK + check, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "succeeded built-in"


WITHOUT_TEXTATTACK = """
import sys
sys.modules.update(dict.fromkeys(("textattack", "nltk", "flair", "editdistance")))
from robusteval.cli import main
for line in LINES:
    sys.argv = ["robusteval", *line.split()]
    try:
        main()
    except SystemExit as end:
        print("code", end.code, flush=True)
        print("code", end.code, file=sys.stderr, flush=True)
"""


def test_without_textattack_every_command_says_what_to_install(tmp_path: Path, tiny_folder: Path) -> None:
    out = tmp_path / "out"
    lines = (
        f"attack {tiny_folder} --attack pwws --attack-examples 3 --max-length 64",
        f"train-and-attack --model {tiny_folder} --attacks deepwordbug --methods vanilla --max-length 64 --out {out}",
        "doctor --attack deepwordbug",
        "doctor",
    )
    code = WITHOUT_TEXTATTACK.replace("LINES", repr(lines))
    done = carried_out(functools.partial(script, code), {**os.environ, "COLUMNS": "200"}, tmp_path)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    attack, run, *_ = done.stderr.split("code")
    for said in (attack, run):
        assert "no textattack" in said and "pip install 'textattack>=" in said
    *_, doctor_attack, doctor, _ = done.stdout.split("code")
    for said in (doctor_attack, doctor):
        assert "missing" in said and "textattack is not installed" in said
    assert "attack pwws" not in doctor and not (out / "runs").exists()


def test_a_corpus_is_read_anew_from_another_folder(tmp_path: Path) -> None:
    import nltk

    for name in ("one", "two"):
        (tmp_path / name / "corpora" / "stopwords").mkdir(parents=True)
        (tmp_path / name / "corpora" / "stopwords" / "english").write_text(f"{name}\n")
    for name in ("one", "two", "two", "one"):
        with offline(tmp_path / name):
            assert nltk.corpus.stopwords.words("english") == [name]
