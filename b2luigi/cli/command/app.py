"""The command line of `b2luigi`. Each command is a module, imported when it is called."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from b2luigi.cli.command.about import about
from b2luigi.cli.command.graph import graph
from b2luigi.cli.command.logs import logs
from b2luigi.cli.command.report import report
from b2luigi.cli.command.settings import settings
from b2luigi.cli.command.status import status
from b2luigi.cli.command.why import why

app = typer.Typer(
    name="b2luigi",
    help="Runs tasks of luigi as batch jobs, and shows what runs, what failed and why.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (status, why, logs, graph, report, settings, about):
    app.command()(command)


@app.command()
def version() -> None:
    """Print the version."""
    import b2luigi

    typer.echo(b2luigi.__version__)


@app.callback()
def _root(show: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False) -> None:
    if show:
        version()
        raise typer.Exit


def main() -> None:
    """What the command `b2luigi` and `python -m b2luigi` call."""
    try:
        app(prog_name="b2luigi")
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        sys.exit(1)
