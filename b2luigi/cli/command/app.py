"""The command line of `b2luigi`. Each command is a module, imported when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from b2luigi.cli.command.about import about
from b2luigi.cli.command.attach import attach
from b2luigi.cli.command.control import cancel, retry
from b2luigi.cli.command.graph import graph
from b2luigi.cli.command.init import init
from b2luigi.cli.command.logs import logs
from b2luigi.cli.command.project import run
from b2luigi.cli.command.remove import cleanup, remove
from b2luigi.cli.command.report import report
from b2luigi.cli.command.settings import settings
from b2luigi.cli.command.show import show
from b2luigi.cli.command.status import status
from b2luigi.cli.command.tasks import app as tasks
from b2luigi.cli.command.trial import trial
from b2luigi.cli.command.why import why

app = typer.Typer(
    name="b2luigi",
    help="Runs tasks of luigi as batch jobs, and shows what runs, what failed and why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: tuple[Callable[..., None], ...] = (
    *(run, attach, status, why, logs, cancel, retry, graph, report, settings),
    *(show, remove, cleanup, init, about),
)
for command in COMMANDS:
    app.command()(command)
app.command("test")(trial)
app.add_typer(tasks, name="tasks")


@app.command()
def version() -> None:
    """Print the version."""
    import b2luigi

    typer.echo(b2luigi.__version__)


def _print_version(is_asked: bool) -> None:
    if is_asked:
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
    try:
        app(prog_name="b2luigi")
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        sys.exit(1)
