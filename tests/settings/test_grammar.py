"""The grammar of options: names that hold any sign, and every text without quotes as ever."""

from __future__ import annotations

from typing import Any

import pytest

from robusteval.errors import UserError
from robusteval.scenarios.base import class_index
from robusteval.settings.grammar import cut, cut_once, listed, name, parse_part, parse_parts, pieces, scalar, written
from robusteval.settings.runs import MethodConfig, ScenarioConfig
from robusteval.tasks.base import Task

ODD = [
    "Sci/Tech",
    "a,b",
    "C++",
    "key=value",
    "a:b",
    "x|y",
    'the "best"',
    '"',
    "it's",
    " spaced ",
    "",
    "1",
    "null",
    "ß>ü",
]


@pytest.mark.parametrize("odd", ODD)
def test_a_name_of_any_sign_survives_every_option(odd: str) -> None:
    text = written(odd) if odd not in ("1", "null") else f'"{odd}"'
    assert name(text) == odd
    assert listed(f"first, {text} ,last") == ("first", odd, "last")
    assert parse_part(f"minority:label={text}:keep=0.5", "scenario") == ("minority", {"label": odd, "keep": 0.5})
    whole = f"minority:label={text}:keep=0.5/0.7"
    assert pieces(f"none,{whole}") == ("none", whole)
    ladder = ScenarioConfig.parse(whole)
    assert [config.parts[0][1] for config in ladder] == [{"label": odd, "keep": 0.5}, {"label": odd, "keep": 0.7}]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("match:temperature=2 + r3f", (("match", {"temperature": 2}), ("r3f", {}))),
        ("low-resource:examples=1_000", (("low-resource", {"examples": 1000}),)),
        (
            "a:rate=1e-5:on=true:word=no:nothing=null",
            (("a", {"rate": 1e-5, "on": True, "word": "no", "nothing": None}),),
        ),
        ("groups:words=nobody|no", (("groups", {"words": "nobody|no"}),)),
        ("label-noise:confusion=a>b=2|b>a=1", (("label-noise", {"confusion": "a>b=2|b>a=1"}),)),
        ("a:label='quoted'", (("a", {"label": "quoted"}),)),
        # the name of a class: neither the octal number 8 nor a date, and a quotation mark inside is a letter
        ("a:label=010:day=2020-01-01", (("a", {"label": "010", "day": "2020-01-01"}),)),
        ('a:label=5" screen', (("a", {"label": '5" screen'}),)),
        ('a:confusion="x|y">z=1', (("a", {"confusion": '"x|y">z=1'}),)),
    ],
)
def test_texts_are_read_as_ever(text: str, parts: tuple[Any, ...]) -> None:
    assert parse_parts(text, "scenario") == parts


def test_a_ladder_and_its_labels() -> None:
    ladder = ScenarioConfig.parse(" label-noise : rate = 0.05 / 0.1 ")
    assert [each.label for each in ladder] == ["label-noise:rate=0.05", "label-noise:rate=0.1"]
    both = ScenarioConfig.parse('minority:label="Sci/Tech"/World:keep=0.3/0.5')
    assert [(each.parts[0][1]["label"], each.parts[0][1]["keep"]) for each in both] == [
        ("Sci/Tech", 0.3), ("Sci/Tech", 0.5), ("World", 0.3), ("World", 0.5),
    ]  # fmt: skip
    assert MethodConfig.parse("match:temperature=2:learning_rate=5e-5").train == {"learning_rate": 5e-5}


def test_cuts_stand_outside_quotes() -> None:
    assert cut('0=yes|"a|b"', "|") == ["0=yes", '"a|b"']
    assert cut_once('"a=b"=c=d', "=") == ('"a=b"', "=", "c=d")
    assert cut('a "b,c" d', ",") == ['a "b', 'c" d'], "a quotation mark inside a name protects nothing"
    assert scalar('"007"', "x") == "007"


@pytest.mark.parametrize(("given", "index"), [("Sci", 1), ("Tech", 1), ("C", 0)])
def test_a_name_cut_off_at_a_sign_is_told_with_its_index(given: str, index: int) -> None:
    task = Task("news", "file", ("text",), ("C++", "Sci/Tech", "World"), ("accuracy",))
    with pytest.raises(UserError, match=rf"minority:label: '{given}' is no class; .*double quotes.*index, {index}"):
        class_index(given, task, "minority:label")


def test_null_names_no_class() -> None:
    task = Task("news", "file", ("text",), ("null", "x"), ("accuracy",))
    with pytest.raises(UserError, match="null names no class"):
        class_index(None, task, "minority:label")
    assert class_index("null", task, "minority:label") == 0
