"""`b2luigi remove` and `b2luigi cleanup`: outputs, logs and job files of a project's tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import luigi
import typer

from b2luigi.cli.cleanup import Kinds, clean_up
from b2luigi.cli.command.project import Direct, Keep, Names, Params, ParamsFile, TaskFile, Yes, the_project
from b2luigi.cli.command.runs import CommandError, in_words
from b2luigi.cli.project import Project
from b2luigi.cli.removal import class_names, is_removable, remove_these
from b2luigi.core.graph import all_tasks

Requirements = Annotated[bool, typer.Option("--with-requirements", help="Also of all that these tasks require.")]
LogsOnly = Annotated[bool, typer.Option("--logs-only", help="Only the logs.")]
FilesOnly = Annotated[bool, typer.Option("--task-files-only", help="Only the job scripts and records.")]


@in_words
def remove(
    names: Names = None,
    task_file: TaskFile = "",
    params_file: ParamsFile = None,
    param: Params = None,
    yes: Yes = False,
    keep: Keep = "",
    direct: Direct = False,
    with_requirements: Requirements = False,
) -> None:
    """Remove the outputs of tasks of a project, after a question; without a name, those of all its tasks.

    Calls remove_output() of a task that has such a method. Never removes data that no task makes. Refuses while jobs
    may still write or read these outputs.
    """
    project = the_project(task_file, params_file, param)
    chosen = _chosen(project, project.select(names or [], direct, with_requirements), keep)
    found = [task for task in chosen if is_removable(task) or getattr(task, "run", None) not in (None, NotImplemented)]
    graph = list(all_tasks([*project.roots(), *found]))
    raise typer.Exit(remove_these(found, graph, class_names(keep), confirmed=yes))


@in_words
def cleanup(
    names: Names = None,
    task_file: TaskFile = "",
    params_file: ParamsFile = None,
    param: Params = None,
    yes: Yes = False,
    keep: Keep = "",
    direct: Direct = False,
    with_requirements: Requirements = False,
    logs_only: LogsOnly = False,
    task_files_only: FilesOnly = False,
) -> None:
    """Remove logs, job scripts and records of tasks of a project, after a question; never their outputs.

    Refuses while a run is alive, or jobs of these tasks may be at work. Files of others in the same folders stay.
    """
    if logs_only and task_files_only:
        raise CommandError("Either --logs-only or --task-files-only; without both, logs and job files are removed.")
    project = the_project(task_file, params_file, param)
    found = _chosen(project, project.select(names or [], direct, with_requirements), keep)
    raise typer.Exit(clean_up(found, Kinds(logs=not task_files_only, job_files=not logs_only), confirmed=yes))


def _chosen(project: Project, tasks: Sequence[luigi.Task], keep: str) -> list[luigi.Task]:
    kept = {project.find(name) for name in class_names(keep)}
    return [task for task in tasks if type(task) not in kept]
