"""`b2luigi show`: the outputs of a project's tasks, and which of them exist."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any

import luigi
import typer
from rich.text import Text

from b2luigi.batch.messages.failure import visible
from b2luigi.cli.command.printing import console, table
from b2luigi.cli.command.project import Direct, Names, Params, ParamsFile, TaskFile, the_project
from b2luigi.cli.command.runs import in_words
from b2luigi.core.target import file_targets_by_name

Requirements = Annotated[bool, typer.Option("--with-requirements", help="Also those of all that these tasks require.")]
Details = Annotated[bool, typer.Option("--details", help="With the name of each output and the task's parameters.")]
Paths = Annotated[bool, typer.Option("--paths", help="Only the paths, one a line, for other programs.")]
Links = Annotated[bool, typer.Option("--links", help="Paths that a terminal on this machine opens with a click.")]


@in_words
def show(
    names: Names = None,
    task_file: TaskFile = "",
    params_file: ParamsFile = None,
    param: Params = None,
    direct: Direct = False,
    with_requirements: Requirements = False,
    details: Details = False,
    paths: Paths = False,
    links: Links = False,
) -> None:
    """Show the outputs of tasks of a project, and whether they exist; without a name, those of all its tasks."""
    project = the_project(task_file, params_file, param)
    found = project.select(names or [], direct, with_requirements)
    if paths:
        for path in dict.fromkeys(str(target.path) for task in found for _, target in _outputs(task)):
            typer.echo(path)
        return
    by_class: dict[str, list[luigi.Task]] = {}
    for task in found:
        by_class.setdefault(type(task).__name__, []).append(task)
    for name, tasks in by_class.items():
        typer.echo(visible(name))
        rows = [_row(task, key, target, details, links) for task in tasks for key, target in _outputs(task)]
        if rows:
            console().print(table(["", *(["output", "parameters"] if details else []), "path"], rows))
        typer.echo()


def _row(task: luigi.Task, key: str, target: Any, details: bool, links: bool) -> list[str | Text]:
    exists = target.exists()
    path = Text(visible(str(target.path)))
    if links and isinstance(target, luigi.LocalTarget):
        path.stylize(f"link file://{os.path.abspath(target.path)}")
    values = ", ".join(f"{name}={value}" for name, value in task.to_str_params(only_public=True).items())
    state = Text("  exists", "green") if exists else Text("  missing", "red")
    return [state, *([key, values] if details else []), path]


def _outputs(task: luigi.Task) -> Iterator[tuple[str, Any]]:
    for key, targets in file_targets_by_name(task.output()).items():
        yield from ((key, target) for target in targets)
