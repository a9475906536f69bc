"""The command line: its commands, each in a module of its own, and what is said where one fails."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.core import TyperGroup
from typer.main import get_command

from robusteval.cli.usage import explained
from robusteval.errors import UserError
from robusteval.runtime import stopping
from robusteval.runtime.launch import launched, place
from robusteval.runtime.terminal import Screen, printable
from robusteval.storage.files import disk_trouble
from robusteval.version import VERSION

# where each command lies; only the one that is called is imported
COMMANDS = {
    "train-and-attack": "robusteval.cli.train_and_attack:train_and_attack",
    "run": "robusteval.cli.run:run",
    "plan": "robusteval.cli.run:plan",
    "status": "robusteval.cli.status:status",
    "evaluate": "robusteval.cli.evaluate:evaluate",
    "report": "robusteval.cli.report:report",
    "plot": "robusteval.cli.plot:plot",
    "compare": "robusteval.cli.compare:compare",
    "list": "robusteval.cli.listing:list_names",
    "doctor": "robusteval.cli.listing:doctor",
    "attack": "robusteval.cli.attack:attack",
    "transcript": "robusteval.cli.attack_results:transcript",
    "tokens": "robusteval.cli.tokens:tokens",
    "freeze": "robusteval.cli.attack_results:freeze",
    "transfer": "robusteval.cli.attack_results:transfer",
}
LOOK: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": "rich"}


class Commands(TyperGroup):
    """The commands, each made when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        from robusteval.cli.checked import Checked

        module, _, function = COMMANDS[cmd_name].partition(":")
        alone = typer.Typer(**LOOK)
        alone.command(cmd_name, cls=Checked)(getattr(importlib.import_module(module), function))
        return get_command(alone)


app = typer.Typer(
    name="robusteval",
    cls=Commands,
    help="Fine-tune language models robustly, test how robust they are, and show it in one table.",
    **LOOK,
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    if version:
        typer.echo(VERSION)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Entry point: a user's mistake ends with one sentence and exit code 2, an interruption with 130."""
    with stopping.handled(), printable():
        code = _exit_code(Screen(stderr=True, soft_wrap=True, highlight=False))
    if stopping.asked():
        stopping.end()
    sys.exit(code)


def _exit_code(errors: Screen) -> int:
    """Do what the command line says; what goes wrong is told to `errors`."""
    try:
        with explained():
            code = _command()
        sys.stdout.flush()
        if not stopping.asked():
            return code if isinstance(code, int) else 0
    except UserError as error:
        errors.print(f"[red]error:[/] {escape(' '.join(str(error).split()))}")
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        pass  # which of them, or the exit code alone, depends on typer's version
    except Exception as error:  # told apart here, else raised again
        # C code in the midst of an import answers an interruption with errors of its own
        if not stopping.asked():
            if full := disk_trouble(error, Path.cwd()):
                errors.print(f"[red]error:[/] {escape(full)}")
                return UserError.exit_code
            raise
    errors.print(stopping.message(), markup=False)
    return stopping.EXIT_CODE


def _command() -> Any:
    """What the command line says. Of processes that were started together, the first does it, with the others' help."""
    if launched() == 1:
        return app(standalone_mode=False)
    from robusteval.pipeline.followers import follow, led

    if place() > 0:
        return follow()
    with led():
        return app(standalone_mode=False)


if __name__ == "__main__":
    main()
