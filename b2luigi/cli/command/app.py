"""The command line of `b2luigi`. Each command is a module, imported when it is called: most need little of b2luigi."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("project", "run"),
    "attach": ("attach", "attach"),
    "status": ("status", "status"),
    "why": ("why", "why"),
    "logs": ("logs", "logs"),
    "cancel": ("control", "cancel"),
    "retry": ("control", "retry"),
    "graph": ("graph", "graph"),
    "report": ("report", "report"),
    "settings": ("settings", "settings"),
    "tasks": ("tasks", "app"),
    "show": ("show", "show"),
    "remove": ("remove", "remove"),
    "cleanup": ("remove", "cleanup"),
    "test": ("trial", "trial"),
    "init": ("init", "init"),
    "about": ("about", "about"),
    "version": ("about", "version"),
}
"""The commands, in the order of the help, each with its module below `b2luigi.cli.command`, and its name there."""
STYLE: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_enable": False}


class _Commands(TyperGroup):
    """Imports the module of a command when somebody asks for it."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, for the help and for completion."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        found = getattr(importlib.import_module(f"b2luigi.cli.command.{module}"), name)
        if isinstance(found, typer.Typer):
            return _named(found, cmd_name)
        app = typer.Typer(add_completion=False, **STYLE)
        app.command(cmd_name)(found)
        return _named(app, cmd_name)


def _named(app: typer.Typer, name: str) -> Any:
    command = get_command(app)
    command.name = name
    return command


app = typer.Typer(
    name="b2luigi",
    help="Runs tasks of luigi as batch jobs, and shows what runs, what failed and why.",
    cls=_Commands,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **STYLE,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from b2luigi.cli.command.about import version

        version()
        raise typer.Exit


@app.callback()
def _root(
    show: Annotated[
        bool, typer.Option("--version", "-V", "-v", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """The options of the command itself."""


def main() -> None:
    """What the command `b2luigi` and `python -m b2luigi` call."""
    gc.set_threshold(100_000)  # a journal of ten thousand tasks is a million objects, none of which is garbage
    try:
        app(prog_name="b2luigi")
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        sys.exit(1)
