"""The command line: one thin function per command. Imports stand inside, so that --help is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from robusteval.cli.attack import attack
from robusteval.cli.attack_results import freeze, transcript, transfer
from robusteval.cli.evaluate import evaluate
from robusteval.cli.listing import doctor, list_names
from robusteval.cli.train_and_attack import train_and_attack
from robusteval.cli.usage import Checked, explained
from robusteval.errors import UserError
from robusteval.runtime import stopping
from robusteval.runtime.terminal import Screen, printable
from robusteval.storage.files import disk_trouble
from robusteval.version import VERSION

app = typer.Typer(
    name="robusteval",
    help="Fine-tune language models robustly, test how robust they are, and show it in one table.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for command in (train_and_attack, evaluate, list_names, doctor, attack, transcript, freeze, transfer):
    name = "list" if command is list_names else command.__name__.replace("_", "-")
    app.command(name, cls=Checked)(command)


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
            code = app(standalone_mode=False)
        sys.stdout.flush()
        if not stopping.asked():
            return code if isinstance(code, int) else 0
    except UserError as error:
        errors.print(f"[red]error:[/] {escape(' '.join(str(error).split()))}")
        return error.exit_code
    except (typer.Abort, KeyboardInterrupt):
        pass  # which of them, or the exit code alone, depends on typer's version
    except Exception as error:
        # C code in the midst of an import answers an interruption with errors of its own
        if not stopping.asked():
            if full := disk_trouble(error, Path.cwd()):
                errors.print(f"[red]error:[/] {escape(full)}")
                return UserError.exit_code
            raise
    errors.print(stopping.message(), markup=False)
    return stopping.EXIT_CODE


if __name__ == "__main__":
    main()
