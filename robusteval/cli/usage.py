"""The form of a command line: what is wrong with it is a UserError like any other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from robusteval.errors import UserError, unknown_name


@contextmanager
def explained() -> Iterator[None]:
    """Turn a usage error of click's, whose classes typer may carry under a name of its own, into a UserError."""
    try:
        yield
    except Exception as error:  # the class lies in typer or in click, depending on their versions
        if not (hasattr(error, "show") and hasattr(error, "format_message")):
            raise
        raise _sentence(error) from error


def _sentence(error: Any) -> UserError:
    options = sorted({name for param in _params(error) for name in param.opts if name.startswith("--")})
    kind, param = type(error).__name__, getattr(error, "param", None)
    if kind == "NoSuchOption":
        return unknown_name("option", error.option_name, [*options, "--help"])
    if kind == "MissingParameter":
        return UserError(
            f"{field_name(param)}: not given, and it is needed; robusteval {_command(error)} --help says more"
        )
    message = error.message.rstrip(".")
    if kind == "BadParameter" and param is not None:
        return UserError(f"{field_name(param)}: {_refused(error) or message}")
    if message.startswith("No such command"):
        name = message.removeprefix("No such command").strip().split("'")[1]
        return unknown_name("command", name, error.ctx.command.list_commands(error.ctx))
    if kind == "BadOptionUsage":
        name = str(error.option_name)
        return UserError(f"{_spelled(name)}: {message.removeprefix(f'Option {name!r} ')}")
    command, said = _command(error), message[:1].lower() + message[1:]
    return UserError(f"{command}: {said}; robusteval {command} --help says more")


def _refused(error: Any) -> str:
    """The value and what it is not, where the message of a number's reader leaves the value out."""
    details: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    kinds = {"int": "a whole number", "float": "a number"}
    kind = kinds.get(details[0]["type"].partition("_")[0]) if details else None
    return f"{details[0]['input']!r} is not {kind}" if kind else ""


def _params(error: Any) -> list[Any]:
    return list(error.ctx.command.params) if error.ctx is not None else []


def _command(error: Any) -> str:
    return str(error.ctx.info_name) if error.ctx is not None and error.ctx.parent is not None else ""


def field_name(param: Any) -> str:
    """A parameter as other sentences name it: learning_rate for --learning-rate."""
    return _spelled(max(param.opts, key=len)) if param is not None else ""


def _spelled(option: str) -> str:
    return option.lstrip("-").replace("-", "_")
