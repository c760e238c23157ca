"""Which run a command is about, and how commands end with a sentence instead of a traceback."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, cast

import typer

from b2luigi.cli.command.selection import UnknownTaskError, select
from b2luigi.core.bad_input import BadInputError
from b2luigi.monitor import NoRunsError, Run, Task, load_run, run_folders

Where = Annotated[
    Path, typer.Option("--in", help="Script, project folder, task_file_dir or run folder.", show_default="this folder")
]
OfRun = Annotated[str, typer.Option("--run", help="Which run: the beginning of its id, or -2 for the one before last.")]
_Command = TypeVar("_Command", bound=Callable[..., Any])


RESUME = "Run the script again: it waits for the jobs that are still there, and submits what is missing."
"""What to do after a run that was killed."""


class CommandError(Exception):
    """What the user asked for is not there; the message says so in a sentence or two."""


def in_words(command: _Command) -> _Command:
    """Makes a command end with 1 and a sentence if what it is asked for is not there."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except (BadInputError, CommandError, NoRunsError, UnknownTaskError) as error:
            stop(str(error))

    return cast(_Command, wrapped)


def stop(text: str, code: int = 1) -> NoReturn:
    """Ends the command with a sentence on standard error."""
    typer.echo(text, err=True)
    raise typer.Exit(code)


def the_run(where: Path, which: str = "") -> Run:
    """The last run, or the one that `which` names. Raises NoRunsError and CommandError."""
    folders = run_folders(where)
    if not which:
        return load_run(folders[0])
    if which.startswith("-") and which[1:].isdecimal() and 0 < int(which[1:]) <= len(folders):
        return load_run(folders[int(which[1:]) - 1])
    found = [folder for folder in folders if folder.name.startswith(which)]
    if len(found) != 1:
        ids = "\n".join(f"  {folder.name}" for folder in folders)
        raise CommandError(f"{'No run begins' if not found else 'Several runs begin'} with {which}. The runs:\n{ids}")
    return load_run(found[0])


def was_killed(run: Run) -> bool:
    """Whether a run is over without having ended."""
    return not run.is_alive and not run.finished


def the_tasks(run: Run, words: list[str]) -> list[Task]:
    """The tasks of a run that these words mean. Raises UnknownTaskError."""
    return select(words, run.tasks)
