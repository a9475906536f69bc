"""FILE.py:OBJECT as one name: in every option, with any path, and as records and results bear it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from robusteval.attacks.recipes.registry import recipe_entry
from robusteval.errors import UserError
from robusteval.methods import METHODS
from robusteval.registry import pinned, placeless, result_name
from robusteval.settings.attack import AttackConfig
from robusteval.settings.codec import to_dict
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.grammar import ladder, listed, name, parse_parts, pieces, written
from robusteval.settings.runs import MethodConfig, RunSpec, ScenarioConfig
from support.specs import through_yaml

PATHS = ["my.py", "a b/my file.py", "dir.d/./my.v2.py", "../x=y|z>w/my.py", "C:/dir/my.py", "C:\\dir\\my.py", "~/my.py"]
QUOTED = ["a,b/my.py", "a:b/my.py", "a+b/my.py", 'the "best"/my.py', "a, b: c + d/my.py"]


@pytest.mark.parametrize("path", PATHS + QUOTED)
def test_an_object_in_a_file_is_one_name_in_every_option(path: str) -> None:
    given = f"{path}:Mine"
    text = given if path in PATHS else written(given)
    assert name(text) == given
    assert listed(f"vanilla, {text} ,match") == ("vanilla", given, "match")
    assert parse_parts(f"{text}:rate=0.1 + match:temperature=2", "methods") == (
        (given, {"rate": 0.1}), ("match", {"temperature": 2}),
    )  # fmt: skip
    assert parse_parts(f"match+{text}", "methods") == (("match", {}), (given, {}))
    assert pieces(f"clean,{text}:rows=3") == ("clean", f"{text}:rows=3")
    assert ladder(f"{text}:rate=0.1/0.2") == [f"{text}:rate=0.1", f"{text}:rate=0.2"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("x.py:rate=1", (("x.py", {"rate": 1}),)),
        ("minority:label=x.py:keep=0.5", (("minority", {"label": "x.py", "keep": 0.5}),)),
        ("my.py:Mine@0123abcd:k=1", (("my.py:Mine@0123abcd", {"k": 1}),)),
        ("match", (("match", {}),)),
    ],
)
def test_a_key_with_a_value_is_no_object(text: str, parts: object) -> None:
    assert parse_parts(text, "methods") == parts


def test_a_record_names_place_and_content_and_results_the_content_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a, b" / "my file.py"
    file.parent.mkdir()
    file.write_text("x = 1\n")
    digest = hashlib.sha256(b"x = 1\n").hexdigest()[:8]
    monkeypatch.chdir(file.parent)
    kept, borne = f"{file}:Mine@{digest}", f"my_file.Mine.{digest}"
    assert pinned("./my file.py:Mine", "method") == kept == pinned(kept, "method")
    assert result_name("my file.py:Mine") == borne == result_name(kept)
    method = MethodConfig.parse("my file.py:Mine : strength=2 + match")
    assert method == MethodConfig(f"{borne}:strength=2+match", ((kept, {"strength": 2}), ("match", {})))
    scenarios = ScenarioConfig.parse("my file.py:Mine:rate=0.1/0.2")
    assert [each.label for each in scenarios] == [f"{borne}:rate=0.1", f"{borne}:rate=0.2"]
    assert {each.parts[0][0] for each in scenarios} == {kept}
    spec = RunSpec(
        task="my file.py:TASK", method=method, scenario=scenarios[0], attack=AttackConfig(("my file.py:Mine",)),
        evaluation=EvalConfig(("clean", "my file.py:Suite:rows=3")),
    )  # fmt: skip
    assert spec.evaluation.suites == ("clean", f'"{file}:Suite@{digest}":rows=3') and spec.attack.recipes == (kept,)
    assert through_yaml(spec) == spec
    assert spec.name().startswith(f"my_file.TASK.{digest}.my_file-Mine-{digest}-strength=2+match.my_file-Mine-{digest}")
    told = to_dict(spec, identity=True)
    assert told["task"] == f"my file.py:TASK@{digest}" and told["method"]["parts"][0][0] == f"my file.py:Mine@{digest}"
    assert told["evaluation"]["suites"][1] == f'"my file.py:Suite@{digest}":rows=3'
    # where the file lies is no part of what a run is, and what it holds is
    moved = tmp_path / "elsewhere" / file.name
    moved.parent.mkdir()
    moved.write_text("x = 1\n")
    monkeypatch.chdir(moved.parent)
    again = RunSpec(
        task="my file.py:TASK", method=MethodConfig.parse("my file.py:Mine:strength=2+match"),
        scenario=ScenarioConfig.parse("my file.py:Mine:rate=0.1")[0], attack=AttackConfig(("my file.py:Mine",)),
        evaluation=EvalConfig(("clean", "my file.py:Suite:rows=3")),
    )  # fmt: skip
    assert again != spec and again.name() == spec.name()
    moved.write_text("x = 2\n")
    assert RunSpec(task="my file.py:TASK").name() != RunSpec(task=spec.task).name()
    with pytest.raises(UserError, match=r"'my_file.TASK.*' ?: .* is no longer the file that was named"):
        METHODS[again.task]


def test_a_record_of_an_attack_whose_file_is_gone_can_still_be_read() -> None:
    assert AttackConfig(("pwws", "gone.py:Mine")).recipes == ("pwws", "gone.py:Mine")
    with pytest.raises(UserError, match="^attack recipe: the file 'gone.py' cannot be read"):
        recipe_entry("gone.py:Mine")


def test_names_without_a_file_stay_as_they_are() -> None:
    text = 'groups:words="a b"|no'
    assert EvalConfig((text, "flatness:directions=5")).suites == (text, "flatness:directions=5")
    assert pinned("match", "method") == result_name("match") == placeless("match") == "match"
    assert placeless({"a": ["/x/y.csv", "n=/a/b.py:c"]}) == {"a": ["/x/y.csv", "n=/a/b.py:c"]}
    assert RunSpec().name() == RunSpec(task="demo-sentiment").name()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("{}/none.py:Mine", "method: the file '{}/none.py' cannot be read (No such file or directory)"),
        ("{}", "method: the file '{}/my.py' cannot be read (Is a directory)"),
        ("{}/my.py", "method: '{}/my.py' names no object; give {}/my.py:NAME of a class or function in it"),
        ("{}/my.py:", "method: '{}/my.py:' names no object; give {}/my.py:NAME of a class or function in it"),
        ("{}/my.py:a b", "method: '{}/my.py:a b' names no object; give {}/my.py:NAME of a class or function in it"),
        ("{}/my.py:A@xyz", "method: '{}/my.py:A@xyz' names no object; give {}/my.py:NAME of a class or function in it"),
    ],
)
def test_what_cannot_be_read_or_names_nothing_is_said_when_it_is_named(
    given: str, sentence: str, tmp_path: Path
) -> None:
    if given == "{}":
        (tmp_path / "my.py").mkdir()
        given = "{}/my.py:Mine"
    with pytest.raises(UserError) as error:
        MethodConfig.parse(given.replace("{}", str(tmp_path)))
    assert str(error.value) == sentence.replace("{}", str(tmp_path))
