"""A command that looks at what it is given, each value and all together, before it begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from robusteval.cli.combinations import idle
from robusteval.cli.options import Given
from robusteval.cli.usage import field_name
from robusteval.errors import UserError
from robusteval.runtime.terminal import Screen
from robusteval.settings.data import DataConfig
from robusteval.settings.fields import described
from robusteval.storage.paths import check_text, user_path

# options whose text is a place on the disk
PLACES = {each.parameter for each in described(DataConfig) if each.setting.place}


class Checked(TyperCommand):
    """A command whose values are looked at one by one, and all together, before it begins."""

    def invoke(self, ctx: Any) -> Any:
        for param in self.params:
            if param.name in ctx.params:
                ctx.params[param.name] = _checked(field_name(param), param.name, ctx.params[param.name])
        tell = noted(Screen(stderr=bool(ctx.params.get("as_json"))))
        # beside a spec, what an option's effect depends on may stand there
        for notice in idle(Given.on(ctx), ctx.params) if "spec" not in ctx.params else ():
            tell(notice)
        return super().invoke(ctx)


def noted(console: Screen) -> Callable[[str], None]:
    """Prints what the user should know, a line each."""
    return lambda notice: console.print(f"note: {notice}", markup=False, soft_wrap=True)


def _checked(field: str, name: str, value: Any) -> Any:
    """A value as the command may have it; UserError where it may not."""
    if isinstance(value, list | tuple):
        return [_checked(field, name, each) for each in value]
    if isinstance(value, Path):
        return user_path(str(value), field)
    if isinstance(value, str) and name in PLACES:
        return str(user_path(value, field))
    if isinstance(value, str):
        check_text(value, field)
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise UserError(f"{field}: {value!r} is not a finite number")
    return value
