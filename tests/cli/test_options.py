"""A command's options come from the records that it takes, and the records from what was given."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar

import pytest
import typer
from typer.main import get_command

from robusteval.cli.app import app
from robusteval.cli.evaluate import TRAINED_ON
from robusteval.cli.options import Given, only, option, takes, without
from robusteval.errors import UserError
from robusteval.settings.attack import AttackConfig
from robusteval.settings.data import DataConfig
from robusteval.settings.evaluation import EvalConfig
from robusteval.settings.fields import Record, described, same, setting
from robusteval.settings.runs import RunSpec
from robusteval.settings.train import TrainConfig
from robusteval.settings.work import WorkConfig


@dataclasses.dataclass(frozen=True)
class Cup(Record):
    PANEL: ClassVar[str] = "Cup"

    size: int = setting(2, "Decilitres.", low=1, high=5)
    marks: tuple[float, ...] = setting((0.5,), "Where lines are.", low=0, high=1)
    names: tuple[str, ...] = setting((), "Written on it.", name="name", panel="Words", repeated=True)
    handle: bool = setting(True, "It has none.")
    glaze: str = setting("white", "Its colour.", unset="as the kiln has it")


@dataclasses.dataclass(frozen=True)
class Tray(Record):
    PANEL: ClassVar[str] = "Tray"

    width: float = setting(30.0, "Centimetres.", above=0)
    size: int = same(Cup, "size")
    cup: Cup = dataclasses.field(default_factory=Cup)


Made = dict[str, Any]


@pytest.fixture
def made() -> Made:
    return {}


@pytest.fixture
def serve(made: Made) -> Any:
    """Calls a command that takes a tray with a cup; what it was given lies in `made`."""

    @takes("glaze")
    def command(
        *,
        guest: Annotated[str, typer.Argument(help="Who.")],
        tray: Annotated[Tray, without("marks")],
        other: Annotated[Cup, only("marks")],
        spoon: Annotated[bool, option("--spoon", help="With one.", panel="Tray")] = False,
        given: Given,
    ) -> None:
        """Serve."""
        made.update(guest=guest, tray=tray, other=other, spoon=spoon, given=given)

    tool = typer.Typer(add_completion=False)
    tool.command()(command)
    made["params"] = [(each.opts[0], each.help) for each in get_command(tool).params]
    return lambda *arguments: tool([*arguments], standalone_mode=False)


def test_records_are_made_of_what_is_given(serve: Any, made: Made) -> None:
    serve("anna", "--size", "3", "--name", "a,b", "--name", "c", "--no-handle", "--marks", "0.1,0.2", "--spoon")
    # a setting of both records has one option
    assert made["tray"] == Tray(size=3, cup=Cup(3, (0.5,), ("a,b", "c"), handle=False))
    assert made["other"] == Cup(marks=(0.1, 0.2))
    assert (made["guest"], made["spoon"]) == ("anna", True)
    assert made["given"] == {"guest", "size", "name", "no_handle", "marks", "spoon"}
    assert made["given"].settings(made["tray"].cup) == {
        "size": 3, "marks": (0.5,), "names": ("a,b", "c"), "handle": False,
    }  # fmt: skip


def test_what_is_not_given_has_the_records_default(serve: Any, made: Made) -> None:
    serve("anna")
    assert (made["tray"], made["other"], made["given"]) == (Tray(), Cup(), {"guest"})
    serve("anna", "--size", "2")
    assert made["given"].settings(made["tray"]) == {"size": 2}


def test_a_wrong_value_is_told_by_its_option(serve: Any) -> None:
    with pytest.raises(UserError, match="size: 6 is out of range; it must be >= 1 and <= 5"):
        serve("anna", "--size", "6")
    with pytest.raises(UserError, match="marks: 'half' is not a comma-separated list of numbers"):
        serve("anna", "--marks", "half")


def test_options_stand_in_the_order_of_their_panels(serve: Any, made: Made) -> None:
    assert made["params"] == [
        ("guest", "Who."), ("--width", "Centimetres."), ("--size", "Decilitres."), ("--spoon", "With one."),
        ("--glaze", "Its colour \\[as the kiln has it]."), ("--no-handle", "It has none."),
        ("--marks", "Where lines are."), ("--name", "Written on it."),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "records", "absent"),
    [
        ("train-and-attack", (RunSpec, DataConfig, TrainConfig, EvalConfig, AttackConfig, WorkConfig), {"seed"}),
        ("evaluate", (DataConfig, EvalConfig), set(TRAINED_ON)),
        ("attack", (DataConfig, AttackConfig), {*TRAINED_ON, "test", "attacks"}),
    ],
)
def test_every_setting_is_an_option(command: str, records: tuple[type, ...], absent: set[str]) -> None:
    shown = {each.name: each for each in get_command(app).get_command(None, command).params}  # type: ignore[attr-defined]
    settings = {each.parameter: each for kind in records for each in described(kind) if each.setting.offered}
    assert settings.keys() - shown.keys() == absent
    for name in settings.keys() & shown.keys():
        each = settings[name]
        assert shown[name].opts == [each.option]
        if each.kind is not bool and not each.setting.repeated:
            text = each.written if each.several else each.default
            assert shown[name].default == (None if each.setting.unset else text)
