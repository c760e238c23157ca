"""`b2luigi run`, of a script or of a task of a project; and the options that all commands of projects share."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from b2luigi.cli.command import run as scripts
from b2luigi.cli.command.runs import CommandError, in_words
from b2luigi.cli.project import PARAMS_VARIABLE, TASK_VARIABLE, Project, load
from b2luigi.core.project_words import TASK_FILE, words_of_task

TaskFile = Annotated[
    str, typer.Option("--task-file", "-f", help=f"File with the tasks (or ${TASK_VARIABLE}; default: {TASK_FILE}).")
]
ParamsFile = Annotated[
    list[str] | None,
    typer.Option("--params-file", "-p", help=f"File with parameters (or ${PARAMS_VARIABLE}), or n=3, as with -P."),
]
Params = Annotated[
    list[str] | None, typer.Option("--param", "-P", help="Value of a parameter, n=3; may be given several times.")
]
Names = Annotated[list[str] | None, typer.Argument(help="Classes of tasks; default: all of the project.")]
Direct = Annotated[
    bool, typer.Option("--direct", help="Do not walk through the graph: all parameters have values in the project.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Keep = Annotated[str, typer.Option("--keep", help="Classes to leave alone, separated by commas.")]

What = Annotated[str, typer.Argument(metavar="SCRIPT|TASK", help="Script, or a task class of the project.")]
Dry = Annotated[bool, typer.Option("--dry", "-d", help="Only list the tasks that would run.")]
Batch = Annotated[bool, typer.Option("--batch/--no-batch", "-b", help="As jobs, or one by one in this process.")]
Tui = Annotated[bool, typer.Option("--tui", hidden=True, help="As --progress live.")]
Host = Annotated[str, typer.Option("--scheduler-host", help="Host of luigi's central scheduler.")]
Port = Annotated[int | None, typer.Option("--scheduler-port", help="Port of luigi's central scheduler.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Jobs in flight; processes, with --no-batch.")]


@in_words
def run(
    what: What,
    arguments: scripts.Arguments = None,
    detach: scripts.Detach = False,
    task_file: TaskFile = "",
    params_file: ParamsFile = None,
    param: Params = None,
    dry: Dry = False,
    batch: Batch = True,
    tui: Tui = False,
    host: Host = "",
    port: Port = None,
    workers: Workers = None,
) -> None:
    """Run a script, or a task of a project, with its tasks as jobs; the exit code is not 0 if it fails.

    A script runs as with `python SCRIPT --batch`. A task is one of tasks.py, with the values in parameters.py.
    """
    flags = [
        *(["--dry-run"] if dry else []),
        *(["--progress", "live"] if tui else []),
        *(["--scheduler-host", host] if host else []),
        *(["--scheduler-port", str(port)] if port is not None else []),
    ]
    if not is_task(what):
        if task_file or params_file or param or workers or not batch:
            raise CommandError(f"{what} is a script: -f, -p, -P, --workers and --no-batch are for a TASK of a project.")
        scripts.run(Path(what), [*flags, *(arguments or [])], detach)
        return
    params, given = split(params_file, param)
    file, params = _absolute(_found(task_file, what)), _absolute(params or os.environ.get(PARAMS_VARIABLE, ""))
    words = [*words_of_task(what, file, params, given), *flags, *(arguments or [])]
    words += ["--workers", str(workers)] if workers else []
    _start(Path(file), words, batch, detach)


def is_task(word: str) -> bool:
    """Whether `run` is about a task of a project with this name, and not about a script."""
    return not (word.endswith(".py") or os.sep in word or Path(word).is_file())


def split(files: Sequence[str] | None, param: Sequence[str] | None) -> tuple[str, list[str]]:
    """The parameters file and the values of parameters: -p may be followed by either, and the last file counts."""
    given = [word for word in files or () if "=" in word and not Path(word).is_file()]
    named = [word for word in files or () if word not in given]
    return named[-1] if named else "", [*given, *(param or ())]


def the_project(task_file: str, files: Sequence[str] | None = None, param: Sequence[str] | None = None) -> Project:
    """The project that these options name. Raises BadInputError."""
    params_file, given = split(files, param)
    return load(task_file, params_file, given)


def _start(file: Path, words: list[str], batch: bool, detach: bool) -> None:
    command = scripts.words_of(file, words)
    if not batch:
        command.remove("--batch")
    if detach:
        from b2luigi.cli.command.detached import start

        start(file, command)
    else:
        scripts.become(command)


def _found(task_file: str, what: str) -> str:
    file = task_file or os.environ.get(TASK_VARIABLE, "") or TASK_FILE
    if not Path(file).is_file():
        raise CommandError(
            f"There is no script {what}, and no {file} in {Path.cwd()} with a task {what}. "
            "`b2luigi init` makes a project to start from."
        )
    return file


def _absolute(path: str) -> str:
    return os.path.abspath(path) if path else ""
