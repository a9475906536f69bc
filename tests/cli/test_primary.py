"""A declared family names tests that the runs will have; what names none is refused before anything is trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from robusteval.cli.experiment import check_primary
from robusteval.errors import UserError
from support.small_experiment import small_plan

WRONG = [
    ("clean acuracy", "primary: unknown name 'acuracy'; did you mean 'accuracy'"),
    ("clean mcc", "primary: clean: unknown name 'mcc'; valid names: accuracy"),
    ("clen accuracy", "primary: unknown name 'clen'; did you mean 'clean'"),
    ("attack deepwordbugs accuracy under attack", "primary: unknown name 'attack deepwordbugs'; did you mean"),
]


def test_what_will_be_measured_may_be_declared_and_nothing_else(
    tiny_folder: Path, csv_files: tuple[Path, Path]
) -> None:
    plan = small_plan(tiny_folder, csv_files)

    def check(*primary: str) -> None:
        check_primary(dataclasses.replace(plan, spec=dataclasses.replace(plan.spec, primary=primary)))

    check()
    check("clean accuracy", "attack deepwordbug accuracy_under_attack", "calibration ece")
    for text, message in WRONG:
        with pytest.raises(UserError) as error:
            check("clean accuracy", text)
        assert message in str(error.value), text
