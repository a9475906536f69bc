"""A setting is written once: its field checks it, names it in a record, a run's name, an option and the docs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import pytest

from robusteval.errors import UserError
from robusteval.settings.attack import AttackConfig
from robusteval.settings.codec import to_dict
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.fields import Record, described, setting
from robusteval.settings.reference import page
from robusteval.settings.runs import RunSpec
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig
from support.places import DOCS
from support.specs import through_yaml

RECORDS = (RunSpec, DataConfig, TrainConfig, EvalConfig, AttackConfig, WorkConfig)


@dataclass(frozen=True)
class Kettle(Record):
    """Settings of every kind."""

    PANEL: ClassVar[str] = "Kitchen"

    litres: float = setting(1.5, "Water.", above=0, high="most")
    most: float = setting(2.0, "What it holds.", low=1)
    mode: Literal["boil", "warm"] = setting("boil", "How hot.")
    times: tuple[float, ...] = setting((), "Minutes.", low=0, high=60, distinct=True, name="kettle_times", later=True)
    beep: bool = setting(True, "No sound.", identity=False)
    cups: int | None = setting(None, "Cups.", low=1, unset="as many as it fills")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"litres": 0}, "litres: 0 is out of range; it must be > 0 and <= 2"),
        ({"litres": 2.5}, "litres: 2.5 is out of range; it must be > 0 and <= 2"),
        ({"most": float("inf")}, "most: inf is out of range; it must be >= 1 and finite"),
        ({"mode": "boiled"}, "mode: unknown name 'boiled'; did you mean 'boil'"),
        ({"times": (1, 61)}, "kettle_times: 61 is out of range; it must be >= 0 and <= 60"),
        ({"times": (1, 1)}, "kettle_times: 1 is given twice"),
        ({"cups": 0}, "cups: 0 is out of range; it must be >= 1"),
    ],
)
def test_a_value_is_checked_by_what_its_field_says(values: dict, message: str) -> None:
    with pytest.raises(UserError) as error:
        Kettle(**values)
    assert str(error.value).startswith(message)


def test_what_is_left_out_of_a_record_and_of_a_name() -> None:
    assert list(to_dict(Kettle())) == ["litres", "most", "mode", "beep", "cups"]
    assert to_dict(Kettle(times=(1.0,)))["times"] == [1.0]
    assert through_yaml(Kettle(times=(1.0, 2.0))) == Kettle(times=(1.0, 2.0))
    assert list(to_dict(Kettle(), identity=True)) == ["litres", "most", "mode", "cups"]


def test_words_for_options_and_docs() -> None:
    words = {each.field: (each.option, each.help, each.written, each.panel) for each in described(Kettle)}
    assert words == {
        "litres": ("--litres", "Water.", "1.5", "Kitchen"),
        "most": ("--most", "What it holds.", "2.0", "Kitchen"),
        "mode": ("--mode", "How hot: boil or warm.", "boil", "Kitchen"),
        "times": ("--kettle-times", "Minutes.", "", "Kitchen"),
        "beep": ("--no-beep", "No sound.", "", "Kitchen"),
        "cups": ("--cups", "Cups [as many as it fills].", "", "Kitchen"),
    }


@pytest.mark.parametrize("kind", RECORDS)
def test_every_setting_says_what_it_is(kind: type) -> None:
    said = {each.field: each for each in described(kind)}
    nested = {"method", "scenario", "data", "train", "evaluation", "attack"}
    assert {item.name for item in fields(kind)} - set(said) <= nested
    for each in said.values():
        assert each.help.endswith((".", "...")) and each.panel, each.field


def test_the_page_of_settings_is_what_the_records_say() -> None:
    """Where this fails: python -m robusteval.settings.reference > docs/settings.md."""
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == page()
