"""Keyword arguments of the Python interface: each goes to the one record that has a field of its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import robusteval
from robusteval.errors import UserError
from robusteval.settings.attack import AttackConfig
from robusteval.settings.keywords import records
from robusteval.settings.model import ModelConfig
from robusteval.settings.work import WorkConfig

TAKES: dict[type, tuple[str, ...]] = {AttackConfig: (), ModelConfig: (), WorkConfig: ("device", "resources_dir")}


def test_each_keyword_finds_its_record() -> None:
    given = {"examples": None, "columns": None, "trust_remote_code": True, "device": "cpu", "resources_dir": "here"}
    assert records(given, TAKES, "attack") == (
        AttackConfig(examples=None),
        ModelConfig(trust_remote_code=True),
        WorkConfig(device="cpu", resources_dir=Path("here")),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: robusteval.attack("x", exampels=3), "attack.field: unknown name 'exampels'; did you mean 'examples'"),
        (lambda: robusteval.attack("x", quiet=True), "attack.field: unknown name 'quiet'"),
        (lambda: robusteval.attack("x", examples="all"), "attack.examples: 'all' is not a valid int"),
        (lambda: robusteval.attack("x", examples=0), "attack_examples: 0 is out of range"),
        (lambda: robusteval.attack("x", workers=0), "workers: 0 is out of range"),
        (lambda: robusteval.evaluate("x", rate=(0.1,)), "evaluation.field: unknown name 'rate'; did you mean 'rates'"),
        (lambda: robusteval.evaluate("x", model_revison="a"), "did you mean 'model_revision'"),
        (lambda: robusteval.train("x", trust_remote_code=3), "train.trust_remote_code: 3 is not a valid bool"),
    ],
)
def test_what_is_wrong_is_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        call()
    assert message in str(error.value)
