"""`b2luigi tasks`: the task classes of a project."""

from __future__ import annotations

import inspect
from typing import Annotated

import luigi
import typer

from b2luigi.batch.messages.failure import visible
from b2luigi.cli.command.printing import console, table
from b2luigi.cli.command.project import TaskFile, the_project
from b2luigi.cli.command.runs import in_words
from b2luigi.cli.project import Project

app = typer.Typer(rich_markup_mode=None)
Name = Annotated[str, typer.Argument(metavar="[TASK]", help="Task class; default: all.")]


@app.callback(invoke_without_command=True)
@in_words
def tasks(context: typer.Context, task_file: TaskFile = "") -> None:
    """List the task classes of a project; `tasks info` shows their parameters."""
    context.obj = task_file
    if context.invoked_subcommand is None:
        project = the_project(task_file)
        rows = [[cls.__name__, _module(project, cls), _first_line(cls)] for cls in project.classes()]
        console().print(table(["task", "module", "description"], rows))


@app.command()
@in_words
def info(context: typer.Context, name: Name = "", task_file: TaskFile = "") -> None:
    """Show what a task class is for, and its parameters."""
    project = the_project(task_file or context.obj or "")
    for cls in [project.find(name)] if name else project.classes():
        typer.echo(visible(f"{cls.__name__} ({_module(project, cls)})"))
        for line in _doc(cls).splitlines():
            typer.echo(visible(f"  {line}"))
        rows = [[f"  {key}", type(one).__name__, _default(cls, key, one)] for key, one in cls.get_params()]
        if rows:
            console().print(table(["  parameter", "type", "default"], rows))
        typer.echo()


def _module(project: Project, cls: type[luigi.Task]) -> str:
    return project.file.name if cls.__module__ == project.module.__name__ else cls.__module__


def _doc(cls: type[luigi.Task]) -> str:
    """The class's own text; none that it inherits from b2luigi."""
    return inspect.cleandoc(cls.__dict__.get("__doc__") or "")


def _first_line(cls: type[luigi.Task]) -> str:
    return _doc(cls).partition("\n")[0]


def _default(cls: type[luigi.Task], name: str, parameter: luigi.Parameter) -> str:
    family = cls.get_task_family()
    if not parameter.has_task_value(family, name):
        return "(required)"
    return repr(parameter.task_value(family, name))
